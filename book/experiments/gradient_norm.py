"""How strongly does the last hidden state depend on the first one? RNN and LSTM, against T."""

import numpy as np

from book.experiments.lab.runner import run
from companion import CELLS, backward, forward, gate, history, init

SETTINGS = {
    "seeds": 10,
    "H": 32,
    "D": 32,
    "lags": [1, 2, 5, 10, 20, 30, 50, 70, 100],
    # "scale": W_hh Gaussian with standard deviation scale / sqrt(H); "orthogonal": W_hh a random
    # orthogonal matrix times the value, biases 0; "inputs": what the inputs are multiplied by;
    # "forget bias": what the forget gate's bias is set to. All that is not named is as init draws.
    "methods": {
        "rnn, init": {"cell": "rnn"},
        "rnn, scale 0.5": {"cell": "rnn", "scale": 0.5},
        "rnn, scale 1": {"cell": "rnn", "scale": 1.0},
        "rnn, scale 3": {"cell": "rnn", "scale": 3.0},
        "rnn, orthogonal": {"cell": "rnn", "orthogonal": 1.0},
        "rnn, orthogonal, small inputs": {"cell": "rnn", "orthogonal": 1.0, "inputs": 0.1},
        "lstm, init": {"cell": "lstm"},
        "lstm, scale 1": {"cell": "lstm", "scale": 1.0},
        "lstm, forget bias 1": {"cell": "lstm", "forget bias": 1.0},
        "lstm, forget bias 3": {"cell": "lstm", "forget bias": 3.0},
    },
    "norm": "largest singular value of dh_T/dh_0, inputs Gaussian, first state 0",
    "gates": "mean over the units of the product of the forget gates of steps 1 to T",
}


def parameters(method, rng):
    """A fresh cell, as the method says."""
    cell, H = CELLS[method["cell"]], SETTINGS["H"]
    params = init(cell, SETTINGS["D"], H, rng)
    if "scale" in method:
        spread = method["scale"] / np.sqrt(H)
        params["weight_hh"] = rng.normal(0, spread, params["weight_hh"].shape)
    if "orthogonal" in method:
        turn, triangle = np.linalg.qr(rng.normal(size=(H, H)))
        params["weight_hh"] = method["orthogonal"] * turn * np.sign(np.diag(triangle))
        params |= {"bias_ih": np.zeros(H), "bias_hh": np.zeros(H)}
    if "forget bias" in method:
        gate(cell, params["bias_ih"], "f")[:] = method["forget bias"]
        gate(cell, params["bias_hh"], "f")[:] = 0
    return cell, params


def jacobian(cell, params, xs):
    """dh_T/dh_0 (H, H) for one sequence xs (T, D), and its forget gates (T, H) or None."""
    H = params["weight_hh"].shape[1]
    # The same sequence H times: row k of the batch carries back the derivative of unit k.
    same = np.repeat(xs[:, None], H, axis=1)
    ys, state, tape = forward(cell, params, same)
    first = (np.eye(H), *(np.zeros((H, H)) for _ in state[1:]))
    _, _, dstate = backward(cell, params, tape, np.zeros_like(ys), first)
    return dstate[0], history(cell, tape)["f"][:, 0] if "f" in cell.gates else None


def outcome(job):
    """Norms at each lag, and the products of forget gates; the inputs are a seed's, for all."""
    method = SETTINGS["methods"][job["method"]]
    weights, inputs = (np.random.default_rng([job["seed"], k]) for k in range(2))
    cell, params = parameters(method, weights)
    xs = inputs.normal(size=(max(SETTINGS["lags"]), SETTINGS["D"])) * method.get("inputs", 1)
    norms, gates = [], []
    for T in SETTINGS["lags"]:
        matrix, f = jacobian(cell, params, xs[:T])
        norms.append(float(np.linalg.norm(matrix, 2)))
        if f is not None:
            gates.append(float(f.prod(0).mean()))
    return {"norms": norms, "gates": gates}


def jobs(seeds):
    """Every method with every seed."""
    return [{"method": m, "seed": s} for m in SETTINGS["methods"] for s in seeds]


if __name__ == "__main__":
    run("gradient_norm", __doc__, SETTINGS, jobs, outcome)
