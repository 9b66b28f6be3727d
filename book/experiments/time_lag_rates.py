"""Where a network of time_lag fails, does it fail at the neighbouring learning rates, too?"""

from book.experiments.lab.runner import run
from book.experiments.time_lag import NETWORKS, SHARED, learn

SETTINGS = {
    "seeds": 10,
    # Failures of time_lag at a length for which a comparison is drawn from them, and the rates of
    # time_lag_trials beside the chosen one; the rectified RNN failed at 0.01 at T = 25 already.
    "cells": [
        {"task": "temporal_order", "T": 25, "method": "rnn", "rates": [0.003, 0.03]},
        {"task": "adding", "T": 50, "method": "lstm, forget bias 1", "rates": [0.003, 0.03]},
        {"task": "adding", "T": 50, "method": "rectified rnn, identity", "rates": [0.001]},
    ],
    "networks": NETWORKS,
    **SHARED,
}


def outcome(job):
    """Train one network at one rate."""
    return learn(NETWORKS[job["method"]], job["lr"], job)


def jobs(seeds):
    """Every cell and rate, on the seeds of time_lag."""
    return [
        {key: cell[key] for key in ("task", "T", "method")} | {"lr": lr, "seed": 10 + seed}
        for cell in SETTINGS["cells"]
        for lr in cell["rates"]
        for seed in seeds
    ]


if __name__ == "__main__":
    run("time_lag_rates", __doc__, SETTINGS, jobs, outcome)
