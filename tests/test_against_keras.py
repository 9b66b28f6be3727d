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
    read = [layers.Embedding(9, 3), layers.Dense(3), plain, block]  # and a Dropout between
    model = keras.Sequential([keras.Input((None,)), *read, layers.Dense(2)])
    ours = getattr(companion.nn, name.upper())(3, 4, 2, bidirectional=True, batch_first=True)
    ours.load_state_dict(to_torch(name, from_keras(name, model)))
    x = torch.randint(9, (2, 6))
    with torch.no_grad():
        inputs = read[1](read[0](x))
        torch.testing.assert_close(ours(inputs)[0], block(plain(inputs)), rtol=0, atol=3e-6)


@pytest.mark.parametrize(
    ("kind", "cell"), [("SimpleRNN", "rnn"), ("SimpleRNN", rnn_relu), ("LSTM", "lstm")]
)
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


def test_a_layer_of_cudnn_has_no_choice(keras):
    class CuDNNLSTM(keras.layers.LSTM):
        def get_config(self):
            return {"name": "other", "go_backwards": False}

    layer = CuDNNLSTM(4)
    layer(np.zeros((1, 2, 3), np.float32))
    for key, array in from_keras("lstm", layer.get_weights()).items():
        np.testing.assert_array_equal(from_keras("lstm", layer)[key], array)


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


def sequence(keras, units=4, **options):
    return keras.layers.LSTM(units, return_sequences=True, **options)


def side_by_side(keras, x):
    return keras.layers.Add()([sequence(keras, name="one")(x), sequence(keras, name="two")(x)])


def on_top_and_side_by_side(keras, x):
    x = sequence(keras, 3, name="low")(x)
    return side_by_side(keras, x)


def past_one(keras, x):
    x = sequence(keras, 3, name="one")(x)
    return sequence(keras, name="two")(keras.layers.Add()([x, keras.layers.Dense(3)(x)]))


def decoder(keras, x):
    ys, h, c = sequence(keras, return_state=True, name="one")(x)
    return sequence(keras, name="two")(ys, initial_state=[h, c])


def of_a_last_state(keras, x):
    _, h, _ = sequence(keras, return_state=True, name="one")(x)
    return sequence(keras, name="two")(keras.layers.RepeatVector(5)(h))


def of_a_last_output(keras, x):
    x = keras.layers.Reshape((1, 4), name="again")(keras.layers.LSTM(4, name="one")(x))
    return sequence(keras, name="two")(x)


def twice(keras, x):
    layer = sequence(keras, 3, name="one")
    return layer(layer(x))


def block_twice(keras, x):
    block = keras.Sequential([sequence(keras, 3, name="one")])
    return block(keras.layers.Dropout(0.1)(block(x)))


def dense_between(keras, x):
    x = keras.layers.Dense(4, name="between")(sequence(keras)(x))
    return sequence(keras)(x)


def dense_in_a_block(keras, x):
    start = keras.Input((None, 4))
    inner = keras.layers.Dense(4, name="between")(sequence(keras)(start))
    return sequence(keras)(keras.Model(start, inner)(sequence(keras)(x)))


def second_output_of_a_block(keras, x):
    start = keras.Input((None, 3))
    block = keras.Model(start, [keras.layers.Dense(4)(start), sequence(keras)(start)], name="one")
    return sequence(keras, name="two")(block(x)[0])


def steps_of_steps(keras, x):
    x = keras.layers.Reshape((3, 2, 1))(keras.layers.Dense(6)(x[:, :1]))
    return sequence(keras)(keras.layers.TimeDistributed(keras.layers.LSTM(4), name="times")(x))


def within_a_layer(keras, x):
    class Block(keras.layers.Layer):
        def __init__(self):
            super().__init__(name="block")
            self.lstm = sequence(keras)

        def call(self, x):
            return self.lstm(x)

    return sequence(keras)(Block()(x))


@pytest.mark.parametrize(
    ("network", "got"),
    [
        (side_by_side, "two, which does not read one alone"),
        (on_top_and_side_by_side, "two, which does not read one alone"),
        (past_one, "two, which does not read one alone"),
        (decoder, "two, which does not read one alone"),
        (of_a_last_state, "two, which does not read one alone"),
        (of_a_last_output, "again between recurrent layers"),
        (twice, "one in two places"),
        (block_twice, "one in two places"),
        (dense_between, "between between recurrent layers"),
        (dense_in_a_block, "between between recurrent layers"),
        (second_output_of_a_block, "two, which does not read one alone"),
        (steps_of_steps, "times, which calls recurrent layers in its own way"),
        (within_a_layer, "block, which calls recurrent layers in its own way"),
    ],
)
def test_recurrent_layers_that_are_no_stack_are_refused(keras, network, got):
    start = keras.Input((None, 3))
    model = keras.Model(start, network(keras, start))
    with pytest.raises(ValueError, match=f"on top of each other, got {got}: give one recurrent"):
        from_keras("lstm", model)
    with pytest.raises(ValueError, match=f"got {got}: give one recurrent layer"):
        from_keras("lstm", keras.Sequential([start, keras.layers.Dense(3), model]))


def test_a_last_output_below_another_layer_is_refused(keras):
    layers = keras.layers
    one = layers.LSTM(4, name="one")
    model = keras.Sequential([one, layers.RepeatVector(5, name="again"), sequence(keras)])
    model.build((2, 6, 3))
    with pytest.raises(ValueError, match="got again between recurrent layers: give one"):
        from_keras("lstm", model)


def reader(keras, inner):
    """A model with a call of its own, in another order than that of its layers."""

    class Reader(keras.Model):
        def __init__(self):
            super().__init__(name="reader")
            self.parts = inner

        def call(self, x):
            for part in reversed(self.parts):
                x = part(x)
            return x

    model = Reader()
    model(np.zeros((2, 6, 3), np.float32))
    return model


def test_a_call_of_its_own(keras):
    layer = sequence(keras, 3)
    wanted = None
    for inner in (layer, keras.Sequential([keras.layers.Dropout(0.1), layer])):
        model = reader(keras, [keras.layers.Dense(2), inner])
        wanted = wanted or from_keras("lstm", layer)
        for key, array in from_keras("lstm", model).items():
            np.testing.assert_array_equal(array, wanted[key])
        with pytest.raises(ValueError, match="got reader, which calls recurrent layers in its own"):
            from_keras("lstm", keras.Sequential([model, sequence(keras)]))
    times = keras.layers.TimeDistributed(keras.layers.Dense(3), name="times")
    from_keras("lstm", reader(keras, [times, sequence(keras, 3)]))
    with pytest.raises(ValueError, match="got reader, which calls recurrent layers in its own way"):
        from_keras("lstm", reader(keras, [sequence(keras, 3), sequence(keras, 3)]))
    block = reader(keras, [sequence(keras, 3)])
    both = reader(keras, [block, keras.layers.LSTM(3, return_sequences=True)])
    with pytest.raises(ValueError, match="got reader, which calls recurrent layers in its own way"):
        from_keras("lstm", both)


def test_a_functional_model_that_is_a_stack(keras):
    layers = keras.layers
    start, beside = keras.Input((None, 3)), keras.Input((None, 2))
    x = layers.Concatenate()([layers.Dense(3)(start), beside])
    low, top = sequence(keras, return_state=True), sequence(keras)
    block = keras.Sequential([layers.SpatialDropout1D(0.1), top])
    x = low(x)[0]
    skipped = layers.Dense(4)(x)
    x = block(layers.Dropout(0.1)(x))
    model = keras.Model([start, beside], [layers.Add()([x, skipped]), layers.Dense(2)(x)])
    found = from_keras("lstm", model)
    arrays = low.get_weights() + top.get_weights()
    wanted = from_keras("lstm", arrays)
    assert found.keys() == wanted.keys()
    for key, array in wanted.items():
        np.testing.assert_array_equal(found[key], array)


def test_functional_models_without_recurrent_layers(keras):
    layers = keras.layers

    def block(layer, D):
        start = keras.Input((None, D))
        return keras.Model(start, layer(start))

    def stacked(between):
        recurrent = sequence(keras), sequence(keras)
        inner = [recurrent[0], block(between, 4), recurrent[1], block(layers.Dense(5), 4)]
        model = keras.Sequential([keras.Input((None, 2)), block(layers.Dense(3), 2), *inner])
        return model, [array for layer in recurrent for array in layer.get_weights()]

    model, arrays = stacked(layers.Dropout(0.1))
    wanted = from_keras("lstm", arrays)
    found = from_keras("lstm", model)
    assert found.keys() == wanted.keys()
    for key, array in wanted.items():
        np.testing.assert_array_equal(found[key], array)
    with pytest.raises(
        ValueError, match="got between between recurrent layers: give one recurrent"
    ):
        from_keras("lstm", stacked(layers.Dense(4, name="between"))[0])


@pytest.mark.parametrize("name", ["gru", "lstm"])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("H", [2, 3])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("both", [True, False])
def test_a_list_with_and_without_biases(keras, name, count, H, use_bias, both):
    layers, kind = keras.layers, getattr(keras.layers, name.upper())
    own = [kind(H, return_sequences=True, use_bias=use_bias) for _ in range(count)]
    model = keras.Sequential([layers.Bidirectional(one) if both else one for one in own])
    model.build((2, 5, 2))
    wanted = from_keras(name, model)
    if name == "gru" and H == 2 and not both and count == (2 if use_bias else 3):
        with pytest.raises(ValueError, match="fit with and without biases: give the layer or the"):
            from_keras("gru", model.get_weights())
        return
    found = from_keras(name, model.get_weights(), both)
    assert found.keys() == wanted.keys()
    for key, array in wanted.items():
        np.testing.assert_array_equal(found[key], array)
