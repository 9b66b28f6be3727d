"""The API reference covers the package: no public name, docstring, type or source is missing."""

import importlib
import inspect
import pkgutil

import pytest
from bs4 import BeautifulSoup
from conftest import ROOT, SITE
from sphinx.util.inventory import InventoryFile

import companion
from companion.weights import GATE_ORDERS

MODULES = ["companion"] + [
    f"companion.{module.name}" for module in pkgutil.iter_modules(companion.__path__)
]
PAGES = [f"book/appendix/api{part}" for part in ("", "-torch", "-data", "-models")]


def public(module):
    """The names of a module's `__all__`, else the functions and classes that it defines."""
    module = importlib.import_module(module)
    found = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
    }
    return sorted(getattr(module, "__all__", found))


def _get(module, name):
    return getattr(importlib.import_module(module), name)


NAMES = [(module, name) for module in MODULES for name in public(module)]
IDS = [f"{module}.{name}" for module, name in NAMES]


@pytest.fixture(scope="session")
def documented():
    """Full names of all objects that the pages describe."""
    with (SITE / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", lambda base, path: path)
    return {
        name
        for kind, entries in inventory.items()
        for name, (_, _, address, _) in entries.items()
        if kind.startswith("py:") and address.split(".html")[0] in PAGES
    }


@pytest.mark.parametrize("module", MODULES)
def test_module_has_a_section(documented, module):
    assert module in documented


@pytest.mark.parametrize("module, name", NAMES, ids=IDS)
def test_name_is_described(documented, module, name):
    # A name that several modules offer is described under one of them.
    value = _get(module, name)
    offered = {other for other, n in NAMES if n == name and _get(other, n) is value}
    assert documented & {f"{other}.{name}" for other in offered}


@pytest.mark.parametrize("module, name", NAMES, ids=IDS)
def test_callable_has_a_docstring(module, name):
    value = _get(module, name)
    if not callable(value):
        return
    assert inspect.getdoc(value), f"{module}.{name}"
    if inspect.isclass(value):
        own = vars(value).items()
        methods = [n for n, v in own if inspect.isfunction(v) and not n.startswith("_")]
        assert all(inspect.getdoc(getattr(value, n)) for n in methods), methods


def rows(after):
    """The cells of the first table after a line of the pages' source."""
    sources = [(ROOT / f"{page}.md").read_text(encoding="utf-8") for page in PAGES]
    text = "\n".join(sources).split(after)[1]
    lines = [line for line in text.split("```")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_tables_say_what_the_code_says():
    orders = [
        [cell, *(orders.get(cell, "") for orders in GATE_ORDERS.values())]
        for cell in GATE_ORDERS["torch"]
    ]
    assert rows("{py:data} GATE_ORDERS") == orders


@pytest.fixture(scope="module")
def pages():
    texts = [(SITE / f"{page}.html").read_text(encoding="utf-8") for page in PAGES]
    return [BeautifulSoup(text, "html.parser") for text in texts]


def test_signatures_show_their_types_and_lead_to_the_source(pages):
    kinds = ", ".join(f"dl.py.{kind} > dt.sig" for kind in ("function", "class", "method"))
    described = [found for page in pages for found in page.select(kinds)]
    assert len(described) > 250
    arguments = {
        f"{one['id']}: {argument.text}"
        for one in described
        for argument in one.select(".sig-param")
    }
    assert [one for one in arguments if one.count(":") < 2 and one[-1] not in "*/"] == []
    without = [one["id"] for one in described if not one.select_one(".viewcode-link")]
    assert without == ["companion.tasks.multiplication_solved"]  # a second name of another one


def test_lists_are_of_arguments(pages):
    listed = {
        f"{one['id']}: {name.text}": name.text in {own.text for own in one.select(".sig-param .n")}
        for page in pages
        for one in page.select("dl.py.function > dt.sig")
        for name in one.find_next_sibling("dd").select(":scope > ul > li > p > code:first-child")
    }
    assert len(listed) > 250
    assert [name for name, given in listed.items() if not given] == []


def test_fields_of_a_tuple_are_described(pages):
    """Python's own words for one that is not: they say no more than where it stands."""
    assert [page.h1.text for page in pages if "Alias for field number" in page.text] == []
