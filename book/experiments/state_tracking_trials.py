"""Which learning rate suits each network of state_tracking? On a seed of its own."""

import numpy as np

from book.experiments.lab.runner import run
from book.experiments.state_tracking import NETWORKS, SHARED, TABLES, short_words, train

SETTINGS = {
    "seeds": 1,
    "updates": 1000,
    "rates": {
        "lstm": [0.003, 0.01, 0.03],
        "rnn": [0.003, 0.01, 0.03],
        "others": [0.001, 0.003, 0.01],
    },
    "choice": "for each network and task the rate with the highest accuracy on 512 words of 40 "
    "symbols; among equals the one with the smallest loss",
    **SHARED,
}


def outcome(job):
    """Train one network at one rate."""
    net, seconds = train(job["method"], job["task"], job["lr"], SETTINGS["updates"], job["seed"])
    measured = short_words(net, job["task"], np.random.default_rng([job["seed"], 8]))
    return {**measured, "seconds": round(seconds, 1)}


def jobs(seeds):
    """Every network and task with every rate, on a seed that state_tracking does not use."""
    rates = SETTINGS["rates"]
    return [
        {"task": task, "method": method, "lr": lr, "seed": 100 + seed}
        for seed in seeds
        for task in TABLES
        for method in NETWORKS
        for lr in rates.get(method, rates["others"])
    ]


if __name__ == "__main__":
    run("state_tracking_trials", __doc__, SETTINGS, jobs, outcome)
