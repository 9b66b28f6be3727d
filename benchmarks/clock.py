"""What every benchmark shares: the sizes, the clock, and the file of results."""

import json
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

POINTS = [  # T, B, D, H
    (50, 1, 32, 32),
    (100, 1, 64, 64),
    (100, 32, 64, 128),
    (100, 32, 128, 256),
    (50, 64, 256, 512),
    (400, 16, 32, 64),
]
RESULTS = Path(__file__).parents[1] / "companion" / "data" / "benchmarks"
LIBRARIES = ["numpy", "scipy", "numba", "torch", "keras", "jax"]


def machine(libraries=LIBRARIES):
    """What the figures depend on: processor, and versions where installed, a dict."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        name = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), name)
    found = {"processor": name, "python": platform.python_version()}
    for library in libraries:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def time_of(step, repeats=1):
    """CPU seconds of one step, the mean over some in a row."""
    start = time.process_time()
    for _ in range(repeats):
        step()
    return (time.process_time() - start) / repeats


def save(name, result):
    """Write a result, with what it depends on, to companion/data/benchmarks."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"machine": machine()} | result, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
