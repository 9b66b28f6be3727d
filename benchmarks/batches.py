"""How time grows with batch and units, into companion/data/benchmarks/batches.json.

    python -m benchmarks.batches

A training step of torch.nn.LSTM, and of the compiled LSTM, in float32 on one thread, at T = 100
and D = 32: CPU milliseconds, the least of some rounds in which all sizes take turns.
"""

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.clock import save, time_of
from companion import CELLS, backward, compiled, forward, init

T, D = 100, 32
BATCHES = [1, 2, 4, 8, 16, 32, 64, 128]
UNITS = [32, 128, 512]
ROUNDS = 5
CELL = compiled(CELLS["lstm"])


def by_torch(B, H):
    """A training step of torch.nn.LSTM, without the update."""
    layer, xs, dys = torch.nn.LSTM(D, H), torch.randn(T, B, D), torch.randn(T, B, H)

    def step():
        layer.zero_grad()
        layer(xs)[0].backward(dys)

    return step


def by_cell(B, H):
    """A training step of the compiled cell, without the update."""
    rng = np.random.default_rng(0)
    params = init(CELL, D, H, rng, np.float32)
    xs, dys = (rng.standard_normal((T, B, n), np.float32) for n in (D, H))

    def step():
        _, _, tape = forward(CELL, params, xs)
        backward(CELL, params, tape, dys)

    return step


def main():
    """Measure both at all sizes."""
    torch.set_num_threads(1)
    makers = {"torch_nn": by_torch, "compiled_cell": by_cell}
    steps = {
        (name, H, B): make(B, H) for name, make in makers.items() for H in UNITS for B in BATCHES
    }
    least = {key: time_of(step) for key, step in steps.items()}
    for _ in tqdm(range(ROUNDS), "sizes"):
        for key, step in steps.items():
            least[key] = min(least[key], time_of(step, 3 if least[key] < 0.01 else 1))
    growth = {
        name: [[round(1e3 * least[name, H, B], 4) for B in BATCHES] for H in UNITS]
        for name in makers
    }
    save("batches", {"T": T, "D": D, "B": BATCHES, "H": UNITS, "ms": growth})


if __name__ == "__main__":
    main()
