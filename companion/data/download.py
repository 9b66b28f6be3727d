"""Download the files of a data set once, checked, each whole or not at all."""

import os
import shutil
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from companion.data.unpack import UnpackError, content_checksum, unpack

TIMEOUT = 30  # seconds without a byte, after which a server counts as gone
WORK = ".download"  # the folder for what is not whole yet, within that of the data set

ADVICE = (
    "Call it once where there is a network, with download=True; or put the files there by hand; or "
    "let the environment variable COMPANION_DATA name the folder that has those of all data sets."
)


class Source(NamedTuple):
    """One file on the net, and what it brings into the folder of a data set.

    urls: where it is, tried in order. brings: the paths of the files and folders that it brings.
    checksum: of the file, such as "md5:0123…" or "sha256:0123…"; or "content:0123…", which is
    `content_checksum` of what it brings, for an archive that a server packs anew for everyone.
    archive: None for a plain file, else the folder within the zip or tar file that has `brings`;
    a * stands for a folder of any name.
    limit: the most bytes that the file may have, and that an archive may unpack to.
    """

    urls: tuple[str, ...]
    brings: tuple[str, ...]
    checksum: str
    archive: str | None = None
    limit: int = 2**31


class DownloadError(OSError):
    """No server gave the file of a data set whole and with the right checksum; an OSError."""


class _WrongFile(ValueError):
    """What a server gave is not what was asked for."""


def provide(folder: str | PathLike, sources: Sequence[Source], download: bool = True) -> None:
    """See to it that a folder, given by its path, has all that the sources bring.

    What is there is left as it is; the rest is downloaded if `download` is true, with a bar that
    shows the progress. A name appears in the folder when its content is whole and checked, so
    that nothing half-written is ever read, even if the process is killed. One process at a time
    downloads into a folder; another waits for it. What came of a file before a download broke off
    is kept, and the next one goes on from there if the server can; the checksum decides whether
    both parts belong together, and if not, the file is downloaded anew.
    Raises FileNotFoundError if something is missing and `download` is false; DownloadError if no
    mirror gives a file with the right checksum, or an archive would write where it should not;
    OSError for a full disk, or a folder that cannot be written to; ModuleNotFoundError without
    filelock, pooch and tqdm.
    """
    folder = Path(folder)
    missing = [name for source in sources for name in _missing(folder, source)]
    if missing and not download:
        raise FileNotFoundError(f"{', '.join(missing)} must be in the folder {folder}. {ADVICE}")
    if not missing:
        return
    from filelock import FileLock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock").acquire()
    except OSError as error:
        error.add_note(
            f"{', '.join(missing)} could not be written into {folder}: give another folder, or let "
            "the environment variable COMPANION_DATA name one for all data sets."
        )
        raise
    with lock:  # released by the system, too, when a process is killed
        for source in sources:
            if missing := _missing(folder, source):
                _fetch(source, folder, missing)


def _missing(folder, source):
    return [name for name in source.brings if not (folder / name).exists()]


def _fetch(source, folder, missing):
    """Place what is missing, from the first mirror that gives it."""
    import requests

    work, failures = folder / WORK, []
    part = work / (source.checksum.replace(":", "-") + ".part")
    work.mkdir(exist_ok=True)
    for url in source.urls:
        for again in (True, False):
            kept = part.exists() or part.with_suffix("").exists()
            try:
                content = _content(source, _retrieve(url, source, part), work)
            except _WrongFile as error:
                if kept and again:  # what was kept may be of another file: once more from the start
                    continue
                failures.append(f"{url}: {error}")
            except requests.RequestException as error:
                failures.append(f"{url}: {_reason(error)}")
            except OSError as error:
                error.add_note(f"{', '.join(missing)} could not be written into {folder}")
                raise
            else:
                for name in missing:
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    os.rename(content / name, folder / name)
                shutil.rmtree(work)
                return
            break
    for path in work.iterdir():  # of a process that was killed, too
        if path != part:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    names = f"{', '.join(missing)} could not be downloaded into the folder {folder}:"
    raise DownloadError("\n".join([names, *failures, f"Is there a network? {ADVICE}"]))


def _reason(error):
    """What went wrong, without the layers of libraries that passed it on."""
    inner = getattr(error.args[0] if error.args else None, "reason", None)
    return f"{type(error).__name__}: {inner or error}"


def _retrieve(url, source, part):
    """The path of the file, which has the right checksum; _WrongFile if it has not."""
    import pooch

    known = None if source.checksum.startswith("content:") else source.checksum
    whole = part.with_suffix("")

    def downloader(url, output, _):
        _receive(url, part, source.limit)
        os.replace(part, output)

    try:
        return Path(pooch.retrieve(url, known, whole.name, whole.parent, downloader=downloader))
    except _WrongFile:
        part.unlink(missing_ok=True)
        raise
    except ValueError as error:  # pooch's word for another checksum
        if isinstance(error, OSError):  # requests has errors that are both
            raise
        raise _WrongFile("not the published file, its checksum is another") from error


def _receive(url, part, limit):
    """Append to `part` what it lacks, if the server gives ranges, or else write all of it."""
    import requests
    from tqdm import tqdm

    start = part.stat().st_size if part.exists() else 0
    # Some servers refuse Python's usual agent; a range must not be one of compressed bytes.
    headers = {"User-Agent": "lstm-companion", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == 416:
            raise _WrongFile("it has no more bytes than came before")
        response.raise_for_status()
        ranged = response.status_code == 206
        if ranged and (
            not response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
            or response.headers.get("Content-Encoding", "identity") != "identity"
        ):
            raise _WrongFile("another range came than was asked for")
        size = int(response.headers.get("Content-Length", 0))
        start = start if ranged else 0
        total, name = start + size or None, url.rsplit("/", 1)[-1]
        bar = tqdm(desc=name, initial=start, total=total, unit="B", unit_scale=True)
        with open(part, "ab" if ranged else "wb") as file, bar:
            for chunk in response.iter_content(2**16):
                if file.tell() + len(chunk) > limit:
                    raise _WrongFile(f"it has more than {limit:,} bytes")
                file.write(chunk)
                bar.update(len(chunk))


def _content(source, path, work):
    """The folder that has what the source brings, checked; _WrongFile removes the download."""
    if source.archive is None:
        (name,) = source.brings
        path.rename(work / name)
        return work
    unpacked = work / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    unpacked.mkdir()
    try:
        unpack(path, unpacked, source.archive, source.brings, source.limit)
        kind, _, wanted = source.checksum.partition(":")
        if kind == "content" and content_checksum(unpacked, source.brings) != wanted:
            raise UnpackError("its content has another checksum than it should")
    except UnpackError as error:
        path.unlink()
        raise _WrongFile(str(error)) from error
    return unpacked
