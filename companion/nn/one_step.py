"""One step at a time, as in streaming, by torch's own operator where that is the faster way.

In a single step the call takes longer than its arithmetic, and a weight that is used once is not
worth laying out anew. So for one step, where nothing records what is done, a layer of GRU or RNN
and the single cells call the operator that torch.nn calls, and autograd goes back. `torch.lstm` is
not among them: it takes longer than the engine.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from companion.nn.function import ORDINARY, followed
from companion.nn.operators import DTYPES, NAMES

LAYERS: dict[str, Callable[..., Any]] = {
    "gru": torch.gru,
    "rnn": torch.rnn_tanh,
    "rnn_relu": torch.rnn_relu,
}
CELLS: dict[str, Callable[..., Any]] = {
    "lstm": torch.lstm_cell,
    "gru": torch.gru_cell,
    "rnn": torch.rnn_tanh_cell,
    "rnn_relu": torch.rnn_relu_cell,
}


def of_layer(layer, input, hx):
    """The output and last state of a layer for input of one step, or None: then it is not for here.

    None also for whatever does not fit, so that the caller says what is wrong.
    """
    operator = LAYERS.get(layer._key)
    if operator is None or torch.compiler.is_compiling() or type(input) is not torch.Tensor:
        return None
    batch_first = layer.batch_first
    if input.dim() != 3 or input.shape[1 if batch_first else 0] != 1 or not layer.compiled:
        return None
    if layer.recurrent_dropout or (layer.dropout and layer.training):
        return None
    both = layer.bidirectional
    names = _names(layer._names, layer.num_layers, both, layer.bias)
    shape = layer.num_layers * (1 + both), input.shape[0 if batch_first else 1], layer.hidden_size
    hx = input.new_zeros(shape) if hx is None else hx
    weights = _weights(layer, names, input, (hx,), shape)
    if weights is None:
        return None
    return operator(input, hx, weights, layer.bias, layer.num_layers, 0.0, False, both, batch_first)


def of_cell(cell, input, hx):
    """The state after a single cell's step, or None, as above."""
    operator = CELLS.get(cell._key)
    if operator is None or torch.compiler.is_compiling() or type(input) is not torch.Tensor:
        return None
    if input.dim() != 2:
        return None
    shape, two = (input.shape[0], cell.hidden_size), cell._key == "lstm"
    if hx is None:
        zeros = input.new_zeros(shape)
        hx = (zeros, zeros) if two else zeros
    state = hx if two else (hx,)
    if not isinstance(state, tuple | list) or len(state) != 1 + two:
        return None
    weights = _weights(cell, NAMES[cell._key], input, state, shape)
    return None if weights is None else operator(input, hx, *weights)


@cache
def _names(names, layers, both, bias):
    """Names of all parameters of a layer, in torch's order."""
    names = [name for name in names if bias or not name.startswith("bias")]
    ends = [f"_l{k}{end}" for k in range(layers) for end in ("", "_reverse")[: 1 + both]]
    return tuple(name + end for end in ends for name in names)


def _weights(module, names, input, state, shape):
    """Its parameters, missing biases as None; or None where torch's operator is not to run.

    shape: that each of the state must have.
    """
    own = module._parameters
    try:
        weights = [own[name] for name in names]
    except KeyError:  # parametrized or pruned
        return None
    first, given = weights[0], (input, *state)
    dtype = first.dtype
    if not first.is_cpu or dtype not in DTYPES or not input.numel():
        return None
    if input.shape[-1] != module.input_size:
        return None
    for value in given:
        if type(value) not in ORDINARY or value.dtype != dtype or not value.is_cpu:
            return None
    for value in state:
        if value.shape != shape:
            return None
    tensors = [value for value in (*given, *weights) if value is not None]
    if torch._C._get_tracing_state() is not None or torch._C._is_any_autocast_enabled():
        return None
    return None if followed(tensors) else weights
