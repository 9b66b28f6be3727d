"""Networks that follow a state: what each mixer sees of the past, and its derivatives."""

import numpy as np
import pytest
import torch

from companion.models.state_tracker import Attention, Recurrent, Stack, make_mixer, turned
from companion.tasks import group_words
from companion.tasks.state_tracking import S3

MIXERS = ["min_lstm", "positive", "signed", "none", "rotary"]


@pytest.mark.parametrize("mixer", MIXERS)
def test_a_stack_sees_the_past_and_not_the_future(mixer):
    torch.manual_seed(0)
    net = Stack(mixer, 6, 16, 6).double()
    xs = torch.from_numpy(group_words(np.random.default_rng(3), 2, 12, S3).xs).double()
    changed = xs.clone()
    changed[7] = xs[7].roll(1, -1)
    with torch.no_grad():
        moved = (net(changed) - net(xs)).abs().amax((1, 2))
    # Another order of the sums may round differently.
    assert net(xs).shape == (12, 2, 6) and moved[:7].max() < 1e-12
    assert moved[7] > 1e-3 and moved[8:].max() > 1e-6


@pytest.mark.parametrize("mixer", MIXERS)
def test_the_gradients_of_a_mixer_are_right(mixer):
    torch.manual_seed(1)
    layer = make_mixer(mixer, 8).double()
    xs = torch.randn(5, 2, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, xs)


def test_only_signed_factors_can_be_negative():
    xs = torch.full((1, 1, 8), 3.0)
    for name, low in (("positive", 0.0), ("signed", -1.0)):
        layer = make_mixer(name, 8).layer
        factor = layer.squash(layer.factor(100 * torch.randn(50, 1, 8) + xs))
        assert factor.min() < low + 0.01 and factor.max() > 0.99


def test_a_diagonal_layer_runs_its_recurrence():
    torch.manual_seed(2)
    layer, xs = make_mixer("signed", 4).layer.double(), torch.randn(6, 3, 4, dtype=torch.float64)
    h = torch.zeros(3, 4, dtype=torch.float64)
    for x, y in zip(xs, layer(xs)[0], strict=True):
        h = torch.tanh(layer.factor(x)) * h + layer.write(x)
        assert torch.allclose(h, y, rtol=0, atol=1e-14)


def test_rotary_scores_depend_on_the_distance_alone():
    q, k = torch.randn(2, 8, dtype=torch.float64).expand(20, 2, 8).permute(1, 0, 2)
    scores = turned(q) @ turned(k).T
    for distance in (-5, 0, 3):
        line = torch.diagonal(scores, distance)
        assert torch.allclose(line, line[:1].expand_as(line), rtol=0, atol=1e-12)
    assert scores[0].std() > 0.01
    assert torch.allclose(turned(q).norm(dim=-1), q.norm(dim=-1), rtol=0, atol=1e-12)


def test_without_positions_the_order_of_the_past_is_not_seen():
    torch.manual_seed(3)
    xs = torch.randn(6, 1, 16)
    other = xs[[3, 0, 2, 1, 4, 5]]
    for position, same in (("none", True), ("rotary", False)):
        layer = make_mixer(position, 16)
        with torch.no_grad():
            gap = (layer(xs)[-1] - layer(other)[-1]).abs().max()
        assert (gap < 1e-5) == same


def test_a_recurrent_network_answers_at_every_step():
    for cell in ("lstm", "rnn"):
        assert Recurrent(cell, 6, 5, 6)(torch.zeros(4, 2, 6)).shape == (4, 2, 6)


def test_an_unknown_mixer_is_refused():
    with pytest.raises(ValueError, match="mixer must be one of"):
        Stack("alibi", 2, 8, 2)
    with pytest.raises(ValueError, match="position must be one of .*, got 'sinus'"):
        Attention(8, "sinus")


def test_an_unknown_cell_is_refused():
    with pytest.raises(ValueError, match="cell must be 'lstm' or 'rnn', got 'gru'"):
        Recurrent("gru", 2, 4, 2)
