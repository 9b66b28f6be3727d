"""The same cell with its step and derivative fused into compiled loops over time (by numba).

The maths is not written again: `step` and `derivative` of the cell, the functions that plain
NumPy runs on arrays, are compiled on single numbers. What is generated here is only the loop
around them, from the cell's counts of gates, states and kept values.
"""

import hashlib
import importlib.util
import os
import sys
import tempfile
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from types import CellType, FunctionType
from typing import Any

import numpy as np

from companion.cells import Cell, find_cell
from companion.cells.cell import check_returns
from companion.engine.fingerprint import FAST, SCALAR, fingerprint
from companion.engine.loop_source import loop_source


def compiled(cell: Cell | str) -> Cell:
    """The cell with compiled loops, accepted wherever a cell is; float32 and float64.

    cell: an entry of `CELLS` or its name, or a `Cell` of your own, whose step and derivative also
    work on single numbers. It compiles when it first meets a precision (several seconds, and it
    says so) and keeps the result in the folder of `cache_folder` for later processes.
    What step and derivative read from outside, numbers and arrays included, is part of what is
    compiled: change it, and call `compiled` again.
    Complex input, as in the gradient check, runs as plain NumPy.
    Raises ImportError, saying what to install, if numba or SciPy is missing, and ValueError if
    step or derivative reads something whose changes could not be seen.
    """
    try:
        import numba  # noqa: F401
        import scipy.linalg.cython_blas  # noqa: F401  numba's np.dot needs it
    except ImportError as error:
        raise ImportError("compiled cells need numba and SciPy: pip install numba scipy") from error
    cell = find_cell(cell)
    check_returns(cell, derivative=True)
    return _compiled(cell, fingerprint(cell))


@cache
def _compiled(cell, digest):
    return replace(cell, loops=cache(partial(_build, cell, digest)))


def cache_folder() -> Path:
    """Where compiled code is kept: `companion` in $XDG_CACHE_HOME, or in ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "companion"


def _build(cell, digest, dtype):
    dtype = np.dtype(dtype)
    if dtype not in (np.float32, np.float64):
        return None
    if fingerprint(cell) != digest:
        raise ValueError(
            f"what step or derivative of {cell.name} reads has changed since compiled(cell): "
            "call it again"
        )
    source = loop_source(cell)
    path = _store(f"{cell.name}_{dtype}", source, digest)
    spec = importlib.util.spec_from_file_location(f"companion_{path.stem}", path)
    assert spec is not None and spec.loader is not None  # as for any file that ends in .py
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    module.step = _scalar(cell.step, dtype.type)
    module.derivative = _scalar(cell.derivative, dtype.type)
    module.FAST = FAST
    spec.loader.exec_module(module)
    if not any((path.parent / "__pycache__").glob(f"{path.stem}.backward*.nbi")):
        print(f"companion: compiling {cell.name} for {dtype}, once", file=sys.stderr, flush=True)
    signature = _signatures(cell, dtype)
    module.forward.compile(signature[0])
    module.backward.compile(signature[1])
    return module.forward, module.backward


def _signatures(cell, dtype):
    from numba import from_dtype, types

    number = from_dtype(dtype)

    def array(dimensions):
        return types.Array(number, dimensions, "C")

    p = types.UniTuple(array(1), len(cell.peepholes))
    tape = array(4), array(4), types.int64
    forward = (array(3), array(1), array(1), array(2), *tape, p)
    backward = (array(3), array(3), array(2), *tape, array(3), array(3), p, array(2))
    return forward, backward


def _scalar(function, number):
    """`function` compiled for single numbers, with all functions that it calls."""
    from numba import njit

    from companion.engine import scalar

    if function in SCALAR:
        return scalar.SCALAR[number][function.__name__]

    def inner(value):
        return _scalar(value, number) if isinstance(value, FunctionType) else value

    names = function.__code__.co_names
    scope = {name: inner(v) for name, v in function.__globals__.items() if name in names}
    scope["__name__"] = __name__  # numba's cache looks a function's module up by it
    closure = tuple(CellType(inner(c.cell_contents)) for c in function.__closure__ or ())
    fresh = FunctionType(
        function.__code__, scope, function.__name__, function.__defaults__, closure
    )
    # A call that stays a call would keep the loop around it from becoming vector instructions.
    return njit(error_model="numpy", fastmath=FAST, forceinline=True)(fresh)


def _store(name, source, digest):
    """Write the generated source where numba can cache beside it; return its path."""
    digest = hashlib.sha256((source + digest).encode()).hexdigest()[:16]
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        # Nowhere to keep it: compile for this process alone.
        folder = Path(tempfile.mkdtemp(prefix="companion-"))
    path = folder / f"{name}_{digest}.py"
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".tmp", delete=False) as file:
            file.write(source)
        os.replace(file.name, path)  # whole, or not at all
    return path
