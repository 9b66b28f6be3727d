"""Which learning rate suits LSTM with the chrono start? Chosen as in time_lag_trials."""

from book.experiments import time_lag_trials
from book.experiments.chrono import SHARED, learn
from book.experiments.lab.runner import run

SETTINGS = {
    "seeds": 1,
    "lags": time_lag_trials.SETTINGS["lags"],
    "rates": [*time_lag_trials.SETTINGS["rates"], 0.3],  # 0.1 stood at the edge
    "choice": time_lag_trials.SETTINGS["choice"],
    **SHARED,
}


def outcome(job):
    """Train the network at one rate."""
    return learn(job["lr"], job["T"], job["seed"])


def jobs(seeds):
    """Every rate and length, on a seed that chrono does not use."""
    return [
        {"T": T, "lr": lr, "seed": 100 + seed}
        for seed in seeds
        for T in SETTINGS["lags"]
        for lr in SETTINGS["rates"]
    ]


if __name__ == "__main__":
    run("chrono_trials", __doc__, SETTINGS, jobs, outcome)
