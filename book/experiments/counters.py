"""Small LSTMs that learn to count aⁿbⁿ: their weights, and how far each of them counts.

They learn from n = 1 … 10. A network counts as far as n if it gets every string right up to
there. The weights are stored, since the page on challenges looks into them.
"""

import hashlib
import time

import numpy as np

from book.experiments.lab.runner import run
from companion import compiled, forward, gate, init
from companion.activations import sigmoid
from companion.engine import backward
from companion.optim import adam, clip_by_norm
from companion.readout import init_linear, linear, linear_backward
from companion.tasks import anbn, anbn_solved

SETTINGS = {
    "seeds": 10,
    "H": 6,
    "forget bias": "1 more than companion.init",
    "B": 16,
    "n": [1, 10],
    "updates": 3000,
    "optimizer": "Adam, lr 0.01, gradients clipped at a norm of 1",
    "loss": "cross-entropy of three sigmoids, mean over the steps",
    "choice": "H of 2, 4, 6, 8 and lr of 0.01, 0.03 for H = 4, on seeds 100 to 102",
    "farthest": 200,
}


def outcome(job):
    """Train one network; its weights, rounded, are what is tested."""
    start = time.process_time()
    cell, rng = compiled("lstm"), np.random.default_rng(job["seed"])
    H = SETTINGS["H"]
    params = init(cell, 3, H, rng) | init_linear(H, 3, rng)
    gate(cell, params["bias_ih"], "f")[:] += 1
    memory, losses = None, []
    for _ in range(SETTINGS["updates"]):
        batch = anbn(rng, SETTINGS["B"], SETTINGS["n"][1], SETTINGS["n"][0])
        loss, grads = gradients(cell, params, batch)
        grads, _ = clip_by_norm(grads, 1)
        params, memory = adam(params, grads, memory, 0.01)
        losses.append(loss)
    params = {name: value.round(4) for name, value in params.items()}
    return {
        "counts to": counts_to(cell, params),
        "loss": round(float(np.mean(losses[-100:])), 5),
        "weights": {name: value.tolist() for name, value in params.items()},
        "data": hashlib.sha256(batch.xs.tobytes()).hexdigest(),
        "seconds": round(time.process_time() - start, 1),
    }


def gradients(cell, params, batch):
    """Loss of a batch, in nats a step, and the gradients of all parameters."""
    ys, _, tape = forward(cell, params, batch.xs.astype(float))
    p = sigmoid(linear(params, ys))
    at, N = batch.mask[..., None], batch.mask.sum()
    right = np.where(batch.targets > 0.5, p, 1 - p)
    loss = -(np.log(np.maximum(right, 1e-300)) * at).sum() / N
    own, dys = linear_backward(params, ys, (p - batch.targets) * at / N)
    grads, _, _ = backward(cell, params, tape, dys)
    return float(loss), grads | own


def counts_to(cell, params):
    """Largest n up to which every string is right."""
    for n in range(1, SETTINGS["farthest"] + 1):
        batch = anbn(np.random.default_rng(0), 1, n, n)
        ys, _, _ = forward(cell, params, batch.xs.astype(float))
        if not anbn_solved(sigmoid(linear(params, ys)), batch).all():
            return n - 1
    return SETTINGS["farthest"]


def jobs(seeds):
    """One network a seed."""
    return [{"seed": seed} for seed in seeds]


if __name__ == "__main__":
    run("counters", __doc__, SETTINGS, jobs, outcome)
