"""At which lag does training stop succeeding? Temporal order, with forget gates set for the lag."""

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
METHODS = {
    "rectified rnn, identity": {"cell": "rectified"},
    "lstm, forget bias 1": {"cell": "lstm", "forget_bias": 1},
    "lstm, forget bias 5": {"cell": "lstm", "forget_bias": 5},
    "lstm, chrono": {"cell": "lstm", "chrono": True},
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


def learn(method, lr, T, seed):
    """Train one network on one lag, and say what came out."""
    network = METHODS[method]
    start = partial(chrono, T=T) if network.get("chrono") else None
    cell = network["cell"]
    if cell == "rectified":
        cell = time_lag.RECTIFIED
        start = partial(
            time_lag.first_weights, network={"start": "identity", "scale": 1, "inputs": 1}
        )
    settings = Settings(
        cell,
        units("rnn" if cell is time_lag.RECTIFIED else cell, 8, 4, SHARED["parameters"]),
        lr,
        SHARED["B"],
        SHARED["budget"],
        SHARED["clip"],
        forget_bias=network.get("forget_bias", 0),
        start=start,
    )
    task = Task(partial(tasks.temporal_order, T=T), tasks.temporal_order_solved, limit=0.1)
    return {"H": settings.H, **train(task, settings, seed)}


# Those that time_lag chose at lengths of 10 and 25, and one chosen for chrono in the same way.
RATES = {name: time_lag.RATES[name][1] for name in METHODS if name in time_lag.RATES}
SETTINGS = {
    "seeds": 5,
    "lr": RATES | {"lstm, chrono": 0.1},
    "choice": "rates of time_lag, and for chrono one chosen in long_lags_trials.json",
    "methods": METHODS,
    **SHARED,
}


def outcome(job):
    """Train one network at the rate chosen for it."""
    return learn(job["method"], SETTINGS["lr"][job["method"]], job["T"], job["seed"])


def jobs(seeds):
    """All methods at 100, and chrono at the lengths of time_lag, too, on its first seeds."""
    return [
        {"T": T, "method": method, "seed": 10 + seed}
        for seed in seeds
        for T in (10, 25, 50, 100)
        for method in METHODS
        if T == 100 or method == "lstm, chrono"
    ]


if __name__ == "__main__":
    run("long_lags", __doc__, SETTINGS, jobs, outcome)
