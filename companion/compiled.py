"""The same cell with its step and derivative fused into compiled loops over time (by numba).

The maths is not written again: `step` and `derivative` of the cell, the functions that plain
NumPy runs on arrays, are compiled on single numbers. What is generated here is only the loop
around them, from the cell's counts of gates, states and kept values.
"""

import dis
import hashlib
import importlib.util
import os
import sys
import tempfile
from dataclasses import replace
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from types import CellType, FunctionType

import numpy as np

# Units worked on at a time: all that a step reads and writes then fits into the fastest cache.
W = 64
# Rounding may be rearranged, but nan and inf keep their meaning.
FAST = {"contract", "reassoc", "arcp", "nsz"}


def compiled(cell):
    """The cell with compiled loops, accepted wherever a cell is; float32 and float64.

    cell: an entry of `CELLS`, or a `Cell` of your own, whose step and derivative also work on
    single numbers. It compiles when it first meets a precision (several seconds, and it says so)
    and keeps the result in the folder of `cache_folder` for later processes.
    Complex input, as in the gradient check, runs as plain NumPy.
    Raises ImportError, saying what to install, if numba or SciPy is missing.
    """
    try:
        import numba  # noqa: F401
        import scipy.linalg.cython_blas  # noqa: F401  numba's np.dot needs it
    except ImportError as error:
        raise ImportError("compiled cells need numba and SciPy: pip install numba scipy") from error
    return replace(cell, loops=cache(partial(_build, cell)))


def cache_folder():
    """Where compiled code is kept: `companion` in $XDG_CACHE_HOME, or in ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "companion"


def _build(cell, dtype):
    dtype = np.dtype(dtype)
    if dtype not in (np.float32, np.float64):
        return None
    source = _source(cell)
    path = _store(f"{cell.name}_{dtype}", source, _fingerprint(cell))
    spec = importlib.util.spec_from_file_location(f"companion_{path.stem}", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
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
    tape = [types.UniTuple(array(3), len(names)) for names in (cell.states, cell.kept)]
    forward = (array(3), array(1), array(2), *tape, p)
    backward = (array(3), array(3), array(2), *tape, array(3), array(3), p, array(2))
    return forward, backward


def _scalar(function, number):
    """`function` compiled for single numbers, with all functions that it calls.

    Whole numbers in its source become numbers of its precision: numba would otherwise compute
    `1 - x` in float64 for a float32 x.
    """
    from numba import njit

    from companion import activations
    from companion.scalar import SCALAR

    if function in (activations.sigmoid, activations.tanh):
        return SCALAR[number][function.__name__]

    def inner(value):
        return _scalar(value, number) if isinstance(value, FunctionType) else value

    names = function.__code__.co_names
    scope = {name: inner(v) for name, v in function.__globals__.items() if name in names}
    scope |= {name: number(v) for name, v in scope.items() if isinstance(v, int | float)}
    scope["__name__"] = __name__  # numba's cache looks a function's module up by it
    closure = tuple(CellType(inner(c.cell_contents)) for c in function.__closure__ or ())
    positions = _positions(function.__code__)
    constants = tuple(
        number(v) if isinstance(v, int | float) and k not in positions else v
        for k, v in enumerate(function.__code__.co_consts)
    )
    code = function.__code__.replace(co_consts=constants)
    fresh = FunctionType(code, scope, function.__name__, None, closure)
    # A call that stays a call would keep the loop around it from becoming vector instructions.
    return njit(error_model="numpy", fastmath=FAST, forceinline=True)(fresh)


def _positions(code):
    """Numbers of the constants that count positions of a tuple, and truth values."""
    instructions = list(dis.get_instructions(code))
    found = {
        here.arg
        for here, after in pairwise(instructions)
        if here.opname == "LOAD_CONST" and after.opname == "BINARY_SUBSCR"
    }
    return found | {k for k, v in enumerate(code.co_consts) if isinstance(v, bool)}


def _fingerprint(cell):
    """A digest of everything that the compiled code depends on."""
    import numba

    seen, visited = [], set()

    def visit(function):
        if function in visited:
            return
        visited.add(function)
        code = function.__code__
        seen.append((code.co_code, code.co_consts, code.co_names, code.co_freevars))
        inner = [function.__globals__.get(name) for name in code.co_names]
        inner += [c.cell_contents for c in function.__closure__ or ()]
        for value in inner:
            if isinstance(value, FunctionType):
                visit(value)
            elif isinstance(value, int | float | str):
                seen.append(value)

    visit(cell.step)
    visit(cell.derivative)
    scalar = Path(__file__).with_name("scalar.py").read_bytes()
    return repr((seen, numba.__version__, np.__version__, sys.version_info[:3], scalar))


def _store(name, source, fingerprint):
    """Write the generated source where numba can cache beside it; return its path."""
    digest = hashlib.sha256((source + fingerprint).encode()).hexdigest()[:16]
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


def _source(cell):
    """Python text of the two loops for a cell with these gates, states, kept values, peepholes.

    A row is worked in blocks of at most W units, which are copied into one array, worked on, and
    copied out of another. The compiler turns a loop into vector instructions only where it can
    see that no index is negative and that what is written does not overlap what is read.
    """
    S, K, P = map(len, (cell.states, cell.kept, cell.peepholes))
    G, split = len(cell.gates), len(cell.split)
    joint = G - split
    A = G + split
    carried = [cell.states.index(name) for name in cell.carries]
    C = len(carried)

    def gate(array, k):
        return f"{array}[{k} * H + m : {k} * H + m + n]"

    def unit(array):
        return f"{array}[m : m + n]"

    def blocks(name, count):
        return [f"    {name}{k} = {name}[{k} * W : {k + 1} * W]" for k in range(count)]

    def copy_in(k, *sources):
        names = ("r", "q")[: len(sources)]
        lines = [f"{name} = {source}" for name, source in zip(names, sources, strict=True)]
        return [
            *lines,
            "for j in range(n):",
            f"    x{k}[j] = {' + '.join(f'{v}[j]' for v in names)}",
        ]

    def copy_out(target, k, operator="="):
        return [f"r = {target}", "for j in range(n):", f"    r[j] {operator} y{k}[j]"]

    def group(first, count):
        return "(" + "".join(f"x{first + k}[j], " for k in range(count)) + ")"

    def indented(lines):
        return [" " * 16 + line for line in lines]

    carry = [unit(f"states[{k}][t, b]") for k in carried]
    new = [unit(f"states[{k}][t + 1, b]") for k in range(S)]
    kept = [unit(f"kept[{k}][t, b]") for k in range(K)]
    p = [unit(f"p[{k}]") for k in range(P)]
    over_units = [
        "        for b in range(B):",
        "            for m in range(0, H, W):",
        "                n = min(W, H - m)",
    ]

    sources = [(gate("a_x[t, b]", k), gate("a_h[b]", k)) for k in range(joint)]
    sources += [(gate("a_x[t, b]", joint + k),) for k in range(split)]
    sources += [(gate("a_h[b]", joint + k), gate("b_h", k)) for k in range(split)]
    sources += [(row,) for row in carry + p]
    body = [line for k, pair in enumerate(sources) for line in copy_in(k, *pair)]
    body += ["for j in range(n):"]
    body += [f"    new = step({group(0, A)}, {group(A, C)}, {group(A + C, P)})"]
    body += [f"    y{k}[j] = new[0][{k}]" for k in range(S)]
    body += [f"    y{S + k}[j] = new[1][{k}]" for k in range(K)]
    body += [line for k, target in enumerate(new + kept) for line in copy_out(target, k)]
    lines = [
        '"""Generated by companion.compiled; `step` and `derivative` are the cell\'s own."""',
        "import numpy as np",
        "from numba import njit",
        "",
        f"W = {W}",
        "",
        "",
        "@njit(cache=True, error_model='numpy', fastmath=FAST)",
        "def forward(a_x, b_h, weight, states, kept, p):",
        "    T, B, rows = a_x.shape",
        "    H = states[0].shape[2]",
        "    weight_t = weight.T.copy()",
        "    a_h = np.empty((B, rows), a_x.dtype)",
        f"    x = np.empty({len(sources)} * W, a_x.dtype)",
        f"    y = np.empty({S + K} * W, a_x.dtype)",
        *blocks("x", len(sources)),
        *blocks("y", S + K),
        "    for t in range(T):",
        "        if B == 1:",
        "            np.dot(weight, states[0][t, 0], a_h[0])",
        "        else:",
        "            np.dot(states[0][t], weight_t, a_h)",
        *over_units,
        *indented(body),
    ]

    sources = [(unit("dstate[0, b]"), unit("dys[t, b]"))]
    sources += [(unit(f"dstate[{k}, b]"),) for k in range(1, S)]
    sources += [(row,) for row in new + kept + carry + p]
    counts = (S, S, K, C, P)
    groups = [group(sum(counts[:n]), count) for n, count in enumerate(counts)]
    results = [f"new[0][{k}]" for k in range(A)]
    targets = [(gate("da_x[t, b]", k), k, "=") for k in range(G)]
    targets += [(gate("da_h[t, b]", joint + k), G + k, "=") for k in range(split)]
    targets += [(gate("da_h[t, b]", k), k, "=") for k in range(joint if split else 0)]
    targets += [(unit(f"dstate[{s}, b]"), A + k, "=") for k, s in enumerate(carried)]
    targets += [(unit(f"dp[{k}]"), A + C + k, "+=") for k in range(P)]
    results += [f"new[1][{k}]" for k in range(C)] + [f"new[2][{k}]" for k in range(P)]
    body = [line for k, pair in enumerate(sources) for line in copy_in(k, *pair)]
    body += ["for j in range(n):", f"    new = derivative({', '.join(groups)})"]
    body += [f"    y{k}[j] = {result}" for k, result in enumerate(results)]
    body += [line for target in targets for line in copy_out(*target)]
    lines += [
        "",
        "",
        "@njit(cache=True, error_model='numpy', fastmath=FAST)",
        "def backward(da_x, da_h, weight, states, kept, dys, dstate, p, dp):",
        "    T, B, H = dys.shape",
        "    dh = np.empty((B, H), dys.dtype)",
        f"    x = np.empty({len(sources)} * W, dys.dtype)",
        f"    y = np.empty({len(results)} * W, dys.dtype)",
        *blocks("x", len(sources)),
        *blocks("y", len(results)),
        "    for t in range(T - 1, -1, -1):",
        *over_units,
        *indented(body),
        "        if B == 1:",
        "            np.dot(weight.T, da_h[t, 0], dh[0])",
        "        else:",
        "            np.dot(da_h[t], weight, dh)",
        f"        dstate[0] {'+=' if 0 in carried else '='} dh",
        *[f"        dstate[{k}] = 0" for k in range(1, S) if k not in carried],
        "",
    ]
    return "\n".join(lines)
