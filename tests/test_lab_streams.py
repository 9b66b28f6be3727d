"""Streams that are never reset: the state that is carried on, and where a stream goes wrong."""

import numpy as np
import pytest

from book.experiments.lab import streams
from book.experiments.lab.training import Settings
from companion.tasks import continual_reber
from companion.tasks.grammar import EMBEDDED


class Reader:
    """Knows the grammar, and where it is in it only by the state; wrong where it is told."""

    def __init__(self, wrong):
        self.wrong, self.steps = wrong, 0

    def outputs(self, xs, state=None):
        place = np.zeros(xs.shape[1], int) if state is None else state[0]
        outputs = np.empty(xs.shape, np.float32)
        for t, symbols in enumerate(xs.argmax(-1)):
            place = EMBEDDED[place, symbols]
            outputs[t] = EMBEDDED[place] >= 0
        for b, step in enumerate(self.wrong):
            if self.steps <= step < self.steps + len(xs):
                outputs[step - self.steps, b] = 0
        self.steps += len(xs)
        return outputs, (place, np.array([[-2.0], [1.0]]) * self.steps)


def test_each_stream_is_read_up_to_its_first_error():
    """To the end while one of them is right; the last state, not the outputs, is measured."""
    stream = continual_reber(np.random.default_rng(0), 2, 100_000)
    net = Reader([70_123, 10**9])
    steps, growth = streams.until_error(net, stream)
    assert steps == [70_123, 100_000] and net.steps == 100_000
    assert growth == {1000: 1500.0, 10_000: 15_000.0, 100_000: 150_000.0}
    short = type(stream)(*(array[:20_000] for array in stream))
    net = Reader([3, 999])
    steps, growth = streams.until_error(net, short)
    assert steps == [3, 999] and list(growth) == [1000, 10_000] and net.steps == 10_000


@pytest.fixture
def watched(monkeypatch):
    """The generators of the streams, and what a network is taught, call by call."""
    drawn, taught = [], []

    class Pupil:
        def __init__(self, settings, D, K, rng):
            assert (D, K) == (7, 7)
            self.vector = np.zeros(5)

        def learn(self, batch, state, lr):
            taught.append((batch, state, lr))
            return None, len(taught)

    def stream(rng, B, T):
        drawn.append((rng, rng.bit_generator.state, B, T))
        return continual_reber(rng, B, T)

    monkeypatch.setattr(streams, "Network", Pupil)
    monkeypatch.setattr(streams, "continual_reber", stream)
    return drawn, taught


def test_the_state_is_carried_on_within_a_stream_and_the_rate_falls(watched, monkeypatch):
    drawn, taught = watched
    monkeypatch.setattr(streams, "until_error", lambda net, stream: ([7] * 10, {}))
    settings = Settings("lstm", H=2, lr=0.03, B=4, budget=50 * 4 * 10 + 199)
    found = streams.train_on_stream(settings, 6, test=300, chunk=10)
    assert found["parameters"] == 5 and len(taught) == 54
    whole = continual_reber(np.random.default_rng([6, 1]), 4, 200)
    for k, (batch, state, lr) in enumerate(taught):
        assert state == (None if k % 20 == 0 else k)
        assert lr == pytest.approx(0.03 * (1 - k / 54))
        if k < 20:
            for ours, theirs in zip(batch, whole, strict=True):
                np.testing.assert_array_equal(ours, theirs[10 * k : 10 * k + 10])
    *_, (rng, state, B, T) = drawn
    assert [call[2:] for call in drawn] == [(4, 200)] * 3 + [(10, 300)] and (B, T) == (10, 300)
    assert state == np.random.default_rng([6, 2]).bit_generator.state


def test_a_stream_has_a_thousand_symbols_and_a_test_ten_of_100_000(watched, monkeypatch):
    _, taught = watched
    drawn, seconds = [], iter((10.0, 12.34))

    def stream(rng, B, T):
        drawn.append((B, T))
        return continual_reber(rng, B, min(T, 1000))

    monkeypatch.setattr(streams, "continual_reber", stream)
    monkeypatch.setattr(streams, "until_error", lambda net, stream: ([7] * 10, {}))
    monkeypatch.setattr(streams.time, "process_time", lambda: next(seconds))
    settings = Settings("lstm", H=2, lr=0.03, B=4, budget=21 * 4 * 50)
    assert streams.train_on_stream(settings, 6)["seconds"] == 2.3
    assert drawn == [(4, 1000), (4, 1000), (10, 100_000)]
    assert [len(batch.xs) for batch, _, _ in taught] == [50] * 21


def test_a_grade_is_for_all_streams_or_their_mean(watched, monkeypatch):
    settings = Settings("lstm", H=2, lr=0.03, B=4, budget=0)
    for steps, grade in (
        ([9000] * 10, "perfect"),
        ([9000] * 9 + [8999], "good"),
        ([9000] + [112] * 9, "good"),
        ([9000] + [111] * 9, "bad"),
        ([1000] * 10, "bad"),
    ):
        monkeypatch.setattr(streams, "until_error", lambda net, stream, s=steps: (s, {1000: 2.5}))
        found = streams.train_on_stream(settings, 0, test=9000)
        assert (found["grade"], found["steps"], found["state"]) == (grade, steps, {1000: 2.5})
