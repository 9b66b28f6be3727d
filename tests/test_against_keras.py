"""The same numbers as Keras, on its torch backend: outputs, last states and all gradients."""

import numpy as np
import pytest
import torch

from companion import CELLS, backward, forward, gate, init
from companion.gru2014 import backward_gru2014, forward_gru2014

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
def layers():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "torch")  # read once, while Keras is imported
        import keras
    assert keras.backend.backend() == "torch"
    return keras.layers


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
def test_equal_to_keras(layers, name, dtype, tolerance, sizes):
    T, B, D, H = sizes
    rng = np.random.default_rng(0)
    cell = CELL[name]
    params = {k: 2 * v for k, v in init(cell, D, H, rng, dtype).items()}
    xs = rng.normal(size=(T, B, D)).astype(dtype)
    dys = rng.normal(size=(T, B, H)).astype(dtype)
    state = tuple(rng.normal(size=(B, H)).astype(dtype) for _ in cell.states)

    kind, _, options = LAYERS[name]
    layer = getattr(layers, kind)(
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
