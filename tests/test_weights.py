"""Weights in torch, Keras and ONNX: the same outputs in each, run for real, and no bit lost."""

import io
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from every_cell import EVERY
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils import parametrizations
from torch.nn.utils import prune as pruning

import companion.nn
from companion import CELLS, forward, init
from companion.gru2014 import forward_gru2014
from companion.weights import (
    GATE_ORDERS,
    from_keras,
    from_onnx,
    from_torch,
    layers,
    to_keras,
    to_onnx,
    to_torch,
)
from companion.weights.gate_orders import KNOWN

# Values of order 1 in float32, where one rounding is 6e-8, over 12 steps and 3 layers.
CLOSE = {"rtol": 0, "atol": 3e-6}
D, H, T, B = 3, 5, 12, 2
NETWORKS = [(1, False), (1, True), (3, False), (2, True)]  # layers, bidirectional
MODULES = {
    "rnn": companion.nn.RNN,
    "rnn_relu": partial(companion.nn.RNN, nonlinearity="relu"),
    "lstm": companion.nn.LSTM,
    "peephole": companion.nn.PeepholeLSTM,
    "coupled": companion.nn.CoupledLSTM,
    "gru": companion.nn.GRU,
}
lstm = CELLS["lstm"]


def draw(cell, count, both, rng, sizes=(D, H), dtype=np.float32):
    """Params of a network: flat for one layer in one direction, else with suffixes."""
    D, H = sizes
    params = {}
    for k in range(count):
        for suffix in ("", "_reverse") if both else ("",):
            inputs = H * (1 + both) if k else D
            for name, array in init(cell, inputs, H, rng, dtype).items():
                params[f"{name}_l{k}{suffix}"] = rng.normal(0, 0.5, array.shape).astype(dtype)
    if count == 1 and not both:
        return {name.removesuffix("_l0"): array for name, array in params.items()}
    return params


def run(cell, params, xs, state=None, reset_after=True):
    """Our own outputs of a network, layer by layer, and the last state as torch.nn lays it out."""
    last = []
    for layer in layers(cell, params):
        ys = []
        for reverse, p in enumerate(layer):
            x = xs[::-1] if reverse else xs
            first = tuple(s[len(last)] for s in state) if state else None
            if reset_after:
                y, end, _ = forward(cell, p, x, first, keep_tape=False)
            else:
                y, h, _ = forward_gru2014(p, x, *(first or ()))
                end = (h,)
            ys.append(y[::-1] if reverse else y)
            last.append(end)
        xs = np.concatenate(ys, axis=2)
    return [xs, *(np.stack(s) for s in zip(*last, strict=True))]


def problem(name, count, both):
    rng = np.random.default_rng(0)
    cell = EVERY[name]
    # Behind tanh nothing grows; with ReLU a state of three layers would.
    params = {
        key: array / (2 if name == "rnn_relu" else 1)
        for key, array in draw(cell, count, both, rng).items()
    }
    xs = rng.normal(size=(T, B, D)).astype("f")
    shape = (count * (1 + both), B, H)
    return cell, params, xs, [rng.normal(size=shape).astype("f") for _ in cell.states]


def assert_close(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, **CLOSE)


def assert_same_bits(ours, theirs):
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        ours, theirs = ours.values(), [theirs[name] for name in ours]
    for a, b in zip(ours, theirs, strict=True):
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


def test_table_of_gate_orders():
    for name, order in GATE_ORDERS["torch"].items():
        assert tuple(order) == EVERY[name].gates
    cells = {"rnn", "rnn_relu", "lstm", "gru"}
    assert GATE_ORDERS["keras"].keys() == cells
    assert (
        GATE_ORDERS["torch"].keys() == GATE_ORDERS["onnx"].keys() == cells | {"peephole", "coupled"}
    )


@pytest.mark.parametrize(("count", "both"), NETWORKS)
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_torch_gives_the_same(name, count, both):
    cell, params, xs, state = problem(name, count, both)
    module = getattr(torch.nn, name.upper())(D, H, count, bidirectional=both)
    module.load_state_dict(to_torch(cell, params))
    first = tuple(map(torch.from_numpy, state))
    with torch.no_grad():
        ys, last = module(torch.from_numpy(xs), first if len(first) == 2 else first[0])
    last = last if isinstance(last, tuple) else (last,)
    assert_close(run(cell, params, xs, state), [ys.numpy(), *(s.numpy() for s in last)])
    assert_same_bits(from_torch(cell, module), params)
    assert_same_bits(from_torch(cell, module.state_dict()), params)


@pytest.mark.parametrize(("count", "both"), NETWORKS)
@pytest.mark.parametrize("name", MODULES)
def test_our_modules_take_and_give_the_same(name, count, both):
    cell, params, xs, _ = problem(name, count, both)
    module = MODULES[name](D, H, count, bidirectional=both)
    module.load_state_dict(to_torch(cell, params))
    with torch.no_grad():
        ys, last = module(torch.from_numpy(xs))
    last = last if isinstance(last, tuple) else (last,)
    ours = [ys.numpy(), *(s.numpy() for s in last)]
    assert_close(ours, run(cell, params, xs))
    assert_close(ours, run_onnx(to_onnx(cell, module), {"xs": xs}))
    assert_same_bits(from_torch(cell, module), params)


def test_torch_without_biases_gives_zeros():
    module = torch.nn.LSTM(D, H, bias=False)
    params = from_torch(lstm, module)
    assert not params["bias_ih"].any() and not params["bias_hh"].any()
    xs = torch.randn(T, B, D)
    ys, _ = module(xs)
    assert_close(run(lstm, params, xs.numpy())[:1], [ys.detach().numpy()])


def prune(module, name):
    pruning.random_unstructured(module, name, amount=0.4)


def prune_twice(module, name):
    prune(module, name)
    pruning.l1_unstructured(module, name, amount=0.4)


def weight_norm(module, name):
    parametrizations.weight_norm(module, name, dim=0)


@pytest.mark.parametrize("names", [["bias_ih", "bias_hh"], ["weight_hh"], ["weight_ih", "bias_hh"]])
@pytest.mark.parametrize("change", [prune, prune_twice, weight_norm])
@pytest.mark.parametrize("kind", [torch.nn.LSTM, companion.nn.LSTM])
def test_weights_that_a_module_computes(kind, change, names):
    module, xs = kind(D, H, 2, bidirectional=True), torch.randn(T, B, D)
    for name in names:
        for suffix in ("_l0", "_l1_reverse"):
            change(module, name + suffix)
    with torch.no_grad():  # as a step of an optimizer does, so that the attributes are out of date
        for parameter in module.parameters():
            parameter.add_(0.5 * torch.rand_like(parameter))
    params = from_torch("lstm", module)
    ys, *_ = run(lstm, params, xs.numpy())
    np.testing.assert_allclose(ys, module(xs)[0].detach().numpy(), **CLOSE)
    with pytest.raises(ValueError, match=f"must have '{names[0]}_l0' .*; it is computed"):
        from_torch("lstm", module.state_dict())


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_biases_under_the_older_weight_norm_are_no_zeros():
    module = torch.nn.LSTM(D, H)
    for name in ("bias_ih_l0", "bias_hh_l0"):
        torch.nn.utils.weight_norm(module, name)
    says = "must have 'bias_ih_l0' .*; it is computed from others: .*remove_weight_norm"
    with pytest.raises(ValueError, match=says):
        from_torch("lstm", module)


class Reader(torch.nn.Module):
    """A model with an LSTM somewhere in it."""

    def __init__(self, kind):
        super().__init__()
        self.embedding = torch.nn.Embedding(7, D)
        self.body = torch.nn.ModuleDict({"lstm": kind(D, H, 2, bidirectional=True)})
        self.readout = torch.nn.Linear(2 * H, 3)


@pytest.mark.parametrize("kind", [torch.nn.LSTM, companion.nn.LSTM])
@pytest.mark.parametrize("wrap", [torch.nn.Module.eval, torch.nn.DataParallel, torch.compile])
def test_a_part_of_a_model(wrap, kind):
    model = Reader(kind)
    inner = model.body["lstm"]
    wanted = from_torch(lstm, inner.state_dict())
    model.body["lstm"] = wrap(inner)
    for found in (model, model.state_dict(), wrap(model), wrap(model).state_dict()):
        assert_same_bits(from_torch(lstm, found), wanted)
    pruning.random_unstructured(inner, "weight_hh_l1", amount=0.4)
    pruned = from_torch(lstm, model)["weight_hh_l1"]
    assert 0.3 < (pruned == 0).mean() < 0.5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    module = torch.nn.LSTM(D, H, dtype=dtype)
    params = from_torch(lstm, module)
    assert {array.dtype for array in params.values()} == {np.dtype(np.float32)}
    back = {name: value.to(dtype) for name, value in to_torch(lstm, params).items()}
    for name, value in module.state_dict().items():
        assert torch.equal(back[name], value)


def test_a_cell_of_torch_is_a_flat_dict():
    params = from_torch(lstm, torch.nn.LSTMCell(D, H))
    assert [*params] == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    kinds = {
        "lstm": torch.nn.LSTMCell(D, H),
        "gru": torch.nn.GRUCell(D, H),
        "rnn": torch.nn.RNNCell(D, H),
        "rnn_relu": torch.nn.RNNCell(D, H, nonlinearity="relu"),
    }
    for name, module in kinds.items():
        for other in (*kinds, "peephole", "coupled", "lstm1997"):
            for whole in (module, torch.nn.Sequential(module)):
                if other == name:
                    from_torch(KNOWN[other], whole)
                else:
                    with pytest.raises(ValueError, match=f"must be those of {other}, got a modu"):
                        from_torch(KNOWN[other], whole)


# Keras takes its backend when it is imported, so each has a process of its own.
KERAS = """
import pickle, sys
import keras

results = []
for case in pickle.load(open(sys.argv[1], "rb")):
    model = keras.Sequential([keras.Input((None, case["D"]))])
    for _ in range(case["count"]):
        # Biases that are not zero, and of both rows different.
        layer = getattr(keras.layers, case["layer"])(
            case["H"], return_sequences=True, bias_initializer="random_normal", **case["options"]
        )
        model.add(keras.layers.Bidirectional(layer) if case["both"] else layer)
    def outputs():
        return keras.ops.convert_to_numpy(model(case["xs"]))
    own = model.get_weights(), outputs()
    model.set_weights(case["weights"])
    results.append((own, (model.get_weights(), outputs())))
pickle.dump((keras.backend.backend(), results), open(sys.argv[1], "wb"))
"""
KERAS_LAYERS = {
    "rnn": ("SimpleRNN", {}),
    "lstm": ("LSTM", {}),
    "gru": ("GRU", {"reset_after": True}),
    "gru2014": ("GRU", {"reset_after": False}),
}


@pytest.mark.parametrize("backend", ["torch", "tensorflow"])
def test_keras_gives_the_same(backend, tmp_path):
    if backend == "tensorflow" and sys.version_info >= (3, 14):
        pytest.skip("TensorFlow has no build for Python 3.14 or newer")
    cases = [(name, *network) for name in KERAS_LAYERS for network in NETWORKS]
    questions = []
    for name, count, both in cases:
        cell, params, xs, _ = problem(name.removesuffix("2014"), count, both)
        layer, options = KERAS_LAYERS[name]
        question = {"layer": layer, "options": options, "count": count, "both": both}
        question |= {"weights": to_keras(cell, params, **options), "xs": xs.swapaxes(0, 1)}
        questions.append(question | {"D": D, "H": H})
    path = tmp_path / "cases"
    path.write_bytes(pickle.dumps(questions))
    own_home = {"KERAS_HOME": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run(
        [sys.executable, "-c", KERAS, str(path)],
        check=True,
        env=os.environ | own_home | {"KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""},
    )
    ran_on, results = pickle.loads(path.read_bytes())
    assert ran_on == backend
    for (name, _, both), question, result in zip(cases, questions, results, strict=True):
        cell, options = CELLS[name.removesuffix("2014")], question["options"]
        assert_same_bits(result[1][0], question["weights"])
        for weights, ys in result:
            params = from_keras(cell, weights, both, **options)
            xs = question["xs"].swapaxes(0, 1)
            assert_close(run(cell, params, xs, **options)[:1], [ys.swapaxes(0, 1)])
            assert_same_bits(to_keras(cell, params, **options), weights)


def test_keras_single_bias_is_the_sum():
    cell, params, _, _ = problem("lstm", 1, False)
    back = from_keras(cell, to_keras(cell, params))
    both = params["bias_ih"] + params["bias_hh"]
    assert_same_bits(back, params | {"bias_ih": both, "bias_hh": np.zeros_like(both)})


@pytest.mark.parametrize(("count", "both"), NETWORKS)
def test_a_gru_with_one_bias_in_keras(count, both):
    cell, params, _, _ = problem("gru", count, both)
    arrays = to_keras(cell, params, reset_after=False)
    assert {bias.shape for bias in arrays[2::3]} == {(3 * H,)}
    back = from_keras(cell, arrays, both, reset_after=False)
    for name, array in params.items():
        if name.startswith("bias_ih"):
            array = array + params[name.replace("ih", "hh")]
        np.testing.assert_array_equal(back[name], 0 if name.startswith("bias_hh") else array)
    with pytest.raises(ValueError, match=r"bias must have shape \(2, 15\), got \(15,\)"):
        from_keras(cell, arrays, both)


def run_onnx(model, inputs):
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)


@pytest.mark.parametrize(("count", "both"), NETWORKS)
@pytest.mark.parametrize("name", [*GATE_ORDERS["onnx"], "gru2014"])
def test_onnx_runtime_gives_the_same(name, count, both):
    cell, params, xs, state = problem(name.removesuffix("2014"), count, both)
    reset_after = name != "gru2014"
    model = to_onnx(cell, params, reset_after, first_state=True)
    inputs = {"xs": xs} | {f"{s}0": v for s, v in zip(cell.states, state, strict=True)}
    assert_close(run(cell, params, xs, state, reset_after), run_onnx(model, inputs))
    from_zeros = run_onnx(to_onnx(cell, params, reset_after), {"xs": xs[:7, :1]})
    assert_close(run(cell, params, xs[:7, :1], None, reset_after), from_zeros)
    assert_same_bits(from_onnx(cell, model, reset_after), params)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize(("count", "both"), NETWORKS)
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_onnx_that_torch_wrote(name, count, both):
    module = getattr(torch.nn, name.upper())(D, H, count, bidirectional=both)
    file = io.BytesIO()
    torch.onnx.export(module, (torch.zeros(T, B, D),), file, dynamo=False)
    params = from_onnx(CELLS[name], onnx.load_from_string(file.getvalue()))
    assert_same_bits(params, from_torch(CELLS[name], module))


@given(
    name=st.sampled_from([*MODULES]),
    count=st.integers(1, 3),
    both=st.booleans(),
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    dtype=st.sampled_from([np.float32, np.float64]),
)
@settings(max_examples=60, deadline=None)
def test_round_trips_lose_no_bit(name, count, both, sizes, dtype):
    cell = EVERY[name]
    params = draw(cell, count, both, np.random.default_rng(0), sizes, dtype)
    assert_same_bits(from_torch(cell, to_torch(cell, params)), params)
    assert_same_bits(from_onnx(cell, to_onnx(cell, params)), params)
    # The arrays of such a GRU are those of three layers without biases, too.
    ambiguous = name == "gru" and count == 2 and sizes[1] == 2 and not both
    if name in GATE_ORDERS["keras"] and not ambiguous:
        arrays = to_keras(cell, params)
        assert_same_bits(to_keras(cell, from_keras(cell, arrays, both)), arrays)


@pytest.mark.parametrize("name", MODULES)
def test_nothing_is_shared(name):
    cell, params, _, _ = problem(name, 1, False)
    tensors = to_torch(cell, params)
    arrays = [*params.values(), *from_torch(cell, tensors).values()]
    model = to_onnx(cell, params)
    arrays += [*from_onnx(cell, model).values(), *from_onnx(cell, model).values()]
    if name in GATE_ORDERS["keras"]:
        weights = to_keras(cell, params)
        arrays += [*weights, *from_keras(cell, weights).values()]
    arrays += [tensor.numpy() for tensor in tensors.values()]
    for k, array in enumerate(arrays):
        assert array.flags.c_contiguous and array.flags.writeable
        assert not any(np.shares_memory(array, other) for other in arrays[:k])


def test_import_takes_numpy_only():
    code = "import sys, companion.weights; print({'torch', 'onnx', 'keras'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


rng = np.random.default_rng(0)
params = draw(lstm, 1, False, rng)
stacked = draw(lstm, 2, False, rng)
weights = to_keras(lstm, params)
model = to_onnx(lstm, params)


def without(given, name):
    return {key: value for key, value in given.items() if key != name}


def with_attribute(**attributes):
    """The model with other attributes of its operator."""
    changed = onnx.ModelProto.FromString(model.SerializeToString())
    (node,) = (node for node in changed.graph.node if node.op_type == "LSTM")
    kept = [a for a in node.attribute if a.name not in attributes]
    del node.attribute[:]
    new = [onnx.helper.make_attribute(name, value) for name, value in attributes.items()]
    node.attribute.extend(kept + new)
    return changed


def without_biases(name):
    """A model, and its params, whose operator has no input B."""
    cell = CELLS[name]
    params = draw(cell, 1, False, rng)
    model = to_onnx(cell, params)
    (node,) = (node for node in model.graph.node if node.op_type == "LSTM")
    node.input[3] = ""
    return from_onnx(cell, model), params | {b: 0 * params[b] for b in ("bias_ih", "bias_hh")}


OTHER = torch.nn.LSTM(D, H)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: to_torch(lstm, [1]), "params must be a dict or a module, got list"),
        (lambda: to_torch(lstm, {"a": 1}), r"'weight_ih' or 'weight_ih_l0', got \['a'\]"),
        (
            lambda: to_torch(lstm, params | {"weight_hh": params["weight_ih"]}),
            r"params\['weight_hh'\] must have shape \(20, 5\), got \(20, 3\)",
        ),
        (
            lambda: to_torch(lstm, params | {"bias_ih": np.float32(1)}),
            r"params\['bias_ih'\] must be a NumPy array, got float32",
        ),
        (
            lambda: to_torch(lstm, params | {"weight_ih": params["bias_ih"]}),
            r"params\['weight_ih'\] must have shape \(rows, columns\), got \(20,\)",
        ),
        (lambda: to_torch(lstm, without(params, "bias_hh")), "params must have 'bias_hh' for lstm"),
        (
            lambda: to_torch(lstm, without(stacked, "weight_hh_l1")),
            "params must have 'weight_hh_l1' for lstm",
        ),
        (
            lambda: to_torch(lstm, stacked | {"weight_ih_l1": stacked["weight_ih_l0"]}),
            r"params\['weight_ih_l1'\] must have shape \(20, 5\), got \(20, 3\)",
        ),
        (
            lambda: to_torch(lstm, params | {"bias_ih": params["bias_ih"].astype(float)}),
            "params must have one dtype, got float32 and float64",
        ),
        (
            lambda: to_torch(lstm, params | {"bias_ih": params["bias_ih"].tolist()}),
            r"params\['bias_ih'\] must be a NumPy array, got list",
        ),
        (
            lambda: from_torch(lstm, {k: torch.zeros(v.shape).char() for k, v in params.items()}),
            r"params\['weight_ih'\] must be of floating point, got torch.int8",
        ),
        (
            lambda: from_torch(lstm, torch.nn.ModuleList([torch.nn.LSTM(D, H)] * 2 + [OTHER])),
            r"params must be of one recurrent module, got \['0', '2'\]: give one",
        ),
        (
            lambda: from_torch(lstm, torch.nn.ModuleDict({"a": OTHER, "b": OTHER}).state_dict()),
            r"params must be of one network, got \['a.', 'b.'\]: give one",
        ),
        (lambda: from_torch(lstm, torch.nn.GRU(D, H)), "those of lstm, got a module of GRU"),
        (lambda: from_torch(CELLS["coupled"], torch.nn.GRU(D, H)), "got a module of GRU"),
        (
            lambda: from_torch(CELLS["rnn"], torch.nn.RNN(D, H, nonlinearity="relu")),
            "those of rnn, got a module of RNN_RELU",
        ),
        (
            lambda: from_torch(lstm, torch.nn.LSTM(D, H, proj_size=2)),
            r"the weights of lstm alone, got \['weight_hr_l0'\] too",
        ),
        (
            lambda: from_torch(CELLS["coupled"], companion.nn.GRU(D, H)),
            "params must be those of coupled, got a module of gru",
        ),
        (
            lambda: to_keras(CELLS["peephole"], params),
            "cell must be one of rnn, rnn_relu, lstm, gru for keras, got peephole",
        ),
        (lambda: to_onnx(CELLS["lstm1997"], params), "coupled, gru for onnx, got lstm1997"),
        (
            lambda: to_onnx(replace(lstm, gates=tuple("ifog")), params),
            "coupled, gru for onnx, got another cell of the name lstm",
        ),
        (
            lambda: from_onnx(CELLS["lstm1997"], onnx.ModelProto()),
            "cell must be one of .* for onnx, got lstm1997",
        ),
        (lambda: from_keras(lstm, []), "recurrent kernel and bias, got 0 arrays"),
        (lambda: from_keras(lstm, weights[:1]), "recurrent kernel and bias, got 1 arrays"),
        *(
            (
                lambda cell=cell: from_keras(cell, [weights[0], weights[2], weights[2]]),
                r"recurrent kernel must have shape \(H, G·H\), got \(20,\)",
            )
            for cell in ("lstm", "gru")
        ),
        (
            lambda: from_keras(lstm, [weights[0], weights[1][:, :15], weights[2]]),
            r"recurrent kernel must have shape \(5, 20\), got \(5, 15\)",
        ),
        *(
            (
                lambda cell=cell, n=n: from_keras(
                    cell, [*(w[:, :n] for w in weights[:2]), np.zeros(2 * n)], reset_after=False
                ),
                rf"bias must have shape \({n},\), got \({2 * n},\)",
            )
            for cell, n in (("rnn", 5), ("gru", 15))
        ),
        (lambda: from_keras(lstm, weights, True), "of each direction, got 3 arrays"),
        (
            lambda: from_keras(lstm, [weights[0].T, *weights[1:]]),
            r"kernel must have shape \(D, 20\), got \(20, 3\)",
        ),
        (
            lambda: from_keras(CELLS["gru"], [w[..., :15] for w in weights]),
            r"bias must have shape \(2, 15\), got \(15,\)",
        ),
        (lambda: from_onnx(CELLS["gru"], model), "must have GRU operators, got LSTM 'Y_l0'"),
        (lambda: from_onnx("lstm", onnx.ModelProto()), "must have LSTM operators, got none"),
        (
            lambda: from_onnx(CELLS["peephole"], model),
            "input P of LSTM 'Y_l0' must be given for peephole",
        ),
        (
            lambda: from_onnx(lstm, to_onnx(CELLS["peephole"], draw(CELLS["peephole"], 1, 0, rng))),
            "input P of LSTM 'Y_l0' must be absent for lstm",
        ),
        (lambda: from_onnx(CELLS["coupled"], model), "input_forget of LSTM 'Y_l0' must be 1 for"),
        (lambda: from_onnx(lstm, with_attribute(clip=3.0)), "clip of LSTM 'Y_l0' must be 0.0"),
        (
            lambda: from_onnx(lstm, with_attribute(activations=["Sigmoid", "Relu", "Tanh"])),
            r"activations of LSTM 'Y_l0' must be \['Sigmoid', 'Tanh', 'Tanh'\]",
        ),
    ],
)
def test_error_names_the_argument(call, says):
    with pytest.raises(ValueError, match=says):
        call()


@pytest.mark.parametrize("name", ["lstm", "peephole"])
def test_an_operator_without_biases_gives_zeros(name):
    ours, wanted = without_biases(name)
    for key, array in wanted.items():
        np.testing.assert_array_equal(ours[key], array)


def test_what_an_operator_does_not_say_is_its_default():
    cell = CELLS["gru"]
    params = draw(cell, 1, False, rng)
    model = to_onnx(cell, params, reset_after=False)
    (node,) = (node for node in model.graph.node if node.op_type == "GRU")
    (said,) = (a for a in node.attribute if a.name == "linear_before_reset")
    node.attribute.remove(said)
    assert_same_bits(from_onnx(cell, model, reset_after=False), params)
    with pytest.raises(ValueError, match="linear_before_reset of GRU 'Y_l0' must be 1 for gru"):
        from_onnx(cell, model)
    node.attribute.append(onnx.helper.make_attribute("activations", ["Sigmoid", "Tanh"]))
    assert_same_bits(from_onnx(cell, model, reset_after=False), params)


def test_keys_of_the_rest_of_a_model_are_left_alone():
    assert_same_bits(from_torch(lstm, params | {"readout.weight": np.zeros(3)}), params)
    assert_same_bits(from_torch(lstm, params | {"encoder.weight_ih": np.zeros((2, 3))}), params)


def test_what_an_onnx_model_says_of_itself():
    model = to_onnx("lstm", draw(lstm, 2, True, rng), first_state=True)
    assert model.ir_version == 7 and [o.version for o in model.opset_import] == [14]
    states = (4, "B", H)
    shapes = {"xs": ("T", "B", D), "h0": states, "c0": states}
    shapes |= {"ys": ("T", "B", 2 * H), "h": states, "c": states}
    for value in [*model.graph.input, *model.graph.output]:
        dims = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        assert tuple(dims) == shapes.pop(value.name)
    assert not shapes


@pytest.mark.parametrize("there", [to_torch, to_onnx, to_keras, from_torch])
@pytest.mark.parametrize("name", ["weight_hr", "weight_peephole", "p_i", "bias"])
def test_a_weight_that_the_cell_has_not_is_refused(there, name):
    for network in (params, stacked):
        more = network | {name: np.zeros(H, np.float32)}
        for found in (more, {f"model.lstm.{key}": array for key, array in more.items()}):
            with pytest.raises(ValueError, match=rf"weights of lstm alone, got \['{name}'\] too"):
                there("lstm", found)


def test_one_bias_in_the_place_of_two_is_refused():
    one = {key: array for key, array in params.items() if key.startswith("weight")}
    with pytest.raises(ValueError, match=r"the weights of lstm alone, got \['bias'\] too"):
        from_torch("lstm", one | {"bias": params["bias_ih"]})


def test_peepholes_are_not_left_out():
    with pytest.raises(ValueError, match=r"alone, got \['p_f', 'p_i', 'p_o'\] too"):
        from_torch("lstm", companion.nn.PeepholeLSTMCell(D, H).state_dict())


def as_attribute(module, name, value):
    setattr(module, name, value)


def as_buffer(module, name, value):
    module.register_buffer(name, value, persistent=False)


@pytest.mark.parametrize("names", [["bias_ih", "bias_hh"], ["weight_ih", "weight_hh", "bias_ih"]])
@pytest.mark.parametrize("keep", [as_attribute, as_buffer])
@pytest.mark.parametrize(
    "kind", [torch.nn.LSTM, companion.nn.LSTM, torch.nn.LSTMCell, companion.nn.LSTMCell]
)
def test_weights_that_a_state_dict_leaves_out(kind, keep, names):
    module = kind(D, H)
    wanted = from_torch("lstm", module)
    for name in names:
        name += "" if hasattr(module, name) else "_l0"
        keep(module, name, module._parameters.pop(name).detach())
    for found in (module, torch.nn.Sequential(torch.nn.Linear(2, D), module)):
        assert_same_bits(from_torch("lstm", found), wanted)


def test_a_layer_that_a_state_dict_leaves_out():
    module = torch.nn.LSTM(D, H, 2)
    wanted = from_torch("lstm", module)
    for name in ("weight_ih_l1", "weight_hh_l1", "bias_ih_l1", "bias_hh_l1"):
        as_attribute(module, name, module._parameters.pop(name).detach())
    assert_same_bits(from_torch("lstm", module), wanted)


@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.LSTMCell])
def test_biases_that_are_gone_are_no_zeros(kind):
    module = kind(D, H)
    for name in [name for name, _ in module.named_parameters() if name.startswith("bias")]:
        del module._parameters[name]
    with pytest.raises(ValueError, match="params must have 'bias_ih(_l0)?' for lstm"):
        from_torch("lstm", module)


@pytest.mark.parametrize("layer", [0, 1])
def test_biases_in_one_layer_alone_are_refused(layer):
    some = without(without(stacked, f"bias_ih_l{layer}"), f"bias_hh_l{layer}")
    with pytest.raises(ValueError, match=f"params must have 'bias_ih_l{layer}' for lstm"):
        from_torch("lstm", some)


def test_a_cell_may_be_given_by_its_name():
    params = init("lstm", 3, 4, np.random.default_rng(0), np.float32)
    for there, back in ((to_torch, from_torch), (to_keras, from_keras), (to_onnx, from_onnx)):
        same = back("lstm", there("lstm", params))
        total = sum(same[name].sum() for name in same)
        assert total == pytest.approx(sum(value.sum() for value in params.values()), rel=1e-5)
        with pytest.raises(ValueError, match="cell must be a Cell or one of rnn, lstm"):
            there("ltsm", params)
