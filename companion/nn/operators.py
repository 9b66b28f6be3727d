"""Two torch operators, `companion::unroll` and `companion::unroll_backward`, that run the engines.

On a CPU, in float32 and float64, they run the NumPy engine on the tensors' own memory, with
compiled loops where numba is installed; else torch operations. `torch.compile` sees each as one
node of its graph; in ordinary calls their functions are called as they are: that takes less time.
"""

from functools import cache

import torch

from companion.cells import Cell
from companion.engine.compiled import compiled
from companion.engine.unroll import Tape, backward_unchecked, forward_unchecked
from companion.nn import torch_loops
from companion.params import shapes

# An operator takes strings, numbers and tensors: it knows a cell by its key.
KNOWN: dict[str, Cell] = {}
# Names of the parameters of each, in the order in which operators take and return them.
NAMES: dict[str, tuple[str, ...]] = {}


def register(cell):
    """Make a cell known to the operators; returns its key."""
    for key, known in KNOWN.items():
        if known == cell:
            return key
    key = f"{cell.name}:{len(KNOWN)}" if cell.name in KNOWN else cell.name
    KNOWN[key], NAMES[key] = cell, tuple(shapes(cell, 1, 1))
    return key


def unroll(key, fast, keep_tape, xs, state, weights):
    """Run a cell over a batch of sequences.

    fast: whether to run compiled loops where there are. xs: (T, B, D). state: one (B, H) a state.
    Returns ys, the last state and, if kept, the tape: states and kept values of every step.
    """
    cell = _numpy_cell(key, fast, xs)
    if cell is None:
        params = dict(zip(NAMES[key], weights, strict=True))
        ys, last, *tape = torch_loops.forward(KNOWN[key], params, xs, state)
        return [ys, *last, *(tape if keep_tape else ())]
    params = dict(zip(NAMES[key], map(_array, weights), strict=True))
    first = tuple(map(_array, state))
    ys, last, *tape = forward_unchecked(cell, params, _array(xs), first, keep_tape)
    return list(map(torch.from_numpy, (ys, *last, *(tape if keep_tape else ()))))


def unroll_backward(key, fast, dys, dlast, xs, state, weights, tape):
    """Carry the derivative of a loss back; returns it for xs, the first state and the weights."""
    cell = _numpy_cell(key, fast, xs)
    if cell is None:
        params = dict(zip(NAMES[key], weights, strict=True))
        dxs, dstate, grads = torch_loops.backward(KNOWN[key], params, xs, tape, dys, dlast)
        return [dxs, *dstate, *grads.values()]
    params = dict(zip(NAMES[key], map(_array, weights), strict=True))
    tape, last = Tape(*map(_array, (xs, *tape))), tuple(map(_array, dlast))
    grads, dxs, dstate = backward_unchecked(cell, params, tape, _array(dys), last)
    return list(map(torch.from_numpy, (dxs, *dstate, *grads.values())))


def _array(tensor):
    return tensor.numpy(force=True)  # its own memory: it is on the CPU


def _numpy_cell(key, fast, xs):
    """The cell for the NumPy engine; None where that does not run."""
    if xs.device.type != "cpu" or xs.dtype not in (torch.float32, torch.float64):
        return None
    return _compiled(key) if fast else KNOWN[key]


@cache
def _compiled(key):
    """The cell with compiled loops, or without numba the cell as it is."""
    try:
        return compiled(KNOWN[key])
    except ImportError:
        return KNOWN[key]


def _unroll_shapes(key, fast, keep_tape, xs, state, weights):
    cell, (T, B, _), H = KNOWN[key], xs.shape, weights[1].shape[1]
    wide = torch.promote_types(xs.dtype, torch.float32)
    tape = [
        xs.new_empty((len(cell.states), T + 1, B, H), dtype=wide),
        xs.new_empty((len(cell.kept), T, B, H), dtype=wide),
    ]
    last = [xs.new_empty((B, H)) for _ in cell.states]
    return [xs.new_empty((T, B, H)), *last, *(tape if keep_tape else ())]


def _unroll_backward_shapes(key, fast, dys, dlast, xs, state, weights, tape):
    return [value.new_empty(value.shape) for value in (xs, *state, *weights)]


for _function, _shapes, _arguments in (
    (
        unroll,
        _unroll_shapes,
        "str key, bool fast, bool keep_tape, Tensor xs, Tensor[] state, Tensor[] weights",
    ),
    (
        unroll_backward,
        _unroll_backward_shapes,
        "str key, bool fast, Tensor dys, Tensor[] dlast, Tensor xs, Tensor[] state, "
        "Tensor[] weights, Tensor[] tape",
    ),
):
    _name = f"companion::{_function.__name__}"
    torch.library.define(_name, f"({_arguments}) -> Tensor[]", tags=torch.Tag.pt2_compliant_tag)
    torch.library.impl(_name, "CompositeExplicitAutograd", _function)
    torch.library.register_fake(_name, _shapes)
