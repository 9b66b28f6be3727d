"""`import companion` is light: NumPy alone, in a moment."""

import subprocess
import sys

CODE = """
import sys, time
import numpy
before, start = set(sys.modules), time.perf_counter()
import companion
print(time.perf_counter() - start)
others = {name.split(".")[0] for name in set(sys.modules) - before}
print(sorted(others - sys.stdlib_module_names - {"numpy", "companion"}))
"""


def test_import_takes_numpy_only_and_under_a_fifth_of_a_second():
    runs = [
        subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    seconds, others = zip(*(run.stdout.splitlines() for run in runs), strict=True)
    assert set(others) == {"[]"}
    assert min(map(float, seconds)) < 0.2
