"""Time a training step of each cell against torch.nn, and write benchmarks/results/<cell>.json.

    python -m benchmarks [--cells lstm gru] [--points 0 1 2 3 4 5] [--seconds 2]

One thread, float32. The rivals take turns, so that a change of the machine's speed meets all;
the time is CPU time; a ratio is taken turn by turn, and its quartiles are its spread.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"

import numba  # noqa: E402
import numpy as np  # noqa: E402
import scipy  # noqa: E402
import torch  # noqa: E402
from tqdm import tqdm  # noqa: E402

from benchmarks.rivals import RIVALS, Problem  # noqa: E402
from companion import CELLS  # noqa: E402

POINTS = [  # T, B, D, H
    (50, 1, 32, 32),
    (100, 1, 64, 64),
    (100, 32, 64, 128),
    (100, 32, 128, 256),
    (50, 64, 256, 512),
    (400, 16, 32, 64),
]
MAIN = ["lstm", "peephole", "coupled", "gru", "rnn"]
RESULTS = Path(__file__).parent / "results"


def machine():
    """What the figures depend on: processor and versions."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        name = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), name)
    libraries = {m.__name__: m.__version__ for m in (np, scipy, numba, torch)}
    return {"processor": name, "python": platform.python_version(), **libraries}


def measure(name, sizes, seconds):
    """Milliseconds and ratio to torch.nn of every rival: median and quartiles."""
    problem = Problem(name, sizes)
    steps = {rival.__name__: rival(problem) for rival in RIVALS}
    steps = {rival: step for rival, step in steps.items() if step is not None}
    for step in steps.values():
        step()
    times = {rival: [] for rival in steps}
    end = time.perf_counter() + seconds * len(steps)
    while time.perf_counter() < end or len(times["torch_nn"]) < 5:
        for rival, step in steps.items():
            start = time.process_time()
            step()
            times[rival].append(1e3 * (time.process_time() - start))
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
    RESULTS.mkdir(exist_ok=True)
    for name in options.cells:
        rows = []
        for point in tqdm(options.points, desc=name):
            rows.append(
                {"sizes": POINTS[point], "rivals": measure(name, POINTS[point], options.seconds)}
            )
        if len(rows) == len(POINTS):
            path = RESULTS / f"{name}.json"
            path.write_text(json.dumps({"machine": machine(), "points": rows}, indent=1) + "\n")
        print(f"\n{name}: median ratio to torch.nn (below 1 is faster), with quartiles")
        print(f"{'T, B, D, H':22}" + "".join(f"{rival:>22}" for rival in rows[0]["rivals"]))
        for row in rows:
            cells = (
                f"{r[1]:.2f} ({r[0]:.2f}-{r[2]:.2f})"
                for r in (v["ratio"] for v in row["rivals"].values())
            )
            print(f"{', '.join(map(str, row['sizes'])):22}" + "".join(f"{c:>22}" for c in cells))


if __name__ == "__main__":
    main()
