"""Arguments of a layer that do not fit get a ValueError: what it is, and what is wanted."""

from math import isfinite
from numbers import Integral, Real

import numpy as np
import torch


def check_options(sizes, flags, probabilities):
    """Raise a ValueError for an option of a layer that does not fit; each a dict by name.

    Returns all in one dict, sizes as int and flags as bool; a flag may be 0 or 1.
    """
    for name, value in sizes.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    for name, value in flags.items():
        if not isinstance(value, Integral | np.bool_) or value not in (0, 1):
            raise ValueError(f"{name} must be True or False, got {value!r}")
    for name, value in probabilities.items():
        if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= float(value) <= 1:
            raise ValueError(f"{name} must be a probability from 0 to 1, got {value!r}")
    sizes = {name: int(value) for name, value in sizes.items()}
    return sizes | {name: bool(value) for name, value in flags.items()} | probabilities


def check_projection(size, cell, H):
    """Raise a ValueError unless h of a layer of H units can be projected to `size`; 0: is not."""
    if size != 0 and (len(cell.states) == 1 or "h" in cell.carries):
        raise ValueError(f"proj_size must be 0 for a {cell.name} layer, got {size!r}")
    if not isinstance(size, Integral) or isinstance(size, bool) or not 0 <= int(size) < H:
        raise ValueError(f"proj_size must be a whole number from 0 to {H - 1}, got {size!r}")
    return int(size)


def check_forget_bias(value, cell, bias):
    """Raise a ValueError unless a layer, with or without biases, can have this forget_bias."""
    if value is None:
        return
    if cell.forgets is None or not bias:
        why = "a layer without biases" if cell.forgets else f"a {cell.name} layer"
        raise ValueError(f"forget_bias must be None for {why}, got {value!r}")
    if not isinstance(value, Real) or isinstance(value, bool) or not isfinite(value):
        raise ValueError(f"forget_bias must be a finite number or None, got {value!r}")


def check_nonlinearity(name):
    """Raise a ValueError unless an RNN can have this nonlinearity."""
    if name not in ("tanh", "relu"):
        raise ValueError(f"nonlinearity must be 'tanh' or 'relu', got {name!r}")


def autocast_dtype(like):
    """The precision that torch.autocast wants of a layer with this weight, or None."""
    if not torch._C._is_any_autocast_enabled():
        return None
    kind = like.device.type
    # There are kinds of device that autocast does not know, and float64 it leaves alone.
    on = autocast_knows(kind) and torch.is_autocast_enabled(kind)
    return torch.get_autocast_dtype(kind) if on and like.dtype != torch.float64 else None


@torch.compiler.assume_constant_result  # torch.compile cannot look into it in all versions
def autocast_knows(kind):
    """Whether autocast knows this kind of device."""
    return torch.amp.is_autocast_available(kind)


def check_tensor(name, value, like):
    """Raise a ValueError unless `value` is a tensor of the device and dtype of `like`, a weight.

    Under autocast it may be of any dtype of floating point, for it is converted.
    """
    if not isinstance(value, torch.Tensor):
        kind = type(value).__name__
        hint = "; torch.from_numpy makes one" if kind == "ndarray" else ""
        raise ValueError(f"{name} must be a torch tensor, got {kind}{hint}")
    if value.device != like.device:
        raise ValueError(f"{name} must be on {like.device} like the weights, got {value.device}")
    if value.dtype != like.dtype and not (value.is_floating_point() and autocast_dtype(like)):
        raise ValueError(f"{name} must be {like.dtype} like the weights, got {value.dtype}")


def check_input(input, layout, D, like):
    """Raise a ValueError unless `input` fits a layer of D inputs; like: one of its weights."""
    packed = layout.packed is not None
    name, data = ("input.data", input.data) if packed else ("input", input)
    check_tensor(name, data, like)
    if packed:
        wanted, fits = f"(N, {D})", data.dim() == 2
    else:
        wanted = f"(B, T, {D})" if layout.batch_first else f"(T, B, {D})"
        wanted, fits = f"{wanted} or (T, {D})", data.dim() in (2, 3)
    if not fits or data.shape[-1] != D:
        raise ValueError(f"{name} must have shape {wanted}, got {tuple(data.shape)}")
    if packed and len(data) != (steps := int(input.batch_sizes.sum())):
        raise ValueError(
            f"input must hold {steps} steps, the sum of its lengths, got {len(data)}: "
            "a length is beyond the end of the padded data"
        )


def check_state(hx, shapes, like):
    """Raise a ValueError unless hx is a state, and return it as a tuple.

    shapes: of the parts by name, "h0" or "h0" and "c0". like: a weight.
    """
    if len(shapes) == 1:
        state = (hx,)
    elif isinstance(hx, tuple | list) and len(hx) == len(shapes):
        state = tuple(hx)
    else:
        got = type(hx).__name__ + (f" of {len(hx)}" if isinstance(hx, tuple | list) else "")
        raise ValueError(f"hx must be a tuple ({', '.join(shapes)}), got {got}")
    for (name, shape), value in zip(shapes.items(), state, strict=True):
        check_tensor(name, value, like)
        if value.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {tuple(value.shape)}")
    return state
