"""Whether tests see a mutant: each runs in a fork of a process that has imported what they need."""

import ast
import gc
import importlib
import json
import os
import resource
import signal
import sys
from contextlib import suppress
from importlib.machinery import SourceFileLoader

import hypothesis
import pytest
from tqdm import tqdm

from .targets import ROOT

OPTIONS = ["-x", "-q", "-p", "no:cacheprovider"]
SECONDS = 30  # of processor time: a loop without an end counts as killed
WAIT = 300  # seconds on the clock: so does a wait without an end
SURVIVED, KILLED, BROKEN = range(3)

changed = {}  # module -> its code with the mutant
load_code = SourceFileLoader.get_code


def get_code(loader, name):
    return changed[name] if name in changed else load_code(loader, name)


def prepare():
    """Make this process one that forks can start from."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    settings = {"database": None, "derandomize": True, "phases": [hypothesis.Phase.generate]}
    hypothesis.settings.register_profile("mutation", **settings)
    hypothesis.settings.load_profile("mutation")
    tqdm.monitor_interval = 0  # a thread, and forks want none
    sys.path.insert(0, str(ROOT))
    SourceFileLoader.get_code = get_code


def warm_up(target):
    """Run the tests of a target unchanged, and import what they imported and no mutant can change.

    A fork runs them: this process must not run torch or a compiled loop, which could start
    threads. Exits if the tests fail.
    """
    receive, send = os.pipe()
    if (pid := os.fork()) == 0:
        os.close(receive)
        result = BROKEN
        try:
            result = verdict(target)
            with open(send, "w") as pipe:
                json.dump(_foreign(target), pipe)
        finally:
            os._exit(result)
    os.close(send)
    with open(receive) as pipe:
        names = pipe.read()
    if os.waitpid(pid, 0)[1] != SURVIVED:
        sys.exit(f"without any change these tests fail: {', '.join(target.tests)}")
    for name in json.loads(names):
        with suppress(ImportError):  # made while the tests ran, such as compiled loops
            importlib.import_module(name)
    gc.freeze()


def _foreign(target):
    """Names of the modules that are not of this repository, in the order of their import.

    The package is foreign to mutants of the book, which it does not import.
    """
    of_book = all(module.startswith("book/") for module in target.modules)
    folders = ("book", "tests") if of_book else ("companion", "book", "tests")
    ours = tuple(str(ROOT / folder) + os.sep for folder in folders)
    found = [(name, getattr(module, "__spec__", None)) for name, module in sys.modules.items()]
    return [name for name, spec in found if spec and not str(spec.origin).startswith(ours)]


def verdict(target):
    """SURVIVED if no test of the target fails. For a fork of its own."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        if target.first is not None:
            target.first()
    except Exception:
        return KILLED
    names = [f"not {name}" for name in target.without]
    if target.only:
        names.append(f"({' or '.join(target.only)})")
    options = [*OPTIONS, "-k", " and ".join(names)]
    files = [str(ROOT / f"tests/test_{name}.py") for name in target.tests]
    return SURVIVED if pytest.main([*options, *files]) == 0 else KILLED


def verdicts(target, changes, jobs, total):
    """Try every (mutant, tree, path), `jobs` at a time.

    Returns a dict of mutant -> list of verdicts: a line that stands twice gives two.
    """
    found, running = {}, {}

    def collect():
        pid, status = os.wait()
        code = os.waitstatus_to_exitcode(status)
        # Below zero it was ended by a signal: the time limit, or a crash.
        found.setdefault(running.pop(pid), []).append(KILLED if code < 0 else code)

    for mutant, tree, path in tqdm(changes, target.modules[0], total, disable=None):
        if len(running) == jobs:
            collect()
        if pid := os.fork():
            running[pid] = mutant
            continue
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        signal.alarm(WAIT)
        result = BROKEN
        try:
            changed[mutant.module] = compile(ast.fix_missing_locations(tree), path, "exec")
            result = verdict(target)
        finally:
            os._exit(result)
    while running:
        collect()
    return found
