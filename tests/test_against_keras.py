"""The same numbers as Keras, on its torch backend: outputs, last states and all gradients.

And the weights of its models: which are read, and which are another network.
"""

import ast
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

import companion.nn
from companion import CELLS, backward, forward, gate, init
from companion.cells import rnn_relu
from companion.gru2014 import backward_gru2014, forward_gru2014
from companion.weights import from_keras, to_torch

# Keras: layer, order of its gates (ours named), its options.
LAYERS = {
    "rnn": ("SimpleRNN", "h", {}),
    "lstm": ("LSTM", "ifgo", {}),
    "gru": ("GRU", "zrn", {"reset_after": True}),
    "gru2014": ("GRU", "zrn", {"reset_after": False}),
}
CELL = CELLS | {"gru2014": CELLS["gru"]}  # the same parameters
PRECISIONS = [(name, "float32", 3e-6) for name in LAYERS]
# Only for these two; the others' products Keras takes in float32 on torch, whatever their dtype.
PRECISIONS += [(name, "float64", 1e-11) for name in ("lstm", "gru")]


@pytest.fixture(scope="module")
def keras():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "torch")  # read once, while Keras is imported
        import keras
    assert keras.backend.backend() == "torch"
    return keras


def run(name, params, xs, state, dys):
    """Ours: ys, the last state, and the gradients of sum(dys ys) + sum(last^2)."""
    if name == "gru2014":
        ys, last, tape = forward_gru2014(params, xs, *state)
        grads, dxs, dfirst = backward_gru2014(params, tape, dys, 2 * last)
        return ys, (last,), grads, dxs, (dfirst,)
    ys, last, tape = forward(CELL[name], params, xs, state)
    return ys, last, *backward(CELL[name], params, tape, dys, tuple(2 * s for s in last))


def columns(name, values):
    """Parameters or their gradients as Keras holds them: transposed, the gates in its order."""
    order = LAYERS[name][1]
    return [
        np.concatenate([gate(CELL[name], values[key], g) for g in order]).T
        for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]


@pytest.mark.parametrize(("name", "dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("sizes", [(20, 3, 4, 5), (1, 1, 1, 1), (40, 2, 8, 16)])
def test_equal_to_keras(keras, name, dtype, tolerance, sizes):
    T, B, D, H = sizes
    rng = np.random.default_rng(0)
    cell = CELL[name]
    params = {k: 2 * v for k, v in init(cell, D, H, rng, dtype).items()}
    xs = rng.normal(size=(T, B, D)).astype(dtype)
    dys = rng.normal(size=(T, B, H)).astype(dtype)
    state = tuple(rng.normal(size=(B, H)).astype(dtype) for _ in cell.states)

    kind, _, options = LAYERS[name]
    layer = getattr(keras.layers, kind)(
        H, return_sequences=True, return_state=True, dtype=dtype, **options
    )
    layer.build((B, T, D))
    *weights, bias_ih, bias_hh = columns(name, params)
    # The GRU of today has two biases, every other layer one.
    bias = np.stack([bias_ih, bias_hh]) if name == "gru" else bias_ih + bias_hh
    layer.set_weights([*weights, bias])
    inputs = torch.tensor(xs.swapaxes(0, 1), requires_grad=True)
    firsts = [torch.tensor(s, requires_grad=True) for s in state]
    out, *ends = layer(inputs, initial_state=firsts)
    loss = (out * torch.tensor(dys).swapaxes(0, 1)).sum() + sum((s * s).sum() for s in ends)
    loss.backward()

    ys, last, grads, dxs, dfirst = run(name, params, xs, state, dys)
    *dweights, dbias_ih, dbias_hh = columns(name, grads)
    dbias = np.stack([dbias_ih, dbias_hh]) if name == "gru" else dbias_ih
    pairs = {
        "ys": (ys, out.swapaxes(0, 1)),
        "dxs": (dxs, inputs.grad.swapaxes(0, 1)),
    }
    for letter, end, theirs, d, first in zip(cell.states, last, ends, dfirst, firsts, strict=True):
        pairs |= {f"last {letter}": (end, theirs), f"first d{letter}": (d, first.grad)}
    for weight, d in zip(layer.weights, [*dweights, dbias], strict=True):
        pairs[weight.name] = d, weight.value.grad
    for what, (one, other) in pairs.items():
        other = other.detach().numpy()
        # Gradients are sums over many steps: their rounding grows with them.
        scale = max(1, np.abs(other).max())
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale, err_msg=what)


def both(layers, kind):
    """A layer of Keras in both directions, with biases that are not zero."""
    layer = kind(4, return_sequences=True, bias_initializer="random_normal")
    return layers.Bidirectional(layer)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_a_whole_model(keras, name):
    layers = keras.layers
    kind = getattr(layers, name.upper())
    plain = layers.Bidirectional(kind(4, return_sequences=True, use_bias=False))
    block = keras.Sequential([layers.Dropout(0.1), both(layers, kind)])  # a model within the model
    read = [layers.Embedding(9, 3), layers.Dense(3), plain, block]
    model = keras.Sequential([keras.Input((None,)), *read, layers.Dense(2)])
    ours = getattr(companion.nn, name.upper())(3, 4, 2, bidirectional=True, batch_first=True)
    ours.load_state_dict(to_torch(name, from_keras(name, model)))
    x = torch.randint(9, (2, 6))
    with torch.no_grad():
        inputs = read[1](read[0](x))
        torch.testing.assert_close(ours(inputs)[0], block(plain(inputs)), rtol=0, atol=3e-6)


@pytest.mark.parametrize(("kind", "cell"), [("SimpleRNN", rnn_relu), ("LSTM", "lstm")])
def test_a_layer_without_biases(keras, kind, cell):
    activation = "relu" if cell is rnn_relu else "tanh"
    options = {"use_bias": False, "activation": activation, "return_sequences": True}
    layer = getattr(keras.layers, kind)(4, **options)
    x = torch.randn(2, 6, 3)
    with torch.no_grad():
        theirs = layer(x)
    for found in (from_keras(cell, layer), from_keras(cell, layer.get_weights())):
        assert not found["bias_ih"].any() and not found["bias_hh"].any()
        ys, *_ = forward(cell, found, x.swapaxes(0, 1).numpy(), keep_tape=False)
        np.testing.assert_allclose(ys.swapaxes(0, 1), theirs, rtol=0, atol=3e-6)


def tensorflows_own():
    """The function of TensorFlow's Keras 2 that reads weights of CuDNNLSTM and CuDNNGRU."""
    found = find_spec("tensorflow")
    if found is None:
        pytest.skip("TensorFlow is not installed")
    path = Path(found.submodule_search_locations[0], "python/keras/saving/hdf5_format.py")
    wanted = "_convert_rnn_weights"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if getattr(node, "name", None) == wanted]
    names = {"np": np}
    exec(compile(tree, str(path), "exec"), names)  # all of TensorFlow takes seconds to import
    return names[wanted]


@pytest.mark.parametrize(("name", "gates"), [("lstm", 4), ("gru", 3)])
def test_weights_of_cudnn_layers(name, gates):
    convert = tensorflows_own()
    rng = np.random.default_rng(0)
    shapes = (3, gates * 5), (5, gates * 5), (2 * gates * 5,)
    cudnn = [rng.normal(size=shape) for shape in shapes]
    target = type(name.upper(), (), {"reset_after": True})()
    wanted, found = from_keras(name, convert(target, cudnn)), from_keras(name, cudnn)
    if name == "lstm":  # Keras sums the two biases
        bias = found["bias_ih"] + found["bias_hh"]
        found |= {"bias_ih": bias, "bias_hh": 0 * bias}
    for key, array in wanted.items():
        np.testing.assert_array_equal(found[key], array)


@pytest.mark.parametrize(
    ("cell", "kind", "options", "says"),
    [
        ("lstm", "LSTM", {"activation": "relu"}, "activation of other must be tanh .*, got relu"),
        (
            "lstm",
            "LSTM",
            {"recurrent_activation": "hard_sigmoid"},
            "recurrent_activation of other must be sigmoid .*, got hard_sigmoid",
        ),
        ("lstm", "LSTM", {"go_backwards": True}, "go_backwards of other must be False"),
        ("lstm", "GRU", {}, "other must be LSTM for lstm, got GRU"),
        ("gru", "GRU", {"reset_after": False}, "reset_after of other must be True for gru"),
        (rnn_relu, "SimpleRNN", {}, "activation of other must be relu for rnn_relu, got tanh"),
    ],
)
def test_another_network_is_refused(keras, cell, kind, options, says):
    other = getattr(keras.layers, kind)(4, name="other", **options)
    with pytest.raises(ValueError, match=says):
        from_keras(cell, keras.Sequential([keras.Input((None, 3)), other]))


def test_a_layer_that_was_never_called_has_no_weights(keras):
    for layer in (keras.layers.LSTM(4), keras.layers.Bidirectional(keras.layers.LSTM(4))):
        with pytest.raises(ValueError, match="must have weights: call the model once on a batch"):
            from_keras("lstm", layer)


def test_models_that_are_no_stack_are_refused(keras):
    layers = keras.layers
    start = keras.Input((None, 3))
    summed = layers.Bidirectional(layers.LSTM(4), merge_mode="sum", name="sum")
    one = [layers.LSTM(8, return_sequences=True), both(layers, layers.LSTM)]
    for model, says in (
        ([layers.Dense(2)], "must be of a model with LSTM layers, got none"),
        ([summed], "merge_mode of sum must be concat, got sum"),
        (one, "must all have one direction or all two"),
        ([layers.RNN(layers.LSTMCell(4), name="cells")], "cells must be LSTM for lstm, got RNN"),
    ):
        with pytest.raises(ValueError, match=says):
            from_keras("lstm", keras.Sequential([start, *model]))
