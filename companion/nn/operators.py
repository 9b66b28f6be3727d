"""Two torch operators, `companion::unroll` and `companion::unroll_backward`, that run the engines.

On a CPU, in float32 and float64, they run the NumPy engine on the tensors' own memory, with
compiled loops where numba is installed; else torch operations. `torch.compile`, `torch.export` and
`torch.jit.trace` see each as one node of their graphs; in ordinary calls their functions are
called as they are: that takes less time.
"""

import ctypes
import hashlib
import math
import uuid
from functools import cache, lru_cache

import numpy as np
import torch

from companion.cells import CELLS, Cell, rnn_relu, slstm
from companion.engine.compiled import compiled
from companion.engine.fingerprint import text_of
from companion.engine.unroll import Tape, backward_unchecked, forward_unchecked
from companion.nn import torch_loops
from companion.nn.cuda_graphs import graphed
from companion.nn.openmp import team
from companion.params import shapes

# An operator takes strings, numbers and tensors: it knows a cell by its key.
KNOWN: dict[str, Cell] = {}
# Names of the parameters of each, in the order in which operators take and return them.
NAMES: dict[str, tuple[str, ...]] = {}
DTYPES: dict[torch.dtype, np.dtype] = {
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}


def register(cell):
    """Make a cell known to the operators; returns its key.

    An exported program holds the key, and other processes may read it. So the key of a cell of
    your own says what it computes: they find this cell under it, or none.
    """
    key = cell.name
    if cell not in (CELLS.get(key), rnn_relu, slstm):
        # If it reads something that may change, no other process has the same.
        key = f"{key}:{_digest(cell) or uuid.uuid4().hex}"
    KNOWN[key], NAMES[key] = cell, tuple(shapes(cell, 1, 1))
    return key


def _digest(cell):
    try:
        text = text_of(cell)
    except ValueError:
        return None
    names = cell.gates, cell.states, cell.carries, cell.kept, cell.peepholes, cell.split
    return hashlib.sha256(repr((names, text)).encode()).hexdigest()[:16]


def cell_of(key):
    """The cell of a key, if it still computes what it did when it was registered.

    Else, and where there is none, a ValueError says what is to be done.
    """
    if key not in KNOWN:
        raise ValueError(
            f"a layer with the cell {key} must be defined before this program runs, as in the "
            f"process that exported it and with the same version of Python; known: {[*KNOWN]}"
        )
    cell = KNOWN[key]
    name, own, digest = key.partition(":")
    if own and not torch.compiler.is_compiling() and (_digest(cell) or digest) != digest:
        raise ValueError(
            f"what step or derivative of {name} reads has changed since the layer's class was "
            "made: make the class anew"
        )
    return cell


def unroll(key, fast, keep_tape, xs, state, weights):
    """Run a cell over a batch of sequences.

    fast: whether to run compiled loops where there are. xs: (T, B, D). state: one (B, H) a state.
    Returns ys, the last state and, if kept, the tape: states and kept values of every step.
    """
    cell = _numpy_cell(key, fast, xs)
    if cell is None:
        numbers, arguments = len(xs) * state[0].numel(), (key, fast, keep_tape, xs, state, weights)
        return graphed(unroll_in_operations, numbers, *arguments)
    params = dict(zip(NAMES[key], map(_array, weights), strict=True))
    first = tuple(map(_array, state))
    ys = xs.new_empty((*xs.shape[:2], state[0].shape[1]))
    arguments = cell, params, _array(xs), first, keep_tape, team(), _filled(ys)
    _, last, *tape = forward_unchecked(*arguments)
    return [ys, *map(torch.from_numpy, (*last, *(tape if keep_tape else ())))]


def unroll_backward(key, fast, dys, dlast, xs, state, weights, tape):
    """Carry the derivative of a loss back; returns it for xs, the first state and the weights."""
    cell = _numpy_cell(key, fast, xs)
    if cell is None:
        arguments = key, fast, dys, dlast, xs, state, weights, tape
        return graphed(backward_in_operations, dys.numel(), *arguments)
    params = dict(zip(NAMES[key], map(_array, weights), strict=True))
    tape, last = Tape(*map(_array, (xs, *tape))), tuple(map(_array, dlast))
    dxs, *grads = [value.new_empty(value.shape) for value in (xs, *weights)]
    out = dict(zip(params, map(_filled, grads), strict=True)), _filled(dxs)
    _, _, dstate = backward_unchecked(cell, params, tape, _array(dys), last, team(), out)
    return [dxs, *map(torch.from_numpy, dstate), *grads]


def unroll_in_operations(key, fast, keep_tape, xs, state, weights):
    """`unroll` in torch operations, which whatever follows operations can follow."""
    params = dict(zip(NAMES[key], weights, strict=True))
    ys, last, *tape = torch_loops.forward(cell_of(key), params, xs, state)
    return [ys, *last, *(tape if keep_tape else ())]


def backward_in_operations(key, fast, dys, dlast, xs, state, weights, tape):
    """`unroll_backward` in torch operations."""
    params = dict(zip(NAMES[key], weights, strict=True))
    dxs, dstate, grads = torch_loops.backward(cell_of(key), params, xs, tape, dys, dlast)
    return [dxs, *dstate, *grads.values()]


def _array(tensor):
    """A NumPy array of the tensor's memory, or of a copy if it is not one block of plain numbers.

    `tensor.numpy()` would forbid for good that the tensor, which is the caller's, is resized.
    """
    address = tensor.data_ptr()
    if not address or not tensor.is_contiguous() or tensor.is_neg():
        return tensor.detach().clone(memory_format=torch.contiguous_format).numpy(force=True)
    return _kept_view(address, tensor.shape, tensor.dtype)


def _filled(tensor):
    """The array through which a new tensor is filled: what is returned, too, may be resized."""
    return _view(tensor.data_ptr(), tensor.shape, tensor.dtype)


def _view(address, shape, dtype):
    """The array at an address; it holds no memory, and is good as long as a tensor does."""
    kind = DTYPES[dtype]
    size = kind.itemsize * math.prod(shape)
    return np.ndarray(shape, kind, (ctypes.c_char * size).from_address(address))


# Parameters stay where they are from call to call; shapes of batches may have no end.
_kept_view = lru_cache(1024)(_view)


def _numpy_cell(key, fast, xs):
    """The cell for the NumPy engine; None where that does not run."""
    if xs.device.type != "cpu" or xs.dtype not in DTYPES:
        return None
    cell = _compiled(key) if fast else None
    return cell_of(key) if cell is None else cell


@cache
def _compiled(key):
    """The cell with compiled loops; None without numba."""
    cell = cell_of(key)
    try:
        return compiled(cell)
    except ImportError:
        return None


def _unroll_shapes(key, fast, keep_tape, xs, state, weights):
    cell, (T, B, _), H = cell_of(key), xs.shape, weights[1].shape[1]
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
