"""Weights from ONNX: of its operators RNN, LSTM and GRU, wherever in a model they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from companion.cells import Cell, find_cell
from companion.params import check_array
from companion.types import Params
from companion.weights.gate_orders import check_network, join, order_in, reorder, with_suffixes
from companion.weights.onnx_graph import constant, descendants, name_of, source_of
from companion.weights.onnx_model import OPERATORS, attributes, peepholes

if TYPE_CHECKING:
    import onnx

ACTIVATIONS = {
    "RNN": ["Tanh"],
    "LSTM": ["Sigmoid", "Tanh", "Tanh"],
    "GRU": ["Sigmoid", "Tanh"],
}
FORWARD, REVERSE = "forward", "reverse"


class Operator(NamedTuple):
    """A layer: one operator, or two that are its two directions."""

    name: str
    source: str  # what is read, in the order of time
    outputs: tuple[str, ...]
    directions: dict[str, Params]


def from_onnx(cell: Cell | str, model: onnx.ModelProto, reset_after: bool = True) -> Params:
    """Params of the recurrent operators of an `onnx.ModelProto`, whoever made it.

    cell, reset_after: as of `to_onnx`.
    model: such as `onnx.load` gives. Each operator RNN, LSTM or GRU in it is a layer; two that read
    the same, one of them in reverse, are the two directions of one. Operators of another kind,
    before, between and after them, are not looked at. The recurrent ones may be in the graphs of an
    If, Loop or Scan; of an If whose branches have the same weights one branch counts. An operator
    without biases gives zeros. Weights that the model computes from constants are computed by
    ONNX's own reference.
    Returns the flat dict of `companion.init` for one layer in one direction, else the same names
    with torch's suffixes. Where all operators run in reverse only, every name ends in `_reverse`:
    without that they are the params of a network that runs over xs[::-1].
    Raises ValueError, with the name of the operator, if it is not of this cell or not of ONNX's own
    domain, if the operators are not a chain, if the branches of an If differ, or if weights depend
    on the model's inputs, on chance or on operators that the reference has not.
    """
    cell = find_cell(cell)
    order_in("onnx", cell)
    if model.functions:
        from onnx.inliner import inline_local_functions

        model = inline_local_functions(model)
    layers: list[Operator] = []
    for operator in _operators(cell, reset_after, model.opset_import, (model.graph,)):
        below = layers[-1] if layers else None
        if below and below.source == operator.source:
            if sorted([*below.directions, *operator.directions]) != [FORWARD, REVERSE]:
                raise ValueError(f"operators must be a chain, got {operator.name} beside another")
            outputs = below.outputs + operator.outputs
            directions = below.directions | operator.directions
            layers[-1] = operator._replace(outputs=outputs, directions=directions)
            continue
        if below and operator.source not in descendants(model.graph, below.outputs):
            raise ValueError(f"operators must be a chain, got {operator.name} from elsewhere")
        layers.append(operator)
    if not layers:
        raise ValueError(f"model must have {OPERATORS[cell.name]} operators, got none")
    for layer in layers:
        if layer.directions.keys() != layers[0].directions.keys():
            raise ValueError(f"operators must have the same directions, {layer.name} has others")
    network = [[layer.directions[d] for d in sorted(layer.directions)] for layer in layers]
    params = join(check_network(cell, network))
    if REVERSE in layers[0].directions and len(network[0]) == 1:
        return {name + "_reverse": array for name, array in with_suffixes(network).items()}
    return params


def _operators(cell, reset_after, opsets, graphs):
    """The recurrent operators of the first graph, and of those within it; the others hold it."""
    from onnx import AttributeProto

    found = []
    for node in graphs[0].node:
        if node.op_type.endswith(tuple(ACTIVATIONS)):  # DynamicQuantizeLSTM is a layer, too
            found.append(_operator(cell, reset_after, opsets, graphs, node))
        inner = [a.g for a in node.attribute if a.type == AttributeProto.GRAPH]
        branches = [_operators(cell, reset_after, opsets, (graph, *graphs)) for graph in inner]
        branches = [branch for branch in branches if branch]
        for branch in branches[1:]:
            if not _same(branches[0], branch):
                raise ValueError(
                    f"branches of {name_of(node)} must have the same weights, got {branch[0].name} "
                    "with others: leave one branch, as by model.graph.CopyFrom(branch)"
                )
        found += branches[0] if branches else []
    return found


def _same(ours, theirs):
    """Whether two lists of operators have the same weights."""
    return len(ours) == len(theirs) and all(
        one.directions.keys() == other.directions.keys()
        and all(
            np.array_equal(array, other.directions[direction][name])
            for direction, params in one.directions.items()
            for name, array in params.items()
        )
        for one, other in zip(ours, theirs, strict=True)
    )


def _operator(cell, reset_after, opsets, graphs, node):
    """One operator, taken apart."""
    from onnx.helper import get_attribute_value

    name, order = name_of(node), order_in("onnx", cell)
    own = node.domain in ("", "ai.onnx")
    if node.op_type != OPERATORS[cell.name] or not own:
        got = name if own else f"{name} of {node.domain}"
        raise ValueError(f"model must have {OPERATORS[cell.name]} operators, got {got}")
    have = {attribute.name: get_attribute_value(attribute) for attribute in node.attribute}
    directions = {
        b"forward": [FORWARD],
        b"reverse": [REVERSE],
        b"bidirectional": [FORWARD, REVERSE],
    }[have.get("direction", b"forward")]
    default: dict[str, Any] = {
        "activations": ACTIVATIONS[node.op_type] * len(directions),
        "clip": 0.0,
        "input_forget": 0,
        "linear_before_reset": 0,
    }
    want = default | attributes(cell, reset_after, len(directions))
    if "activations" in have:  # some write them in small letters, or more than are read
        texts = [text.decode().capitalize() for text in have["activations"]]
        have["activations"] = texts[: len(default["activations"])]
    for key, value in want.items():
        if (has := have.get(key, default[key])) != value:
            raise ValueError(f"{key} of {name} must be {value} for {cell.name}, got {has}")
    names = dict(zip("XWRBsHCP", node.input, strict=False))
    if bool(cell.peepholes) != bool(names.get("P")):
        wanted = "given" if cell.peepholes else "absent"
        raise ValueError(f"input P of {name} must be {wanted} for {cell.name}")
    inputs = {}
    for key in "WRBP":
        if names.get(key):
            inputs[key] = constant(names[key], graphs, opsets, f"input {key} of {name}")
    D, H = inputs["W"].shape[-1], inputs["R"].shape[-1]
    axes, rows = len(directions), len(order) * H
    inputs.setdefault("B", np.zeros((axes, 2 * rows), inputs["W"].dtype))
    shapes = {"W": (rows, D), "R": (rows, H), "B": (2 * rows,), "P": (len(cell.peepholes) * H,)}
    for key, array in inputs.items():
        check_array(f"input {key} of {name}", array, (axes, *shapes[key]))
    found = {
        direction: _direction(cell, order, **{key: array[k] for key, array in inputs.items()})
        for k, direction in enumerate(directions)
    }
    source, flipped = source_of(names["X"], graphs, opsets)
    if flipped:
        found = {REVERSE if d == FORWARD else FORWARD: params for d, params in found.items()}
    return Operator(name, source, tuple(filter(None, node.output)), found)


def _direction(cell, order, W, R, B, P=()):
    bias_ih, bias_hh = np.split(B, 2)
    arrays = {"weight_ih": W, "weight_hh": R, "bias_ih": bias_ih, "bias_hh": bias_hh}
    params = {name: reorder(array, order, cell.gates) for name, array in arrays.items()}
    names = peepholes(cell, order)
    found = zip(names, np.split(P, len(names)), strict=True) if names else ()
    return params | {name: array.copy() for name, array in found}
