"""Can an LSTM be computed for all steps at once? Updates of Newton's method, by length and weights.

Networks with PyTorch's first weights, whose forget bias is raised or whose recurrent weights are
multiplied, read noise; and the trained character model reads the first characters of its test
part. Each is solved by plain Newton, and with its guesses kept within the bounds of a cell. Beside
that stands how fast two neighbouring states of the network move apart, or together.
"""

import hashlib
import time
from functools import partial

import numpy as np

from book.experiments.lab.runner import run
from companion import CELLS, forward, gate, init
from companion.models import characters
from companion.newton import every_step, jacobians, newton, within_bounds

SETTINGS = {
    "seeds": 3,
    "D": 4,
    "H": 16,
    "B": 1,
    "inputs": "standard normal",
    "weights": "companion.init",
    "biases": [-2, 0, 1, 2, 3, 4, 6],
    "scales": [0.5, 1, 2, 3, 4, 6, 8, 12],
    "bias with scales": 1,
    "lengths": [16, 64, 256, 1024, 4096],
    "characters": "the first of the test part of companion.models.characters.parts, float32",
    "lengths of characters": [16, 64, 128, 256],
    "limit": 100,
    "rule": "the largest residual is within 100 roundings of 1 + the largest state",
    "exponent": "mean over the steps of the logarithm of what a step makes of a difference of the "
    "states, along the trajectory; of the longest length up to 1024",
}
LSTM = CELLS["lstm"]


def network(job):
    """Parameters and inputs of a job: the same draws for all networks of a seed."""
    rng = np.random.default_rng(job["seed"])
    params = init(LSTM, SETTINGS["D"], SETTINGS["H"], rng)
    gate(LSTM, params["bias_ih"], "f")[:] += job["bias"]
    params["weight_hh"] *= job["scale"]
    xs = rng.normal(size=(max(SETTINGS["lengths"]), SETTINGS["B"], SETTINGS["D"]))
    return params, xs


def reading():
    """Parameters of the character model, and its text as inputs."""
    model = characters.load()
    text = characters.parts()["test"][: max(SETTINGS["lengths of characters"])]
    numbers = [model.alphabet.index(c) for c in text]
    params = {name: model.params[name] for name in LSTM.parameters}
    return params, np.eye(len(model.alphabet), dtype=np.float32)[numbers][:, None]


def updates(params, xs, inside):
    """Number of updates until the rule holds, or None, and the last residual."""
    for n, guess in enumerate(newton(LSTM, params, xs, None, inside)):
        size = 1 + np.abs(guess.states).max()
        if guess.residual <= 100 * np.finfo(xs.dtype).eps * size:
            return n, guess.residual
        if n == SETTINGS["limit"]:
            return None, guess.residual


def exponent(params, xs):
    """Mean growth of the logarithm of a difference of states, a step."""
    _, _, tape = forward(LSTM, params, xs)
    before = np.concatenate(list(tape.states[:, :-1]), -1)
    _, slopes = every_step(LSTM, params, xs, before)
    v, logs = np.random.default_rng(0).normal(size=before.shape[-1]), []
    for t in range(len(xs)):
        one = type(slopes)(slopes.a[:, :, t : t + 1], slopes.carry[:, :, t : t + 1])
        v = jacobians(LSTM, params, one)[0, 0] @ v
        logs.append(np.log(np.linalg.norm(v)))
        v = v / np.linalg.norm(v)
    return float(np.mean(logs[len(logs) // 4 :]))  # the first quarter turns it


def outcome(job):
    """Updates of both methods at every length."""
    start = time.process_time()
    trained = job["network"] == "characters"
    params, xs = reading() if trained else network(job)
    lengths = SETTINGS["lengths of characters" if trained else "lengths"]
    found = {"updates": {}, "residual": {}}
    for name, inside in {"plain": None, "bounded": partial(within_bounds, LSTM, 0)}.items():
        pairs = [updates(params, xs[:T], inside) for T in lengths]
        found["updates"][name] = [n for n, _ in pairs]
        found["residual"][name] = [float(f"{residual:.1e}") for _, residual in pairs]
    return {
        **found,
        "exponent": round(exponent(params, xs[:1024]), 5),
        "data": hashlib.sha256(xs.tobytes()).hexdigest(),
        "seconds": round(time.process_time() - start, 1),
    }


def jobs(seeds):
    """All networks of the first seed, then of the next; the character model needs no seed."""
    found = []
    for seed in seeds:
        drawn = [{"bias": bias, "scale": 1} for bias in SETTINGS["biases"]]
        drawn += [{"bias": SETTINGS["bias with scales"], "scale": s} for s in SETTINGS["scales"]]
        drawn = [one for k, one in enumerate(drawn) if one not in drawn[:k]]
        found += [{"network": "drawn", "seed": seed, **one} for one in drawn]
        found += [{"network": "characters"}] if seed == min(seeds) else []
    return found


if __name__ == "__main__":
    run("newton", __doc__, SETTINGS, jobs, outcome)
