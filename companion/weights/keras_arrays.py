"""Weights to and from Keras (SimpleRNN, LSTM, GRU): transposed, in another order, one bias."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from companion.cells import Cell, find_cell
from companion.params import check_array
from companion.types import Array, Params
from companion.weights.gate_orders import check_network, join, layers, order_in, reorder


def to_keras(cell: Cell | str, params: Any, reset_after: bool = True) -> list[Array]:
    """What `set_weights` takes: kernel (D, G·H), recurrent kernel (H, G·H) and bias, in a list.

    cell: "rnn", "lstm" or "gru"; Keras has no other. params: any of the three forms that
    `companion.weights` describes. With two directions the list is for a `Bidirectional` layer,
    with more layers for a `Sequential` of nothing else.
    reset_after: for a GRU, the layer's argument: True is `CELLS["gru"]`, False
    `companion.gru2014`.
    The bias is (G·H,), the sum of our two; only a GRU with reset_after has both, (2, G·H).
    Raises ValueError for another cell, or params that do not fit it.
    Source: keras.io, LSTM and GRU; Keras's GRU keeps h where z is 1, as ours does.
    """
    cell = find_cell(cell)
    order = order_in("keras", cell)
    arrays = []
    for p in sum(layers(cell, params), []):
        p = {name: reorder(array, cell.gates, order) for name, array in p.items()}
        biases = p["bias_ih"], p["bias_hh"]
        bias = np.stack(biases) if _two_biases(cell, reset_after) else np.add(*biases)
        arrays += [p["weight_ih"].T.copy(), p["weight_hh"].T.copy(), bias]
    return arrays


def from_keras(
    cell: Cell | str,
    weights: Sequence[Array],
    bidirectional: bool = False,
    reset_after: bool = True,
) -> Params:
    """Params of a Keras layer, or of a `Sequential` of such layers, from its `get_weights()`.

    cell, reset_after: as of `to_keras`. weights: a list of kernel, recurrent kernel and bias,
    three arrays for each layer and direction. bidirectional: whether the layers are.
    Returns the flat dict of `companion.init` for one layer in one direction, else the same names
    with torch's suffixes; a single bias comes as bias_ih, with zeros in bias_hh.
    Raises ValueError for another cell, a count that is not whole, or arrays that do not fit.
    """
    cell = find_cell(cell)
    order = order_in("keras", cell)
    directions = 2 if bidirectional else 1
    if not weights or len(weights) % (3 * directions):
        wanted = "kernel, recurrent kernel and bias" + " of each direction" * bidirectional
        raise ValueError(f"weights must hold {wanted}, got {len(weights)} arrays")
    flat = [
        _direction(cell, order, weights[k : k + 3], reset_after) for k in range(0, len(weights), 3)
    ]
    network = [flat[k : k + directions] for k in range(0, len(flat), directions)]
    return join(check_network(cell, network))


def _two_biases(cell, reset_after):
    return cell.name == "gru" and reset_after


def _direction(cell, order, weights, reset_after):
    kernel, recurrent, bias = weights
    G = len(order)
    check_array("recurrent kernel", recurrent, ("H", "G·H"))
    H = len(recurrent)
    two = _two_biases(cell, reset_after)
    check_array("recurrent kernel", recurrent, (H, G * H))
    check_array("kernel", kernel, ("D", G * H))
    check_array("bias", bias, (2, G * H) if two else (G * H,))
    bias_ih, bias_hh = bias if two else (bias, np.zeros_like(bias))
    arrays = {
        "weight_ih": kernel.T,
        "weight_hh": recurrent.T,
        "bias_ih": bias_ih,
        "bias_hh": bias_hh,
    }
    return {name: reorder(array, order, cell.gates) for name, array in arrays.items()}
