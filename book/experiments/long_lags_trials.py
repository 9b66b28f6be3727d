"""Which learning rate suits the chrono start of long_lags? Chosen as in time_lag_trials."""

from book.experiments import time_lag_trials
from book.experiments.lab.runner import run
from book.experiments.long_lags import SHARED, learn

SETTINGS = {
    "seeds": 1,
    "lags": time_lag_trials.SETTINGS["lags"],
    "rates": [*time_lag_trials.SETTINGS["rates"], 0.3],  # 0.1 stood at the edge
    "choice": time_lag_trials.SETTINGS["choice"],
    **SHARED,
}


def outcome(job):
    """Train the network at one rate."""
    return learn("lstm, chrono", job["lr"], job["T"], job["seed"])


def jobs(seeds):
    """Every rate and length, on a seed that long_lags does not use."""
    return [
        {"T": T, "lr": lr, "seed": 100 + seed}
        for seed in seeds
        for T in SETTINGS["lags"]
        for lr in SETTINGS["rates"]
    ]


if __name__ == "__main__":
    run("long_lags_trials", __doc__, SETTINGS, jobs, outcome)
