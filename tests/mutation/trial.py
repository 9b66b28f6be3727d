"""Whether tests see a mutant: each runs in a fork of a process that has imported what they need."""

import ast
import faulthandler
import gc
import importlib
import json
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from contextlib import suppress
from functools import partial
from importlib.machinery import SourceFileLoader

import hypothesis
import pytest
from tqdm import tqdm

from .targets import ROOT

OPTIONS = ["-x", "-q", "-p", "no:cacheprovider"]
SECONDS = 30  # of processor time, in general: a loop without an end counts as killed
WAIT = 300  # seconds on the clock: so does a wait without an end
AHEAD = 2  # targets whose tests run unchanged before their mutants' turn: else forks wait for one
PRIOR = 0.05  # kills that a test is taken to have in every module before its first one
SURVIVED, KILLED, BROKEN = range(3)

changed = {}  # module -> its code with the mutant
load_code = SourceFileLoader.get_code


def get_code(loader, name):
    return changed[name] if name in changed else load_code(loader, name)


def prepare():
    """Make this process one that forks can start from."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ["KERAS_BACKEND"] = "torch"  # what the tests take; Keras is imported before they run
    settings = {"database": None, "derandomize": True, "phases": [hypothesis.Phase.generate]}
    hypothesis.settings.register_profile("mutation", **settings)
    hypothesis.settings.load_profile("mutation")
    tqdm.monitor_interval = 0  # a thread, and forks want none
    # Its own lock is shared with all forks, and one that is ended with it never gives it back.
    tqdm.set_lock(threading.RLock())
    sys.path.insert(0, str(ROOT))
    SourceFileLoader.get_code = get_code
    faulthandler.register(signal.SIGALRM, chain=True)


class Forks:
    """At most so many forks of this process at a time."""

    def __init__(self, jobs):
        self.jobs, self.running = jobs, {}

    def start(self, work, done):
        """Once there is room, have a fork end with the code `work(note)`, `note` being a file.

        Later `done(code, text)` is called here with what it wrote.
        """
        while len(self.running) >= self.jobs:
            self.wait()
        signal.alarm(2 * WAIT)  # should this process itself hang: it says where, and ends
        note = tempfile.TemporaryFile("w+")
        if pid := os.fork():
            self.running[pid] = note, done
            return
        result = BROKEN
        try:
            signal.alarm(WAIT)
            result = work(note)
            note.flush()
        finally:
            os._exit(result)

    def wait(self):
        pid, status = os.wait()
        note, done = self.running.pop(pid)
        with note:
            note.seek(0)
            done(os.waitstatus_to_exitcode(status), note.read())


def unchanged(target, note):
    """Run the tests of a target on the code as it is; note the seconds, and what they imported.

    A fork does it: the process that trials start from must not run torch or a compiled loop, which
    could start threads.
    """
    clock = Clock()
    result = verdict(target, clock)
    json.dump([time.process_time(), clock.seconds, _foreign(target)], note)
    return result


def load(target, code, text):
    """Import what the tests imported and no mutant can change. Exit if one of them failed.

    Returns the seconds of all tests, and a dict of test -> seconds on the clock.
    """
    if code != SURVIVED:
        sys.exit(f"without any change these tests fail: {', '.join(target.tests)}")
    seconds, of_tests, names = json.loads(text)
    for name in names:
        with suppress(ImportError):  # made while the tests ran, such as compiled loops
            importlib.import_module(name)
    gc.freeze()
    return seconds, of_tests


def _foreign(target):
    """Names of the modules that are not of this repository, in the order of their import.

    The package is foreign to mutants of the book, which it does not import.
    """
    of_book = all(module.startswith("book/") for module in target.modules)
    folders = ("book", "tests") if of_book else ("companion", "book", "tests")
    ours = tuple(str(ROOT / folder) + os.sep for folder in folders)
    found = [(name, getattr(module, "__spec__", None)) for name, module in sys.modules.items()]
    return [name for name, spec in found if spec and not str(spec.origin).startswith(ours)]


class Clock:
    """Notes the seconds of each test, those of its fixtures with them."""

    def __init__(self):
        self.seconds = Counter()

    def pytest_runtest_logreport(self, report):
        self.seconds[report.nodeid] += report.duration


class Killers:
    """What pytest is told: which tests run first; and notes the one that fails.

    First those that killed mutants of the same function, the last one at the head; then by what a
    test takes for what it may find, from its seconds and the mutants of the module it killed.
    """

    def __init__(self, first, kills, seconds, note):
        self.rank = {name: k for k, name in enumerate(first)}
        self.kills, self.seconds, self.note = kills, seconds, note

    def pytest_collection_modifyitems(self, items):
        items.sort(key=self.place)

    def place(self, item):
        name = item.nodeid
        cost = max(self.seconds.get(name, 0), 1e-3) / (PRIOR + self.kills[name])
        return self.rank.get(name, len(self.rank)), cost

    def pytest_runtest_logreport(self, report):
        if report.failed:
            print(report.nodeid, file=self.note)


def verdict(target, *plugins):
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
    return SURVIVED if pytest.main([*options, *files], plugins) == 0 else KILLED


def trial(target, change, seconds, order, note):
    """The verdict on a mutant, (module, tree, path), or on the code as it is: None.

    `order` is what Killers takes but the note.
    """
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    if change is not None:
        module, tree, path = change
        changed[module] = compile(ast.fix_missing_locations(tree), path, "exec")
    return verdict(target, Killers(*order, note))


def verdicts(work, jobs):
    """Try all of `work`, a list of (target, how many, (mutant, tree, path) of each).

    The tests of the next targets run unchanged while mutants of this one are tried. Where no mutant
    survived they run once more in a trial without one, and must pass: else it was not the mutants
    that they saw. Returns a dict of mutant -> list of verdicts: a line that stands twice gives two.
    """
    found, killers, kills, ready = defaultdict(list), defaultdict(list), defaultdict(Counter), {}
    forks = Forks(jobs)

    def done(mutant, code, text):
        # Below zero it was ended by a signal: the time limit, or a crash.
        found[mutant].append(KILLED if code < 0 else code)
        known = killers[mutant.module, mutant.function]
        for name in text.splitlines()[:1]:
            known[:] = [name, *(other for other in known if other != name)]
            kills[mutant.module][name] += 1

    def warm_up(k):
        if k < len(work):
            target = work[k][0]
            forks.start(partial(unchanged, target), lambda *result: ready.update({k: result}))

    def nothing_was_changed(target, code, text):
        if code != SURVIVED:
            failed = " ".join(text.splitlines()[:1]) or ", ".join(target.tests)
            sys.exit(f"after the imports for the trials this fails without any change: {failed}")

    for k in range(AHEAD):
        warm_up(k)
    for k, (target, total, changes) in enumerate(work):
        while k not in ready:
            forks.wait()
        # A mutant may take four times as long as the tests without it, and a few seconds more;
        # where that is long, twice: else a slow machine ends mutants that no test has seen.
        took, of_tests = load(target, *ready[k])
        seconds = round(max(min(SECONDS, 5 + 4 * took), 2 * took))
        warm_up(k + AHEAD)
        tried = []
        for mutant, *change in tqdm(changes, target.modules[0], total, disable=None):
            order = killers[mutant.module, mutant.function], kills[mutant.module], of_tests
            work_on = partial(trial, target, (mutant.module, *change), seconds, order)
            forks.start(work_on, partial(done, mutant))
            tried.append(mutant)
        if not any(SURVIVED in found[mutant] for mutant in tried):
            order = (), Counter(), of_tests
            same = partial(trial, target, None, seconds, order)
            forks.start(same, partial(nothing_was_changed, target))
    while forks.running:
        forks.wait()
    signal.alarm(0)
    return dict(found)
