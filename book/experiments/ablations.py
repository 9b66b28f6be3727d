"""Which part of the LSTM matters? A small random search after Greff et al. (2017)."""

from functools import partial

import numpy as np

from book.experiments.runner import run
from book.experiments.streams import train_on_stream
from book.experiments.training import Settings, Task, train, units
from companion import tasks

SETTINGS = {
    "seeds": 10,
    "tasks": ["adding", "continual_reber"],
    "cells": [
        "peephole",
        "lstm",
        "coupled",
        "gru",
        "no_input_gate",
        "no_forget_gate",
        "no_output_gate",
        "no_input_activation",
        "no_output_activation",
    ],
    "search": "each seed draws lr (log-uniform in 0.005 … 0.05) and a forget bias of 0, 1, 3 or 5, "
    "the same for all cells and tasks",
    "adding": {"T": 50, "parameters": 1000, "B": 16, "budget": 60_000},
    "continual_reber": {"parameters": 700, "B": 16, "budget": 4_000_000, "test": 10_000},
}


def outcome(job):
    """Train one network with the settings that its seed draws."""
    rng = np.random.default_rng([job["seed"], 4])
    lr = float(np.exp(rng.uniform(np.log(0.005), np.log(0.05))))
    bias = float(rng.choice([0, 1, 3, 5]))
    of_task = SETTINGS[job["task"]]
    common = {"cell": job["cell"], "lr": lr, "forget_bias": bias}
    common |= {"B": of_task["B"], "budget": of_task["budget"]}
    drawn = {"lr": round(lr, 5), "forget_bias": bias}
    if job["task"] == "adding":
        task = Task(partial(tasks.adding, T=of_task["T"]), tasks.adding_solved, limit=0.01)
        H = units(job["cell"], 2, 1, of_task["parameters"])
        return drawn | {"H": H} | train(task, Settings(H=H, **common), job["seed"])
    H = units(job["cell"], 7, 7, of_task["parameters"])
    return drawn | {"H": H} | train_on_stream(Settings(H=H, **common), job["seed"], of_task["test"])


def jobs(seeds):
    """Every task and cell with every seed."""
    return [
        {"task": task, "cell": cell, "seed": seed}
        for seed in seeds
        for task in SETTINGS["tasks"]
        for cell in SETTINGS["cells"]
    ]


if __name__ == "__main__":
    run("ablations", __doc__, SETTINGS, jobs, outcome)
