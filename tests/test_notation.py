"""The rules of book/notation.md, on every page: its letters, its indices, shares and wholes."""

import json
import re
from pathlib import Path

import pytest

BOOK = Path(__file__).resolve().parent.parent / "book"
PAGES = sorted(path for kind in ("*.ipynb", "*.md") for path in BOOK.rglob(kind))
GREEK = set(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta iota kappa lambda mu nu xi rho "
    "sigma tau phi varphi chi psi omega Gamma Delta Theta Lambda Sigma Phi Psi Omega ell".split()
)
# Letters of one page, defined where they stand: O is that of O(n), and the others are matrices of
# one product, letters that a page quotes from a paper, or the error that it carries forwards.
LOCAL = {
    "algorithm/backward.ipynb": {"O"},
    "algorithm/update.ipynb": {"A", "O", "Z"},
    "appendix/replications.ipynb": {"g"},
    "background/lstm-origins.ipynb": {"E", "c", "g"},
}


def formulas(name):
    """Every formula in the Markdown of a page, displayed or in a line."""
    text = (BOOK / name).read_text(encoding="utf-8")
    if name.endswith(".ipynb"):
        cells = json.loads(text)["cells"]
        text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return [a or b for a, b in re.findall(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", text, re.S)]


def letters(formula):
    """The letters of a formula, Latin and Greek; words and operators are none."""
    names = r"\\(?:text|operatorname|begin|end|mathrm|color|label)\s*\{[^}]*\}"
    formula = re.sub(names, " ", formula)
    greek = {name for name in re.findall(r"\\([A-Za-z]+)", formula) if name in GREEK}
    return greek | set(re.findall(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])", formula))


def wrong_index(formula):
    """Indices of sums and products over steps that are neither t nor s."""
    found = re.findall(r"\\(?:sum|prod)_\{(\w)\s*=\s*([^{}]*)\}\^\{?([^{}\s]+)", formula)
    return [
        index for index, *ends in found if re.search("[tsT]", "".join(ends)) and index not in "ts"
    ]


def share_as_whole(formula):
    """Derivatives of weights that are set equal to what one step adds, without bar or sum."""
    whole = r"\\mathrm\{d\}[UVW](?:_\{?\w+\}?)?\s*&?=((?:(?!\\\\).)*)"
    return [
        right
        for right in re.findall(whole, formula, re.S)
        if re.search(r"[_,]\{?t\b", right) and "sum" not in right
    ]


@pytest.fixture(scope="module")
def known():
    return set().union(*map(letters, formulas("notation.md")))


@pytest.fixture(params=PAGES, ids=lambda path: path.relative_to(BOOK).as_posix())
def page(request):
    return request.param.relative_to(BOOK).as_posix()


def test_every_letter_is_in_the_notation(page, known):
    allowed = known | LOCAL.get(page, set())
    unknown = {letter: f for f in formulas(page) for letter in letters(f) - allowed}
    assert not unknown, "take a letter of book/notation.md, or write this one into it"


def test_a_sum_over_steps_runs_over_t_or_s(page):
    assert not [f for f in formulas(page) if wrong_index(f)]


def test_what_one_step_adds_to_a_derivative_is_marked_as_a_share(page):
    assert not [f for f in formulas(page) if share_as_whole(f)]


def test_a_letter_of_one_page_stands_there():
    for name, extra in LOCAL.items():
        assert extra <= set().union(*map(letters, formulas(name))), name


def test_the_rules_see_what_breaks_them():
    assert letters(r"\mathrm{d}\theta = \sum_{k=1}^{n} A_k \text{ words}") == {*"knA", "theta"}
    assert letters(r"\operatorname{diag}(1 - h_t \odot h_t)\, U") == set("htU")
    assert wrong_index(r"\sum_{k=1}^{T} h_k") == wrong_index(r"\prod_{k=t+1}^{s} f_k") == ["k"]
    assert not wrong_index(r"\sum_{s=1}^{T} h_s + \sum_{j=1}^{H+D} x_j")
    assert share_as_whole(r"\mathrm{d}W_i &= \mathrm{d}a_{i,t} \, x_t^\top \\ b &= 0")
    assert share_as_whole(r"\mathrm{d}W = \mathrm{d}a_t \, x_t^\top")
    assert not share_as_whole(r"\mathrm{d}W|_{t} = \mathrm{d}a_t \, x_t^\top")
    assert not share_as_whole(r"\mathrm{d}W = \sum_{t=1}^{T} \mathrm{d}a_t \, x_t^\top")
