"""Downloads, from a server on this machine that behaves well, and badly."""

import hashlib
import io
import multiprocessing
import tarfile
import threading
import wave
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from companion.data import download, fetch_fsdd, fetch_ptb
from companion.data.digits import SPEAKERS
from companion.data.download import DownloadError, Source, content_checksum, provide
from companion.data.sources import SOURCES

TEXT = b"a small text\n" * 1000


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
            else:  # a link
                info.type, info.linkname = tarfile.SYMTYPE, content
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
CONTENT = {
    "/text": TEXT,
    "/set.tar.gz": TAR,
    "/set.zip": ZIP,
    "/cut.tar.gz": TAR[:-40],
    "/out.tar": make_tar({"set/train/a": b"a", "set/../../out": b"evil"}, "w"),
    "/absolute.tar": make_tar({"/set/train/a": b"evil"}, "w"),
    "/out.zip": make_zip({"set/train/a": b"a", "../out": b"evil"}),
    "/link.tar": make_tar({"set/train/a": b"a", "set/train/b": "/etc/passwd"}, "w"),
    "/huge.zip": make_zip({"set/train/a": b"0" * 5_000_000}),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        kind, _, rest = self.path[1:].partition("/")
        if kind == "moved":
            self.send_response(302)
            self.send_header("Location", "/" + rest)
            self.end_headers()
            return
        content = CONTENT.get("/" + rest if kind in ("cut", "wrong", "stuck") else self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if kind == "wrong":
            content = bytes([content[0] ^ 1]) + content[1:]
        self.wfile.write(content[: len(content) // 2] if kind in ("cut", "stuck") else content)
        if kind == "stuck":
            self.server.released.wait(10)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.asked, httpd.released = [], threading.Event()
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
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
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_file_is_downloaded_once(server, tmp_path):
    for _ in range(2):
        provide(tmp_path / "new", [text(server, "/text")])
    assert (tmp_path / "new" / "text").read_bytes() == TEXT
    assert server.asked == ["/text"]


def test_what_is_there_is_never_touched(server, tmp_path):
    (tmp_path / "text").write_bytes(b"mine")
    provide(tmp_path, [text(server, "/text")])
    assert (tmp_path / "text").read_bytes() == b"mine" and server.asked == []


@pytest.mark.parametrize("bad", ["/gone", "/cut/text", "/wrong/text"])
def test_the_next_mirror_is_asked(server, tmp_path, bad):
    provide(tmp_path, [text(server, bad, "/moved/text")])
    assert (tmp_path / "text").read_bytes() == TEXT
    assert server.asked == [bad, "/moved/text", "/text"]


def test_a_server_that_says_nothing_more_counts_as_gone(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    provide(tmp_path, [text(server, "/stuck/text", "/text")])
    assert server.asked == ["/stuck/text", "/text"]


@pytest.mark.parametrize("bad", ["/gone", "/cut/text", "/wrong/text"])
def test_nothing_half_written_is_left(server, tmp_path, bad):
    with pytest.raises(DownloadError, match=r"(?s)no download succeeded.*wanted: text in"):
        provide(tmp_path, [text(server, bad)])
    assert left(tmp_path) == []


def test_no_network_says_what_to_do(server, tmp_path):
    source = text(server, "/text")
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match="let COMPANION_DATA name the folder"):
        provide(tmp_path, [source])
    with pytest.raises(FileNotFoundError, match="wanted: text in the folder"):
        provide(tmp_path, [source], download=False)


@pytest.mark.parametrize("path", ["/set.tar.gz", "/set.zip"])
def test_an_archive_gives_only_what_is_wanted(server, tmp_path, path):
    provide(tmp_path, [archive(server, path)])
    assert left(tmp_path) == ["train/neg/1.txt", "train/pos/1.txt"]
    assert (tmp_path / "train/pos/1.txt").read_bytes() == b"good"


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


@pytest.mark.parametrize("path", ["/out.tar", "/absolute.tar", "/out.zip"])
def test_an_archive_stays_in_its_folder(server, tmp_path, path):
    with pytest.raises(DownloadError, match="must stay in its folder"):
        provide(tmp_path / "deep" / "er", [archive(server, path)])
    assert left(tmp_path) == []


def test_links_are_not_unpacked(server, tmp_path):
    provide(tmp_path, [archive(server, "/link.tar")])
    assert left(tmp_path) == ["train/a"] and not (tmp_path / "train/b").is_symlink()


def test_an_archive_that_would_fill_the_disk_is_refused(server, tmp_path):
    with pytest.raises(DownloadError, match="unpacks to more than 1,000,000 bytes"):
        provide(tmp_path, [archive(server, "/huge.zip", limit=1_000_000)])
    assert left(tmp_path) == []


@pytest.mark.parametrize("path", ["/cut.tar.gz", "/text"])
def test_a_file_that_is_no_archive_is_refused(server, tmp_path, path):
    with pytest.raises(DownloadError, match="cannot be unpacked"):
        provide(tmp_path, [archive(server, path)])
    assert left(tmp_path) == []


def test_a_full_disk_leaves_nothing(server, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download.shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        provide(tmp_path, [archive(server, "/set.zip")])
    assert left(tmp_path) == []


def test_processes_may_fetch_at_once(server, tmp_path):
    sources = [text(server, "/text"), archive(server, "/set.tar.gz")]
    context = multiprocessing.get_context("spawn")
    many = [context.Process(target=provide, args=(tmp_path, sources)) for _ in range(3)]
    for process in many:
        process.start()
    for process in many:
        process.join()
    assert [process.exitcode for process in many] == [0, 0, 0]
    assert left(tmp_path) == ["text", "train/neg/1.txt", "train/pos/1.txt"]
    assert (tmp_path / "text").read_bytes() == TEXT


def test_every_data_set_has_an_address_and_a_checksum_for_each_of_its_files():
    for name, sources in SOURCES.items():
        names = [brought for source in sources for brought in source.brings]
        assert len(names) == len(set(names)), name
        for source in sources:
            assert all(url.startswith("https://") for url in source.urls)
            kind, digits = source.checksum.split(":")
            assert len(digits) == {"md5": 32, "sha256": 64, "content": 64}[kind]
            assert set(digits) <= set("0123456789abcdef")


@pytest.mark.parametrize("name", ["ptb", "fsdd"])
def test_a_reader_downloads_what_is_missing(server, tmp_path, name, monkeypatch):
    """The whole way, on small files of the real form at the addresses of a server of ours."""
    if name == "ptb":
        texts = {f"ptb.{part}.txt": b" a word \n" for part in ("train", "valid", "test")}
        files, archive, fetch = texts, None, fetch_ptb
    else:
        sound = io.BytesIO()
        with wave.open(sound, "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(bytes(8))
        names = [f"{d}_{who}_{k}.wav" for d in range(10) for who in SPEAKERS for k in range(50)]
        files = {"set.tar.gz": make_tar({f"x-1/recordings/{n}": sound.getvalue() for n in names})}
        archive, fetch = "*", fetch_fsdd
    sources = []
    for file, content in files.items():
        monkeypatch.setitem(CONTENT, f"/{file}", content)
        brings = (file,) if archive is None else ("recordings",)
        sources.append(Source((f"{server.url}/{file}",), brings, md5(content), archive))
    monkeypatch.setitem(SOURCES, name, tuple(sources))
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path))
    first = fetch()
    asked = list(server.asked)
    assert len(asked) == len(files) and (tmp_path / name).is_dir()
    assert fetch(download=False).card == first.card and server.asked == asked
