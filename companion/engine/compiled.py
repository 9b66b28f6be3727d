"""The same cell with its step and derivative fused into compiled loops over time (by numba).

The maths is not written again: `step` and `derivative` of the cell, the functions that plain
NumPy runs on arrays, are compiled on single numbers. What is generated here is only the loop
around them, from the cell's counts of gates, states and kept values.
"""

import hashlib
import os
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from types import CellType, FunctionType, ModuleType
from typing import Any

import numpy as np

from companion.cells import Cell, find_cell
from companion.cells.cell import check_returns
from companion.engine.fingerprint import FAST, SCALAR, fingerprint, names_in
from companion.engine.loop_source import loop_source
from companion.engine.needed import needed


def compiled(cell: Cell | str) -> Cell:
    """The cell with compiled loops, accepted wherever a cell is; float32 and float64.

    cell: an entry of `CELLS` or its name, or a `Cell` of your own, whose step and derivative also
    work on single numbers.
    Returns a new `Cell`, of the same name and parameters.

    The cell compiles its step when it first meets a precision, and its derivative at the first way
    back: each takes seconds, and a line on standard error says so. The compiled code is kept in the
    folder of `cache_folder` for later processes. Where nothing can be kept there, each process
    compiles for itself; with NUMBA_DISABLE_JIT=1 the cell runs as plain NumPy.
    What step and derivative read from outside, numbers and arrays included, is part of what is
    compiled: change it, and call `compiled` again.
    Complex input, as in the gradient check, runs as plain NumPy.
    Raises ImportError, saying what to install, if numba is missing, and ValueError if the cell has
    no derivative, or if step or derivative reads something whose changes could not be seen.
    """
    with needed(by="a compiled cell", what="numba", install="numba"):
        import numba  # noqa: F401
    cell = find_cell(cell)
    check_returns(cell, derivative=True)
    return _compiled(cell, fingerprint(cell))


@cache
def _compiled(cell, digest):
    cell = replace(cell, loops=None)
    loops: Any = cache(partial(_build, cell, digest))
    loops.cell = cell  # so that a Cell made from this one by another step refuses them
    return replace(cell, loops=loops)


def cache_folder() -> Path:
    """Where compiled code is kept: the folder `companion` in $XDG_CACHE_HOME, or in ~/.cache.

    Returns its path; the folder need not be there yet. What is deleted there is compiled anew.
    Raises RuntimeError where neither that variable nor a home folder is known.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "companion"


def _build(cell, digest, dtype):
    from numba import config

    dtype = np.dtype(dtype)
    # Numba sets its settings while it loads.
    disabled = config.DISABLE_JIT  # type: ignore[attr-defined]
    if dtype not in (np.float32, np.float64) or disabled:
        return None
    from companion.engine.threads import gradients, over_batch, product

    gates = len(cell.gates)
    # A network in use never goes back, and need not wait for the derivative.
    of = cache(partial(_part, cell, digest, dtype))
    return (
        lambda *arguments: over_batch(of("forward")[0], gates, *arguments),
        lambda *arguments: over_batch(of("backward")[0], gates, *arguments),
        lambda *arguments: product(of("forward")[1], *arguments),
        lambda *arguments: gradients(of("backward")[1], of("forward")[1], *arguments),
    )


def _part(cell, digest, dtype, part):
    """The loop over time of a part, "forward" or "backward", and the product that goes with it."""
    from numba.core.errors import NumbaError

    if fingerprint(cell) != digest:
        raise ValueError(
            f"what step or derivative of {cell.name} reads has changed since compiled(cell): "
            "call it again"
        )
    source = loop_source(cell)[part]
    digest = hashlib.sha256((source + digest).encode()).hexdigest()[:16]
    name = f"{cell.name}_{part}_{dtype}_{digest}"
    try:
        loops = _compile_kept(cell, dtype, part, name, source)
    except NumbaError:  # the cell's own
        raise
    except Exception as error:  # whatever else: a broken cache never stops anyone
        _say(f"compiling {_title(cell, dtype, part)}, without a cache ({error})")
        loops = _compile(cell, dtype, part, _loops(cell, dtype, part, name, source))
    for loop in loops:
        loop.disable_compile()  # else it would be compiled again for each layout of memory
    return loops


def _title(cell, dtype, part):
    return f"{'the derivative of ' if part == 'backward' else ''}{cell.name} for {dtype}"


def _compile_kept(cell, dtype, part, name, source):
    """The compiled loops from the cache, or compiled and kept there."""
    kept = cache_folder() / "__pycache__"  # beside the source, where numba looks
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=kept):  # else numba would go on to folders of its own
        pass
    path = kept.parent / f"{name}.py"
    if not path.exists() or path.read_bytes() != source.encode():
        path.write_bytes(source.encode())
    loops = _loops(cell, dtype, part, path, source)
    for loop in loops:
        loop.enable_caching()
    files = list(Path(loops[0].stats.cache_path).glob(f"{name}.*.nb*"))
    if not files:
        _say(f"compiling {_title(cell, dtype, part)}, once")
    try:
        return _compile(cell, dtype, part, loops)
    except Exception:
        for file in files:  # cut off, it may be: the next process makes it anew
            with suppress(OSError):
                file.unlink()
        raise


def _compile(cell, dtype, part, loops):
    for loop, signature in zip(loops, _signatures(cell, dtype)[part], strict=True):
        try:
            loop.compile(signature)
        except OSError as error:
            if not loop.signatures:
                raise
            _say(f"{_title(cell, dtype, part)} could not be kept ({error})")  # but it is compiled
    return loops


def _say(what):
    print(f"companion: {what}", file=sys.stderr, flush=True)


def _loops(cell, dtype, part, path, source):
    """What the generated source defines, not compiled yet; path: where it is, or its name."""
    module: Any = ModuleType(f"companion_{Path(path).stem}")
    sys.modules[module.__name__] = module  # numba looks there for what it takes from its cache
    module.step = _scalar(cell.step, dtype.type)
    module.derivative = _scalar(cell.derivative, dtype.type)
    module.FAST = FAST
    exec(compile(source, path, "exec"), vars(module))
    if part == "forward":
        return module.forward, module.multiply
    return module.backward, module.gradients


def _signatures(cell, dtype):
    from numba import from_dtype, types

    number = from_dtype(dtype)

    def array(dimensions, layout="C"):
        return types.Array(number, dimensions, layout)

    # What numba makes of a tuple of arrays: another type would be compiled anew in the first call.
    p = types.BaseTuple.from_types([array(1)] * len(cell.peepholes))
    tape = array(4), array(4), types.int64
    threads = [types.int64] * 4
    forward = (array(3), array(1), array(1), array(2, "A"), *tape, p, *threads)
    dp = array(3)
    backward = (array(3), array(3), array(2, "A"), *tape, array(3), array(3), p, dp, *threads)
    matrix = array(2, "A")
    multiply = array(2), matrix, array(2), *threads
    sums = array(2), array(2), array(1), array(1)
    gradients = array(2), array(2), matrix, matrix, *sums, types.boolean, *threads
    return {"forward": (forward, multiply), "backward": (backward, gradients)}


def _scalar(function, number):
    """`function` compiled for single numbers, with all functions that it calls."""
    from numba import njit

    from companion.engine import scalar

    if function in SCALAR:
        return scalar.SCALAR[number][function.__name__]

    def inner(value):
        return _scalar(value, number) if isinstance(value, FunctionType) else value

    names = names_in(function.__code__)
    scope = {name: inner(v) for name, v in function.__globals__.items() if name in names}
    scope["__name__"] = __name__  # numba's cache looks a function's module up by it
    closure = tuple(CellType(inner(c.cell_contents)) for c in function.__closure__ or ())
    fresh = FunctionType(
        function.__code__, scope, function.__name__, function.__defaults__, closure
    )
    # A call that stays a call would keep the loop around it from becoming vector instructions.
    return njit(error_model="numpy", fastmath=FAST, forceinline=True)(fresh)
