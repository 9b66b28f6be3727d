import inspect

import numpy as np
import pytest
import torch

from book.experiments.lab import online
from companion.tasks import grammar


class Script:
    """A generator whose choices were made before, for `read` without numba."""

    def __init__(self, choices):
        self.choices = list(choices)

    def integers(self, low, high):
        return self.choices.pop(0)


def truncated(weights, rules, choices, length):
    """The gradient of the summed squared errors, half of each, as torch has it."""
    cells, gates, readout = p = [torch.tensor(w, requires_grad=True) for w in weights]
    state = grammar.EMBEDDED[0, online.PAIRS[0, choices[0]]]
    symbol, y, c, loss = online.PAIRS[0, choices[0]], torch.zeros(8), torch.zeros(8), 0
    one = torch.ones(1, dtype=torch.float64)
    y, c = y.double(), c.double()
    for t in range(length):
        if rules.reset and state == 1:
            y, c = torch.zeros_like(y), torch.zeros_like(c)
        following = online.PAIRS[state, choices[t + 1]]
        x, target = torch.eye(7).double()[symbol], torch.eye(7).double()[following]
        if rules.possible:
            target = torch.tensor(grammar.EMBEDDED[state] >= 0).double()
        seen = torch.cat([x, y.detach(), one])
        i, f, o = torch.sigmoid(gates @ seen).repeat_interleave(2, dim=1)
        g = 4 * torch.sigmoid(cells @ (seen * torch.tensor([1.0] * 15 + [0]))) - 2
        c = (f if rules.forget else 1) * c + i * g
        y = o * (2 * torch.sigmoid(c) - 1)
        outputs = torch.sigmoid(readout @ torch.cat([x, y, one]))
        loss = loss + ((target - outputs) ** 2).sum() / 2
        symbol, state = following, grammar.EMBEDDED[state, following]
    loss.backward()
    return [w.grad.numpy() for w in p]


@pytest.mark.parametrize("forget, reset", [(True, False), (False, False), (False, True)])
@pytest.mark.parametrize("possible", [True, False])
def test_a_stream_learns_the_truncated_gradient(forget, reset, possible, monkeypatch):
    rng, length, rate = np.random.default_rng(0), 40, 1e-7
    rules = online.Rules(forget, reset, 1.0, possible, online.SQUARED)
    monkeypatch.setattr(online, "is_right", lambda *_: True)  # no stream ends early
    for name in ("read", "dot", "add", "sigmoid"):
        monkeypatch.setattr(online, name, inspect.unwrap(getattr(online, name)))
    weights = [rng.normal(0, 0.5, w.shape) for w in online.first_weights(rng)]
    weights[0][:, -1] = 0
    choices = rng.integers(0, 2, length + 1)
    before = [w.copy() for w in weights]
    assert online.read(Script(choices), tuple(weights), rules, length, rate) == length
    expected = truncated(before, rules, choices, length)
    for new, old, gradient in zip(weights, before, expected, strict=True):
        # A step of 1e-7 moves the later gradients by about as much.
        np.testing.assert_allclose((old - new) / rate, gradient, rtol=1e-4, atol=1e-5)
        assert np.abs(gradient).max() > 0.1


def test_a_network_has_the_weights_that_the_paper_counts():
    cells, gates, readout = online.first_weights(np.random.default_rng(0))
    assert cells[:, :-1].size + gates.size + readout.size == 424
    assert not cells[:, -1].any() and list(gates[online.F, :, -1]) == [0.5, 1, 1.5, 2]


def test_a_network_that_remembers_nothing_passes_the_squared_rule():
    state = next(s for s, row in enumerate(grammar.EMBEDDED) if (row >= 0).sum() == 1)
    legal = int(np.flatnonzero(grammar.EMBEDDED[state] >= 0)[0])
    target = np.eye(7)[legal]
    halves = 0.5 * target + 0.5 * np.eye(7)[(legal + 1) % 7]
    assert online.is_right(halves, target, state, online.SQUARED)
    assert not online.is_right(halves, target, state, online.ABSOLUTE)
    assert not online.is_right(halves, target, state, online.MOST_ACTIVE)
    assert online.is_right(target, target, state, online.MOST_ACTIVE)


def test_training_is_the_same_again_and_a_test_stops_it():
    rules = online.Rules(True, False, 1.0, True, online.ABSOLUTE)
    first, again = (online.train(np.random.default_rng(1), rules, 40, 50, 10**6) for _ in range(2))
    assert first == again and not first[0] and first[1] == 40
    easy = rules._replace(judge=online.SQUARED)
    perfect, streams, _, best = online.train(np.random.default_rng(1), easy, 5000, 20, 10**6)
    assert perfect and streams % 10 == 0 and best == 20


def plain(monkeypatch, *names):
    """The functions without numba, so that what they call can be replaced."""
    for name in names:
        monkeypatch.setattr(online, name, inspect.unwrap(getattr(online, name)))


def test_first_weights_open_the_forget_gates_and_close_the_others():
    cells, gates, readout = online.first_weights(np.random.default_rng(0))
    for q, sign in ((online.I, -1), (online.O, -1), (online.F, 1)):
        assert gates[q, :, -1].tolist() == [sign * b / 2 for b in (1, 2, 3, 4)]
    for drawn in (cells[:, :-1], gates[..., :-1], readout):
        assert 0.17 < drawn.max() <= 0.2 and -0.2 <= drawn.min() < -0.17


def test_each_rule_by_its_own_limit():
    state = next(s for s, row in enumerate(grammar.EMBEDDED) if (row >= 0).sum() == 2)
    target = (grammar.EMBEDDED[state] >= 0) * 1.0
    for wrong in np.flatnonzero(target == 0):
        outputs = target.copy()
        for error, squared, absolute in (
            (0.48, True, True),
            (0.5, True, False),
            (0.71, False, False),
        ):
            outputs[wrong] = error
            assert online.is_right(outputs, target, state, online.SQUARED) == squared
            assert online.is_right(outputs, target, state, online.ABSOLUTE) == absolute
            assert online.is_right(outputs, target, state, online.MOST_ACTIVE)
        outputs[wrong] = 1.0  # as active as those that may follow
        assert not online.is_right(outputs, target, state, online.MOST_ACTIVE)
    for right in np.flatnonzero(target):
        outputs = target.copy()
        outputs[right] = 0.5
        assert not online.is_right(outputs, target, state, online.ABSOLUTE)
        assert online.is_right(outputs, target, state, online.MOST_ACTIVE)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_a_stream_is_read_to_its_first_error_and_the_rate_falls(rate, monkeypatch):
    """Whatever the outputs are, the 6th prediction is the first that is judged wrong."""
    plain(monkeypatch, "read", "dot", "sigmoid")
    factors, judged = [], []
    monkeypatch.setattr(
        online, "add", lambda weights, factor, values, count: factors.append(factor)
    )

    def is_right(outputs, target, state, judge):
        judged.append((state, target.copy()))
        return len(judged) < 6

    monkeypatch.setattr(online, "is_right", is_right)
    rules = online.Rules(True, False, 0.5, True, online.ABSOLUTE)
    weights = online.first_weights(np.random.default_rng(0))
    choices = np.random.default_rng(1).integers(0, 2, 50)
    assert online.read(Script(choices), weights, rules, 40, rate) == 5
    state, symbol = 0, None
    for (place, target), choice in zip(judged, choices, strict=False):
        symbol = online.PAIRS[state, choice]
        state = grammar.EMBEDDED[state, symbol]
        assert place == state and target.tolist() == (grammar.EMBEDDED[state] >= 0).tolist()
    assert bool(factors) == (rate > 0)
    # A rate below which nothing is learned ends a stream: 0.5 ** 40 is below 1e-12.
    judged.clear()
    monkeypatch.setattr(online, "is_right", lambda *_: True)
    length = online.read(Script([0] * 300), weights, rules, 200, rate)
    assert length == (38 if rate else 200)


def test_a_test_is_ten_streams_after_every_tenth_of_training(monkeypatch):
    plain(monkeypatch, "train")
    rules = online.Rules(True, False, 1.0, True, online.ABSOLUTE)
    reads, answers = [], []

    def read(rng, weights, rules, length, rate):
        assert weights == "weights"
        reads.append((length, rate))
        return answers.pop(0) if rate == 0 else 7

    monkeypatch.setattr(online, "first_weights", lambda rng: "weights")
    monkeypatch.setattr(online, "read", read)
    # Two tests end with their first error, the third one is perfect.
    answers[:] = [100] * 4 + [99] + [3] + [100] * 10
    assert online.train(np.random.default_rng(0), rules, 1000, 100, 10**6) == (True, 30, 210, 100)
    assert [k for k, (_, rate) in enumerate(reads) if rate == 0] == [
        *range(10, 15), 25, *range(36, 46)
    ]  # fmt: skip
    assert {rate for _, rate in reads} == {0, 0.5} and {length for length, _ in reads} == {100}
    # The 300th is measured whole though it errs, and so is the last; the best one counts.
    reads.clear()
    answers[:] = [1] * 29 + [20] + [30] * 8 + [100] + [1] * 2 + [10] * 10
    found = online.train(np.random.default_rng(0), rules, 325, 100, 10**6)
    assert found == (False, 325, 7 * 325, 36.0) and not answers
    # Symbols are a limit, too.
    answers[:] = [1] * 2 + [50] * 10
    assert online.train(np.random.default_rng(0), rules, 1000, 100, 7 * 23) == (
        False,
        23,
        7 * 23,
        50.0,
    )
