"""Do peepholes help with timing? Measured delays and generated spikes (Gers et al. 2002)."""

from functools import partial

from book.experiments.lab.runner import run
from book.experiments.lab.training import Settings, Task, train
from companion import tasks

SETTINGS = {
    "seeds": 10,
    "tasks": ["measure_delays", "generate_spikes"],
    "periods": [5, 10, 15],
    "delays": [0, 1],
    "spikes": 10,
    "cells": ["lstm", "peephole"],
    "H": 4,
    "lr": 0.01,
    "B": 16,
    "budget": 80_000,
    "forget_bias": 1.0,
    "rule": "500 training streams of 10 spikes in a row without an error of 0.49, then 10 streams "
    "of 1000 spikes without one",
    "differs": "the paper uses one cell, momentum and a stream that goes on for up to 100 spikes; "
    "it stops a training stream at its first error",
}


def outcome(job):
    """Train one network; `wrong` counts streams of 10 spikes of 2560."""
    make = partial(getattr(tasks, job["task"]), F=job["F"], delays=SETTINGS["delays"])

    def proof(net, rng):
        long = make(rng, 10, spikes=1000)
        return tasks.spikes_solved(net.outputs(long.xs)[0], long).all()

    short = partial(make, spikes=SETTINGS["spikes"])
    task = Task(short, tasks.spikes_solved, window=500, proof=proof)
    names = ("H", "lr", "B", "budget", "forget_bias")
    settings = Settings(cell=job["cell"], **{name: SETTINGS[name] for name in names})
    return train(task, settings, job["seed"])


def jobs(seeds):
    """Both tasks, periods and cells with every seed."""
    return [
        {"task": task, "F": F, "cell": cell, "seed": seed}
        for seed in seeds
        for task in SETTINGS["tasks"]
        for F in SETTINGS["periods"]
        for cell in SETTINGS["cells"]
    ]


if __name__ == "__main__":
    run("timing", __doc__, SETTINGS, jobs, outcome)
