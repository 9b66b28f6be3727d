"""The same numbers as ONNX Runtime, whose operators no one here wrote."""

import numpy as np
import onnx
import onnxruntime
import pytest

from companion import CELLS, forward, gate, init
from companion.gru2014 import forward_gru2014

# ONNX: operator, order of its gates (ours named), its attributes.
OPERATORS = {
    "rnn": ("RNN", "h", {}),
    "lstm": ("LSTM", "iofg", {}),
    "peephole": ("LSTM", "iofg", {}),
    "coupled": ("LSTM", "iofg", {"input_forget": 1}),
    "gru": ("GRU", "zrn", {"linear_before_reset": 1}),
    "gru2014": ("GRU", "zrn", {"linear_before_reset": 0}),
}
CELL = CELLS | {"gru2014": CELLS["gru"]}  # the same parameters


def run_onnx(name, params, xs, state):
    """The operator's Y and last states, in float32."""
    operator, order, attributes = OPERATORS[name]
    cell = CELL[name]
    H = params["weight_hh"].shape[1]

    def rows(key):
        # With input_forget the operator still wants a forget gate's weights, and ignores them.
        missing = np.zeros((H, *params[key].shape[1:]), np.float32)
        return np.concatenate(
            [gate(cell, params[key], g) if g in cell.gates else missing for g in order]
        )

    inputs = {
        "X": xs,
        "W": rows("weight_ih")[None],
        "R": rows("weight_hh")[None],
        "B": np.concatenate([rows("bias_ih"), rows("bias_hh")])[None],
        "sequence_lens": None,
        "initial_h": state[0][None],
    }
    if operator == "LSTM":
        inputs["initial_c"] = state[1][None]
        inputs["P"] = None
    if cell.peepholes:
        inputs["P"] = np.concatenate([params[p] for p in ("p_i", "p_o", "p_f")])[None]
    names = [key if value is not None else "" for key, value in inputs.items()]
    given = {key: value for key, value in inputs.items() if value is not None}
    outputs = ["Y", "Y_h", "Y_c"][: 3 if operator == "LSTM" else 2]
    node = onnx.helper.make_node(operator, names, outputs, hidden_size=H, **attributes)
    graph = onnx.helper.make_graph(
        [node],
        "one",
        [onnx.helper.make_tensor_value_info(k, 1, v.shape) for k, v in given.items()],
        [
            onnx.helper.make_tensor_value_info(k, 1, shape)
            for k, shape in zip(
                outputs, [(len(xs), 1, *state[0].shape)] + [(1, *state[0].shape)] * 2, strict=False
            )
        ],
    )
    opset = onnx.helper.make_opsetid("", 14)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    ys, *last = session.run(outputs, given)
    return ys[:, 0], [s[0] for s in last]


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("sizes", [(20, 3, 4, 5), (1, 1, 1, 1), (50, 2, 8, 16)])
def test_equal_to_onnx_runtime(name, sizes):
    T, B, D, H = sizes
    rng = np.random.default_rng(0)
    cell = CELL[name]
    params = {k: rng.normal(0, 0.5, v.shape).astype("f") for k, v in init(cell, D, H, rng).items()}
    xs = rng.normal(size=(T, B, D)).astype("f")
    state = tuple(rng.normal(size=(B, H)).astype("f") for _ in cell.states)
    if name == "gru2014":
        ys, last, _ = forward_gru2014(params, xs, *state)
        last = (last,)
    else:
        ys, last, _ = forward(cell, params, xs, state, keep_tape=False)
    theirs, ends = run_onnx(name, params, xs, state)
    np.testing.assert_allclose(ys, theirs, rtol=0, atol=3e-6)
    for ours, end in zip(last, ends, strict=True):
        # A cell state may be as large as the number of steps.
        np.testing.assert_allclose(ours, end, rtol=0, atol=3e-6 * max(1, np.abs(end).max()))
