"""Draw the still twins of figures that compute: `python scripts/twins.py flow carry`.

Each is the drawing of the figure as it stands before the reader touches it, on white, and goes to
book/figures/computed-NAME.png. The browser is the Chromium that the variable CHROMIUM names, else
`chromium`.
"""

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "book" / "_ext"))

import computed  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

PAGE = """<!DOCTYPE html>
<html lang="en">
<style>{css}</style>
<style>
  :root {{
    --pst-color-text-base: #20262e;
    --pst-color-border: #e3e6ea;
    --pst-color-background: #ffffff;
    --pst-color-text-muted: #5b6470;
    --pst-color-primary: #0a7d91;
    --pst-font-family-monospace: "DejaVu Sans Mono";
  }}
  body {{ background: #ffffff; font-family: "DejaVu Sans", sans-serif; }}
  #live {{ width: 26rem; }}
</style>
<figure><img alt=""></figure>
<div id="live" class="computed-live"></div>
<script>
  window.computed = {{ given: {{}}, load: async (name) => window.computed.given[name] }};
</script>
<script>{script}</script>
<script>
  const [live, twin] = ["#live", "figure"].map((part) => document.querySelector(part));
  window.computed.given["{name}"](live, twin);
</script>
"""


def draw(browser, name):
    css = (computed.SOURCE / "figures.css").read_text(encoding="utf-8")
    page = browser.new_page(device_scale_factor=2)
    data = (computed.SOURCE / "data").glob(f"{name}[.-]*")
    script = "".join([computed.figure(name), *map(computed.data, data)])
    page.set_content(PAGE.format(css=css, script=script, name=name))
    if page.locator(".open").count():
        page.locator(".open").click()
    page.locator("[aria-busy=true]").wait_for(state="detached")
    picture = ROOT / "book" / "figures" / f"computed-{name}.png"
    page.locator(".picture, .drawing").first.screenshot(path=picture)
    page.close()
    print(picture.relative_to(ROOT))


if __name__ == "__main__":
    with sync_playwright() as playwright:
        program = shutil.which(os.environ.get("CHROMIUM", "chromium"))
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for name in sys.argv[1:]:
            draw(browser, name)
        browser.close()
