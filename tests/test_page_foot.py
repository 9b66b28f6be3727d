"""Buttons that run a page are there where the repository is known, and nowhere else."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

import companion

BOOK = Path(__file__).parents[1] / "book"
CONF = f"""
import sys
sys.path.append({str(BOOK / "_ext")!r})
extensions = ["myst_nb", "sphinx_book_theme", "page_foot"]
templates_path = [{str(BOOK / "_templates")!r}]
exclude_patterns = ["html"]
html_theme = "sphinx_book_theme"
html_theme_options = {{"article_footer_items": ["page-foot.html"]}}
html_sidebars = {{"**": []}}
html_baseurl = "https://example.org/"
copyright = "2026"
nb_execution_mode = "off"
"""


def build(folder, repository):
    book = folder / "book"
    book.mkdir()
    (folder / "conf.py").write_text(CONF)
    (folder / "index.md").write_text("# Text\n\n```{toctree}\nbook/page\n```\n")
    cells = [nbformat.v4.new_markdown_cell("# Gates & cells")]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), book / "page.ipynb")
    command = [sys.executable, "-m", "sphinx", "-Wq", str(folder), str(folder / "html")]
    settings = {**os.environ, "BOOK_REPOSITORY": repository}
    return subprocess.run(command, env=settings, capture_output=True, text=True)


def page(folder, name):
    return BeautifulSoup((folder / "html" / name).read_text(encoding="utf-8"), "html.parser")


def test_pages_with_code_run_where_the_repository_is_known(tmp_path):
    assert build(tmp_path, "https://github.com/owner/na.me/tree/v1.0").returncode == 0
    found = page(tmp_path, "book/page.html")
    assert [link["href"] for link in found.select(".dropdown-launch-buttons a")] == [
        "https://mybinder.org/v2/gh/owner/na.me/v1.0?urlpath=lab/tree/book/page.ipynb",
        "https://colab.research.google.com/github/owner/na.me/blob/v1.0/book/page.ipynb",
    ]
    line = '%pip install "lstm-companion[notebooks] @ git+https://github.com/owner/na.me@v1.0"'
    assert line in [code.get_text() for code in found.select(".page-foot pre")]
    text = page(tmp_path, "index.html")
    assert not text.select(".dropdown-launch-buttons") and "%pip" not in text.get_text()


def test_no_button_leads_nowhere(tmp_path):
    assert build(tmp_path, "").returncode == 0
    found = page(tmp_path, "book/page.html")
    assert not found.select(".dropdown-launch-buttons")
    assert [one.get_text() for one in found.select("summary")] == ["Cite this page"]


@pytest.mark.parametrize(
    "address",
    [
        "https://github.com/owner/name",
        "https://github.com/a/b/tree/c?",
        "https://else.org/a/b/tree/c",
    ],
)
def test_an_address_that_would_give_dead_buttons_is_refused(tmp_path, address):
    built = build(tmp_path, address)
    assert built.returncode and f"BOOK_REPOSITORY is '{address}'" in built.stderr


def test_page_is_cited_with_its_address(tmp_path):
    build(tmp_path, "")
    said, entry = page(tmp_path, "book/page.html").select(".page-foot p, .page-foot pre")
    assert " ".join(said.get_text().split()) == (
        "The companion authors (2026). Gates & cells. In: Long Short-Term Memory: a book that "
        f"measures, version {companion.__version__}. https://example.org/book/page.html"
    )
    assert "title = {{Gates \\& cells}}" in entry.get_text()
