"""`import companion` is light: NumPy alone, and of the package the cells and what runs them."""

import subprocess
import sys

CODE = """
import sys
import numpy
before = set(sys.modules)
import companion
print(*sorted(set(sys.modules) - before))
"""
CORE = {"activations", "cells", "engine", "params", "types"}


def test_import_takes_numpy_and_the_core_only():
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    names = [name.split(".") for name in run.stdout.split()]
    assert {name[1] for name in names if name[0] == "companion" and name[1:]} == CORE
    assert {name[0] for name in names} - sys.stdlib_module_names - {"numpy"} == {"companion"}
