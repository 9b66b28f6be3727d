"""Download the files of a data set once, checked, each whole or not at all."""

import hashlib
import os
import shutil
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import NamedTuple

TIMEOUT = 30  # seconds without a byte, after which a server counts as gone


class Source(NamedTuple):
    """One file on the net, and what it brings into the folder of a data set.

    urls: where it is, tried in order. brings: the names of the files and folders that it brings.
    checksum: of the file, such as "md5:0123…" or "sha256:0123…"; or "content:0123…", which is
    `content_checksum` of what it brings, for an archive that a server packs anew for everyone.
    archive: None for a plain file, else the folder within the zip or tar file that has `brings`;
    a * stands for a folder of any name.
    limit: the most bytes that an archive may unpack to.
    """

    urls: tuple
    brings: tuple
    checksum: str
    archive: str | None = None
    limit: int = 2**31


class DownloadError(OSError):
    """No mirror gave the file as it should be."""


def provide(folder, sources, download=True):
    """See to it that a folder has all that the sources bring.

    What is there is left as it is; the rest is downloaded if `download` is true. A name appears in
    the folder when its content is whole and checked, so that nothing half-written is ever read,
    and two processes may do this at once.
    Raises FileNotFoundError if something is missing and `download` is false; DownloadError if no
    mirror gives a file with the right checksum, or an archive would write where it should not;
    ModuleNotFoundError without pooch and tqdm.
    """
    for source in sources:
        missing = [name for name in source.brings if not (folder / name).exists()]
        if not missing:
            continue
        if not download:
            raise FileNotFoundError(_wanted(folder, missing))
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".download-", dir=folder) as work:
            content = _content(source, _retrieve(source, folder, Path(work)), Path(work))
            for name in missing:
                _place(content / name, folder / name)


def content_checksum(folder, names):
    """The sha256 of all files under these names, with their paths: hexadecimal."""
    digest = hashlib.sha256()
    for name in sorted(names):
        top = folder / name
        files = [top] if top.is_file() else sorted(p for p in top.rglob("*") if p.is_file())
        for path in files:
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _retrieve(source, folder, work):
    """The path of the downloaded file, from the first mirror that gives it whole."""
    import pooch
    import requests

    known = None if source.checksum.startswith("content:") else source.checksum
    get = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT)
    failures = []
    for url in source.urls:
        name = "download-" + url.rsplit("/", 1)[-1]
        try:
            return Path(pooch.retrieve(url, known, fname=name, path=work, downloader=get))
        except requests.RequestException as error:
            failures.append(f"{url}: {type(error).__name__}: {error}")
        except ValueError:  # pooch's word for another checksum
            failures.append(f"{url}: not the published file, its checksum is another")
    wanted = _wanted(folder, source.brings)
    raise DownloadError("\n".join(["no download succeeded", *failures, wanted]))


def _content(source, path, work):
    """The folder that has what the source brings, checked."""
    if source.archive is None:
        (name,) = source.brings
        return path.rename(work / name).parent
    unpacked = work / "unpacked"
    unpacked.mkdir()
    unpack = _unpack_zip if zipfile.is_zipfile(path) else _unpack_tar
    try:
        unpack(path, unpacked, source)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise DownloadError(f"{source.urls[0]} cannot be unpacked: {error}") from error
    absent = [name for name in source.brings if not (unpacked / name).exists()]
    if absent:
        raise DownloadError(f"{source.urls[0]} must bring {source.brings}, but lacks {absent}")
    kind, _, wanted = source.checksum.partition(":")
    if kind == "content" and content_checksum(unpacked, source.brings) != wanted:
        raise DownloadError(f"{source.urls[0]}: its content has another checksum than it should")
    return unpacked


def _unpack_zip(path, into, source):
    with zipfile.ZipFile(path) as archive:
        members = [
            (info, info.filename, info.file_size)
            for info in archive.infolist()
            if not info.is_dir() and (info.external_attr >> 28) in (0, 8)  # 8: a plain file
        ]
        for info, target in _targets(members, into, source):
            with archive.open(info) as file, open(target, "xb") as out:
                shutil.copyfileobj(file, out)


def _unpack_tar(path, into, source):
    with tarfile.open(path) as archive:
        members = [(info, info.name, info.size) for info in archive if info.isfile()]
        for info, target in _targets(members, into, source):
            with archive.extractfile(info) as file, open(target, "xb") as out:
                shutil.copyfileobj(file, out)


def _targets(members, into, source):
    """Pairs of a member that is wanted, and the path to write it to; all others are left out.

    Only plain files are ever given, and a path that would leave the folder is refused.
    """
    inside, total = PurePosixPath(source.archive).parts, 0
    for info, name, size in members:
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or "\\" in name:
            raise DownloadError(f"{source.urls[0]} must stay in its folder, but has {name!r}")
        here = zip(inside, parts, strict=False)
        rest = parts[len(inside) :]
        if not rest or rest[0] not in source.brings or any(a not in ("*", b) for a, b in here):
            continue
        total += size
        if total > source.limit:
            raise DownloadError(f"{source.urls[0]} unpacks to more than {source.limit:,} bytes")
        target = into.joinpath(*rest)
        target.parent.mkdir(parents=True, exist_ok=True)
        yield info, target


def _place(path, target):
    """Move a file or a folder where it is wanted, unless another process was first."""
    try:
        if path.is_dir():
            os.rename(path, target)  # refuses a folder that has something in it
        else:
            os.link(path, target)  # refuses a file that is there
    except OSError:
        if not target.exists():
            shutil.move(path, target)


def _wanted(folder, names):
    return (
        f"wanted: {', '.join(names)} in the folder {folder}. Put them there by hand, or name "
        "another folder, or let COMPANION_DATA name the folder that has the data sets' folders"
    )
