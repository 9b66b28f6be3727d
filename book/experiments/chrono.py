"""Does a forget gate that is set for the lag help LSTM on temporal order, where time_lag stops?"""

from functools import partial

import numpy as np

from book.experiments import time_lag
from book.experiments.lab.runner import run
from book.experiments.lab.training import Settings, Task, train, units
from companion import CELLS, gate, tasks

SHARED = {
    "task": "temporal_order",
    "parameters": 1000,
    "B": 16,
    "budget": 100_000,
    "clip": 1.0,
    "rule": "that of time_lag: of the last 2000 sequences all right, with a mean error below 0.1",
    "chrono": "forget biases log u, u uniform in 1 … T - 1, input biases -log u",
}


def chrono(params, rng, T):
    """Biases after Tallec and Ollivier (2018), as if memories lasted up to T steps."""
    cell, H = CELLS["lstm"], params["weight_hh"].shape[1]
    bias, other = params["bias_ih"].copy(), params["bias_hh"].copy()
    logs = np.log(rng.uniform(1, T - 1, H)).astype(np.float32)
    for name, value in (("f", logs), ("i", -logs)):
        gate(cell, bias, name)[:] = value
        gate(cell, other, name)[:] = 0
    return params | {"bias_ih": bias, "bias_hh": other}


def learn(lr, T, seed):
    """Train the network on one lag, and say what came out."""
    H = units("lstm", 8, 4, SHARED["parameters"])
    start = partial(chrono, T=T)
    settings = Settings(
        "lstm",
        H,
        lr,
        SHARED["B"],
        SHARED["budget"],
        SHARED["clip"],
        forget_bias=0,
        start=start,
    )
    task = Task(partial(tasks.temporal_order, T=T), tasks.temporal_order_solved, limit=0.1)
    return {"H": H, **train(task, settings, seed)}


SETTINGS = {
    "seeds": 10,
    "lags": time_lag.SETTINGS["lags"],
    "lr": 0.1,
    "choice": "rate chosen in chrono_trials.json, on another seed",
    **SHARED,
}


def outcome(job):
    """Train the network at the rate chosen for it."""
    return learn(SETTINGS["lr"], job["T"], job["seed"])


def jobs(seeds):
    """Every length of time_lag with every one of its seeds."""
    return [
        {"T": T, "method": "lstm, chrono", "seed": 10 + seed}
        for seed in seeds
        for T in SETTINGS["lags"]
    ]


if __name__ == "__main__":
    run("chrono", __doc__, SETTINGS, jobs, outcome)
