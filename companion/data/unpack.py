"""Unpack what is wanted of an archive, and nothing that could do harm."""

import errno
import hashlib
import shutil
import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

# What a disk says that cannot be written to; any other error comes of the archive.
_NAMES = "EACCES EDQUOT EFBIG EIO ENOSPC EPERM EROFS".split()
DISK = {getattr(errno, name) for name in _NAMES if hasattr(errno, name)}


class UnpackError(ValueError):
    """An archive is broken, or would write where it should not."""


def unpack(path: Path, into: Path, inside: str, brings: Sequence[str], limit: int) -> None:
    """Unpack the files and folders that `brings` names from a zip or tar file.

    path: of the archive. into: an empty folder. inside: the folder of the archive that has them;
    a * stands for a folder of any name. limit: the most bytes that all files of the archive may
    have together.
    Only plain files are ever written: no link and no device. Raises UnpackError for an archive
    that is broken, lacks what is wanted, is larger than `limit`, or has a path that leaves its
    folder, whether that file is wanted or not; OSError where the disk cannot be written to.
    """
    read = _zip if zipfile.is_zipfile(path) else _tar
    inside, total = PurePosixPath(inside).parts, 0
    brings = [PurePosixPath(name) for name in brings]
    try:
        for name, size, content in read(path):
            total += size
            if total > limit:
                raise UnpackError(f"unpacks to more than {limit:,} bytes")
            wanted = _wanted(name, inside, brings)
            if wanted is not None:
                target = into / wanted
                target.parent.mkdir(parents=True, exist_ok=True)
                with content() as file, open(target, "xb") as out:
                    shutil.copyfileobj(file, out)
    except UnpackError:
        raise
    except Exception as error:  # broken archives have many ways to fail
        if isinstance(error, OSError) and error.errno in DISK:
            raise
        raise UnpackError(f"cannot be unpacked: {type(error).__name__}: {error}") from error
    if absent := [str(name) for name in brings if not (into / name).exists()]:
        raise UnpackError(f"must bring {', '.join(absent)}, and does not")


def content_checksum(folder: Path, names: Iterable[str]) -> str:
    """The sha256 of all files under these names, with their paths: hexadecimal."""
    digest = hashlib.sha256()
    for name in sorted(names):
        top = folder / name
        files = [top] if top.is_file() else sorted(p for p in top.rglob("*") if p.is_file())
        for path in files:
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _wanted(name, inside, brings):
    """Where a member goes, or None where it is not wanted; UnpackError for a path that leaves."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or set(name) & set("\\:"):
        raise UnpackError(f"must stay in its folder, but has {name!r}")
    here, rest = path.parts[: len(inside)], path.parts[len(inside) :]
    if len(here) < len(inside) or any(a not in ("*", b) for a, b in zip(inside, here, strict=True)):
        return None
    rest = PurePosixPath(*rest)
    return rest if any(rest.is_relative_to(top) for top in brings) else None


def _zip(path):
    """Name, size and a function that opens, for each plain file."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            kind = info.external_attr >> 28  # of the file; 8 is a plain one, 0 not said
            if not info.is_dir() and kind in (0, 8):
                yield info.filename, info.file_size, lambda info=info: archive.open(info)


def _tar(path):
    with tarfile.open(path) as archive:
        for info in archive:
            if info.isfile():
                yield info.name, info.size, lambda info=info: archive.extractfile(info)
