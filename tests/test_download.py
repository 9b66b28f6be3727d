"""Downloads, from a server on this machine that behaves well, and badly."""

import hashlib
import io
import multiprocessing
import os
import random
import resource
import signal
import stat
import tarfile
import threading
import time
import wave
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from companion.data import download, fetch_fsdd, fetch_imdb, fetch_ptb, fetch_wikitext103
from companion.data.digits import SPEAKERS
from companion.data.download import DownloadError, Source, provide
from companion.data.sources import SOURCES
from companion.data.unpack import UnpackError, content_checksum, unpack

pytest.importorskip("pooch")  # at once, or its log would go where a test's output went
TEXT = random.Random(0).randbytes(600_000)  # several chunks; no part is like another


def md5(content):
    return "md5:" + hashlib.md5(content).hexdigest()


def make_tar(files, mode="w:gz"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:  # a link or a device
                info.type, info.linkname = content
                archive.addfile(info)
    return out.getvalue()


def make_zip(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


FILES = {"set/train/pos/1.txt": b"good", "set/train/neg/1.txt": b"bad", "set/README": b"no"}
TAR, ZIP = make_tar(FILES), make_zip(FILES)
LINK = zipfile.ZipInfo("set/train/link")
LINK.external_attr = (stat.S_IFLNK | 0o777) << 16
BAD = {  # what no archive should hold
    "out.tar": make_tar({"set/train/a": b"a", "set/../../out": b"evil"}, "w"),
    "absolute.tar": make_tar({"/set/train/a": b"evil"}, "w"),
    "unwanted.tar": make_tar({"set/train/a": b"a", "../out": b"evil"}, "w"),
    "out.zip": make_zip({"set/train/a": b"a", "../out": b"evil"}),
    "drive.zip": make_zip({"set/train/C:/evil": b"evil"}),
    "backslash.zip": make_zip({"set/train/..\\..\\out": b"evil"}),
}
CONTENT = {
    "/text": TEXT,
    "/set.tar.gz": TAR,
    "/set.zip": ZIP,
    "/cut.tar.gz": TAR[:-40],
    "/out.tar": BAD["out.tar"],
    "/huge.zip": make_zip({"set/train/a": b"0" * 5_000_000}),
}


class Handler(BaseHTTPRequestHandler):
    """Paths are a way to behave and a file, as /cut/text: half of it, then the line is dead.

    Ranges are given where the way is one of RANGED, and asked for in the header of a request.
    """

    RANGED = ("ranged", "other", "encoded", "dying", "slow")

    def do_GET(self):
        if "python" in self.headers["User-Agent"].lower():  # as the server of WikiText does
            return self.send_error(403)
        way, _, rest = self.path[1:].partition("/")
        content = CONTENT.get("/" + rest if rest else self.path)
        begin = self.headers.get("Range", "bytes=0-")
        self.server.asked.append(self.path)
        self.server.ranges.append(int(begin[6:-1]))
        if way == "moved":
            return self.answer(302, Location="/" + rest)
        if way == "circle":
            return self.answer(302, Location=self.path)
        if content is None:
            return self.send_error(404)
        start = self.server.ranges[-1] if way in self.RANGED else 0
        if start >= len(content):
            return self.send_error(416)
        whole, content = len(content), content[start:]
        headers = {"Content-Length": len(content)}
        if start:
            place = 0 if way == "other" else start
            headers["Content-Range"] = f"bytes {place}-{whole - 1}/{whole}"
        if way == "encoded" and start:
            headers["Content-Encoding"] = "gzip"
        if way == "silent":  # does not say how long it is
            headers = {}
        self.answer(206 if start else 200, **headers)
        if way == "wrong":
            content = bytes([content[0] ^ 1]) + content[1:]
        half = way in ("cut", "stuck", "silent") or (way == "dying" and not start)
        if way == "slow":  # the rest comes when the test says so
            self.wfile.write(content[: len(content) // 2])
            self.server.released.wait(10)
            content = content[len(content) // 2 :]
        self.wfile.write(content[: len(content) // 2] if half else content)
        if way == "stuck" and not self.server.released.wait(120):
            self.server.gave_up.append(self.path)

    def answer(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.asked, httpd.ranges, httpd.gave_up, httpd.released = [], [], [], threading.Event()
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    httpd.url = f"http://127.0.0.1:{httpd.server_port}"
    yield httpd
    httpd.released.set()
    httpd.shutdown()
    httpd.server_close()


def text(server, *paths):
    return Source(tuple(server.url + path for path in paths), ("text",), md5(TEXT))


def archive(server, path, checksum=None, **more):
    urls = (server.url + path,)
    return Source(urls, ("train",), checksum or md5(CONTENT[path]), archive="set", **more)


def left(folder):
    """All files but the lock, which stays."""
    files = (p for p in folder.rglob("*") if not p.is_dir() and p.name != ".lock")
    return sorted(p.relative_to(folder).as_posix() for p in files)


def part(source):
    return f".download/{source.checksum.replace(':', '-')}.part"


def test_a_file_is_downloaded_once(server, tmp_path, capsys):
    for _ in range(2):
        provide(tmp_path / "new", [text(server, "/text")])
    assert (tmp_path / "new" / "text").read_bytes() == TEXT
    assert server.asked == ["/text"] and left(tmp_path / "new") == ["text"]
    assert "text: 100%" in capsys.readouterr().err  # the bar


def test_what_is_there_is_never_touched(server, tmp_path):
    (tmp_path / "text").write_bytes(b"mine")
    tmp_path.chmod(0o500)  # not even a lock is written
    provide(tmp_path, [text(server, "/text")])
    assert [p.name for p in tmp_path.iterdir()] == ["text"] and server.asked == []
    assert (tmp_path / "text").read_bytes() == b"mine"


BROKEN = ["/gone", "/cut/text", "/wrong/text", "/silent/text", "/circle/text"]


@pytest.mark.parametrize("bad", BROKEN)
def test_the_next_mirror_is_asked(server, tmp_path, bad):
    provide(tmp_path, [text(server, bad, "/moved/text")])
    assert left(tmp_path) == ["text"] and (tmp_path / "text").read_bytes() == TEXT
    assert server.asked[0] == bad and server.asked[-2:] == ["/moved/text", "/text"]


def test_a_server_that_says_nothing_more_counts_as_gone(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    provide(tmp_path, [text(server, "/stuck/text", "/text")])
    assert server.asked == ["/stuck/text", "/text"] and not server.gave_up
    assert (tmp_path / "text").read_bytes() == TEXT


@pytest.mark.parametrize("bad", BROKEN)
def test_nothing_half_written_is_taken_for_data(server, tmp_path, bad):
    source = text(server, bad)
    with pytest.raises(DownloadError, match=r"(?s)text could not be downloaded into.*COMPANION"):
        provide(tmp_path, [source])
    assert not (tmp_path / "text").exists()
    assert left(tmp_path) == ([part(source)] if bad.startswith("/cut") else [])


def test_no_network_says_what_to_do(server, tmp_path):
    source = text(server, "/text")
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match=r"(?s)network\?.*by hand.*COMPANION_DATA") as told:
        provide(str(tmp_path), [source])
    assert "refused" in str(told.value) and "Max retries" not in str(told.value)
    more = text(server, "/more")._replace(brings=("more",))
    with pytest.raises(FileNotFoundError, match=r"text, more must be in the folder .*by hand"):
        provide(tmp_path, [source, more], download=False)
    with pytest.raises(FileNotFoundError):
        provide(tmp_path / "new", [source], download=False)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_to_is_told(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError) as told:
        provide(tmp_path / "file" / "set", [text(server, "/text")])
    (note,) = told.value.__notes__
    assert note.startswith("text could not be written into") and "COMPANION_DATA" in note
    assert server.asked == []


def interrupted(server, folder):
    """A download that broke off, and how many bytes of it were kept."""
    source = text(server, "/dying/text")
    with pytest.raises(DownloadError):
        provide(folder, [source])
    kept = (folder / part(source)).read_bytes()
    assert TEXT.startswith(kept) and 100_000 < len(kept) < len(TEXT)
    server.ranges.clear()
    return source, len(kept)


def test_a_download_goes_on_where_it_stopped(server, tmp_path):
    source, kept = interrupted(server, tmp_path)
    provide(tmp_path, [source])
    assert server.ranges == [kept]
    assert left(tmp_path) == ["text"] and (tmp_path / "text").read_bytes() == TEXT


@pytest.mark.parametrize(
    ("kept", "way", "asked"),
    [
        (TEXT[:150_000], "/text", [150_000]),  # a server without ranges sends all of it
        (b"x" + TEXT[1:150_000], "/ranged/text", [150_000, 0]),  # of another file
        (TEXT + b"more", "/ranged/text", [600_004, 0]),
        (TEXT, "/ranged/text", [600_000, 0]),
        (TEXT[:150_000], "/other/text", [150_000, 0]),  # another range than was asked for
        (TEXT[:150_000], "/encoded/text", [150_000, 0]),
        (b"", "/ranged/text", [0]),
    ],
)
def test_two_files_are_never_mixed(server, tmp_path, kept, way, asked):
    source = text(server, way)
    (tmp_path / ".download").mkdir()
    (tmp_path / part(source)).write_bytes(kept)
    provide(tmp_path, [source])
    assert (tmp_path / "text").read_bytes() == TEXT and left(tmp_path) == ["text"]
    assert server.ranges == asked


def test_what_one_mirror_began_another_may_end(server, tmp_path):
    provide(tmp_path, [text(server, "/cut/text", "/ranged/text")])
    assert server.ranges[1] > 100_000 and (tmp_path / "text").read_bytes() == TEXT


def test_a_part_of_an_older_checksum_is_not_used(server, tmp_path):
    interrupted(server, tmp_path)
    changed = text(server, "/ranged/set.zip")._replace(checksum=md5(ZIP))
    provide(tmp_path, [changed])
    assert server.ranges == [0] and left(tmp_path) == ["text"]


def test_a_file_without_end_is_given_up(server, tmp_path):
    with pytest.raises(DownloadError, match="it has more than 1,000 bytes"):
        provide(tmp_path, [text(server, "/text")._replace(limit=1000)])
    assert left(tmp_path) == []


@pytest.mark.parametrize("path", ["/set.tar.gz", "/set.zip"])
def test_an_archive_gives_only_what_is_wanted(server, tmp_path, path):
    provide(tmp_path, [archive(server, path)])
    assert left(tmp_path) == ["train/neg/1.txt", "train/pos/1.txt"]
    assert (tmp_path / "train/pos/1.txt").read_bytes() == b"good"
    deep = archive(server, path)._replace(brings=("train/pos",))
    provide(tmp_path / "deep", [deep])
    assert left(tmp_path / "deep") == ["train/pos/1.txt"]


def test_an_archive_may_be_known_by_its_content(server, tmp_path):
    provide(tmp_path / "a", [archive(server, "/set.zip")])
    wanted = "content:" + content_checksum(tmp_path / "a", ["train"])
    provide(tmp_path / "b", [archive(server, "/set.tar.gz", wanted)._replace(archive="*")])
    assert left(tmp_path / "b") == left(tmp_path / "a")
    with pytest.raises(DownloadError, match="its content has another checksum"):
        provide(tmp_path / "c", [archive(server, "/set.zip", wanted[:-1] + "-")])
    assert left(tmp_path / "c") == []
    (tmp_path / "a/train/pos/1.txt").rename(tmp_path / "a/train/pos/2.txt")
    assert "content:" + content_checksum(tmp_path / "a", ["train"]) != wanted


def test_a_broken_archive_sends_on_to_the_next_mirror(server, tmp_path):
    provide(tmp_path / "a", [archive(server, "/set.zip")])
    wanted = "content:" + content_checksum(tmp_path / "a", ["train"])
    source = archive(server, "/cut.tar.gz", wanted)
    source = source._replace(urls=(*source.urls, server.url + "/set.tar.gz"))
    provide(tmp_path / "b", [source])
    assert left(tmp_path / "b") == left(tmp_path / "a")


def test_an_archive_that_leaves_its_folder_leaves_nothing(server, tmp_path):
    with pytest.raises(DownloadError, match="must stay in its folder"):
        provide(tmp_path / "deep" / "er", [archive(server, "/out.tar")])
    assert left(tmp_path) == []


@pytest.mark.parametrize("name", BAD)
def test_no_path_leaves_its_folder(tmp_path, name):
    (tmp_path / name).write_bytes(BAD[name])
    (tmp_path / "deep").mkdir()
    with pytest.raises(UnpackError, match="must stay in its folder"):
        unpack(tmp_path / name, tmp_path / "deep", "set", ["train"], 100)
    assert set(left(tmp_path)) <= {name, "deep/train/a"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, b"3", b"4"])
def test_links_and_devices_are_not_unpacked(tmp_path, kind):
    content = {"set/train/a": b"a", "set/train/b": (kind, "/etc/passwd"), "set/train/c": b"c"}
    (tmp_path / "x.tar").write_bytes(make_tar(content, "w"))
    unpack(tmp_path / "x.tar", tmp_path, "set", ["train"], 100)
    assert sorted(p.name for p in (tmp_path / "train").iterdir()) == ["a", "c"]


def test_a_file_behind_a_link_is_written_into_a_folder(tmp_path):
    """The old trick: first a link to elsewhere, then a file in it."""
    link = tarfile.SYMTYPE, str(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    content = {"set/train": link, "set/train/evil": b"evil"}
    (tmp_path / "x.tar").write_bytes(make_tar(content, "w"))
    unpack(tmp_path / "x.tar", tmp_path, "set", ["train"], 100)
    assert left(tmp_path) == ["train/evil", "x.tar"] and not (tmp_path / "train").is_symlink()


def test_links_in_a_zip_and_what_is_not_wanted_are_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(LINK, "/etc/passwd")
        archive.writestr("set/train/a", b"a")
        archive.writestr("set/README", b"not wanted")
        archive.writestr("set/trainer/a", b"not wanted")
    unpack(tmp_path / "x.zip", tmp_path, "set", ["train"], 100)
    assert left(tmp_path) == ["train/a", "x.zip"]


@pytest.mark.parametrize("wanted", ["train", "other"])
def test_an_archive_that_would_fill_the_disk_is_refused(tmp_path, wanted):
    (tmp_path / "x.zip").write_bytes(CONTENT["/huge.zip"])
    with pytest.raises(UnpackError, match="unpacks to more than 1,000,000 bytes"):
        unpack(tmp_path / "x.zip", tmp_path, "set", [wanted], 1_000_000)
    assert left(tmp_path) == ["x.zip"]


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_a_byte_that_changed_gives_a_clear_error_or_none(tmp_path, make):
    """Every byte of an archive, one at a time; no other error, nothing outside the folder."""
    whole = make({"set/train/a": b"a" * 50, "set/train/b": b"b"})
    errors = 0
    for k in range(len(whole)):
        path, into = tmp_path / "x", tmp_path / str(k) / "into"
        into.mkdir(parents=True)
        path.write_bytes(whole[:k] + bytes([whole[k] ^ 0xFF]) + whole[k + 1 :])
        try:
            unpack(path, into, "set", ["train"], 1000)
        except UnpackError:
            errors += 1
        assert [p.name for p in into.parent.iterdir()] == ["into"]
    assert errors > len(whole) / 3


@pytest.mark.parametrize("names", [("set/train/a", "set/train/a"), ("set/train", "set/train/a")])
def test_two_members_of_one_name_are_refused(tmp_path, names):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    (tmp_path / "x.tar").write_bytes(out.getvalue())
    (tmp_path / "into").mkdir()
    with pytest.raises(UnpackError, match="cannot be unpacked"):
        unpack(tmp_path / "x.tar", tmp_path / "into", "set", ["train"], 100)


def test_an_archive_that_lacks_what_is_wanted_is_refused(server, tmp_path):
    with pytest.raises(DownloadError, match="must bring valid, and does not"):
        provide(tmp_path, [archive(server, "/set.zip")._replace(brings=("train", "valid"))])
    assert left(tmp_path) == []


@pytest.mark.parametrize("path", ["/cut.tar.gz", "/text"])
def test_a_file_that_is_no_archive_is_refused(server, tmp_path, path):
    with pytest.raises(DownloadError, match="cannot be unpacked"):
        provide(tmp_path, [archive(server, path)])
    assert left(tmp_path) == []


def on_a_small_disk(folder, source, limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    provide(folder, [source])


@pytest.mark.parametrize("path", ["/ranged/text", "/huge.zip"])
def test_a_full_disk_leaves_nothing_that_is_taken_for_data(server, tmp_path, path):
    """A real limit of the system, in a process of its own; 100,000 bytes is all a file may have."""
    source = archive(server, path) if path in CONTENT else text(server, path)
    name = source.brings[0]
    process = multiprocessing.get_context("spawn").Process(
        target=on_a_small_disk, args=(tmp_path, source, 100_000)
    )
    process.start()
    process.join()
    assert process.exitcode == 1 and not (tmp_path / name).exists()
    provide(tmp_path, [source])  # with room it goes on
    assert left(tmp_path) == (["train/a"] if name == "train" else ["text"])
    assert server.ranges in ([0, 100_000], [0])


def test_a_full_disk_is_told(server, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("companion.data.unpack.shutil.copyfileobj", full)
    with pytest.raises(OSError, match="No space left") as told:
        provide(tmp_path, [archive(server, "/set.zip")])
    assert "train could not be written into" in told.value.__notes__[0]
    assert not (tmp_path / "train").exists()


def start(folder, sources):
    process = multiprocessing.get_context("spawn").Process(target=provide, args=(folder, sources))
    process.start()
    return process


def until(true):
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_killed_process_leaves_a_part_and_no_lock(server, tmp_path):
    source = text(server, "/slow/text")
    process = start(tmp_path, [source])
    kept = tmp_path / part(source)
    until(lambda: kept.exists() and kept.stat().st_size >= 65536)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL and not (tmp_path / "text").exists()
    size = kept.stat().st_size
    server.released.set()
    provide(tmp_path, [source])
    assert server.ranges == [0, size] and (tmp_path / "text").read_bytes() == TEXT
    assert left(tmp_path) == ["text"]


def test_what_a_killed_process_had_whole_is_not_downloaded_again(server, tmp_path):
    source, work = archive(server, "/set.zip"), tmp_path / ".download"
    (work / "unpacked" / "train").mkdir(parents=True)
    (work / "unpacked" / "train" / "half").write_bytes(b"ha")
    (work / "tmp123").write_bytes(b"of pooch")
    (work / part(source).removesuffix(".part").split("/")[1]).write_bytes(ZIP)
    provide(tmp_path, [source])
    assert server.asked == [] and left(tmp_path) == ["train/neg/1.txt", "train/pos/1.txt"]


def test_what_a_killed_process_had_whole_may_still_be_wrong(server, tmp_path):
    """An archive that is known by its content alone: only unpacking tells."""
    provide(tmp_path / "a", [archive(server, "/set.zip")])
    wanted = "content:" + content_checksum(tmp_path / "a", ["train"])
    source, work = archive(server, "/set.zip", wanted), tmp_path / "b" / ".download"
    work.mkdir(parents=True)
    (work / part(source).removesuffix(".part").split("/")[1]).write_bytes(ZIP[:-50])
    provide(tmp_path / "b", [source])
    assert server.asked == ["/set.zip"] * 2 and left(tmp_path / "b") == left(tmp_path / "a")


def test_what_a_killed_process_left_is_removed_even_if_this_one_fails(server, tmp_path):
    (tmp_path / ".download" / "unpacked").mkdir(parents=True)
    (tmp_path / ".download" / "tmp123").write_bytes(b"of pooch")
    with pytest.raises(DownloadError):
        provide(tmp_path, [text(server, "/gone")])
    assert left(tmp_path) == [] and not (tmp_path / ".download" / "unpacked").exists()


def test_processes_may_fetch_at_once(server, tmp_path):
    sources = [text(server, "/slow/text"), archive(server, "/set.tar.gz")]
    many = [start(tmp_path, sources) for _ in range(3)]
    until(lambda: server.asked)
    time.sleep(0.3)
    assert left(tmp_path) and not (tmp_path / "text").exists()
    server.released.set()
    for process in many:
        process.join()
    assert [process.exitcode for process in many] == [0, 0, 0]
    assert left(tmp_path) == ["text", "train/neg/1.txt", "train/pos/1.txt"]
    assert (tmp_path / "text").read_bytes() == TEXT
    assert server.asked == ["/slow/text", "/set.tar.gz"]  # the others waited


def test_every_data_set_has_an_address_and_a_checksum_for_each_of_its_files():
    for name, sources in SOURCES.items():
        names = [brought for source in sources for brought in source.brings]
        assert len(names) == len(set(names)), name
        for source in sources:
            assert all(url.startswith("https://") for url in source.urls)
            kind, digits = source.checksum.split(":")
            assert len(digits) == {"md5": 32, "sha256": 64, "content": 64}[kind]
            assert set(digits) <= set("0123456789abcdef")


def sound():
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(8))
    return out.getvalue()


PARTS = ("train", "valid", "test")
FORMS = {  # small files of the real forms: what is served, and by which function it is read
    "ptb": (fetch_ptb, {f"ptb.{part}.txt": b" a word \n" for part in PARTS}),
    "wikitext-103": (
        fetch_wikitext103,
        {"set.zip": make_zip({f"wikitext-103/wiki.{part}.tokens": b" = A =\n" for part in PARTS})},
    ),
    "aclImdb": (
        fetch_imdb,
        {
            "set.tar.gz": make_tar(
                {
                    f"aclImdb/{part}/{kind}/0_{stars}.txt": b"a film"
                    for part in ("train", "test")
                    for kind, stars in (("pos", 9), ("neg", 1), ("unsup", 0))
                }
            )
        },
    ),
    "fsdd": (
        fetch_fsdd,
        {
            "set.tar.gz": make_tar(
                {
                    f"x-1/recordings/{digit}_{speaker}_{take}.wav": sound()
                    for digit in range(10)
                    for speaker in SPEAKERS
                    for take in range(50)
                }
            )
        },
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_reader_downloads_what_is_missing(server, tmp_path, name, monkeypatch):
    """The whole way, at the addresses of a server of ours."""
    fetch, files = FORMS[name]
    ours = []
    for (file, content), source in zip(files.items(), SOURCES[name], strict=True):
        monkeypatch.setitem(CONTENT, f"/{file}", content)
        changed = {"urls": (f"{server.url}/{file}",), "checksum": md5(content)}
        ours.append(source._replace(**changed))
    monkeypatch.setitem(SOURCES, name, tuple(ours))
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="must be in the folder"):
        fetch(download=False)
    first = fetch()
    asked = list(server.asked)
    assert len(asked) == len(files) and (tmp_path / name).is_dir()
    assert fetch(download=False).card == first.card and server.asked == asked
    assert not (tmp_path / name / "train" / "unsup").exists()
