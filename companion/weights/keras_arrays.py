"""Weights to and from Keras (SimpleRNN, LSTM, GRU): transposed, in another order, one bias."""

from typing import Any

import numpy as np

from companion.cells import Cell, find_cell
from companion.params import check_array
from companion.types import Array, Params
from companion.weights.gate_orders import check_network, join, layers, order_in, reorder
from companion.weights.keras_stack import kinds, stack

# The layer of Keras for each cell, and its activation; CuDNNLSTM and CuDNNGRU were layers, too.
KINDS = {
    "rnn": ("SimpleRNN", "tanh"),
    "rnn_relu": ("SimpleRNN", "relu"),
    "lstm": ("LSTM", "tanh"),
    "gru": ("GRU", "tanh"),
}


def to_keras(cell: Cell | str, params: Any, reset_after: bool = True) -> list[Array]:
    """What `set_weights` takes: kernel (D, G·H), recurrent kernel (H, G·H) and bias, in a list.

    cell: "rnn", `rnn_relu`, "lstm" or "gru"; Keras has no other.
    params: any of the three forms that `companion.weights` describes. With two directions the list
    is for a `Bidirectional` layer, with more layers for a `Sequential` of nothing else.
    reset_after: for a GRU, the layer's argument: True is `CELLS["gru"]`, False
    `companion.gru2014`; the cell is "gru" for either.
    Returns a list of NumPy arrays, three for each layer and direction, in the dtype of params. The
    bias is (G·H,), the sum of our two; only a GRU with reset_after has both, (2, G·H). There is
    always one: the layer has use_bias=True.
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
    weights: Any,
    bidirectional: bool = False,
    reset_after: bool = True,
) -> Params:
    """Params of a Keras model or layer, or of the arrays that its `get_weights()` gives.

    cell, reset_after: as of `to_keras`.
    weights: one of four. A model, sequential or functional, whose recurrent layers are each on top
    of the one before, with nothing between them but what changes nothing once trained, as Dropout;
    layers of another kind, before and after them, are not looked at. Or a model with a call of its
    own and one recurrent layer. Or a recurrent layer, as it is or in `Bidirectional`. Or a list of
    kernel, recurrent kernel and, if there is one, bias, for each layer and direction. A list does
    not say what the layer's activations were, and has to be of a layer with Keras's own. Arrays of
    CuDNNLSTM and CuDNNGRU are known by their bias, 8 H or 6 H long.
    bidirectional: whether the layers of a list have two directions; a model or layer says so
    itself.
    Returns the flat dict of `companion.init` for one layer in one direction, else the same names
    with torch's suffixes; a single bias comes as bias_ih, with zeros in bias_hh, and none as zeros.
    Raises ValueError for another cell, a layer with other activations or options that make it
    another network, recurrent layers that are no stack, a list that ends within a layer, arrays
    that do not fit, or a list that fits with and without biases, as of some GRUs with H = 2.
    Source: for CuDNN's layout `_convert_rnn_weights` of TensorFlow's Keras 2.
    """
    cell = find_cell(cell)
    order = order_in("keras", cell)
    if hasattr(weights, "get_weights"):
        groups = _layers(cell, weights, reset_after)
    else:
        groups = _groups(weights, 2 if bidirectional else 1, _two_biases(cell, reset_after))
    network = [[_direction(cell, order, arrays, reset_after) for arrays in g] for g in groups]
    return join(check_network(cell, network))


def _groups(weights, directions, two):
    """A list of arrays as a list of layers, each a list of the arrays of each direction."""
    third = np.shape(weights[2]) if len(weights) > 2 else ()
    with_bias = len(third) == 1 or (two and third[:1] == (2,) and not len(weights) % 3)
    if with_bias and _fits(weights, directions, 2):
        if _fits(weights, directions, 3):
            raise ValueError(
                "weights must be of one network, got arrays that fit with and without biases: "
                "give the layer or the model"
            )
        with_bias = False
    count = 3 if with_bias else 2
    if not weights or len(weights) % (count * directions):
        wanted = "kernel, recurrent kernel and bias" + " of each direction" * (directions - 1)
        raise ValueError(f"weights must hold {wanted}, got {len(weights)} arrays")
    flat = [weights[k : k + count] for k in range(0, len(weights), count)]
    return [flat[k : k + directions] for k in range(0, len(flat), directions)]


def _fits(weights, directions, count):
    """Whether a list is of layers with `count` arrays for each direction, by a GRU's shapes."""
    if len(weights) % (directions * count) or np.ndim(weights[1]) != 2:
        return False
    H, columns = np.shape(weights[1])
    wanted = [(directions * H, columns), (H, columns), (2, columns)][:count] * len(weights)
    for k in range(0, directions * count, count):  # the lowest layer has inputs of any size
        wanted[k] = (*np.shape(weights[0])[:1], columns)
    return all(np.shape(a) == shape for a, shape in zip(weights, wanted, strict=False))


def _layers(cell, model, reset_after):
    """`_groups` of the recurrent layers of a model."""
    found = stack(model)
    if not found:
        raise ValueError(f"weights must be of a model with {KINDS[cell.name][0]} layers, got none")
    groups = []
    for layer in found:
        pair = [layer]
        if type(layer).__name__ == "Bidirectional":
            pair = [layer.forward_layer, layer.backward_layer]
            if layer.merge_mode != "concat":
                raise ValueError(
                    f"merge_mode of {layer.name} must be concat, got {layer.merge_mode}"
                )
        for one, backwards in zip(pair, (False, True), strict=False):
            _check_layer(cell, one, backwards, reset_after)
            if not one.get_weights():
                raise ValueError(f"{layer.name} must have weights: call the model once on a batch")
        groups.append([one.get_weights() for one in pair])
    return groups


def _check_layer(cell, layer, backwards, reset_after):
    """Raise a ValueError unless a layer computes what the cell does."""
    kind, activation = KINDS[cell.name]
    if not {kind, f"CuDNN{kind}"} & set(kinds(layer)):
        raise ValueError(f"{layer.name} must be {kind} for {cell.name}, got {type(layer).__name__}")
    want = {"activation": activation, "go_backwards": backwards}
    if cell.name in ("lstm", "gru"):
        want["recurrent_activation"] = "sigmoid"
    if cell.name == "gru":
        want["reset_after"] = reset_after
    config = layer.get_config()
    for key, value in want.items():
        if (has := config.get(key, value)) != value:  # CuDNN's layers had no choice
            raise ValueError(f"{key} of {layer.name} must be {value} for {cell.name}, got {has}")


def _two_biases(cell, reset_after):
    return cell.name == "gru" and reset_after


def _direction(cell, order, weights, reset_after):
    kernel, recurrent, *bias = weights
    G = len(order)
    check_array("recurrent kernel", recurrent, ("H", "G·H"))
    H = len(recurrent)
    two = _two_biases(cell, reset_after)
    check_array("recurrent kernel", recurrent, (H, G * H))
    check_array("kernel", kernel, ("D", G * H))
    weight_ih, weight_hh = kernel.T, recurrent.T
    bias = bias[0] if bias else np.zeros((2, G * H) if two else G * H, kernel.dtype)
    if np.shape(bias) == (2 * G * H,) and (two or cell.name == "lstm"):
        # CuDNN has each gate's weights as PyTorch has them, in arrays of the shape of Keras's.
        weight_ih = np.concatenate([k.reshape(H, -1) for k in np.split(kernel, G, axis=1)])
        weight_hh = np.concatenate(np.split(recurrent, G, axis=1))
        bias_ih, bias_hh = np.split(bias, 2)
    else:
        check_array("bias", bias, (2, G * H) if two else (G * H,))
        bias_ih, bias_hh = bias if two else (bias, np.zeros_like(bias))
    arrays = {
        "weight_ih": weight_ih,
        "weight_hh": weight_hh,
        "bias_ih": bias_ih,
        "bias_hh": bias_hh,
    }
    return {name: reorder(array, order, cell.gates) for name, array in arrays.items()}
