"""Dropout that stays, dropped weights, and the first biases of the chrono initialization."""

import copy
import math

import pytest
import torch
from nn_cases import assert_close, make, results, tensors
from torch.nn import functional as F
from torch.nn.utils import parametrize, prune
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from companion.nn import (
    GRU,
    LSTM,
    RNN,
    CoupledLSTM,
    GRUCell,
    LockedDropout,
    LSTMCell,
    PeepholeLSTM,
    init_chrono_,
)
from companion.params import gate

EXACT = 1e-12


def test_locked_dropout_is_one_mask_for_all_steps():
    drop = LockedDropout(0.25)
    x = torch.randn(6, 200, 50, dtype=torch.float64, requires_grad=True)
    y = drop(x)
    mask = (y / x).detach()
    # Every step alike, and each entry 0 or 4 / 3, of which a quarter is 0: sd 0.0043 of 10,000.
    assert_close([mask], [mask[:1].expand_as(mask)], EXACT)
    assert ((mask == 0) | ((mask - 4 / 3).abs() < EXACT)).all()
    assert abs((mask == 0).double().mean() - 0.25) < 0.03
    assert_close(torch.autograd.grad(y.sum(), x), [mask], EXACT)
    assert not torch.equal(drop(x), y)
    assert torch.equal(drop.eval()(x), x)


def test_locked_dropout_takes_what_a_layer_takes():
    lengths, x = [4, 7, 1, 6], torch.ones(4, 7, 300)
    drop = LockedDropout(batch_first=True)
    assert repr(drop) == "LockedDropout(p=0.5, batch_first=True)"
    y = drop(x)
    assert torch.equal(y, y[:, :1].expand_as(y)) and not torch.equal(y[0], y[1])
    packed = pack_padded_sequence(x, lengths, True, enforce_sorted=False)
    padded, found = pad_packed_sequence(drop(packed), True)
    assert found.tolist() == lengths
    for row, length in zip(padded, lengths, strict=True):
        assert torch.equal(row[:length], row[:1].expand(length, 300)) and row[0].any()
    alone = drop(x[0])
    assert torch.equal(alone, alone[:1].expand_as(alone)) and set(alone[0].tolist()) == {0, 2}


def test_locked_dropout_refuses_what_is_no_probability():
    with pytest.raises(ValueError, match="p must be a probability from 0 to 1, got 2"):
        LockedDropout(2)
    for shape in ((5,), (2, 2, 4, 7)):
        with pytest.raises(ValueError, match="input must have 2 or 3 axes, as of a layer, got sha"):
            LockedDropout()(torch.ones(shape))


@pytest.mark.parametrize("layer", [LSTM, GRU])
def test_dropped_weights_are_the_same_at_every_step(layer):
    made = make(layer, recurrent_dropout=0.5)
    x, state = tensors(made, (6, 5))
    torch.manual_seed(7)
    got = results(made, x, state)
    torch.manual_seed(7)
    mask = F.dropout(torch.ones(made.weight_hh_l0.shape, dtype=torch.float64), 0.5)
    assert 0 < (mask == 0).double().mean() < 1
    plain = make(layer)
    with torch.no_grad():
        plain.weight_hh_l0.mul_(mask)
    wanted = list(results(plain, x, state))
    k = len(wanted) - len(list(plain.parameters())) + 1  # the derivative of weight_hh
    wanted[k] = wanted[k] * mask
    assert_close(got, wanted, EXACT)


@pytest.mark.parametrize("kind", [LSTM, PeepholeLSTM, CoupledLSTM, GRU, LSTMCell, GRUCell])
def test_chrono_initialization(kind):
    more = {} if kind in (LSTMCell, GRUCell) else {"num_layers": 2, "bidirectional": True}
    torch.manual_seed(0)
    made = kind(3, 200, dtype=torch.float64, **more)
    before = {name: value.detach().clone() for name, value in made.named_parameters()}
    init_chrono_(made, 50)
    forgets, sign = made.cell.forgets
    also = {"i"} & set(made.cell.gates)
    seen = []
    for name, value in made.named_parameters():
        for letter in made.cell.gates if name.startswith("bias") else ():
            part = gate(made.cell, value.detach(), letter)
            if letter not in {forgets} | also:
                assert torch.equal(part, gate(made.cell, before[name], letter))
            elif name.startswith("bias_hh"):
                assert not part.any()
            elif letter == forgets:
                u = torch.exp(sign * part)
                # Uniform in (1, 49): mean 25, sd 13.9, of 200 units 0.98.
                assert 1 < u.min() < 4 and 46 < u.max() < 49 and abs(u.mean() - 25) < 4
                seen.append(u)
        if name.startswith("bias_ih") and also:
            f, i = (gate(made.cell, value.detach(), letter) for letter in (forgets, "i"))
            assert torch.equal(i, -sign * f)
        if not name.startswith("bias"):
            assert torch.equal(value, before[name])
    assert len(seen) == (4 if more else 1)
    assert all(not torch.equal(seen[0], other) for other in seen[1:])


@pytest.mark.parametrize(
    ("layer", "longest", "says"),
    [
        (RNN(3, 4), 50, "got one of the cell rnn, which forgets nothing"),
        (LSTM(3, 4, bias=False), 50, "layer must have a forget gate with a bias, got one without"),
        (LSTM(3, 4), 2, "longest must be more than 2 steps, got 2"),
        (LSTM(3, 4), math.nan, "longest must be more than 2 steps, got nan"),
    ],
)
def test_chrono_refuses_what_it_cannot_set(layer, longest, says):
    with pytest.raises(ValueError, match=says):
        init_chrono_(layer, longest)


@pytest.mark.parametrize("kind", ["pruned", "parametrized"])
@pytest.mark.parametrize("name", ["bias_ih", "bias_hh"])
@pytest.mark.parametrize("layer", [LSTM(3, 4, num_layers=2, bidirectional=True), LSTMCell(3, 4)])
def test_chrono_changes_nothing_if_a_bias_is_no_parameter(layer, name, kind):
    layer = copy.deepcopy(layer)
    name += "_l1_reverse" if isinstance(layer, LSTM) else ""
    if kind == "pruned":
        prune.identity(layer, name)
    else:
        parametrize.register_parametrization(layer, name, torch.nn.Identity())
    before = copy.deepcopy(layer.state_dict())
    with pytest.raises(ValueError, match=f"{name} must be a parameter of the layer, got one that"):
        init_chrono_(layer, 20)
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())
