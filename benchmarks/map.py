"""A map of sizes: the layers against torch.nn, into companion/data/benchmarks/map.json.

    python -m benchmarks.map [--seconds 0.2]

At every batch and number of units, D = H, the time of a training step and of inference in float32
as a ratio to PyTorch's layer, taken turn by turn: the median. On one thread CPU time counts, of
the layers and of the LSTM's compiled cell on NumPy arrays; at as many threads as there are
processors, which PyTorch takes by itself, and on a coarser grid, wall time, of one layer and of two
layers in both directions. PyTorch has no peephole layer; that is compared with its LSTM.
"""

import argparse
import os
import time

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from benchmarks.clock import save
from benchmarks.layers import COMPANION
from companion import CELLS, backward, compiled, forward, init

T = 20
GRID = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128], [24, 32, 50, 64, 100, 128, 200, 256, 512]
COARSE = [1, 2, 4, 8, 16, 32, 128], [32, 100, 200, 256]
CELL = "compiled cell"  # of the LSTM
TORCH = {"lstm": torch.nn.LSTM, "peephole": torch.nn.LSTM, "gru": torch.nn.GRU, CELL: torch.nn.LSTM}
TURN, TURNS = 0.003, 5  # seconds of a turn, and turns, at least


def step_of(layer, mode, xs):
    """A training step, or inference, of a layer on xs (T, B, D)."""
    with torch.no_grad():
        dys = torch.ones_like(layer(xs)[0])

    def training():
        layer.zero_grad()
        layer(xs)[0].backward(dys)

    def inference():
        with torch.inference_mode():
            layer(xs)

    return {"training": training, "inference": inference}[mode]


def step_of_cell(mode, xs):
    """The same of the compiled cell."""
    xs, cell = xs.detach().numpy(), compiled(CELLS["lstm"])
    params = init(cell, xs.shape[2], xs.shape[2], np.random.default_rng(0), xs.dtype)
    dys = np.ones_like(xs)

    def training():
        _, _, tape = forward(cell, params, xs)
        backward(cell, params, tape, dys)

    def inference():
        forward(cell, params, xs, keep_tape=False)

    return {"training": training, "inference": inference}[mode]


def ratio(steps, clock, seconds):
    """Median ratio of the first step's time to the second's, turn by turn."""

    def time_of(step, repeats):
        start = clock()
        for _ in range(repeats):
            step()
        return clock() - start

    once = [max(time_of(step, 1) for _ in range(2)) for step in steps]
    repeats = max(1, round(TURN / min(once)))
    found = []
    end = time.perf_counter() + seconds
    while len(found) < TURNS or time.perf_counter() < end:
        ours, theirs = (time_of(step, repeats) for step in steps)
        found.append(ours / theirs)
    return round(float(np.median(found)), 3)


def ratios(name, mode, grid, options, clock, seconds):
    """The ratio at every size, a list of a row for every H; options: of the layers."""
    batches, units = grid
    rows = []
    for H in tqdm(units, f"{name}, {mode}"):
        rows.append([])
        for B in batches:
            xs = torch.randn(T, B, H, requires_grad=mode == "training")
            theirs = step_of(TORCH[name](H, H, **options), mode, xs)
            if name == CELL:
                ours = step_of_cell(mode, xs)
            else:
                ours = step_of(COMPANION[name](H, H, **options), mode, xs)
            rows[-1].append(ratio([ours, theirs], clock, seconds))
    return rows


def main():
    """Measure, store and print the maps."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.map", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.2, help="for each size")
    seconds = parser.parse_args().seconds
    threads, both = os.cpu_count(), {"num_layers": 2, "bidirectional": True}
    plans = [(1, GRID, {}, name, mode) for name in TORCH for mode in ("training", "inference")]
    plans += [(1, COARSE, both, "lstm", "training")]
    plans += [
        (threads, COARSE, options, name, mode)
        for options in ({}, both)
        for name in ("lstm", "peephole")
        for mode in ("training", "inference")
    ]
    maps = []
    for count, grid, options, name, mode in plans:
        torch.set_num_threads(count)
        clock = time.process_time if count == 1 else time.perf_counter
        with threadpool_limits(count, "blas"):
            rows = ratios(name, mode, grid, options, clock, seconds)
        named = {"layer": name, "mode": mode, "threads": count, "options": options}
        maps.append(named | {"B": grid[0], "H": grid[1], "ratio": rows})
        save("map", {"T": T, "maps": maps})
        mean = np.exp(np.log(rows).mean())
        print(f"\n{named}: geometric mean {mean:.2f}, largest {np.max(rows):.2f}")
        print("H \\ B", *(f"{B:5}" for B in grid[0]))
        for H, row in zip(grid[1], rows, strict=True):
            print(f"{H:5}", *(f"{value:5.2f}" for value in row))


if __name__ == "__main__":
    main()
