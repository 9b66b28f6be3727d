"""Weights from ONNX models of others: where an operator may be, and where its weights."""

from functools import partial

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper

import companion.nn
from companion import init
from companion.weights import from_onnx, from_torch, to_onnx

D, H, T, B = 3, 5, 4, 2
FLOAT = onnx.TensorProto.FLOAT


def draw(inputs=D, seed=0):
    """Params of an LSTM in one direction."""
    rng = np.random.default_rng(seed)
    shapes = init("lstm", inputs, H, rng, np.float32)
    return {key: rng.normal(0, 0.5, array.shape).astype("f") for key, array in shapes.items()}


def reverse(params):
    return {f"{name}_l0_reverse": array for name, array in params.items()}


def both(params, backward):
    return {f"{name}_l0": array for name, array in params.items()} | reverse(backward)


def weights(params, end=""):
    """W, R and B of an operator by name, as `to_onnx` stores them."""
    stored = to_onnx("lstm", params).graph.initializer
    return {t.name[0] + end: numpy_helper.to_array(t) for t in stored if t.name.endswith("_l0")}


def operator(names, x="xs", end="", **attributes):
    """The node of an LSTM."""
    outputs = [f"Y{end}", f"h{end}", f"c{end}"]
    return helper.make_node("LSTM", [x, *names], outputs, f"op{end}", hidden_size=H, **attributes)


def some(name):
    """The declaration of Y, or of a last state."""
    return helper.make_tensor_value_info(name, FLOAT, [None] * (4 if name[0] == "Y" else 3))


def make(nodes, outputs, stored=(), inputs=(), opset=14, functions=()):
    """A model that ONNX's checker accepts, of inputs xs and what else is named."""
    values = [helper.make_tensor_value_info("xs", FLOAT, [T, B, D])]
    values += [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs]
    stored = [numpy_helper.from_array(array, name) for name, array in dict(stored).items()]
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    graph = helper.make_graph(nodes, "model", values, list(map(some, outputs)), stored)
    model = helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=8)
    onnx.checker.check_model(model)
    return model


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
        assert found[name].dtype == array.dtype


@pytest.mark.parametrize("opset", [9, 14])  # axes of Unsqueeze: an attribute, an input
def test_weights_through_other_operators(opset):
    nodes, stored = [], {"axis": np.array([0])}
    for name, array in weights(draw()).items():
        value = numpy_helper.from_array(array[0])
        axes = {"axes": [0]} if opset < 13 else {}
        nodes += [
            helper.make_node("Constant", [], [f"{name}0"], value=value),
            helper.make_node("Identity", [f"{name}0"], [f"{name}1"]),
            helper.make_node("Unsqueeze", [f"{name}1"] + ["axis"] * (not axes), [name], **axes),
        ]
    model = make([*nodes, operator("WRB")], ["Y"], stored, opset=opset)
    assert_same(from_onnx("lstm", model), draw())


def test_activations_in_small_letters():
    names = ["sigmoid", "tanh", "tanh"]
    model = make([operator("WRB", activations=names)], ["Y"], weights(draw()))
    onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert_same(from_onnx("lstm", model), draw())


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of PyTorch's own
def test_activations_beyond_those_that_are_read():
    module = companion.nn.RNN(D, H).eval()
    table = companion.nn.onnx_table()
    options = {"dynamo": True, "custom_translation_table": table, "verbose": False}
    model = torch.onnx.export(module, (torch.zeros(T, B, D),), **options).model_proto
    (node,) = (node for node in model.graph.node if node.op_type == "RNN")
    (said,) = (a for a in node.attribute if a.name == "activations")
    assert said.strings == [b"Tanh", b"Tanh"]  # ONNX's default, even of one direction
    assert_same(from_onnx("rnn", model), from_torch("rnn", module))
    said.strings[0] = b"Relu"
    with pytest.raises(ValueError, match=r"must be \['Tanh'\] for rnn, got \['Relu'\]"):
        from_onnx("rnn", model)


def test_a_gate_that_is_said_to_be_the_cells_own():
    model = make([operator("WRB", input_forget=0)], ["Y"], weights(draw()))
    assert_same(from_onnx("lstm", model), draw())


def test_an_operator_in_reverse():
    model = make([operator("WRB", direction="reverse")], ["Y"], weights(draw()))
    assert_same(from_onnx("lstm", model), reverse(draw()))


@pytest.mark.parametrize("first", ["forward", "reverse"])
def test_two_operators_are_the_directions_of_a_layer(first):
    stored = weights(draw(), "_f") | weights(draw(seed=1), "_r")
    nodes = [
        operator(["W_f", "R_f", "B_f"], end="_f"),
        helper.make_node("Identity", ["xs"], ["same"]),
        operator(["W_r", "R_r", "B_r"], "same", "_r", direction="reverse"),
    ]
    nodes = nodes if first == "forward" else [nodes[k] for k in (1, 2, 0)]
    found = from_onnx("lstm", make(nodes, ["Y_f", "Y_r"], stored))
    assert_same(found, both(draw(), draw(seed=1)))


def test_two_operators_of_a_layer_on_top_of_two():
    ends = [f"{end}{k}" for k in (0, 1) for end in "fr"]
    stored = {}
    for seed, end in enumerate(ends):
        stored |= weights(draw(D if end[1] == "0" else 2 * H, seed), end)
    nodes = []
    for k, x in enumerate(["xs", "middle"]):
        for end in "fr":
            direction = "forward" if end == "f" else "reverse"
            names = [f"{name}{end}{k}" for name in "WRB"]
            nodes.append(operator(names, x, f"_{end}{k}", direction=direction))
    side_by_side = helper.make_node("Concat", ["Y_f0", "Y_r0"], ["both"], axis=3)
    nodes[2:2] = [side_by_side, helper.make_node("Squeeze", ["both", "one"], ["middle"])]
    found = from_onnx("lstm", make(nodes, ["Y_f1", "Y_r1"], stored | {"one": np.array([1])}))
    wanted = {}
    for seed, end in enumerate(["_l0", "_l0_reverse", "_l1", "_l1_reverse"]):
        inputs = D if "0" in end else 2 * H
        wanted |= {name + end: array for name, array in draw(inputs, seed).items()}
    assert_same(found, wanted)


def turned(end=-(1 << 63), start=-1, axis=0, dtype=np.int64, step=-1):
    """A node that turns xs round in time, or all but its first steps, and its bounds."""
    names = ["start", "end", "axis", "step"]
    bounds = zip(names, (start, end, axis, step), strict=True)
    node = helper.make_node("Slice", ["xs", *names], ["sx"])
    return node, {name: np.array([value], dtype) for name, value in bounds}


def test_the_reverse_of_the_input():
    small = {"end": -(1 << 31), "dtype": np.int32}
    whole = [{}, small, small | {"start": (1 << 31) - 1}, {"start": (1 << 63) - 1}, {"axis": -3}]
    for given in whole:
        node, bounds = turned(**given)
        model = make([node, operator("WRB", "sx")], ["Y"], weights(draw()) | bounds)
        assert_same(from_onnx("lstm", model), reverse(draw()))
        turned_back = operator("WRB", "sx", direction="reverse")
        model = make([node, turned_back], ["Y"], weights(draw()) | bounds)
        assert_same(from_onnx("lstm", model), draw())
    parts = [{"end": 0}, {"end": -2}, {"start": -2}, {"start": 3}, {"start": 30}]
    for given in (*parts, {"axis": 1}, {"step": -2}):
        node, bounds = turned(**given)
        model = make([node, operator("WRB", "sx")], ["Y"], weights(draw()) | bounds)
        assert_same(from_onnx("lstm", model), draw())
    node, bounds = turned(start=0, end=T)
    node.input.pop()  # without a step it is 1
    del bounds["step"]
    model = make([node, operator("WRB", "sx")], ["Y"], weights(draw()) | bounds)
    assert_same(from_onnx("lstm", model), draw())


def test_a_reverse_whose_bounds_are_constants_or_inputs():
    node, bounds = turned()
    made = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value))
        for name, value in bounds.items()
    ]
    model = make([*made, node, operator("WRB", "sx")], ["Y"], weights(draw()))
    assert_same(from_onnx("lstm", model), reverse(draw()))
    model = make(
        [*made[1:], node, operator("WRB", "sx")],
        ["Y"],
        weights(draw()),
        [("start", onnx.TensorProto.INT64, [1])],
    )
    assert_same(from_onnx("lstm", model), draw())


def test_one_operator_of_a_layer_reads_the_reverse_of_the_input():
    node, bounds = turned()
    stored = weights(draw(), "_f") | weights(draw(seed=1), "_r") | bounds
    nodes = [operator(["W_f", "R_f", "B_f"], end="_f"), node]
    nodes.append(operator(["W_r", "R_r", "B_r"], "sx", "_r"))
    found = from_onnx("lstm", make(nodes, ["Y_f", "Y_r"], stored))
    assert_same(found, both(draw(), draw(seed=1)))


def branch(seed, name, nodes=(), x="xs"):
    """The graph of an If's branch with an LSTM, and with its weights."""
    nodes = [*nodes, operator(["W", "R", "B"], x, end=name)]
    stored = [numpy_helper.from_array(a, key) for key, a in weights(draw(seed=seed)).items()]
    return helper.make_graph(nodes, name, [], [some(f"h{name}")], stored)


def either(one, other):
    """A model of an If with these branches, and an LSTM on top."""
    choice = helper.make_node("If", ["which"], ["ys"], "choice", then_branch=one, else_branch=other)
    which = ("which", onnx.TensorProto.BOOL, [])
    top = operator(["Wt", "Rt", "Bt"], "ys", "t")
    return make([choice, top], ["Yt"], weights(draw(H, 5), "t"), [which])


def test_the_branches_of_an_if():
    zeros = numpy_helper.from_array(np.zeros((1, B, H), np.float32))
    nothing = [helper.make_node("Constant", [], ["zeros"], value=zeros)]
    plain = helper.make_graph(nothing, "plain", [], [some("zeros")])
    wanted = {f"{name}_l0": array for name, array in draw().items()}
    wanted |= {f"{name}_l1": array for name, array in draw(H, 5).items()}
    for other in (branch(0, "_b"), plain):
        assert_same(from_onnx("lstm", either(branch(0, "_a"), other)), wanted)
        assert_same(from_onnx("lstm", either(other, branch(0, "_a"))), wanted)


def test_weights_outside_of_the_branch_and_further_in_or_computed_on_the_way():
    def copies(*names):
        pairs = zip(names[:-1], names[1:], strict=True)
        return [helper.make_node("Identity", [one], [other]) for one, other in pairs]

    inner = branch(0, "_a", copies("W2", "W3", "W"))
    del inner.initializer[:]
    outer = helper.make_node("If", ["which"], ["y"], then_branch=inner, else_branch=inner)
    outer = helper.make_graph([*copies("W0", "W1", "W2"), outer], "outer", [], [some("y")])
    node = helper.make_node("If", ["which"], ["ys"], then_branch=outer, else_branch=outer)
    stored = weights(draw())
    stored["W0"] = stored.pop("W")
    model = make([node], ["ys"], stored, [("which", onnx.TensorProto.BOOL, [])])
    assert_same(from_onnx("lstm", model), draw())


def test_an_if_without_recurrent_operators():
    copy = helper.make_node("Identity", ["xs"], ["copy"])
    plain = helper.make_graph([copy], "plain", [], [some("copy")])
    node = helper.make_node("If", ["which"], ["same"], then_branch=plain, else_branch=plain)
    inputs = [("which", onnx.TensorProto.BOOL, [])]
    model = make([node, operator("WRB", "same")], ["Y"], weights(draw()), inputs)
    assert_same(from_onnx("lstm", model), draw())


def test_a_layer_within_a_scan():
    stored = [numpy_helper.from_array(a, key) for key, a in weights(draw(H, 1)).items()]
    part = helper.make_tensor_value_info("part", FLOAT, [T, B, H])
    body = helper.make_graph([operator("WRB", "part", "_b")], "body", [part], [some("Y_b")], stored)
    nodes = [
        operator(["W0", "R0", "B0"], end="_a"),
        helper.make_node("Transpose", ["Y_a"], ["parts"], perm=[1, 0, 2, 3]),
        helper.make_node("Scan", ["parts"], ["Ys"], body=body, num_scan_inputs=1),
    ]
    last = helper.make_node("Squeeze", ["Ys", "one"], ["Y"])
    more = weights(draw(), "0") | {"one": np.array([0])}
    found = from_onnx("lstm", make([*nodes, last], ["Y"], more))
    wanted = {f"{name}_l0": array for name, array in draw().items()}
    assert_same(found, wanted | {f"{name}_l1": array for name, array in draw(H, 1).items()})


def test_an_input_that_is_left_out():
    stored = weights(draw())
    stored |= {"r": stored.pop("R"), "most": np.float32(9)}
    node = helper.make_node("Clip", ["r", "", "most"], ["R"])
    assert_same(from_onnx("lstm", make([node, operator("WRB")], ["Y"], stored)), draw())


def test_a_function_of_the_model():
    names = ["xs", "W", "R", "B"]
    opsets = [helper.make_opsetid("", 14)]
    block = helper.make_function("own", "Block", names, ["Y"], [operator("WRB")], opsets)
    node = helper.make_node("Block", names, ["Y"], domain="own")
    model = make([node], ["Y"], weights(draw()), functions=[block])
    assert_same(from_onnx("lstm", model), draw())


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of PyTorch's own
@pytest.mark.parametrize("kind", [torch.nn.LSTM, companion.nn.LSTM])
def test_what_pytorch_exports(kind):
    # The weights are too many for the exporter to put them into ONNX's order itself.
    module = kind(D, 160, 2, bidirectional=True).eval()
    table = companion.nn.onnx_table()
    options = {"dynamo": True, "custom_translation_table": table, "verbose": False}
    program = torch.onnx.export(module, (torch.zeros(T, B, D),), **options)
    assert_same(from_onnx("lstm", program.model_proto), from_torch("lstm", module))


def mixed():
    nodes = [operator("WRB"), helper.make_node("Squeeze", ["Y", "one"], ["y"])]
    nodes.append(operator(["Wt", "Rt", "Bt"], "y", "t", direction="reverse"))
    return make(nodes, ["Yt"], weights(draw()) | weights(draw(H), "t") | {"one": np.array([1])})


def of_another_shape(name):
    stored = weights(draw())
    return make([operator("WRB")], ["Y"], stored | {name: stored[name][:, :-1]})


def of_two_layers(name):
    """A branch with an LSTM more than `branch` has."""
    middle = helper.make_node("Squeeze", [f"Y{name}0", "one"], [f"x{name}"])
    nodes = [operator(["W", "R", "B"], end=f"{name}0"), middle]
    nodes.append(operator(["Wt", "Rt", "Bt"], f"x{name}", name))
    stored = weights(draw()) | weights(draw(H, 1), "t") | {"one": np.array([1])}
    stored = [numpy_helper.from_array(array, key) for key, array in stored.items()]
    return helper.make_graph(nodes, name, [], [some(f"h{name}")], stored)


def turned_branch(seed, name):
    """The graph of `branch`, its LSTM in reverse."""
    graph = branch(seed, name)
    graph.node[0].attribute.append(helper.make_attribute("direction", "reverse"))
    return graph


def side_by_side(x="xs"):
    nodes = [operator("WRB"), helper.make_node("Neg", ["xs"], ["minus"])]
    return make([*nodes, operator("WRB", x, "_r")], ["Y", "Y_r"], weights(draw()))


def from_input():
    inputs = [(name, FLOAT, array.shape) for name, array in weights(draw()).items()]
    return make([operator("WRB")], ["Y"], inputs=inputs)


def computed(kind, inputs="", **attributes):
    """A model whose R this operator computes, of stored arrays."""
    stored = weights(draw())
    stored["r"] = stored.pop("R")
    node = helper.make_node(kind, list(inputs), ["R"], "made", **attributes)
    return make([node, operator("WRB")], ["Y"], stored, opset=15)


def computed_from_input():
    stored = weights(draw())
    given = ("r", FLOAT, stored.pop("R").shape)
    node = helper.make_node("Identity", ["r"], ["R"], "made")
    return make([node, operator("WRB")], ["Y"], stored, [given])


def dequantized():
    stored = weights(draw())
    stored |= {"r": np.zeros(stored.pop("R").shape, np.int8), "s": np.float32([1, 2])}
    node = helper.make_node("DequantizeLinear", ["r", "s"], ["R"], "made", axis=1)
    return make([node, operator("WRB")], ["Y"], stored)


def of_another_domain(kind, domain, beside=()):
    """A model with a recurrent operator that is none of ONNX's own."""
    node = operator("WRB")
    node.op_type, node.domain = kind, domain
    return make([*beside, node], ["Y"], weights(draw()))


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (side_by_side, "operators must be a chain, got LSTM 'op_r' beside another"),
        (
            lambda: side_by_side("minus"),
            "operators must be a chain, got LSTM 'op_r' from elsewhere",
        ),
        (mixed, "operators must have the same directions, LSTM 'opt' has others"),
        *(
            (
                partial(either, *branches),
                "branches of If 'choice' must have the same weights, got LSTM 'op_a0?' with others",
            )
            for branches in (
                (branch(0, "_a"), branch(1, "_b")),
                (branch(0, "_a"), of_two_layers("_b")),
                (of_two_layers("_a"), branch(0, "_b")),
                (branch(0, "_a"), turned_branch(0, "_b")),
                (turned_branch(0, "_a"), branch(0, "_b")),
            )
        ),
        *(
            (
                partial(of_another_shape, name),
                rf"input {name} of LSTM 'op' must have shape \(1, {rows}\), got \(1, {cut}",
            )
            for name, rows, cut in (
                ("W", "20, 3", 19),
                ("R", "20, 5", 19),
                ("B", "40", 39),
            )
        ),
        (from_input, "input W of LSTM 'op' must be stored in the model, got 'W', an input"),
        (
            computed_from_input,
            "input R of LSTM 'op' must be stored in the model, got 'r', an input",
        ),
        *(
            (
                partial(computed, kind, inputs, **attributes),
                f"input R of LSTM 'op' must be stored in the model, got {kind} 'made'",
            )
            for kind, inputs, attributes in (
                ("RandomNormal", "", {"shape": [1, 4 * H, H]}),
                ("RandomNormalLike", "r", {}),
                ("RandomUniformLike", "r", {}),
                ("Bernoulli", "r", {}),
            )
        ),
        (dequantized, "input R of LSTM 'op' must be computable, got DequantizeLinear 'made'"),
        (
            partial(of_another_domain, "LSTM", "own"),
            "model must have LSTM operators, got LSTM 'op' of own",
        ),
        (
            partial(of_another_domain, "DynamicQuantizeLSTM", "own", [operator("WRB", end="t")]),
            "model must have LSTM operators, got DynamicQuantizeLSTM 'op' of own",
        ),
    ],
)
def test_what_is_refused_names_the_operator(model, says):
    with pytest.raises(ValueError, match=says):
        from_onnx("lstm", model())
