"""What can be read from the built files without a browser: links, images, downloads."""

import functools
import json
import re
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup
from conftest import ROOT, SITE, pages


@functools.cache
def soup(path):
    return BeautifulSoup((SITE / path).read_text(encoding="utf-8"), "html.parser")


@functools.cache
def anchors(path):
    return {tag["id"] for tag in soup(path).find_all(id=True)} | {"", "top"}


def toc():
    """The pages in reading order, from _toc.yml."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))

    def walk(entries):
        for entry in entries:
            yield entry["file"]
            yield from walk(entry.get("sections", []))

    yield contents["root"]
    for part in contents["parts"]:
        yield from walk(part["chapters"])


TOC = list(toc())
NOTEBOOKS = [name for name in TOC if (ROOT / f"{name}.ipynb").is_file()]


def test_every_page_of_the_contents_is_built_and_no_other():
    extra = {"genindex.html", "index.html", "search.html"}
    assert set(pages()) - extra == {f"{name}.html" for name in TOC}


def test_links_and_anchors_lead_somewhere(page_path):
    broken = []
    here = SITE / page_path
    for tag in soup(page_path).find_all(True):
        for field in ("href", "src", "data", "poster"):
            link = tag.get(field)
            if link is None or field == "data" and tag.name != "object":
                continue
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if parts.scheme not in ("http", "https", "mailto", "data"):
                    broken.append(f"{link}: not a link that a reader can follow")
                continue
            target = (here.parent / unquote(parts.path)).resolve() if parts.path else here
            if target.is_dir():
                target = target / "index.html"
            if not target.is_file():
                broken.append(f"{link}: no such file")
            elif target.suffix == ".html" and parts.fragment:
                if unquote(parts.fragment) not in anchors(str(target.relative_to(SITE))):
                    broken.append(f"{link}: no such anchor")
    assert not broken, "\n".join([page_path, *broken])


def test_nothing_is_loaded_from_another_host(page_path):
    outside = [
        str(tag)[:200]
        for tag in soup(page_path).find_all(["script", "img", "link", "iframe", "source"])
        for link in [tag.get("src") or tag.get("href") or ""]
        if re.match(r"(https?:)?//", link) and tag.get("rel") not in (["canonical"],)
    ]
    assert not outside


def test_images_are_described(page_path):
    wrong = []
    for image in soup(page_path).find_all("img"):
        source = image.get("src", "")
        if "logo" in image.get("class", []) or "logo__image" in image.get("class", []):
            least = 1  # the logo is a link; its text says where to
        else:
            least = 5
        alt = (image.get("alt") or "").strip()
        name = re.split(r"[/?]", source)[-1].rsplit(".", 1)[0].lower()
        if len(alt.split()) < least or "/" in alt or alt.lower() in (name, "image", "figure"):
            wrong.append(f"{source}: alt={alt!r}")
    assert not wrong, "\n".join([page_path, *wrong])


def test_page_describes_itself(page_path):
    page = soup(page_path)
    assert page.title.string.strip()
    assert page.find("link", rel=re.compile("icon"))
    if page_path.removesuffix(".html") in TOC:
        for field in ({"name": "description"}, {"property": "og:title"}):
            assert page.find("meta", attrs=field)["content"].strip()


@pytest.mark.parametrize("place", range(len(TOC)), ids=TOC)
def test_next_and_previous_follow_the_contents(place):
    page = soup(f"{TOC[place]}.html")
    for kind, other in (("left-prev", place - 1), ("right-next", place + 1)):
        link = page.find("a", class_=kind)
        if 0 <= other < len(TOC):
            assert link is not None, f"no {kind}"
            target = (SITE / f"{TOC[place]}.html").parent / link["href"]
            assert target.resolve() == (SITE / f"{TOC[other]}.html").resolve()
        else:
            assert link is None


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_can_be_downloaded(name):
    page = SITE / f"{name}.html"
    links = soup(f"{name}.html").find_all("a", href=re.compile(r"\.ipynb$"))
    assert links, "the page does not offer its notebook"
    target = (page.parent / links[0]["href"]).resolve()
    assert json.loads(target.read_text()) == json.loads((ROOT / f"{name}.ipynb").read_text())


def test_chapters_and_sections_carry_the_numbers_of_the_outline():
    numbers = {}
    for name in TOC:
        number = soup(f"{name}.html").select_one("article h1").find("span", class_="section-number")
        numbers[name] = number.get_text().strip(" .") if number else ""
    expected = {
        "book/intro": "",
        "book/notation": "",
        "book/background/index": "1",
        "book/background/history": "1.1",
        "book/background/rnn-limits": "1.2",
        "book/background/lstm-origins": "1.3",
        "book/concepts/index": "2",
        "book/concepts/structure": "2.1",
        "book/concepts/lstm-vs-rnn": "2.2",
        "book/concepts/variants": "2.3",
        "book/algorithm/index": "3",
        "book/algorithm/forward": "3.1",
        "book/algorithm/backward": "3.2",
        "book/algorithm/update": "3.3",
        "book/mathematics/input-gate": "4.1",
        "book/mathematics/output-gate": "4.4",
        "book/practice/pytorch": "5",
        "book/applications/index": "6",
        "book/resources/index": "7",
        "book/outlook/index": "8",
        "book/faq": "9",
        "book/glossary": "",
        "book/appendix/replications": "",
        "book/appendix/api": "",
        "book/appendix/api-torch": "",
        "book/appendix/benchmarks": "",
        "book/references": "",
    }
    assert {name: numbers[name] for name in expected} == expected
    for name in NOTEBOOKS:
        first = soup(f"{name}.html").select_one("article h2").find("span", class_="section-number")
        number = first.get_text().strip(" .") if first else ""
        assert number == (f"{numbers[name]}.1" if numbers[name] else "")
