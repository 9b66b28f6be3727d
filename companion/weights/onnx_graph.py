"""Where values of an ONNX model come from: by which nodes, and from which constants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from companion.types import Array

if TYPE_CHECKING:
    import onnx


def name_of(node: onnx.NodeProto) -> str:
    """What an error calls a node."""
    return f"{node.op_type} {node.name or next(filter(None, node.output), '')!r}"


def _made_by(name, graphs):
    """The node that puts out `name`, or None, and the graphs that it sees."""
    for depth, graph in enumerate(graphs):
        for node in graph.node:
            if name in node.output:
                return node, graphs[depth:]
    return None, graphs


def constant(
    name: str,
    graphs: Sequence[onnx.GraphProto],
    opsets: Sequence[onnx.OperatorSetIdProto],
    what: str,
) -> Array:
    """The array of a name, computed from constants.

    graphs: the one where the name is read, and those that it is within, from the inside out.
    opsets: of the model. what: the array is, for an error.
    Raises ValueError if it depends on an input of the model, on chance, or on an operator that
    ONNX's reference has not.
    """
    from onnx import helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    for graph in graphs:
        for tensor in graph.initializer:
            if tensor.name == name:
                return numpy_helper.to_array(tensor)
    node, graphs = _made_by(name, graphs)
    if node is None:
        raise ValueError(f"{what} must be stored in the model, got {name!r}, an input")
    by_chance = node.op_type.startswith("Random") or node.op_type in ("Bernoulli", "Multinomial")
    if by_chance or (node.op_type != "Constant" and not any(node.input)):
        raise ValueError(f"{what} must be stored in the model, got {name_of(node)}")
    given = {key: constant(key, graphs, opsets, what) for key in node.input if key}
    one = helper.make_function("", "one", list(given), [name], [node], opsets)
    try:
        (array,) = ReferenceEvaluator(one).run(None, given, attributes={})
    except RuntimeError as error:
        raise ValueError(f"{what} must be computable, got {name_of(node)}: {error}") from error
    return np.asarray(array)


def source_of(
    name: str,
    graphs: Sequence[onnx.GraphProto],
    opsets: Sequence[onnx.OperatorSetIdProto],
) -> tuple[str, bool]:
    """What `name` is, or is the reverse in time of, and whether it is the reverse.

    graphs, opsets: as of `constant`.
    """
    flipped = False
    while True:
        node, graphs = _made_by(name, graphs)
        if node is not None and node.op_type == "Slice" and _flips(node, graphs, opsets):
            flipped = not flipped
        elif node is None or node.op_type != "Identity":
            return name, flipped
        name = node.input[0]


def _flips(node, graphs, opsets):
    """Whether a Slice turns round the first axis, the time."""
    if len(node.input) != 5:
        return False
    try:
        start, end, axis, step = (
            constant(key, graphs, opsets, "a bound").tolist() for key in node.input[1:]
        )
    except ValueError:  # it depends on the model's input
        return False
    # A start beyond the last step is the last one, an end before the first is none.
    last = start == [-1] or start[0] >= (1 << 31) - 1
    return last and axis in ([0], [-3]) and step == [-1] and end[0] <= -(1 << 31)


def descendants(graph: onnx.GraphProto, names: Iterable[str]) -> set[str]:
    """Names of all that is computed from `names`, these included."""
    found = set(names)
    for inputs, outputs in _steps(graph):
        if found.intersection(inputs):
            found.update(outputs)
    return found


def _steps(graph):
    """Inputs and outputs of each node in order, those of graphs within the graph included."""
    from onnx import AttributeProto

    for node in graph.node:
        for inner in (a.g for a in node.attribute if a.type == AttributeProto.GRAPH):
            yield node.input, [value.name for value in inner.input]
            yield from _steps(inner)
            yield [value.name for value in inner.output], node.output
        yield node.input, node.output
