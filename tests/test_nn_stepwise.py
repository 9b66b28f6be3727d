"""Zoneout and layer normalisation are what their papers' equations say, written out in loops."""

import copy

import pytest
import torch
from nn_cases import STACKED, assert_close, call, make, results, tensors
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from companion.nn import LSTM, LayerNormLSTM, ZoneoutLSTM
from companion.weights import from_torch

EXACT = 1e-12  # float64: sums of some ten terms of order 1, in another order


def expected(*sizes, **options):
    """A zoneout layer out of training, which draws nothing."""
    return ZoneoutLSTM(*sizes, zoneout_h=0.2, zoneout_c=0.4, **options).eval()


BOTH = [LayerNormLSTM, expected]


def weights(made):
    return {name.removesuffix("_l0"): value for name, value in made.named_parameters()}


def gates(a):
    i, f, g, o = a.split(4, 1)
    return torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)


def zoneout(w, x, h, c, masks):
    """The two equations of the paper; masks: d_h and d_c of every step."""
    ys = []
    for x_t, (d_h, d_c) in zip(x, masks, strict=True):
        a = x_t @ w["weight_ih"].t() + w["bias_ih"] + h @ w["weight_hh"].t() + w["bias_hh"]
        i, f, g, o = gates(a)
        new = f * c + i * g
        c = d_c * c + (1 - d_c) * new
        h = d_h * h + (1 - d_h) * o * torch.tanh(new)
        ys.append(h)
    return torch.stack(ys), h[None], c[None]


def normalised(values):
    mean = values.mean(1, keepdim=True)
    variance = ((values - mean) ** 2).mean(1, keepdim=True)
    return (values - mean) / torch.sqrt(variance + 1e-5)


def layer_norm(w, x, h, c):
    """The paper's equations, with the sum of its shifts in the biases."""
    ys = []
    for x_t in x:
        a = normalised(h @ w["weight_hh"].t()) * w["gain_hh"] + w["bias_hh"]
        a = a + normalised(x_t @ w["weight_ih"].t()) * w["gain_ih"] + w["bias_ih"]
        i, f, g, o = gates(a)
        c = f * c + i * g
        h = o * torch.tanh(normalised(c) * w["gain_c"] + w["shift_c"])
        ys.append(h)
    return torch.stack(ys), h[None], c[None]


def with_derivatives(values, made, x, state):
    """As `results`, for values that a loop gave."""
    loss = sum((value * torch.cos(value.detach() + k)).sum() for k, value in enumerate(values))
    return *values, *torch.autograd.grad(loss, (x, *state, *made.parameters()))


def test_zoneout_in_training():
    made = make(ZoneoutLSTM, zoneout_h=0.3, zoneout_c=0.6)
    x, state = tensors(made, (6, 5))
    torch.manual_seed(7)
    got = results(made, x, state)
    torch.manual_seed(7)
    masks = [[torch.empty(5, 4).double().bernoulli_(p) for p in (0.3, 0.6)] for _ in x]
    values = zoneout(weights(made), x, state[0][0], state[1][0], masks)
    assert_close(got, with_derivatives(values, made, x, state), EXACT)
    assert not torch.equal(call(made, x, state)[0], got[0])  # drawn anew


def test_zoneout_at_rest_is_its_expectation():
    made = make(expected)
    x, state = tensors(made, (6, 5))
    values = zoneout(weights(made), x, state[0][0], state[1][0], [(0.2, 0.4)] * 6)
    wanted = with_derivatives(values, made, x, state)
    assert_close(results(made, x, state), wanted, EXACT)


def test_zoneout_of_nothing_is_an_lstm():
    made, plain = make(ZoneoutLSTM, **STACKED), make(LSTM, **STACKED)
    x, state = tensors(made, (2, 5))
    assert_close(results(made, x, state), results(plain, x, state), EXACT)


def test_layer_normalisation():
    made = make(LayerNormLSTM)
    x, state = tensors(made, (6, 5))
    values = layer_norm(weights(made), x, state[0][0], state[1][0])
    wanted = with_derivatives(values, made, x, state)
    assert_close(results(made, x, state), wanted, EXACT)


def test_layer_normalisation_starts_with_gains_of_one():
    made = LayerNormLSTM(3, 4, 2, bidirectional=True, forget_bias=1)
    for name, value in made.named_parameters():
        if name.startswith(("gain", "shift")):
            assert (value == name.startswith("gain")).all()
    x = torch.randn(1, 5, 3)
    with torch.no_grad():
        scaled = copy.deepcopy(made)
        scaled.weight_ih_l0.mul_(100)
    # Only the 1e-5 beside the variance knows the size of the weights.
    assert_close([scaled(x)[0]], [made(x)[0]], 1e-2)


@pytest.mark.parametrize("kind", BOTH)
def test_second_derivatives(kind):
    made = make(kind, num_layers=2, bidirectional=True)
    x, state = tensors(made, (4, 2))

    def function(x, *state):
        return call(made, x, state)

    assert torch.autograd.gradgradcheck(function, (x, *state), fast_mode=True)


@pytest.mark.parametrize("kind", BOTH)
def test_packed_is_each_sequence_alone(kind):
    made, lengths = make(kind, **STACKED), [4, 7, 1, 4, 6]
    x, state = tensors(made, (5, 7))
    packed = pack_padded_sequence(x, lengths, True, enforce_sorted=False)
    y, *last = call(made, packed, state)
    padded, _ = pad_packed_sequence(y, True)
    for k, length in enumerate(lengths):
        alone, *final = call(made, x[k, :length], [s[:, k] for s in state])
        assert_close([padded[k, :length], *(s[:, k] for s in last)], [alone, *final], EXACT)


@pytest.mark.parametrize(("T", "B"), [(0, 2), (3, 0)])
@pytest.mark.parametrize("kind", BOTH)
def test_nothing_in_nothing_out(kind, T, B):
    made = make(kind, num_layers=2)
    x, state = tensors(made, (T, B))
    y, *last = call(made, x, state)
    assert y.shape == (T, B, 4)
    assert T or all(torch.equal(a, b) for a, b in zip(last, state, strict=True))


@pytest.mark.parametrize("kind", BOTH)
def test_history_is_that_of_the_call(kind):
    made = make(kind, num_layers=2)
    x, state = tensors(made, (6, 5))
    history = made.history(x, tuple(state))["l1"]
    y, h, c = call(made, x, state)
    assert_close([history["h"], history["c"][-1]], [y, c[1]], EXACT)
    o, tanh_c = history["o"], history["tanh_c"]
    if kind is LayerNormLSTM:
        assert_close([o * tanh_c], [y], EXACT)
        assert_close(
            [history["f"][1:] * history["c"][:-1] + history["i"][1:] * history["g"][1:]],
            [history["c"][1:]],
            EXACT,
        )
    else:
        assert_close([0.8 * (o * tanh_c)[1:] + 0.2 * y[:-1]], [y[1:]], EXACT)


@pytest.mark.parametrize("kind", BOTH)
def test_low_precision_and_autocast(kind):
    made = make(kind, dtype=torch.float32, num_layers=2)
    x, state = tensors(made, (5, 2))
    wanted = call(made, x, state)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = call(made, x, state)
    low = copy.deepcopy(made).bfloat16()
    for got in (values, call(low, x.bfloat16(), [s.bfloat16() for s in state])):
        for a, b in zip(got, wanted, strict=True):
            # bfloat16 has 8 bits: 4e-3 relative for each factor, over two layers of 5 steps.
            assert a.dtype == torch.bfloat16 and (a.float() - b).abs().max() < 0.1


@pytest.mark.parametrize("kind", BOTH)
def test_compiles_and_exports_for_one_length(kind):
    torch._dynamo.reset()
    made = make(kind)
    x, _ = tensors(made, (3, 2))
    x = x.detach()
    fast = torch.compile(made, fullgraph=True, backend="aot_eager")
    exported = torch.export.export(made, (x,)).module()
    for run in (fast, exported):
        assert_close([run(x)[0]], [made(x)[0]], EXACT)


@pytest.mark.parametrize("kind", [LayerNormLSTM, ZoneoutLSTM])
def test_they_are_taken_for_no_lstm(kind):
    made = kind(3, 4)
    assert made.mode != "LSTM"
    with pytest.raises(ValueError, match="params must be those of lstm, got a module of"):
        from_torch("lstm", made)
    with pytest.raises(ValueError, match=f"proj_size must be 0 for {kind.__name__}, got 2"):
        kind(3, 4, proj_size=2)


def test_what_zoneout_takes_and_shows():
    with pytest.raises(ValueError, match="zoneout_c must be a probability from 0 to 1, got 2"):
        ZoneoutLSTM(3, 4, zoneout_c=2)
    text = "ZoneoutLSTM(3, 4, batch_first=True, zoneout_h=0.1, zoneout_c=0.0)"
    assert repr(ZoneoutLSTM(3, 4, batch_first=True, zoneout_h=0.1)) == text
