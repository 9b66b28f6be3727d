"""What is attached to a release, the archive of the site and the PDF, and their version."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml

import companion
from scripts.pack import pack
from scripts.pdf import failures, sticking_out

ROOT = Path(__file__).resolve().parent.parent


def made(folder, order):
    """A small site whose files are written in this order."""
    for name in order:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")
    return folder


NAMES = ["index.html", "book/a.html", "book/_sources/ü.ipynb", ".buildinfo", ".doctrees/a.pickle"]


def test_an_archive_holds_the_site_under_one_folder(tmp_path):
    pack(made(tmp_path / "site", NAMES), tmp_path / "site.zip")
    with ZipFile(tmp_path / "site.zip") as archive:
        shown = archive.namelist()
        assert archive.read("lstm-book/book/a.html") == b"content of book/a.html"
    assert shown == [
        "lstm-book/book/_sources/ü.ipynb",
        "lstm-book/book/a.html",
        "lstm-book/index.html",
    ]


def test_one_site_gives_the_same_bytes(tmp_path):
    sites = made(tmp_path / "one", NAMES), made(tmp_path / "two", NAMES[::-1])
    os.utime(sites[1] / "index.html", (1_000_000_000, 1_000_000_000))
    (sites[1] / "index.html").chmod(0o600)
    for site in sites:
        pack(site, site.with_suffix(".zip"))
    first, second = (site.with_suffix(".zip").read_bytes() for site in sites)
    assert first == second


LOG = r"""
Missing character: There is no ⊙ (U+2299) in font FreeSerif/OT:script=latn;language=dflt;!
Missing character: There is no ⊙ (U+2299) in font FreeSerif/OT:script=latn;language=dflt;!
LaTeX Warning: Hyper reference `book/primer::doc' on page 1 undefined on input line 7.
LaTeX Warning: Reference `book/primer:loss' on page 3 undefined on input line 9.
Overfull \hbox (31.5pt too wide) in paragraph at lines 70--71
Overfull \hbox (40.25pt too wide) in paragraph at lines 70--71
Overfull \hbox (3.5pt too wide) in paragraph at lines 80--80
Overfull \hbox (25.0pt too wide) detected at line 60
Overfull \vbox (50.0pt too high) detected at line 90
"""


def test_a_missing_letter_and_a_reference_to_nowhere_fail():
    assert failures(LOG) == [
        "no glyph for ⊙ (U+2299) in FreeSerif/OT:script=latn;language=dflt;",
        "a reference leads nowhere: book/primer::doc",
        "a reference leads nowhere: book/primer:loss",
    ]
    assert failures("Output written on lstm-book.pdf (500 pages).\n") == []


def test_what_sticks_out_of_the_margin_is_listed():
    assert sticking_out(LOG) == {60: 25.0, 70: 40.25}


def test_the_packages_of_a_missing_program_are_named(tmp_path):
    for program in ("cat", "make", "sh"):
        (tmp_path / program).symlink_to(shutil.which(program))
    done = subprocess.run(
        ["make", "typesetter"],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "xelatex is not there" in done.stdout and "texlive-xetex" in done.stdout


def test_the_readme_names_the_packages():
    wanted = (ROOT / ".ci" / "tex-packages").read_text().split()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    named = re.search(r"^apt install --no-install-recommends ((?:.*\\\n)*.*)", readme, re.MULTILINE)
    assert named[1].replace("\\", "").split() == wanted


def test_a_citation_names_the_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == companion.__version__


@pytest.mark.skipif(os.environ.get("GITHUB_REF_TYPE") != "tag", reason="a check of tags")
def test_a_tag_names_the_version_and_its_changes():
    assert os.environ["GITHUB_REF_NAME"] == f"v{companion.__version__}"
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[(.+)\] - \d{4}-\d\d-\d\d$", changes, re.MULTILINE)
    assert newest and newest[1] == companion.__version__
