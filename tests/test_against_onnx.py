"""The same numbers as ONNX Runtime, and as the cases that ONNX tests its backends with."""

from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.backend.test.case import node

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
# ONNX's cases, all of them: their GRUs are those of 2014.
CASES = {
    f"test_{operator}_{case}": name
    for operator, name in {"simple_rnn": "rnn", "lstm": "lstm", "gru": "gru2014"}.items()
    for case in ("defaults", "with_initial_bias", "batchwise", "reverse", "bidirectional")
} | {
    "test_rnn_seq_length": "rnn",
    "test_gru_seq_length": "gru2014",
    "test_lstm_with_peepholes": "peephole",
}


def run(name, params, xs, state):
    """Our ys and last state."""
    if name == "gru2014":
        ys, h, _ = forward_gru2014(params, xs, *state)
        return ys, (h,)
    return forward(CELL[name], params, xs, state, keep_tape=False)[:2]


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
    # Larger weights make the RNN chaotic: it would multiply the last digits at every step.
    scale = 1 / np.sqrt(H) if name == "rnn" else 0.5
    shapes = init(cell, D, H, rng)
    params = {k: rng.normal(0, scale, v.shape).astype("f") for k, v in shapes.items()}
    xs = rng.normal(size=(T, B, D)).astype("f")
    state = tuple(rng.normal(size=(B, H)).astype("f") for _ in cell.states)
    ys, last = run(name, params, xs, state)
    theirs, ends = run_onnx(name, params, xs, state)
    np.testing.assert_allclose(ys, theirs, rtol=0, atol=3e-6)
    for ours, end in zip(last, ends, strict=True):
        # A cell state may be as large as the number of steps.
        np.testing.assert_allclose(ours, end, rtol=0, atol=3e-6 * max(1, np.abs(end).max()))


@cache
def cases():
    """ONNX's cases of the three operators, by name; their outputs come from its own NumPy code."""
    # Importing these makes their cases. collect_testcases() makes those of all operators, in 9 s.
    from onnx.backend.test.case.node import gru, lstm, rnn  # noqa: F401

    operators = {operator for operator, _, _ in OPERATORS.values()}
    return {
        case.name: case
        for case in node._NodeTestCases
        if operators & {n.op_type for n in case.model.graph.node}
    }


def run_case(name, steps, X, W, R, B=None, initial_h=None, initial_c=None, P=None):
    """Y, Y_h and Y_c from our cell; steps: for each direction 1, or -1 for the reverse."""
    cell, order = CELL[name], OPERATORS[name][1]
    H = R.shape[2]
    zeros = np.zeros((len(steps), X.shape[1], H), X.dtype)
    first = {
        "h": zeros if initial_h is None else initial_h,
        "c": zeros if initial_c is None else initial_c,
    }
    B = np.zeros((len(steps), 2 * W.shape[1]), X.dtype) if B is None else B

    def ours(rows):
        blocks = dict(zip(order, np.split(rows, len(order)), strict=True))
        return np.concatenate([blocks[g] for g in cell.gates])

    runs = []
    for d, step in enumerate(steps):
        bias_ih, bias_hh = np.split(B[d], 2)
        weights = {"weight_ih": W[d], "weight_hh": R[d], "bias_ih": bias_ih, "bias_hh": bias_hh}
        params = {key: ours(rows) for key, rows in weights.items()}
        if P is not None:
            params |= zip(("p_i", "p_o", "p_f"), np.split(P[d], 3), strict=True)
        ys, last = run(name, params, X[::step], tuple(first[s][d] for s in cell.states))
        runs.append((ys[::step], *last))
    ys, *last = zip(*runs, strict=True)
    return [np.stack(ys, axis=1), *(np.stack(s) for s in last)]


@pytest.mark.parametrize("case", CASES)
def test_equal_to_the_cases_of_onnx(case):
    model, [(given, wanted)] = cases()[case].model, cases()[case].data_sets
    [operator] = model.graph.node
    options = {a.name: onnx.helper.get_attribute_value(a) for a in operator.attribute}
    steps = {b"forward": (1,), b"reverse": (-1,), b"bidirectional": (1, -1)}[
        options.pop("direction", b"forward")
    ]
    batch_first = options.pop("layout", 0)
    assert set(options) == {"hidden_size"}
    given = dict(zip(operator.input, given, strict=True))
    if batch_first:
        given["X"] = given["X"].swapaxes(0, 1)
    T = len(given["X"])
    assert set(given.pop("sequence_lens", [T])) == {T}  # every sequence is whole
    outputs = dict(zip(("Y", "Y_h", "Y_c"), run_case(CASES[case], steps, **given), strict=False))
    names = [name for name in operator.output if name]
    for name, theirs in zip(names, wanted, strict=True):
        ours = outputs[name]
        if batch_first:
            ours = np.moveaxis(ours, -2, 0)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=3e-6, err_msg=name)


def test_no_case_of_onnx_is_left_out():
    assert set(cases()) == set(CASES)
