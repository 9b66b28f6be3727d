"""Experiments of Hochreiter and Schmidhuber (1997) under the paper's own success rules."""

from dataclasses import replace
from functools import partial

import numpy as np

from book.experiments.lab.runner import run
from book.experiments.lab.training import Settings, Task, examine, train
from companion import tasks
from companion.tasks import Batch

# name: the settings that differ from `common`, and how many seeds
EXPERIMENTS = {
    "embedded Reber": {"H": 8, "lr": 0.02, "budget": 60_000, "input_bias": -1, "shortcut": True},
    "noise-free lag, p = 100": {"B": 1, "budget": 20_000, "shortcut": True, "frozen": 3000},
    "random lag, p = 100": {
        "H": 16,
        "lr": 0.02,
        "falling": True,
        "B": 16,
        "budget": 400_000,
        "input_bias": 0,
        "shortcut": True,
        "frozen": 6000,
    },
    "random lag, as noise-free": {"B": 1, "budget": 20_000, "shortcut": True, "frozen": 3000},
    "adding, T = 100": {"budget": 100_000},
    "adding, T = 500": {"lr": 0.02, "budget": 300_000, "input_bias": -5},
    "temporal order 6a": {"budget": 60_000, "input_bias": -2},
}
SETTINGS = {
    "seeds": 14,
    "seeds of each": 10,
    "first seed of random lag, p = 100": 4,
    "first seed of adding, T = 500": 4,
    "seeds of random lag, as noise-free": 4,
    "cells": ["lstm1997", "lstm"],
    "cells of noise-free lag, p = 100": ["lstm1997", "lstm", "rnn"],
    "cells of embedded Reber": ["lstm1997", "lstm", "rnn"],
    "common": {"H": 4, "lr": 0.01, "B": 4, "clip": 1.0, "forget_bias": 5.0, "input_bias": -3.0},
    "experiments": EXPERIMENTS,
    "choice": "by pilot runs; for the random lag and adding over 500 steps by runs on seeds 0 to "
    "3, which do not count: their first seed is 4",
}


def reber(seed):
    """256 random strings to train on, 256 that are not among them to test on.

    Solved when all are right; checked when 256 in a row were right in training.
    """
    rng = np.random.default_rng([seed, 3])
    known = tasks.embedded_reber(rng, 256)
    names = {string(known, b) for b in range(256)}
    found = []
    while len(found) < 256:
        batch = tasks.embedded_reber(rng, 256)
        found += [column(batch, b) for b in range(256) if string(batch, b) not in names]
    sets = known, joined(found[:256])

    def make(rng, B):
        chosen = rng.integers(256, size=B)
        return Batch(*(array[:, chosen] for array in known))

    def proof(net, rng):
        return all(tasks.embedded_reber_solved(net.outputs(b.xs)[0], b).all() for b in sets)

    return Task(
        make, tasks.embedded_reber_solved, window=256, proof=proof, fresh=tasks.embedded_reber
    )


def column(batch, b):
    """Sequence b of a batch, without what follows its end."""
    return Batch(*(array[: batch.mask[:, b].sum(), b] for array in batch))


def string(batch, b):
    """The symbols of sequence b, as something to compare."""
    return column(batch, b).xs.tobytes()


def joined(singles):
    """One batch of single sequences of different lengths."""
    T = max(len(one.mask) for one in singles)

    def stacked(arrays):
        padded = [np.pad(a, [(0, T - len(a))] + [(0, 0)] * (a.ndim - 1)) for a in arrays]
        return np.stack(padded, axis=1)

    return Batch(*map(stacked, zip(*singles, strict=True)))


def lag(make, solved):
    """A task whose proof is 10,000 sequences without one wrong, tried after 200 right ones."""
    task = Task(make, solved, window=200)

    def proof(net, rng):  # in parts, so that the first wrong one ends it
        return all(examine(task, net, rng, 250)[0] == 0 for _ in range(40))

    return replace(task, proof=proof)


def task(name, seed):
    """The task of one experiment; the strings of the Reber grammar depend on the seed."""
    if name == "embedded Reber":
        return reber(seed)
    if name.startswith("adding"):
        T = int(name.split("= ")[1])
        return Task(partial(tasks.adding, T=T), tasks.adding_solved, limit=0.01)
    if name.startswith("random lag"):
        return lag(tasks.random_lag, tasks.random_lag_solved)
    if name.startswith("noise-free lag"):
        return lag(tasks.noise_free_lag, tasks.noise_free_lag_solved)
    return Task(tasks.temporal_order, tasks.temporal_order_solved, limit=0.1)


def outcome(job):
    """Train one network."""
    settings = Settings(cell=job["cell"], **{**SETTINGS["common"], **EXPERIMENTS[job["task"]]})
    return train(task(job["task"], job["seed"]), settings, job["seed"])


def jobs(seeds):
    """Every experiment with its cells and its seeds, of those that are asked for."""
    return [
        {"task": name, "cell": cell, "seed": seed}
        for seed in seeds
        for name in EXPERIMENTS
        for cell in SETTINGS.get(f"cells of {name}", SETTINGS["cells"])
        if seed in counted(name)
    ]


def counted(name):
    """The seeds of one experiment: none on which its settings were chosen."""
    first = SETTINGS.get(f"first seed of {name}", 0)
    return range(first, first + SETTINGS.get(f"seeds of {name}", SETTINGS["seeds of each"]))


if __name__ == "__main__":
    run("hs1997", __doc__, SETTINGS, jobs, outcome)
