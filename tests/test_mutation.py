"""The mutation tool itself: what it changes, and that it tells the truth about survivors."""

import ast
import re
import subprocess
import sys
from pathlib import Path

from mutation.mutants import mutants
from mutation.targets import ROOT, TARGETS, UNCHANGED
from mutation.trial import KILLED

SOURCE = '''
"""Text."""
@overload
def f(a: A, b: int = 0) -> A: ...
def f(a: A | B, b: int = 0) -> A | B:
    """Text."""
    c, d = a[:b]
    c += d
    if not a or c < 1:
        raise ValueError(f"{a + 1}")
    try:
        write(c)
    finally:
        close()
    return g(c, True, strict=True)
@cache
def g(c): ...
'''


def test_every_operator_sign_operand_constant_order_and_call_is_changed():
    tree = ast.parse(SOURCE)
    before = ast.dump(tree)
    new = {}
    for mutant in mutants("m", tree):
        new.setdefault(mutant.old, set()).add(mutant.new)
    assert ast.dump(tree) == before
    assert new == {
        "def f(a: A | B, b: int=0) -> A | B:": {
            "def f(b: int, a: A | B=0) -> A | B:",
            "def f(a: A | B, b: int=1) -> A | B:",
            "def f(a: A | B, b: int=-1) -> A | B:",
        },
        "c, d = a[:b]": {
            "d, c = a[:b]",
            "c, d = b[:b]",
            "c, d = a[:a]",
            "c, d = a[:-b]",
            "c, d = a[:b + 1]",
            "c, d = a[:b - 1]",
        },
        "c += d": {"c -= d", "c += c", "c += -d", "c = d"},
        "if not a or c < 1:": {
            "if not (not a or c < 1):",
            "if not a and c < 1:",
            "if c < 1:",
            "if not a:",
            "if a or c < 1:",
            "if not b or c < 1:",
            "if not a or d < 1:",
            "if not a or -c < 1:",
            "if not a or c <= 1:",
            "if not a or c >= 1:",
            "if not a or c < 2:",
            "if not a or c < 0:",
        },
        "write(c)": {"write(d)", "write(-c)", "pass"},
        "close()": {"pass"},
        "return g(c, True, strict=True)": {
            "return g(d, True, strict=True)",
            "return g(-c, True, strict=True)",
            "return g(c, False, strict=True)",
            "return g(True, c, strict=True)",
        },
        "@cache": {"def g(c):"},
    }


def test_what_has_no_order_does_not_change_places():
    for line, changed in (
        ("x = {a(), b()}", set()),
        ("__all__ = ['a', 'b']", set()),
        ("x = [a(), b()]", {"x = [b(), a()]"}),
    ):
        assert {mutant.new for mutant in mutants("m", ast.parse(line))} == changed


def test_every_module_is_changed_or_it_is_said_why_not():
    patterns = [*UNCHANGED, *(pattern for target in TARGETS for pattern in target.modules)]
    found = [path for pattern in patterns for path in ROOT.glob(pattern)]
    assert all(any(ROOT.glob(pattern)) for pattern in patterns)
    assert len(found) == len(set(found))  # none twice
    of_all = {*ROOT.glob("companion/**/*.py"), *ROOT.glob("book/experiments/**/*.py")}
    for path in of_all.difference(found):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not any(mutants(path.stem, tree)), f"{path}: name it in mutation/targets.py"


LIST = """
= killed
@ companion.cells.rnn step
- h = tanh(ah)
+ h = tanh(-ah)
= gone
@ companion.cells.rnn step
- h = tanh(ah)
+ h = sigmoid(ah)
"""


def test_survivors_and_stale_entries_fail(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text(LIST)
    only = ["--module", "cells.rnn", "--only", "step", "--list", str(path)]
    # Not as tests.mutation: other packages install a folder of that name, too.
    run = subprocess.run(
        [sys.executable, "-m", "mutation", *only],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    )
    assert run.returncode == 1, run.stderr
    survived, _, stale = run.stdout.partition("listed as equivalent, but gone or killed:")
    assert "+ def step(a, p, carry):" in survived
    assert stale.split() == LIST.replace("= killed", "").partition("= gone")[0].split() + [
        "+", "h", "=", "sigmoid(ah)",
    ]  # fmt: skip


def tried(tmp_path, test, work="(target, 0, iter(()))"):
    """Run a target whose one test is `test`, without mutants; what the process gave."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_one.py").write_text(test)
    program = f"""
import ast
import sys
from pathlib import Path
from mutation import trial
from mutation.mutants import Mutant
from mutation.targets import Target
trial.prepare()
trial.ROOT, trial.WAIT = Path({str(tmp_path)!r}), 10
sys.path.insert(0, {str(tmp_path / "companion")!r})
target = Target(("one.py",), ("one",))
print(*trial.verdicts([{work}], 1).values())
"""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent)


def test_tests_that_fail_in_every_trial_are_no_proof(tmp_path):
    run = tried(tmp_path, "def test(): pass")
    assert run.returncode == 0, run.stderr
    # Passes once, and fails where what it imports is there before it.
    test = "import sys\nthere = 'wave' in sys.modules\nimport wave\ndef test(): assert not there"
    (tmp_path / "again").mkdir()
    run = tried(tmp_path / "again", test)
    assert run.returncode == 1
    assert re.search(r"fails without any change: \S*test_one.py::test$", run.stderr.strip())


def test_a_mutant_that_ends_within_a_progress_bar_stops_nothing(tmp_path):
    (tmp_path / "companion").mkdir()
    (tmp_path / "companion" / "one.py").write_text("VALUE = 1")
    test = """
import os
import signal
from tqdm import tqdm
import one

def test():
    if one.VALUE == 2:
        with tqdm.get_lock():
            os.kill(os.getpid(), signal.SIGKILL)
"""
    mutant = '(Mutant("one", "", "VALUE = 1", "VALUE = 2"), ast.parse("VALUE = 2"), "one.py")'
    run = tried(tmp_path, test, f"(target, 1, iter([{mutant}])), (target, 0, iter(()))")
    assert (run.returncode, run.stdout) == (0, f"[{KILLED}]\n"), run.stderr
