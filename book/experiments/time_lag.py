"""Up to which lag do RNNs, LSTM and GRU of the same size learn adding and temporal order?"""

from functools import partial

import numpy as np

from book.experiments.lab.runner import run
from book.experiments.lab.training import Settings, Task, train, units
from companion import Cell, tasks


def step(a, carry, p):
    """h = max(a, 0): a rectified unit in place of tanh."""
    (ah,) = a
    h = 0.5 * (ah + abs(ah))
    return (h,), ()


def derivative(dstate, state, kept, carry, p):
    """Derivative of `step`."""
    (dh,) = dstate
    (h,) = state
    return (dh * (h > 0),), (), ()


RECTIFIED = Cell("rectified", ("h",), ("h",), (), (), step, derivative)
TASKS = {
    "adding": Task(tasks.adding, tasks.adding_solved, limit=0.01),
    "temporal_order": Task(tasks.temporal_order, tasks.temporal_order_solved, limit=0.1),
}
SIZES = {"adding": (2, 1), "temporal_order": (8, 4)}
SHARED = {
    "parameters": 1000,
    "B": 16,
    "budget": 100_000,
    "clip": 1.0,
    "rule": "the paper's: average error of the last 2000 sequences below 0.01 (0.1), and all right",
    "drawn": "weights as init draws them, uniform in (-1/sqrt(H), 1/sqrt(H))",
    "orthogonal": "W_hh a random orthogonal matrix times scale, biases 0, W_ih times inputs",
    "identity": "W_hh the identity times scale, biases 0, W_ih times inputs",
    "rectified": "an RNN with h = max(a, 0) instead of tanh(a)",
}
NETWORKS = {
    "rnn": {"cell": "rnn", "start": "drawn"},
    "rnn, orthogonal": {"cell": "rnn", "start": "orthogonal", "scale": 1, "inputs": 1},
    "rnn, identity": {"cell": "rnn", "start": "identity", "scale": 1, "inputs": 1},
    "rnn, orthogonal x 1.05, small inputs": {
        "cell": "rnn",
        "start": "orthogonal",
        "scale": 1.05,
        "inputs": 0.1,
    },
    "rectified rnn, identity": {
        "cell": "rectified",
        "start": "identity",
        "scale": 1,
        "inputs": 1,
    },
    "rectified rnn, identity, small inputs": {
        "cell": "rectified",
        "start": "identity",
        "scale": 1,
        "inputs": 0.1,
    },
    "lstm, forget bias 1": {"cell": "lstm", "start": "drawn", "forget_bias": 1},
    "lstm, forget bias 5": {"cell": "lstm", "start": "drawn", "forget_bias": 5},
    "gru": {"cell": "gru", "start": "drawn"},
}


def first_weights(params, rng, network):
    """Params with an orthogonal or identity recurrent matrix, biases 0, and inputs scaled."""
    H = params["weight_hh"].shape[1]
    turn = np.eye(H)
    if network["start"] == "orthogonal":
        turn, triangle = np.linalg.qr(rng.normal(size=(H, H)))
        turn = turn * np.sign(np.diag(triangle))  # so that every orthogonal matrix is as likely
    return params | {
        "weight_hh": np.float32(network["scale"]) * turn.astype(np.float32),
        "weight_ih": np.float32(network["inputs"]) * params["weight_ih"],
        "bias_ih": np.zeros(H, np.float32),
        "bias_hh": np.zeros(H, np.float32),
    }


def learn(network, lr, job):
    """Train one network; job: task, T and seed."""
    task, own = TASKS[job["task"]], network["cell"] == "rectified"
    task = Task(partial(task.make, T=job["T"]), task.solved, task.limit)
    H = units("rnn" if own else network["cell"], *SIZES[job["task"]], SHARED["parameters"])
    settings = Settings(
        RECTIFIED if own else network["cell"],
        H,
        lr,
        SHARED["B"],
        SHARED["budget"],
        SHARED["clip"],
        forget_bias=network.get("forget_bias", 0),
        start=None if network["start"] == "drawn" else partial(first_weights, network=network),
    )
    return {"H": H, **train(task, settings, job["seed"])}


METHODS = ["rnn", "rnn, orthogonal", "rectified rnn, identity"]
METHODS += ["lstm, forget bias 1", "lstm, forget bias 5", "gru"]
# The rates of adding and of temporal order.
RATES = {
    "rnn": (0.003, 0.01),
    "rnn, orthogonal": (0.001, 0.003),
    "rectified rnn, identity": (0.003, 0.01),
    "lstm, forget bias 1": (0.01, 0.03),
    "lstm, forget bias 5": (0.03, 0.03),
    "gru": (0.03, 0.1),
}
SETTINGS = {
    "seeds": 10,
    "tasks": list(TASKS),
    "lags": [10, 25, 50],
    "methods": {
        name: NETWORKS[name] | {"lr": dict(zip(TASKS, RATES[name], strict=True))}
        for name in METHODS
    },
    "choice": "starts and rates chosen in time_lag_trials.json, on other seeds",
    **SHARED,
}


def outcome(job):
    """Train one network at the rate chosen for it and the task."""
    network = SETTINGS["methods"][job["method"]]
    return learn(network, network["lr"][job["task"]], job)


def jobs(seeds):
    """Every task, lag and method with every seed; the longest lag, which takes longest, last."""
    return [
        {"task": task, "T": T, "method": method, "seed": 10 + seed}
        for T in SETTINGS["lags"]
        for seed in seeds
        for task in SETTINGS["tasks"]
        for method in SETTINGS["methods"]
    ]


if __name__ == "__main__":
    run("time_lag", __doc__, SETTINGS, jobs, outcome)
