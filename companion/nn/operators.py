"""Two torch operators, `companion::unroll` and `companion::unroll_backward`, that run the engines.

On a CPU, in float32 and float64, they run the NumPy engine on the tensors' own memory, with
compiled loops where numba is installed; else torch operations. `torch.compile` sees each as one
node of its graph; in ordinary calls their functions are called as they are: that takes less time.
"""

from functools import cache

import torch

from companion.compiled import compiled
from companion.nn import engine
from companion.params import shapes
from companion.unroll import Tape, backward, forward

# An operator takes strings, numbers and tensors: it knows a cell by its key.
KNOWN = {}
# Names of the parameters of each, in the order in which operators take and return them.
NAMES = {}


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
        ys, last, states, kept = engine.forward(KNOWN[key], params, xs, state)
        return [ys, *last, *(states + kept if keep_tape else ())]
    params = dict(zip(NAMES[key], map(_array, weights), strict=True))
    ys, last, tape = forward(cell, params, _array(xs), tuple(map(_array, state)), keep_tape)
    arrays = ys, *last, *(tape.states + tape.kept if keep_tape else ())
    return [torch.from_numpy(array) for array in arrays]


def unroll_backward(key, fast, dys, dlast, xs, state, weights, tape):
    """Carry the derivative of a loss back; returns it for xs, the first state and the weights."""
    cell, S = _numpy_cell(key, fast, xs), len(state)
    if cell is None:
        params, tape = dict(zip(NAMES[key], weights, strict=True)), (tape[:S], tape[S:])
        dxs, dstate, grads = engine.backward(KNOWN[key], params, xs, tape, dys, dlast)
        return [dxs, *dstate, *grads.values()]
    params = dict(zip(NAMES[key], map(_array, weights), strict=True))
    # Tensors of a tape need no derivative, and its xs must have their rows together.
    arrays = tuple(value.numpy() for value in tape)
    tape = Tape(_array(xs.contiguous()), arrays[:S], arrays[S:])
    grads, dxs, dstate = backward(cell, params, tape, _array(dys), tuple(map(_array, dlast)))
    return [torch.from_numpy(array) for array in (dxs, *dstate, *grads.values())]


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
    tape = [xs.new_empty((T + 1, B, H), dtype=wide) for _ in cell.states]
    tape += [xs.new_empty((T, B, H), dtype=wide) for _ in cell.kept]
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
