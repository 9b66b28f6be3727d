"""Weights to ONNX, as its own operators RNN, LSTM and GRU: they run in any runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from companion.cells import Cell, find_cell
from companion.weights.gate_orders import layers, order_in, reorder

if TYPE_CHECKING:
    import onnx

OPERATORS = {
    "rnn": "RNN",
    "rnn_relu": "RNN",
    "lstm": "LSTM",
    "peephole": "LSTM",
    "coupled": "LSTM",
    "gru": "GRU",
}
OPSET = 14  # the oldest with the operators as they are today, so that old runtimes take the model


def to_onnx(
    cell: Cell | str, params: Any, reset_after: bool = True, first_state: bool = False
) -> onnx.ModelProto:
    """Build an `onnx.ModelProto` of the network: one native operator a layer.

    cell: "rnn", `rnn_relu`, "lstm", "peephole", "coupled" or "gru". Peepholes become the
    operator's input P, the coupled gate its attribute `input_forget`.
    params: any of the three forms that `companion.weights` describes; a module's dropout and
    `batch_first` are no part of the model.
    reset_after: for a GRU, the operator's `linear_before_reset`: True is `CELLS["gru"]`, False
    `companion.gru2014`; the cell is "gru" for either.
    first_state: whether the model takes the first state as inputs; else it starts from zeros.
    Returns a model of opset 14. Its inputs are xs (T, B, D) and, with first_state, h0 and for an
    LSTM c0, each (layers · directions, B, H). Its outputs are ys (T, B, directions · H) and the
    last state, h and for an LSTM c, laid out as the first. T and B are free, but not 0: ONNX
    Runtime then ends the process. Numbers are of the dtype of params; ONNX Runtime computes these
    operators in float32 alone.
    Raises ValueError for another cell, or params that do not fit it; ImportError without the
    package onnx.
    Source: the ONNX operator reference, LSTM, GRU and RNN.
    """
    cell = find_cell(cell)
    import onnx

    order = order_in("onnx", cell)
    network = layers(cell, params)
    count, directions = len(network), len(network[0])
    H, D = (network[0][0][name].shape[1] for name in ("weight_hh", "weight_ih"))
    dtype = onnx.helper.np_dtype_to_tensor_dtype(network[0][0]["weight_ih"].dtype)
    make = onnx.helper.make_node
    constants = {"two axes in one": np.array([0, 0, directions * H])}
    nodes = []
    first = {s: [""] * count for s in cell.states}
    last = {s: [f"{s}T_l{k}" for k in range(count)] for s in cell.states}
    if first_state:
        constants["one a layer"] = np.full(count, directions)
        first = {s: [f"{s}0_l{k}" for k in range(count)] for s in cell.states}
        nodes += [make("Split", [f"{s}0", "one a layer"], first[s], axis=0) for s in cell.states]
    x = "xs"
    for k, layer in enumerate(network):
        weights = {f"{name}_l{k}": array for name, array in _inputs(cell, order, layer).items()}
        constants |= weights
        W, R, B, *P = weights
        y = "ys" if k == count - 1 else f"ys_l{k}"
        nodes += [
            make(
                OPERATORS[cell.name],
                [x, W, R, B, "", *(first[s][k] for s in cell.states), *P],
                [f"Y_l{k}", *(last[s][k] for s in cell.states)],
                hidden_size=H,
                direction="bidirectional" if directions == 2 else "forward",
                **attributes(cell, reset_after, directions),
            ),
            # From (T, directions, B, H).
            make("Transpose", [f"Y_l{k}"], [f"Y_by_row_l{k}"], perm=[0, 2, 1, 3]),
            make("Reshape", [f"Y_by_row_l{k}", "two axes in one"], [y]),
        ]
        x = y
    nodes += [make("Concat", last[s], [s], axis=0) for s in cell.states]

    def values(names, *shape):
        return [onnx.helper.make_tensor_value_info(name, dtype, shape) for name in names]

    names = [f"{s}0" for s in cell.states] if first_state else []
    graph = onnx.helper.make_graph(
        nodes,
        cell.name,
        values(["xs"], "T", "B", D) + values(names, count * directions, "B", H),
        values(["ys"], "T", "B", directions * H) + values(cell.states, count * directions, "B", H),
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opset = onnx.helper.make_opsetid("", OPSET)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=7)


def attributes(cell: Cell, reset_after: bool, directions: int) -> dict[str, Any]:
    """The attributes that tell the cells of one operator apart; directions: how many."""
    own: dict[str, dict[str, Any]] = {
        "rnn_relu": {"activations": ["Relu"] * directions},
        "coupled": {"input_forget": 1},
        "gru": {"linear_before_reset": int(reset_after)},
    }
    return own.get(cell.name, {})


def peepholes(cell: Cell, order: str) -> list[str]:
    """Names of the parameters of the operator's input P, in its order."""
    return [f"p_{gate}" for gate in order if f"p_{gate}" in cell.peepholes]


def _inputs(cell, order, layer):
    """The operator's inputs W, R, B and, for peepholes, P: arrays with an axis of directions."""

    def rows(name):
        return np.stack([reorder(params[name], cell.gates, order) for params in layer])

    biases = np.concatenate([rows("bias_ih"), rows("bias_hh")], axis=1)
    inputs = {"W": rows("weight_ih"), "R": rows("weight_hh"), "B": biases}
    if cell.peepholes:
        names = peepholes(cell, order)
        inputs["P"] = np.stack([np.concatenate([p[name] for name in names]) for p in layer])
    return inputs
