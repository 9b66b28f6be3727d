"""The parameters of a cell: a flat dict of arrays, under torch's names and in torch's layout."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from companion.cells import Cell, find_cell
from companion.cells.cell import WEIGHTS
from companion.types import ArrayOrTensor, Params


def shapes(cell: Cell | str, D: int, H: int) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter of `cell` for D inputs and H units.

    cell: an entry of `CELLS` or its name, or a `Cell` of your own.
    Returns a dict name -> tuple: weight_ih (G·H, D), weight_hh (G·H, H), bias_ih and bias_hh
    (G·H,), then (H,) for each peephole.
    Raises ValueError for a cell that is not known.
    """
    cell = find_cell(cell)
    rows = len(cell.gates) * H
    found = dict(zip(WEIGHTS, ((rows, D), (rows, H), (rows,), (rows,)), strict=True))
    return found | {name: (H,) for name in cell.peepholes}


def init(
    cell: Cell | str, D: int, H: int, rng: np.random.Generator, dtype: DTypeLike = np.float64
) -> Params:
    """Draw first parameters, each uniform in (-1/√H, 1/√H), as torch.nn.LSTM does.

    cell: an entry of `CELLS` or its name, or a `Cell` of your own.
    D: number of inputs. H: number of units. rng: a `numpy.random.Generator`.
    dtype: float64 or float32; the inputs of `forward` must then have it, too.
    Returns a flat dict: weight_ih (G·H, D), weight_hh (G·H, H), bias_ih and bias_hh (G·H,), and
    one (H,) array for each peephole.
    Raises ValueError for a cell that is not known, a size below 1 or another dtype.
    """
    check_sizes(D, H, dtype)
    bound = 1 / np.sqrt(H)
    return {
        name: rng.uniform(-bound, bound, shape).astype(dtype)
        for name, shape in shapes(cell, D, H).items()
    }


def check_sizes(D: int, H: int, dtype: DTypeLike) -> None:
    """Raise a ValueError unless a network can have D inputs, H units and weights of this dtype."""
    for name, size in {"D": D, "H": H}.items():
        if not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {size!r}")
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {dtype!r}")


def gate(cell: Cell | str, array: ArrayOrTensor, name: str) -> ArrayOrTensor:
    """View of the rows of one gate: `gate(cell, params["weight_ih"], "f")` is W_f's input part.

    cell: an entry of `CELLS` or its name, or a `Cell` of your own.
    array: a weight or a bias, or its gradient: its first axis is G·H. name: one of `cell.gates`.
    Returns a view of shape (H, ...): writing to it writes to the parameter.
    Raises ValueError for a gate that the cell does not have, or a first axis that G does not
    divide.
    """
    cell = find_cell(cell)
    if name not in cell.gates:
        raise ValueError(f"gate must be one of {cell.gates} for {cell.name}, got {name!r}")
    G = len(cell.gates)
    if array.ndim == 0 or array.shape[0] % G:
        raise ValueError(f"array must have G·H rows with G = {G}, got shape {array.shape}")
    H = array.shape[0] // G
    k = cell.gates.index(name)
    return array[k * H : (k + 1) * H]


def check_array(
    name: str, array: Any, shape: tuple[int | str, ...], dtype: DTypeLike | None = None
) -> None:
    """Raise a ValueError unless `array` is a NumPy array of this shape and dtype.

    name: what the error calls the array.
    shape: a tuple of sizes, where a text such as "T" stands for any size.
    dtype: None for any of float32, float64, complex64 and complex128 (complex numbers are for the
    complex-step check).
    """
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name} must be a NumPy array, got {type(array).__name__}")
    if array.shape != shape and not _fits(array.shape, shape):
        wanted = "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"
        raise ValueError(f"{name} must have shape {wanted}, got {array.shape}")
    if dtype is None:
        if array.dtype.char not in "fdFD":
            raise ValueError(f"{name} must be float32 or float64, got {array.dtype}")
    elif array.dtype != dtype:
        raise ValueError(f"{name} must be {np.dtype(dtype)} like xs, got {array.dtype}")


def _fits(shape, wanted):
    return len(shape) == len(wanted) and all(
        isinstance(want, str) or want == have for want, have in zip(wanted, shape, strict=True)
    )


def check_names(names: tuple[str, ...], params: Params, of: str) -> None:
    """Raise a ValueError for the first of these names that the parameters of a cell lack."""
    for name in names:
        if name not in params:
            raise ValueError(f"params must have {name!r} for {of}, got {sorted(params)}")


def check_params(cell: Cell, params: Params, D: int, dtype: np.dtype) -> int:
    """Raise a ValueError that names the first parameter that is missing or does not fit.

    D: number of inputs. dtype: what all parameters must have.

    Keys that the cell does not use are left alone, so that one dict can hold a whole model.
    Returns the number of units H.
    """
    check_names(cell.parameters, params, cell.name)
    check_array("params['weight_hh']", params["weight_hh"], ("G·H", "H"), dtype)
    H = params["weight_hh"].shape[1]
    for name, shape in shapes(cell, D, H).items():
        check_array(f"params[{name!r}]", params[name], shape, dtype)
    return H
