"""The built book, a server for it on the loopback address, and a browser."""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SITE = ROOT / "_build" / "html"
FIREFOX = os.environ.get("FIREFOX")  # a program: what Chromium alone can do is then left out
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pages():
    """Every page of the built book, as its path below the site's folder; listings are none."""
    found = (path.relative_to(SITE) for path in SITE.rglob("*.html"))
    others = ("_modules", "_sources", "_static")
    return sorted(str(path) for path in found if path.parts[0] not in others)


def pytest_generate_tests(metafunc):
    if "page_path" in metafunc.fixturenames:
        if not (SITE / "index.html").is_file():
            raise pytest.UsageError("the book is not built: run `make book` first")
        # index.html only leads on to the first page; it has a test of its own
        metafunc.parametrize("page_path", [path for path in pages() if path != "index.html"])


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="session")
def address():
    """The address of the served book."""
    handler = functools.partial(Handler, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture(scope="session")
def playwright():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def launch(playwright):
    """Starts headless Chromium with more flags; without one the test is skipped, except in CI."""
    names = [os.environ.get("CHROMIUM"), *BROWSERS]
    program = next((found for name in names if name and (found := shutil.which(name))), None)
    if program is None:
        message = "no Chromium found: install one, or name it in the variable CHROMIUM"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    chromium = playwright.chromium
    return lambda *flags: chromium.launch(executable_path=program, args=[*FLAGS, *flags])


@pytest.fixture(scope="session")
def browser(request, playwright):
    """Headless Chromium, or Firefox."""
    if FIREFOX:
        started = playwright.firefox.launch(channel="moz-firefox", executable_path=FIREFOX)
    else:
        started = request.getfixturevalue("launch")()
    yield started
    started.close()


def show_as_printed(tab):
    if FIREFOX:
        pytest.skip("Playwright shows a page as it is printed in Chromium alone")
    tab.emulate_media(media="print")


class Visit:
    """One tab, and what went wrong in it."""

    def __init__(self, browser, address):
        self.address = address
        self.context = browser.new_context(viewport={"width": 1280, "height": 900})
        self.tab = self.context.new_page()
        self.problems = []
        self.tab.on("request", self.see_request)
        self.tab.on("response", self.see_response)
        self.tab.on("requestfailed", lambda request: self.problems.append(f"failed: {request.url}"))
        self.tab.on("pageerror", lambda error: self.problems.append(f"script error: {error}"))
        self.tab.on("console", self.see_console)

    def see_request(self, request):
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.problems.append(f"asks another host: {request.url}")

    def see_response(self, response):
        if response.status >= 400:
            self.problems.append(f"{response.status}: {response.url}")

    def see_console(self, message):
        if message.type in ("error", "warning"):
            self.problems.append(f"console {message.type}: {message.text}")

    def open(self, path):
        self.tab.goto(self.address + path, wait_until="load")
        return self.tab


@pytest.fixture
def visit(browser, address):
    opened = Visit(browser, address)
    yield opened
    opened.context.close()


@pytest.fixture(scope="session")
def axe():
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
