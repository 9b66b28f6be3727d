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

import torch
from tqdm import tqdm

from benchmarks.clock import POINTS, compare, save
from benchmarks.rivals import MISSING, OPTIONAL, Problem, training_steps
from companion import CELLS

MAIN = ["lstm", "peephole", "coupled", "gru", "rnn"]


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
                {
                    "sizes": POINTS[point],
                    "rivals": compare(
                        training_steps(Problem(name, POINTS[point])), options.seconds
                    ),
                }
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
