"""Two works are never cited alike, and the list is sorted as one looks for a name."""

from collections import defaultdict

from conftest import pages
from test_links import soup


def test_what_is_cited_alike_is_one_work():
    cited = defaultdict(set)
    for path in pages():
        for reference in soup(path).select(".bibtex-citation"):
            links = reference.select("a")
            if len(links) == 1:
                text = reference.get_text().strip("[]").replace(" [", ", ")
                cited[text].add(links[0]["href"].split("#")[1])
    assert {text for text, works in cited.items() if len(works) > 1} == set()
    assert {"Mikolov et al., 2013a", "Mikolov et al., 2013b"} <= set(cited)


def test_list_of_works_has_the_same_years():
    (efficient,) = (work for work in works() if "Efficient estimation of word" in work)
    assert "2013a" in efficient


def test_letters_with_accents_are_sorted_as_those_without():
    names = ("Razvan Pascanu", "Radim Řehůřek", "Yaniv Romano")
    at = [next(k for k, work in enumerate(works()) if work.startswith(name)) for name in names]
    assert at == sorted(at)


def works():
    """The texts of the list, in its order."""
    return [one.get_text() for one in soup("book/references.html").select("div.citation > p")]
