"""Words of the glossary are linked on the pages, and say what they mean."""

import re

from conftest import ROOT
from test_links import soup

# Where a word is not in running prose.
ELSEWHERE = "h1, h2, h3, h4, figcaption, table, pre, code, .admonition-title, .math"
LINK = "a.glossary-word"


def linked(page):
    """Names of the entries that a page links by itself; the role `term` has a class of its own."""
    links = soup(page).select(f"{LINK}:not(:has(.std-term))")
    return [link["href"].partition("#")[2] for link in links]


def test_words_are_linked_at_most_once_and_in_prose(page_path):
    words = linked(page_path)
    assert len(words) == len(set(words))
    assert not [
        link
        for place in soup(page_path).select(ELSEWHERE)
        for link in place.select(LINK)
        if not link.select(".std-term")
    ]
    if page_path == "book/glossary.html":
        assert not words


def test_pages_link_what_they_mention_and_nothing_else():
    energy = linked("book/applications/energy-demand.html")
    assert {"term-Adam", "term-epoch", "term-pinball-loss", "term-quantile"} <= set(energy)
    # degrees, a verb, a cell of a notebook: see _config.yml
    assert not {"term-temperature", "term-carry", "term-cell"} & set(energy)


def test_meanings_are_plain_text(page_path):
    titles = [link.get("title", "") for link in soup(page_path).select(LINK)]
    formulas_and_citations = re.compile(r"\\|\d{4}[a-z]|\(\)")
    assert not [title for title in titles if formulas_and_citations.search(title)]


def test_words_that_are_no_mentions_would_be_linked():
    settings = (ROOT / "_config.yml").read_text(encoding="utf-8")
    listed = re.search(r"glossary_no_mentions: \[(.*)\]", settings)[1].split(", ")
    words = [term.get_text() for term in soup("book/glossary.html").select("dt")]
    assert not [one for one in listed if not any(word.strip("#") in one for word in words)]


def test_keyboard_shows_what_a_word_means(visit):
    visit.tab.set_viewport_size({"width": 390, "height": 800})
    tab = visit.open("book/mathematics/forget-gate.html")
    tab.keyboard.press("Tab")
    word = tab.locator(f"{LINK}[href$='#term-weight']")
    word.focus()
    shown = word.evaluate("one => getComputedStyle(one, '::after').content")
    meaning = "The number, learned, that a unit multiplies one of its inputs by."
    assert word.get_attribute("title") == meaning
    assert shown in (f'"{meaning}"', "attr(title)")  # as Chromium says it, and as Firefox does
    word.blur()
    assert word.evaluate("one => getComputedStyle(one, '::after').content") == "none"
