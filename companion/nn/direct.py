"""Calls of torch's own operators, where they are the faster way.

In a single step the call takes longer than its arithmetic, and a weight that is used once is not
worth laying out anew. So for one step a layer of GRU or RNN and the single cells call the operator
that torch.nn calls, and autograd goes back; a projected LSTM does for some more steps, see STEPS.
All this where nothing records what is done. For an LSTM without a projection torch's operator is
the faster in float64 alone.
"""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from companion.nn.function import followed
from companion.nn.operators import DTYPES, NAMES

LAYERS: dict[str, Callable[..., Any]] = {
    "lstm": torch.lstm,
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
# For a projected LSTM the engine multiplies two weights first, and makes more of each step: it is
# the faster from a step for every so many units on, and up to so many units (measured).
STEPS, UNITS = 8, 320


def of_layer(layer, input, hx):
    """The output and last state of a layer, or None: then the engine is faster, or has to run.

    None also for whatever does not fit, so that the caller says what is wrong.
    """
    if torch.compiler.is_compiling() or type(input) is not torch.Tensor:
        return None
    if input.dim() == 3:
        return _of_batch(layer, input, hx, layer.batch_first)
    if input.shape[:-1] != (1,):
        return None
    if hx is not None:
        parts = hx if isinstance(hx, tuple) else (hx,)
        if any([type(part) is not torch.Tensor or part.dim() != 2 for part in parts]):
            return None
        parts = tuple([part.unsqueeze(1) for part in parts])
        hx = parts if isinstance(hx, tuple) else parts[0]
    found = _of_batch(layer, input.unsqueeze(1), hx, False)
    if found is None:
        return None
    output, last = found
    last = tuple([s.squeeze(1) for s in last]) if isinstance(last, tuple) else last.squeeze(1)
    return output.squeeze(1), last


def _of_batch(layer, input, hx, batch_first):
    T, H = input.shape[1 if batch_first else 0], layer.hidden_size
    lstm = layer._key == "lstm"
    projected = lstm and layer.proj_size > 0
    if not layer.compiled or T != 1 and not (projected and H > min(STEPS * T, UNITS)):
        return None
    if lstm and not projected and input.dtype != torch.float64:
        return None
    operator = _projected() if projected else LAYERS.get(layer._key)
    if operator is None or layer.recurrent_dropout:
        return None
    both = layer.bidirectional
    names = _names(layer._names, layer.num_layers, both, layer.bias)
    count, B = layer.num_layers * (1 + both), input.shape[0 if batch_first else 1]
    shapes = [(count, B, layer.proj_size or H), (count, B, H)][: 1 + lstm]
    state = _state(hx, shapes, input)
    weights = _weights(layer, names, input, state, shapes)
    if weights is None:
        return None
    options = layer.bias, layer.num_layers, layer.dropout, layer.training, both, batch_first
    found = operator(input, state if lstm else state[0], weights, *options)
    return (found[0], found[1:]) if lstm else found


def of_cell(cell, input, hx):
    """The state after a single cell's step, or None, as above."""
    operator = CELLS.get(cell._key)
    if operator is None or torch.compiler.is_compiling():
        return None
    if type(input) is not torch.Tensor or input.dim() != 2:
        return None
    shapes = [(input.shape[0], cell.hidden_size)] * len(cell.cell.states)
    state = _state(hx, shapes, input)
    weights = _weights(cell, NAMES[cell._key], input, state, shapes)
    if weights is None:
        return None
    return operator(input, state if len(state) > 1 else state[0], *weights)


@cache
def _projected():
    """The operator of an LSTM with a projection.

    At its first call PyTorch warns that oneDNN has no projections, of which a user knows nothing.
    """
    layer = torch.nn.LSTM(1, 2, proj_size=1, device="meta")  # where no weights are drawn
    layer.to_empty(device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer(torch.zeros(1, 1, 1, device="cpu"))
    return torch.lstm


@cache
def _names(names, layers, both, bias):
    """Names of all parameters of a layer, in torch's order."""
    names = [name for name in names if bias or not name.startswith("bias")]
    ends = [f"_l{k}{end}" for k in range(layers) for end in ("", "_reverse")[: 1 + both]]
    return tuple(name + end for end in ends for name in names)


def _state(hx, shapes, like):
    """hx as a tuple, whatever it is; zeros for None."""
    if hx is None:
        return tuple([like.new_zeros(shape) for shape in shapes])
    return hx if len(shapes) > 1 else (hx,)


def _weights(module, names, input, state, shapes):
    """Its parameters, missing biases as None; or None where torch's operator is not to run.

    shapes: what those of the state must be.
    """
    own = module._parameters
    try:
        weights = [own[name] for name in names]
    except KeyError:  # parametrized or pruned
        return None
    if type(state) is not tuple:  # but a tensor, whose rows might look like states
        return None
    tensors = [input, *state, *[value for value in weights if value is not None]]
    if torch._C._get_tracing_state() is not None or torch._C._is_any_autocast_enabled():
        return None
    dtype = input.dtype
    if followed(tensors) or any([t.dtype != dtype or not t.is_cpu for t in tensors]):
        return None
    if [t.shape for t in state] != shapes or input.shape[-1] != module.input_size:
        return None
    return weights if dtype in DTYPES and input.numel() else None
