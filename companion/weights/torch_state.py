"""Weights to and from torch.nn and `companion.nn`: our own layout, under a module's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from companion.cells import Cell
from companion.types import Params
from companion.weights.gate_orders import join, layers, with_suffixes

if TYPE_CHECKING:
    import torch


def to_torch(cell: Cell | str, params: Any) -> dict[str, torch.Tensor]:
    """What `load_state_dict` of a layer takes: tensors under torch's names, in the dtype of params.

    cell: any cell. params: any of the three forms that `companion.weights` describes.
    Returns a dict `weight_ih_l0` (G·H, D), `weight_hh_l0` (G·H, H), `bias_ih_l0` and `bias_hh_l0`
    (G·H,), and `p_i_l0` and so on (H,) for the layers of `companion.nn` that have them; then the
    same for every other layer and direction. There are always biases: the layer that loads it has
    bias=True. A single step, such as torch.nn.LSTMCell, has these names without `_l0`.
    Raises ValueError if params do not fit the cell.
    Source: the documentation of torch.nn.LSTM and torch.nn.GRU, "Variables".
    """
    import torch

    network = with_suffixes(layers(cell, params))
    return {name: torch.from_numpy(array) for name, array in network.items()}


def from_torch(cell: Cell | str, module: Any) -> Params:
    """Params of a module of torch.nn or `companion.nn`, or of its state_dict, in NumPy arrays.

    cell: the cell that the module is of. module: on any device; one without biases gives zeros,
    and one in float16 or bfloat16 the same numbers in float32. It may be compiled, parallel, or a
    part of the model that is given, and its names in a state_dict may have a prefix, such as
    `module.lstm.`, as long as it is the only one there. Pruned or parametrized weights are taken
    from the module alone, as it computes with them; its state_dict is refused, and so is a module
    under torch.nn.utils.weight_norm or spectral_norm. Whether an RNN's activation is tanh or ReLU
    neither a state_dict says nor a traced module: there it is that of the cell that is given.
    Returns the flat dict of `companion.init` for one layer in one direction, else the same names
    with torch's suffixes.
    Raises ValueError if the module is of another cell, has a projection or other weights that the
    cell has not, or lacks biases that it says it has.
    """
    return join(layers(cell, module))
