"""What every benchmark shares: the sizes, the clock, and the file of results."""

import json
import time
from pathlib import Path

import llvmlite.binding
import numpy as np

from book.experiments.lab.machine import machine

POINTS = [  # T, B, D, H
    (50, 1, 32, 32),
    (100, 1, 64, 64),
    (100, 32, 64, 128),
    (100, 32, 128, 256),
    (50, 64, 256, 512),
    (400, 16, 32, 64),
]
LIBRARIES = ["numpy", "scipy", "numba", "torch", "keras", "jax"]
RESULTS = Path(__file__).parents[1] / "companion" / "data" / "benchmarks"
TURN = 0.005  # seconds


def time_of(step, repeats=1):
    """CPU seconds of one step, the mean over some in a row."""
    start = time.process_time()
    for _ in range(repeats):
        step()
    return (time.process_time() - start) / repeats


def compare(steps, seconds):
    """Milliseconds and ratio to torch.nn of every rival, in turns: median and quartiles.

    steps: a dict from the rival's name to a function; "torch_nn" is one. seconds: for each rival.
    """
    repeats = {rival: max(1, round(TURN / time_of(step, 3))) for rival, step in steps.items()}
    times = {rival: [] for rival in steps}
    end = time.perf_counter() + seconds * len(steps)
    while time.perf_counter() < end or len(times["torch_nn"]) < 5:
        for rival, step in steps.items():
            times[rival].append(1e3 * time_of(step, repeats[rival]))
    return summary(times, "torch_nn")


def summary(times, base):
    """Of the milliseconds of every rival in turn: median, and quartiles of the ratio to `base`."""
    found = {}
    for rival, values in times.items():
        ratios = np.array(values) / np.array(times[base])
        found[rival] = {
            "ms": round(float(np.median(values)), 4),
            "ratio": [round(float(q), 3) for q in np.quantile(ratios, (0.25, 0.5, 0.75))],
            "turns": len(values),
        }
    return found


def save(name, result, libraries=LIBRARIES):
    """Write a result, with what it depends on, to companion/data/benchmarks."""
    RESULTS.mkdir(exist_ok=True)
    found = machine(libraries)
    # Processors of one name differ in their generation, and by that in speed.
    found["processor"] += f" ({llvmlite.binding.get_host_cpu_name()})"
    text = json.dumps({"machine": found} | result, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
