"""How time grows with batch and units, into companion/data/benchmarks/batches.json.

    python -m benchmarks.batches

A training step of torch.nn.LSTM in float32 on one thread, at T = 100 and D = 32: CPU
milliseconds, the least of some rounds in which all sizes take turns.
"""

import torch
from tqdm import tqdm

from benchmarks.clock import save, time_of

T, D = 100, 32
BATCHES = [1, 2, 4, 8, 16, 32, 64, 128]
UNITS = [32, 128, 512]
ROUNDS = 6


def training_step(B, H):
    """A training step of torch.nn.LSTM, without the update."""
    layer, xs, dys = torch.nn.LSTM(D, H), torch.randn(T, B, D), torch.randn(T, B, H)

    def step():
        layer.zero_grad()
        layer(xs)[0].backward(dys)

    return step


def main():
    """Measure all sizes."""
    torch.set_num_threads(1)
    steps = {(H, B): training_step(B, H) for H in UNITS for B in BATCHES}
    least = {key: time_of(step) for key, step in steps.items()}
    for _ in tqdm(range(ROUNDS), "sizes"):
        for key, step in steps.items():
            least[key] = min(least[key], time_of(step, 3 if least[key] < 0.01 else 1))
    ms = [[round(1e3 * least[H, B], 4) for B in BATCHES] for H in UNITS]
    save("batches", {"T": T, "D": D, "B": BATCHES, "H": UNITS, "ms": ms})


if __name__ == "__main__":
    main()
