"""How frameworks lay weights out: the orders of gates, and the names in a network of layers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from companion.cells import CELLS, Cell, find_cell, rnn_relu
from companion.params import check_array, shapes
from companion.types import Array, Params

# In the letters of our cells; a cell that is missing cannot be expressed in the framework.
# Keras and ONNX call our g "c", and our n "h". For a coupled cell ONNX wants the weights of a
# forget gate all the same, and ignores them.
RNN = {"rnn": "h", "rnn_relu": "h"}
GATE_ORDERS = {
    "torch": RNN | {"lstm": "ifgo", "peephole": "ifgo", "coupled": "igo", "gru": "rzn"},
    "keras": RNN | {"lstm": "ifgo", "gru": "zrn"},
    "onnx": RNN | {"lstm": "iofg", "peephole": "iofg", "coupled": "iofg", "gru": "zrn"},
}
KNOWN = CELLS | {rnn_relu.name: rnn_relu}
# The `mode` of a module of torch.nn, and the cell that it is of.
TORCH_MODES = {"RNN_TANH": "rnn", "RNN_RELU": "rnn_relu", "LSTM": "lstm", "GRU": "gru"}
# A weight of the first layer, behind a prefix such as lstm. or module.lstm.
FIRST = re.compile(r"(.*\.|)weight_[ih]h(_l0)?$")
SUFFIX = re.compile(r"_l(\d+)(_reverse)?$")
BIASES = "bias_ih", "bias_hh"


def layers(cell: Cell | str, params: Any) -> list[list[Params]]:
    """Take a network apart: a list of layers, each a list of a flat dict for every direction.

    cell: the cell that the network is of.
    params: any of the three forms that `companion.weights` describes. The network may be a part of
    a larger model, compiled or parallel, or have a prefix in its state_dict, if it is the only one.
    A weight that a module computes, pruned or parametrized, is what the module's next call computes
    with.
    Returns the layers from the lowest up, each a list of one flat dict, or of two, forward and
    reverse: `layers(cell, params)[1][1]` is what `companion.forward` takes for the reverse
    direction of the second layer. The arrays are NumPy copies; biases that a network has not
    (torch's `bias=False`) are zeros, and tensors in float16 and bfloat16 come as float32, which
    holds the same numbers.
    Raises ValueError for what is none of the three forms, or does not fit the cell: a weight is
    missing, of another shape or dtype, or has a name that the cell has not, or only some layers
    have biases.
    """
    cell = find_cell(cell)
    if hasattr(params, "named_modules"):
        params = _only_one(params)
    kind = _kind(params) or cell.name
    if TORCH_MODES.get(kind, kind) != cell.name:
        raise ValueError(f"params must be those of {cell.name}, got a module of {kind}")
    has_biases = getattr(params, "bias", None) is True
    if hasattr(params, "state_dict"):
        params = _weights_of(cell, params)
    if not isinstance(params, Mapping):
        raise ValueError(f"params must be a dict or a module, got {type(params).__name__}")
    params = _without_prefix(params)
    suffixes = _suffixes(params)
    flat: list[str] = sum(suffixes, [])
    has_biases = has_biases or any(_kept(b + s, params) for b in BIASES for s in flat)
    network = [[_direction(cell, params, s, has_biases) for s in layer] for layer in suffixes]
    known = {name + s for name in shapes(cell, 1, 1) for s in flat}
    # A name with a dot is of another module.
    if unknown := sorted(key for key in params if "." not in key and key not in known):
        raise ValueError(f"params must have the weights of {cell.name} alone, got {unknown} too")
    return check_network(cell, network)


def _kind(module):
    """What a module says that it is: the name of a cell, or torch's; None if it says nothing."""
    if isinstance(own := getattr(module, "cell", None), Cell):
        return own.name
    kinds = [kind for kind in type(module).__mro__ if kind.__module__.startswith("torch.nn")]
    names = {kind.__name__ for kind in kinds}
    if "RNNCell" in names:
        return f"RNN_{module.nonlinearity.upper()}"
    single = {"LSTMCell", "GRUCell"} & names
    return single.pop().removesuffix("Cell") if single else getattr(module, "mode", None)


def check_network(cell: Cell, network: list[list[Params]]) -> list[list[Params]]:
    """Raise a ValueError unless every layer fits the cell and the layer below; else return it."""
    if len(counts := {len(layer) for layer in network}) > 1:
        raise ValueError(f"layers must all have one direction or all two, got {sorted(counts)}")
    flat: list[Params] = sum(network, [])
    directions = len(network[0])
    D, H = flat[0]["weight_ih"].shape[1], len(flat[0]["weight_hh"]) // len(cell.gates)
    suffixes = suffixes_of(network) if len(flat) > 1 else [""]
    for k, (suffix, params) in enumerate(zip(suffixes, flat, strict=True)):
        inputs = D if k < directions else directions * H
        for name, shape in shapes(cell, inputs, H).items():
            check_array(f"params[{name + suffix!r}]", params[name], shape)
    if len(dtypes := {str(a.dtype) for p in flat for a in p.values()}) > 1:
        raise ValueError(f"params must have one dtype, got {' and '.join(sorted(dtypes))}")
    return network


def join(network: list[list[Params]]) -> Params:
    """Params of a network: a flat dict if it is one layer in one direction, else with suffixes."""
    flat: list[Params] = sum(network, [])
    if len(flat) == 1:
        return flat[0]
    return with_suffixes(network)


def with_suffixes(network: list[list[Params]]) -> Params:
    """Params of a network under the names of torch's state_dict."""
    pairs = zip(suffixes_of(network), sum(network, []), strict=True)
    return {name + suffix: array for suffix, params in pairs for name, array in params.items()}


def suffixes_of(network: list[list[Params]]) -> list[str]:
    """The suffix of every flat dict of a network, in torch's order."""
    return [f"_l{k}{s}" for k, layer in enumerate(network) for s in ("", "_reverse")[: len(layer)]]


def reorder(array: Array, have: Sequence[str], want: Sequence[str]) -> Array:
    """Copy of an array whose first axis holds a block for each gate of `have`, in order `want`.

    Gates that only `want` has become zeros; those that only `have` has are left out.
    """
    blocks = dict(zip(have, np.split(array, len(have)), strict=True))
    zeros = np.zeros_like(blocks[have[0]])
    return np.ascontiguousarray(np.concatenate([blocks.get(gate, zeros) for gate in want]))


def order_in(framework: str, cell: Cell) -> str:
    """The order of a cell's gates in a framework, or a ValueError if it has no such cell."""
    orders = GATE_ORDERS[framework]
    if cell.name not in orders or replace(cell, loops=None) != KNOWN[cell.name]:
        got = f"another cell of the name {cell.name}" if cell.name in orders else cell.name
        raise ValueError(f"cell must be one of {', '.join(orders)} for {framework}, got {got}")
    return orders[cell.name]


def _only_one(model):
    """The recurrent module of a model, which may be the model itself."""
    found = {
        name: module
        for name, module in model.named_modules()
        if any(hasattr(getattr(module, f"weight_ih{end}", None), "shape") for end in ("", "_l0"))
        # A compiled module has the attributes of the module in it.
        if not hasattr(module, "_orig_mod")
    }
    if len(found) > 1:
        raise ValueError(f"params must be of one recurrent module, got {sorted(found)}: give one")
    return next(iter(found.values()), model)


def _without_prefix(params):
    """A dict with the names of one network, which may stand there behind a prefix, as lstm."""
    prefixes = {match[1] for key in params if (match := FIRST.match(key))}
    if "" in prefixes or not prefixes:
        return params
    if len(prefixes) > 1:
        raise ValueError(f"params must be of one network, got {sorted(prefixes)}: give one")
    (prefix,) = prefixes
    return {key.removeprefix(prefix): params[key] for key in params if key.startswith(prefix)}


def _weights_of(cell, module):
    """The state_dict of a module, with the weights that it computes from what is kept there.

    And with those that it keeps elsewhere: as attributes, or in buffers that are not saved.
    """
    params, names = dict(module.state_dict()), shapes(cell, 1, 1)
    for name in getattr(module, "parametrizations", ()):
        params[name] = getattr(module, name)
    for hook in getattr(module, "_forward_pre_hooks", {}).values():
        if hasattr(hook, "apply_mask"):  # pruning sets the attribute anew only in a call
            name = hook._tensor_name
            params[name] = hook.apply_mask(module)
            del params[f"{name}_orig"], params[f"{name}_mask"]
    for name in dir(module):
        if (SUFFIX.search(name) or name in names) and not _kept(name, params):
            if hasattr(value := getattr(module, name), "detach"):
                params[name] = value
    return params


def _suffixes(params):
    """The suffixes of the keys of `params`: a list of layers, each a list of directions."""
    if "weight_ih" in params:
        return [[""]]
    found = [match for key in params if (match := SUFFIX.search(key))]
    if not found:
        raise ValueError(f"params must have 'weight_ih' or 'weight_ih_l0', got {sorted(params)}")
    directions = ["", "_reverse"] if any(match[2] for match in found) else [""]
    count = 1 + max(int(match[1]) for match in found)
    return [[f"_l{k}{direction}" for direction in directions] for k in range(count)]


def _direction(cell, params, suffix, has_biases):
    """One direction of a layer, as a flat dict of copies; without biases they are zeros."""
    names = shapes(cell, 1, 1)
    wanted = [name for name in names if has_biases or name not in BIASES]
    for name in wanted:
        if name + suffix not in params:
            hint = (
                "; it is computed from others: give the module itself, after "
                "torch.nn.utils.remove_weight_norm or remove_spectral_norm if it has one of these"
            )
            hint = hint if _kept(name + suffix, params) else ""
            raise ValueError(
                f"params must have {name + suffix!r} for {cell.name}, got {sorted(params)}{hint}"
            )
    arrays = {
        name: _numpy(f"params[{name + suffix!r}]", params[name + suffix], len(names[name]))
        for name in wanted
    }
    zeros = np.zeros(arrays["weight_ih"].shape[:1], arrays["weight_ih"].dtype)
    return {name: arrays[name] if name in arrays else zeros.copy() for name in names}


def _kept(name, params):
    """Whether params have a weight, or what it is computed from."""
    parts = f"{name}_orig", f"{name}_g", f"parametrizations.{name}."
    return name in params or any(key.startswith(parts) for key in params)


def _numpy(name, array, dimensions):
    """Copy of a NumPy array or of a torch tensor as a NumPy array."""
    if hasattr(array, "detach"):
        if not array.is_floating_point():
            raise ValueError(f"{name} must be of floating point, got {array.dtype}")
        array = array.detach().cpu()
        array = (array if array.itemsize >= 4 else array.float()).numpy()
    check_array(name, array, ("rows", "columns") if dimensions == 2 else ("rows",))
    return array.copy()
