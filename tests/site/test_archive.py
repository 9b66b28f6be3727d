"""The archive of the site: all of it, and at work where it is unpacked."""

import shutil

from conftest import SITE, pages
from test_browser import found
from test_figures import wake

from scripts.pack import pack


def test_the_archive_works_in_a_folder(visit, tmp_path):
    pack(SITE, tmp_path / "book.zip")
    shutil.unpack_archive(tmp_path / "book.zip", tmp_path)
    unpacked = tmp_path / "lstm-book"
    assert all((unpacked / page).read_bytes() == (SITE / page).read_bytes() for page in pages())
    assert any((unpacked / "_sources").rglob("*.ipynb"))  # what a page offers to save

    visit.address = f"{unpacked.as_uri()}/"
    tab = visit.open("index.html")
    tab.wait_for_url("**/book/intro.html")  # it leads on
    wake(tab, "cell")
    assert found(visit.open("search.html"), "forget gate")
    assert not visit.problems
