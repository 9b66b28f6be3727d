"""Time a training step of each cell against torch.nn, into companion/data/benchmarks.

    python -m benchmarks [--cells lstm gru] [--points 0 1 2 3 4 5] [--seconds 2]

One thread, float32. The rivals take turns, so that a change of the machine's speed meets all;
the time is CPU time; a ratio is taken turn by turn, and its quartiles are its spread.
A turn is as many steps in a row as take about 5 ms, at least one, divided by their number:
training repeats the same step, so a short one finds its data in the caches, and not what the
rival before left there.
Before its first turn, every rival is asserted to compute the same derivatives.
"""

import argparse
import time

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.clock import POINTS, save, time_of
from benchmarks.rivals import MISSING, OPTIONAL, Problem, training_steps
from companion import CELLS

MAIN = ["lstm", "peephole", "coupled", "gru", "rnn"]
TURN = 0.005  # seconds


def measure(name, sizes, seconds):
    """Milliseconds and ratio to torch.nn of every rival: median and quartiles."""
    steps = training_steps(Problem(name, sizes))
    repeats = {rival: max(1, round(TURN / time_of(step))) for rival, step in steps.items()}
    times = {rival: [] for rival in steps}
    end = time.perf_counter() + seconds * len(steps)
    while time.perf_counter() < end or len(times["torch_nn"]) < 5:
        for rival, step in steps.items():
            times[rival].append(1e3 * time_of(step, repeats[rival]))
    base = np.array(times["torch_nn"])
    return {
        rival: {
            "ms": round(float(np.median(values)), 4),
            "ratio": [round(float(q), 3) for q in np.quantile(values / base, (0.25, 0.5, 0.75))],
            "turns": len(values),
        }
        for rival, values in ((rival, np.array(values)) for rival, values in times.items())
    }


def main():
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--cells", nargs="+", default=MAIN, choices=CELLS)
    parser.add_argument("--points", nargs="+", type=int, default=range(len(POINTS)))
    parser.add_argument("--seconds", type=float, default=2, help="for each rival at each point")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for package in MISSING:
        print(f"{OPTIONAL[package].__name__} is left out: {package} is not installed")
    for name in options.cells:
        rows = []
        for point in tqdm(options.points, desc=name):
            rows.append(
                {"sizes": POINTS[point], "rivals": measure(name, POINTS[point], options.seconds)}
            )
        if len(rows) == len(POINTS):
            save(name, {"points": rows})
        print(f"\n{name}: median ratio to torch.nn (below 1 is faster), with quartiles")
        print(
            f"{'T, B, D, H':16}" + "".join(f"{', '.join(map(str, r['sizes'])):>20}" for r in rows)
        )
        for rival in rows[0]["rivals"]:
            ratios = (row["rivals"][rival]["ratio"] for row in rows)
            cells = (f"{median:.2f} ({low:.2f}-{high:.2f})" for low, median, high in ratios)
            print(f"{rival:16}" + "".join(f"{cell:>20}" for cell in cells))


if __name__ == "__main__":
    main()
