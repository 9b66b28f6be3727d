"""What every benchmark shares: the sizes, the clock, and the file of results."""

import json
import time
from pathlib import Path

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


def time_of(step, repeats=1):
    """CPU seconds of one step, the mean over some in a row."""
    start = time.process_time()
    for _ in range(repeats):
        step()
    return (time.process_time() - start) / repeats


def save(name, result):
    """Write a result, with what it depends on, to companion/data/benchmarks."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"machine": machine(LIBRARIES)} | result, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
