"""Which start, and which learning rate, suits each network of time_lag? On seeds of their own."""

from book.experiments.lab.runner import run
from book.experiments.time_lag import METHODS, NETWORKS, SHARED, TASKS, learn

SETTINGS = {
    "seeds": 1,
    "tasks": list(TASKS),
    "lags": [10, 25],
    "rates": [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1],
    # Other starts of the RNN, at the rates at which one of them learned anything.
    "other starts": [name for name in NETWORKS if name not in METHODS],
    "their rates": [0.001, 0.003, 0.01],
    "networks": NETWORKS,
    "choice": "for each network and task the rate that solved most; among equals the one that took "
    "fewest sequences, then the one with the smallest error",
    **SHARED,
}


# Where the best rate stood at the edge of the grid, one beyond it was tried, too.
BEYOND = [("temporal_order", "gru", 0.3)]


def outcome(job):
    """Train one network at one rate."""
    return learn(NETWORKS[job["method"]], job["lr"], job)


def jobs(seeds):
    """Every network, task and length with every rate, on seeds that time_lag does not use."""
    return [
        {"task": task, "T": T, "method": method, "lr": lr, "seed": 100 + seed}
        for seed in seeds
        for T in SETTINGS["lags"]
        for task in SETTINGS["tasks"]
        for method in NETWORKS
        for lr in SETTINGS["rates" if method in METHODS else "their rates"]
    ] + [
        {"task": task, "T": T, "method": method, "lr": lr, "seed": 100 + seed}
        for seed in seeds
        for T in SETTINGS["lags"]
        for task, method, lr in BEYOND
    ]


if __name__ == "__main__":
    run("time_lag_trials", __doc__, SETTINGS, jobs, outcome)
