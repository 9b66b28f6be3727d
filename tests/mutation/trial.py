"""Whether the fast tests see a mutant: each runs in a fork of a process that is warm."""

import ast
import gc
import os
import resource
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch  # noqa: F401  forks have it then
from tqdm import tqdm

TESTS = [Path(__file__).parents[1] / f"test_{name}.py" for name in ("cells", "bad_input", "unroll")]
# The fast ones: what these three see, along_one_direction sees sooner.
OPTIONS = ["-k", "not central_differences and not agree_with_the_complex_step and not autograd"]
OURS = ("companion", "every_cell")  # imported anew by each fork
OPTIONS += ["-x", "-q", "-p", "no:cacheprovider"]
SECONDS = 10  # of processor time: a loop without an end counts as killed
SURVIVED, KILLED, BROKEN = range(3)

codes = {}  # of every module imported so far
load_code = SourceFileLoader.get_code


def get_code(loader, name):
    if name not in codes:
        codes[name] = load_code(loader, name)
    return codes[name]


def along_one_direction():
    """The complex step of every cell along one direction: kills most mutants in milliseconds."""
    from every_cell import EVERY

    from companion.gradcheck import Problem

    rng = np.random.default_rng(0)
    for cell in EVERY.values():
        problem = Problem.draw(cell, 4, rng, sizes=(2, 3, 4))
        along = {name: rng.normal(size=value.shape) for name, value in problem.arrays.items()}
        moved = {name: value + 1e-30j * along[name] for name, value in problem.arrays.items()}
        gradients = problem.gradients()
        expected = sum(np.sum(gradients[name] * along[name]) for name in along)
        assert abs(problem.loss(moved).imag / 1e-30 - expected) < 1e-10, cell


def warm_up():
    """Import everything once, then forget `companion`: each fork makes it anew."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    settings = {"database": None, "derandomize": True, "phases": [hypothesis.Phase.generate]}
    hypothesis.settings.register_profile("mutation", **settings)
    hypothesis.settings.load_profile("mutation")
    tqdm.monitor_interval = 0  # a thread, and forks want none
    SourceFileLoader.get_code = get_code
    along_one_direction()
    for name in [name for name in sys.modules if name.split(".")[0] in OURS]:
        del sys.modules[name]
    gc.freeze()


def verdict(module, code):
    """SURVIVED if no test sees that `code` stands for the module. For a fork of its own."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    codes[module] = code
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        along_one_direction()
    except Exception:
        return KILLED
    return SURVIVED if pytest.main([*OPTIONS, *map(str, TESTS)]) == 0 else KILLED


def verdicts(changes, jobs, total):
    """Try every (mutant, tree, path), `jobs` at a time.

    Returns a dict of mutant -> list of verdicts: a line that stands twice gives two.
    """
    found, running = {}, {}

    def collect():
        pid, status = os.wait()
        code = os.waitstatus_to_exitcode(status)
        # Below zero it was ended by a signal: the time limit, or a crash.
        found.setdefault(running.pop(pid), []).append(KILLED if code < 0 else code)

    for mutant, tree, path in tqdm(changes, "mutants", total, disable=None):
        if len(running) == jobs:
            collect()
        if pid := os.fork():
            running[pid] = mutant
            continue
        result = BROKEN
        try:
            code = compile(ast.fix_missing_locations(tree), path, "exec")
            result = verdict(mutant.module, code)
        finally:
            os._exit(result)
    while running:
        collect()
    return found
