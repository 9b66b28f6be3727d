"""Which learning rate suits each network of long_lags? On a seed of its own."""

from book.experiments.lab.runner import run
from book.experiments.long_lags import METHODS, SHARED, learn

SETTINGS = {
    "seeds": 1,
    "T": 100,
    "rates": [0.003, 0.01, 0.03, 0.1],
    "choice": "the rate that solved the task; among equals the one that took fewest sequences, "
    "then the one with the smallest error",
    "methods": METHODS,
    **SHARED,
}


def outcome(job):
    """Train one network at one rate."""
    return learn(job["method"], job["lr"], SETTINGS["T"], job["seed"])


def jobs(seeds):
    """Every network with every rate, on a seed that long_lags does not use."""
    return [
        {"method": method, "lr": lr, "seed": 100 + seed}
        for seed in seeds
        for method in METHODS
        for lr in SETTINGS["rates"]
    ]


if __name__ == "__main__":
    run("long_lags_trials", __doc__, SETTINGS, jobs, outcome)
