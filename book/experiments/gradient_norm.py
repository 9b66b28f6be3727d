"""How strongly does the last hidden state depend on the first one? RNN and LSTM, against T."""

import numpy as np

from book.experiments.lab.runner import run
from companion import CELLS, backward, forward, gate, history, init

SETTINGS = {
    "seeds": 10,
    "H": 32,
    "D": 32,
    "lags": [1, 2, 5, 10, 20, 30, 50, 70, 100],
    "rnn": "W_hh Gaussian with standard deviation scale / sqrt(H); the rest as init",
    "lstm": "weights as init, the forget gate's bias set to the value",
    "norm": "largest singular value of dh_T/dh_0, inputs Gaussian, first state 0",
    "gates": "mean over the units of the product of the forget gates of steps 1 to T",
}
METHODS = [("rnn", 0.5), ("rnn", 1.0), ("rnn", 3.0), ("lstm", 0.0), ("lstm", 1.0), ("lstm", 3.0)]


def parameters(name, value, rng):
    """A fresh cell: value is the recurrent scale of an RNN, the forget bias of an LSTM."""
    cell, H, D = CELLS[name], SETTINGS["H"], SETTINGS["D"]
    params = init(cell, D, H, rng)
    if name == "rnn":
        params["weight_hh"] = rng.normal(size=(H, H)) * value / np.sqrt(H)
    else:
        gate(cell, params["bias_ih"], "f")[:] = value
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
    """Norms at each lag, and the products of forget gates."""
    rng = np.random.default_rng([job["seed"], METHODS.index((job["cell"], job["value"]))])
    cell, params = parameters(job["cell"], job["value"], rng)
    xs = rng.normal(size=(max(SETTINGS["lags"]), SETTINGS["D"]))
    norms, gates = [], []
    for T in SETTINGS["lags"]:
        matrix, f = jacobian(cell, params, xs[:T])
        norms.append(float(np.linalg.norm(matrix, 2)))
        if f is not None:
            gates.append(float(f.prod(0).mean()))
    return {"norms": norms, "gates": gates}


def jobs(seeds):
    """Every method with every seed."""
    return [{"cell": c, "value": v, "seed": s} for c, v in METHODS for s in seeds]


if __name__ == "__main__":
    run("gradient_norm", __doc__, SETTINGS, jobs, outcome)
