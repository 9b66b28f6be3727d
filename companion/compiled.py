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

import numpy as np

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
    module = importlib.util.module_from_spec(spec)
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

    def array(dimensions, layout="C"):
        return types.Array(number, dimensions, layout)

    p = types.UniTuple(array(1), len(cell.peepholes))
    tape = (array(4, "A"), array(4, "A"))
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
    closure = tuple(CellType(inner(c.cell_contents)) for c in function.__closure__ or ())
    constants = tuple(
        number(v) if isinstance(v, int | float) and not isinstance(v, bool) else v
        for v in function.__code__.co_consts
    )
    if any(isinstance(c.cell_contents, int) for c in closure):
        constants = function.__code__.co_consts  # it counts positions, and computes nothing
    code = function.__code__.replace(co_consts=constants)
    fresh = FunctionType(code, scope, function.__name__, None, closure)
    return njit(error_model="numpy", fastmath=FAST)(fresh)


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
    """Python text of the two loops for a cell with these gates, states, kept values, peepholes."""
    G, S, K, P = map(len, (cell.gates, cell.states, cell.kept, cell.peepholes))
    first_split = G - len(cell.split)
    carried = [cell.states.index(name) for name in cell.carries]
    split = range(first_split, G)

    def names(prefix, numbers):
        return [f"{prefix}{n}" for n in numbers]

    def at_j(prefix, numbers):
        return "(" + "".join(f"{prefix}{n}[j], " for n in numbers) + ")"

    def tuple_of(items):
        return "(" + "".join(f"{item}, " for item in items) + ")"

    x, h, s, c, k, p = (
        names(prefix, numbers)
        for prefix, numbers in (
            ("x", range(G)), ("h", range(G)), ("s", range(S)),
            ("c", carried), ("k", range(K)), ("p", range(P)),
        )
    )  # fmt: skip
    bias, dx, dh, d, dp = (
        names(prefix, numbers)
        for prefix, numbers in (
            ("b", split), ("dx", range(G)), ("dh", split), ("d", range(S)), ("dp", range(P)),
        )
    )  # fmt: skip

    def rows(array, numbers):
        return [f"{array}[{n} * H : ({n} + 1) * H]" for n in numbers]

    a = [f"x{n}[j] + h{n}[j]" for n in range(first_split)]
    a += [f"x{n}[j]" for n in split] + [f"h{n}[j] + b{n}[j]" for n in split]
    peep = [f"p[{n}]" for n in range(P)]
    state_rows = [f"states[{n}, t + 1, b]" for n in range(S)]
    carry_rows = [f"states[{n}, t, b]" for n in carried]
    kept_rows = [f"kept[{n}, t, b]" for n in range(K)]
    forward_arguments = (
        rows("a_x[t, b]", range(G)) + rows("a_h[b]", range(G)) + carry_rows + state_rows + kept_rows
        + peep + [f"b_h[{n} * H : ({n} + 1) * H]" for n in range(len(cell.split))]
    )  # fmt: skip
    backward_arguments = (
        [f"dstate[{n}, b]" for n in range(S)] + ["dys[t, b]"] + state_rows + kept_rows + carry_rows
        + peep + rows("da_x[t, b]", range(G)) + rows("da_h[t, b]", split)
        + [f"dp[{n}]" for n in range(P)]
    )  # fmt: skip
    out = tuple_of(names("n_", range(S)))
    kept = tuple_of(names("m_", range(K)))
    da = tuple_of(names("e_", range(G + len(cell.split))))
    dcarry = tuple_of(names("r_", carried))
    q = tuple_of(names("q_", range(P)))
    lines = [
        '"""Generated by companion.compiled; `step` and `derivative` are the cell\'s own."""',
        "import numpy as np",
        "from numba import njit",
        "",
        "options = dict(error_model='numpy', fastmath=FAST)",
        "",
        "",
        "@njit(noalias=True, **options)",
        f"def forward_row({', '.join(x + h + c + s + k + p + bias)}):",
        "    for j in range(s0.size):",
        f"        new = step({tuple_of(a)}, {at_j('c', carried)}, {at_j('p', range(P))})",
        f"        {out} = new[0]",
        *([f"        {kept} = new[1]"] if K else []),
        *[f"        s{n}[j] = n_{n}" for n in range(S)],
        *[f"        k{n}[j] = m_{n}" for n in range(K)],
        "",
        "",
        "@njit(cache=True, **options)",
        "def forward(a_x, b_h, weight, states, kept, p):",
        "    T, B, rows = a_x.shape",
        "    H = states.shape[3]",
        "    a_h = np.empty((B, rows), a_x.dtype)",
        "    h = np.empty((B, H), a_x.dtype)",
        "    for t in range(T):",
        "        h[:] = states[0, t]",
        "        if B == 1:",
        "            np.dot(weight, h[0], a_h[0])",
        "        else:",
        "            np.dot(h, weight.T, a_h)",
        "        for b in range(B):",
        f"            forward_row({', '.join(forward_arguments)})",
        "",
        "",
        "@njit(noalias=True, **options)",
        f"def backward_row({', '.join(d + ['dy'] + s + k + c + p + dx + dh + dp)}):",
        "    for j in range(dy.size):",
        f"        dstate = (d0[j] + dy[j], {''.join(f'd{n}[j], ' for n in range(1, S))})",
        f"        new = derivative(dstate, {at_j('s', range(S))}, {at_j('k', range(K))}, "
        f"{at_j('c', carried)}, {at_j('p', range(P))})",
        f"        {da} = new[0]",
        *([f"        {dcarry} = new[1]"] if carried else []),
        *([f"        {q} = new[2]"] if P else []),
        *[f"        dx{n}[j] = e_{n}" for n in range(G)],
        *[f"        dh{n}[j] = e_{G + i}" for i, n in enumerate(split)],
        *[f"        d{n}[j] = {f'r_{n}' if n in carried else '0'}" for n in range(S)],
        *[f"        dp{n}[j] += q_{n}" for n in range(P)],
        "",
        "",
        "@njit(cache=True, **options)",
        "def backward(da_x, da_h, weight, states, kept, dys, dstate, p, dp):",
        "    T, B, H = dys.shape",
        "    dh = np.empty((B, H), dys.dtype)",
        "    for t in range(T - 1, -1, -1):",
        "        for b in range(B):",
        f"            backward_row({', '.join(backward_arguments)})",
        *(
            [f"            da_h[t, b, : {first_split} * H] = da_x[t, b, : {first_split} * H]"]
            if cell.split
            else []
        ),
        "        if B == 1:",
        "            np.dot(weight.T, da_h[t, 0], dh[0])",
        "        else:",
        "            np.dot(da_h[t], weight, dh)",
        "        dstate[0] += dh" if 0 in carried else "        dstate[0] = dh",
        "",
    ]
    return "\n".join(lines)
