"""Which part of the LSTM matters? A small random search after Greff et al. (2017)."""

from functools import partial

import numpy as np

from book.experiments.lab.runner import run
from book.experiments.lab.training import Settings, Task, train, units
from companion import tasks

SETTINGS = {
    "seeds": 30,
    "first seed": 10,
    "tasks": ["adding", "temporal_order"],
    "cells": [
        "peephole",
        "lstm",
        "coupled",
        "gru",
        "mgu",
        "no_input_gate",
        "no_forget_gate",
        "no_output_gate",
        "no_input_activation",
        "no_output_activation",
    ],
    "search": "each seed draws lr (log-uniform in 0.005 … 0.05) and a forget bias of 0, 1, 3 or 5, "
    "the same for all cells and tasks",
    "T": 25,
    "parameters": 1000,
    "B": 16,
    "budget": 60_000,
    "choice": "T from runs on seeds 0 to 9, none of which counts here",
}
LEARNED = {
    "adding": (tasks.adding, tasks.adding_solved, 0.01, (2, 1)),
    "temporal_order": (tasks.temporal_order, tasks.temporal_order_solved, 0.1, (8, 4)),
}


def outcome(job):
    """Train one network with the settings that its seed draws."""
    rng = np.random.default_rng([job["seed"], 4])
    lr = float(np.exp(rng.uniform(np.log(0.005), np.log(0.05))))
    bias = float(rng.choice([0, 1, 3, 5]))
    make, solved, limit, sizes = LEARNED[job["task"]]
    H = units(job["cell"], *sizes, SETTINGS["parameters"])
    settings = Settings(job["cell"], H, lr, SETTINGS["B"], SETTINGS["budget"], forget_bias=bias)
    task = Task(partial(make, T=SETTINGS["T"]), solved, limit=limit)
    return {"lr": round(lr, 5), "forget_bias": bias, "H": H} | train(task, settings, job["seed"])


def jobs(seeds):
    """Every task and cell with every seed that had no part in the choice of settings."""
    return [
        {"task": task, "cell": cell, "seed": seed}
        for seed in seeds
        for task in SETTINGS["tasks"]
        for cell in SETTINGS["cells"]
        if seed >= SETTINGS["first seed"]
    ]


if __name__ == "__main__":
    run("ablations", __doc__, SETTINGS, jobs, outcome)
