"""How fast a page is there for a reader with a phone and a slow connection."""

import functools
import gzip
import http.server
import threading
from pathlib import Path

import pytest
from conftest import SITE, Handler

PAGES = ["book/intro", "book/mathematics/forget-gate", "book/concepts/structure"]
SLOW = {
    "offline": False,
    "latency": 150,  # ms
    "downloadThroughput": 1.6e6 / 8,  # bytes a second
    "uploadThroughput": 0.8e6 / 8,
}
WATCH = """
window.shift = 0;
new PerformanceObserver(list => {
  for (const entry of list.getEntries()) window.shift += entry.value;
}).observe({type: "layout-shift", buffered: true});
"""
SCROLL = """async () => {
  for (let y = 0; y < document.body.scrollHeight; y += 800) {
    window.scrollTo(0, y);
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}"""
MEASURE = """() => [
  performance.getEntriesByName("first-contentful-paint")[0].startTime,
  [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
    .reduce((sum, entry) => sum + entry.transferSize, 0),
  window.shift,
]"""


class Compressing(Handler):
    """Text goes compressed, as every host of pages sends it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        body, kind = path.read_bytes(), self.guess_type(path)
        self.send_response(200)
        if kind.startswith("text/") or kind in ("application/javascript", "image/svg+xml"):
            body = gzip.compress(body)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="session")
def compressed():
    """The address of the book as it is sent compressed."""
    handler = functools.partial(Compressing, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture(scope="module")
def chromium(launch):
    """The browser that can be given a slow connection."""
    started = launch()
    yield started
    started.close()


def visit_slowly(browser, address):
    """Milliseconds until something is seen, bytes loaded by then and by scrolling, layout shift."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    context.add_init_script(WATCH)
    tab = context.new_page()
    connection = context.new_cdp_session(tab)
    connection.send("Network.enable")
    connection.send("Network.emulateNetworkConditions", SLOW)
    tab.goto(address, wait_until="load", timeout=60_000)
    tab.evaluate(SCROLL)
    tab.wait_for_load_state("networkidle")
    measured = tab.evaluate(MEASURE)
    context.close()
    return measured


@pytest.mark.parametrize("page", PAGES)
def test_page_comes_fast_and_stands_still(chromium, compressed, page):
    # A machine that is busy with other things takes longer; what is too slow is so every time.
    for _ in range(3):
        painted, size, shift = visit_slowly(chromium, f"{compressed}{page}.html")
        if painted < 2500:
            break
    assert painted < 2500, f"first paint after {painted:.0f} ms"
    assert size < 1.2e6, f"{size} bytes"
    assert shift < 0.05, f"layout shift {shift:.3f}"
