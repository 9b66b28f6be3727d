"""The gradient judge of page 3.2: its verdicts, and that it answers in the page."""

import inspect
import json
import sys
from dataclasses import replace

import pytest
from conftest import ROOT, SITE, Visit
from sphinx.errors import ExtensionError
from test_browser import WIDTHS, overflow, violations

from companion import CELLS
from companion.gradcheck import check_step

sys.path += [str(ROOT / "book" / "_figures"), str(ROOT / "book" / "_ext")]
import judge  # noqa: E402
import offline_python  # noqa: E402

PAGE = "book/algorithm/backward.html"
RIGHT = inspect.getsource(CELLS["lstm"].derivative)
CHANGES = {
    "nothing": ("", ""),
    "sign": ("(1 - f)", "(1 + f)"),
    "new cell state": ("dc * c_prev", "dc * state[1]"),
    "slope of the candidate": ("(1 - g * g)", "g * (1 - g)"),
    "output gate": ("dh * tanh_c * o", "dh * o"),
    "carry lost": ("dc_prev = dc * f", "dc_prev = 0 * f"),
    "only its own share": ("dc = dc + dh", "dc = dh"),
    "no number": ("dag = dc", "dag = float('nan') * dc"),
}
with_python = pytest.mark.skipif(
    not (SITE / "_static" / "pyodide").exists(), reason="the site was built without Python"
)


@pytest.mark.parametrize("change", CHANGES)
def test_judge_says_what_check_step_says(change):
    text = RIGHT.replace(*CHANGES[change])
    names = {}
    exec(text, names)
    report = check_step(replace(CELLS["lstm"], derivative=names["derivative"]))
    wrong = {name for name, error in report.errors.items() if error > report.tolerance}
    errors = json.loads(judge.judge(text))["errors"]
    assert {name for name, error in errors.items() if error > 1e-11} == wrong
    assert (change == "nothing") == (not wrong)
    assert all(errors[name] > 1e-3 for name in wrong)


def test_judge_has_the_step_of_the_page():
    own = inspect.getsource(judge.step).splitlines()
    wanted = inspect.getsource(CELLS["lstm"].step).splitlines()
    body = [line for line in wanted if '"""' not in line and "h = o" not in line]
    assert own == [line.replace("(h, c)", "(o * tanh_c, c)") for line in body]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("def derivative(:", "line 1: invalid syntax"),
        ("x = 1", "there is no function 'derivative'"),
        ("def derivative(*a):\n    return (1,) * 4, (), ()", "tuples of 4, of 1 and of 0"),
        ("def derivative(*a):\n    return\n", "TypeError"),
        ("def derivative(*a):\n    return {}['q']\n", "'q'"),
        ("def derivative(d, *a):\n    x = 1\n    return y", "line 3: NameError"),
    ],
)
def test_judge_says_what_does_not_run(text, problem):
    assert problem in json.loads(judge.judge(text))["problem"]


def test_site_is_built_without_python_where_npm_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(offline_python, "CACHE", tmp_path)
    monkeypatch.setenv("PATH", "")
    assert offline_python.archive() is None


def test_another_python_than_the_one_that_was_tried_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(offline_python, "CACHE", tmp_path)
    other = tmp_path / f"pyodide-{offline_python.VERSION}.tgz"
    other.write_bytes(b"another")
    with pytest.raises(ExtensionError, match="is not the file"):
        offline_python.archive()
    assert not other.exists()  # so that the next build fetches it


@with_python
def test_judge_answers_in_the_page(visit, axe):
    visit.tab.clock.install()
    tab = visit.open(PAGE)
    judged = tab.locator(".computed-judge")
    judged.scroll_into_view_if_needed()
    judged.locator("summary").click()
    code, said = judged.locator("textarea"), judged.locator("output")

    def check(text, answer):
        code.fill(text)
        judged.get_by_role("button", name="Check").press("Enter")
        said.get_by_text(answer).wait_for(timeout=120_000)

    check(code.input_value(), "0 of 5 are right.")
    check(RIGHT.replace("(1 - f)", "(1 + f)"), "4 of 5 are right.")
    assert judged.locator("tr", has_text="WRONG").inner_text().split()[0] == "a_f"
    check("def derivative(*a):\n    while True: pass", "Python computes.")
    tab.clock.fast_forward(11_000)
    said.get_by_text("was stopped").wait_for()
    check(RIGHT.replace("dag = dc", "dag = float('nan') * dc"), "4 of 5 are right.")
    assert judged.locator("tr", has_text="no number").inner_text().split()[0] == "a_g"
    check(RIGHT, "5 of 5 are right.")
    problems = violations(tab, axe, "light") + violations(tab, axe, "dark")
    for width in WIDTHS:
        problems += overflow(tab, width)
    assert not problems + visit.problems


def test_without_python_there_is_no_dead_button(browser):
    visit = Visit(browser, SITE.as_uri() + "/")  # from a folder there is none
    tab = visit.open(PAGE)
    judged = tab.locator(".computed-judge")
    judged.scroll_into_view_if_needed()
    tab.wait_for_function("() => 'judge' in window.computed.given")
    assert judged.locator(":is(button, summary)").count() == 0
    assert "Put your formulas" in judged.inner_text()
    visit.context.close()
