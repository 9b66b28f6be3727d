"""A sequence with resets is its episodes, each run alone."""

import pytest
import torch
from nn_cases import STACKED, TWINS, assert_close, make, tensors
from torch.nn.utils.rnn import pack_padded_sequence

from companion.nn import GRU, LSTM, SLSTM, LayerNormLSTM, run_with_resets

EXACT = 1e-12  # float64: sums of some ten terms of order 1, in another order
OURS = [*TWINS, SLSTM, LayerNormLSTM]
THEIRS = list(TWINS.values())


def draw(T, B):
    """Resets of B sequences of T steps: some at the first step, one sequence without any."""
    torch.manual_seed(2)
    resets = torch.rand(T, B) < 0.3
    resets[0] = torch.arange(B) % 2 == 1
    resets[:, 2:3] = False
    return resets


def flat(values):
    return tuple(values) if isinstance(values, tuple) else (values,)


def derivatives(values, leaves):
    loss = sum((value * torch.cos(value.detach() + k)).sum() for k, value in enumerate(values))
    return *values, *torch.autograd.grad(loss, leaves)


def hx_of(state):
    return tuple(state) if len(state) > 1 else state[0]


@pytest.mark.parametrize("kind", OURS + THEIRS)
def test_one_direction_is_a_loop_over_steps(kind):
    made = make(kind, num_layers=2)
    x, state = tensors(made, (7, 5))
    resets = draw(7, 5)
    y, last = run_with_resets(made, x, resets, hx_of(state))
    leaves = (x, *state, *made.parameters())
    hs, ys = state, []
    for x_t, reset in zip(x, resets, strict=True):
        hs = [torch.where(reset[:, None], 0, s) for s in hs]
        out, hs = made(x_t[None], hx_of(hs))
        hs = flat(hs)
        ys.append(out)
    wanted = derivatives([torch.cat(ys), *hs], leaves)
    assert_close(derivatives([y, *flat(last)], leaves), wanted, EXACT)


@pytest.mark.parametrize("kind", [LSTM, GRU, torch.nn.LSTM, torch.nn.GRU])
def test_both_directions_are_episodes_alone(kind):
    made = make(kind, bidirectional=True, batch_first=True)
    x, state = tensors(made, (5, 7))
    resets = draw(7, 5).t()
    y, last = run_with_resets(made, x, resets, hx_of(state))
    for b in range(5):
        begins = resets[b].clone()
        begins[0] = True
        starts = begins.nonzero().flatten().tolist()
        for first, end in zip(starts, [*starts[1:], 7], strict=True):
            hs = [s[:, b].clone() for s in state]
            for s in hs:
                s[0] = 0 if resets[b, first] else s[0]
                s[1] = s[1] if end == 7 else 0
            alone, final = made(x[b, first:end], hx_of(hs))
            assert_close([y[b, first:end]], [alone], EXACT)
            for got, wanted in zip(flat(last), flat(final), strict=True):
                if first == 0:
                    assert_close([got[1, b]], [wanted[1]], EXACT)
                if end == 7:
                    assert_close([got[0, b]], [wanted[0]], EXACT)


def test_without_resets_it_is_a_call_and_layouts_are_kept():
    made = make(LSTM, **STACKED)
    x, state = tensors(made, (3, 7))
    none = torch.zeros(3, 7, dtype=torch.bool)
    for given, resets, hx in (
        (x, none, tuple(state)),
        (x, none, None),
        (x[0], none[0], tuple(s[:, 0] for s in state)),
        (x[:, :0], none[:, :0], tuple(state)),
    ):
        (y, last), (wanted, final) = run_with_resets(made, given, resets, hx), made(given, hx)
        assert_close([y, *last], [wanted, *final], EXACT)
    resets = draw(7, 3).t()
    y, last = run_with_resets(made, x, resets, tuple(state))
    alone, final = run_with_resets(made, x[1], resets[1], tuple(s[:, 1] for s in state))
    assert_close([y[1], *(s[:, 1] for s in last)], [alone, *final], EXACT)


def test_packed_input_is_refused():
    packed = pack_padded_sequence(torch.zeros(7, 5, 3), torch.tensor([7, 7, 7, 2, 1]))
    with pytest.raises(ValueError, match="input must be a tensor, .*, got a PackedSequence"):
        run_with_resets(LSTM(3, 4), packed, torch.zeros(7, 5, dtype=torch.bool))


@pytest.mark.parametrize(
    ("resets", "says"),
    [
        (torch.zeros(5, 7, dtype=torch.bool), r"of shape \(7, 5\), got torch.bool \(5, 7\)"),
        (torch.zeros(7, 5), r"resets must be bool, of shape \(7, 5\), got torch.float32"),
    ],
)
def test_errors_say_what_was_given_and_what_is_wanted(resets, says):
    with pytest.raises(ValueError, match=says):
        run_with_resets(LSTM(3, 4), torch.zeros(7, 5, 3), resets)


@pytest.mark.parametrize("bad", [float("nan"), -float("inf")])
@pytest.mark.parametrize("kind", [GRU, SLSTM, torch.nn.LSTM])
def test_a_reset_makes_zeros_whatever_was_there(kind, bad):
    made = make(kind, num_layers=2)
    x, state = tensors(made, (7, 5))
    resets = draw(7, 5)
    spoiled = [s.clone() for s in state]
    for s in spoiled:
        s[:, resets[0]] = bad
    found, wanted = (run_with_resets(made, x, resets, hx_of(hx)) for hx in (spoiled, state))
    assert_close([found[0], *flat(found[1])], [wanted[0], *flat(wanted[1])], EXACT)


@pytest.mark.parametrize("shape", [(1, 5, 4), (2, 7, 4), (2, 1, 4), (2, 4)])
def test_a_state_of_another_shape_is_refused(shape):
    resets = torch.zeros(7, 5, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"hx must have shape \(2, 5, units\), got"):
        run_with_resets(GRU(3, 4, 2), torch.zeros(7, 5, 3), resets, torch.zeros(shape))
    with pytest.raises(ValueError, match=r"hx must have shape \(2, units\), got \(1, 4\)"):
        run_with_resets(GRU(3, 4, 2), torch.zeros(7, 3), resets[:, 0], torch.zeros(1, 4))
