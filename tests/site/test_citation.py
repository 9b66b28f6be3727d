"""Every page says how it is cited."""

import yaml
from conftest import ROOT
from pybtex.database import parse_string
from test_links import TOC, soup

import companion


def test_page_says_how_it_is_cited(page_path):
    foot = [one for one in soup(page_path).select(".page-foot") if "Cite" in one.summary.get_text()]
    if page_path.removesuffix(".html") not in TOC:
        assert not foot
        return
    (entry,) = parse_string(foot[0].pre.get_text(), "bibtex").entries.values()
    title = soup(page_path).select_one("article h1")
    (number,) = title.select(".section-number") or [None]
    expected = title.get_text().removesuffix("#").removeprefix(number.get_text() if number else "")
    assert entry.fields["title"].strip("{}") == expected
    work = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert entry.fields["booktitle"].strip("{}") == work["title"]
    assert entry.fields["note"] == f"Version {companion.__version__}"
    assert work["title"] in foot[0].p.get_text() and companion.__version__ in foot[0].p.get_text()


def test_citation_opens_without_a_script_and_is_not_printed(browser, address):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"{address}book/mathematics/forget-gate.html")
    foot = tab.locator(".page-foot", has_text="Cite this page")
    assert not foot.locator("pre").is_visible()
    foot.locator("summary").focus()
    tab.keyboard.press("Enter")
    assert foot.locator("pre").is_visible()
    tab.emulate_media(media="print")
    assert not foot.is_visible()
    context.close()
