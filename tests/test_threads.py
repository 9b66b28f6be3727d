"""Parts in threads: the same bits for every number of them, and no part is lost."""

import ctypes
import sys
import threading

import numpy as np
import pytest
import torch
from every_cell import EVERY

pytest.importorskip("numba", reason="compiled cells need numba")

from companion import compiled, init  # noqa: E402
from companion.engine import threads  # noqa: E402
from companion.engine.team import ALONE, Team  # noqa: E402
from companion.engine.unroll import Tape, backward_unchecked, forward_unchecked  # noqa: E402
from companion.nn import GRU, LSTM, openmp  # noqa: E402


def one_after_another(size):
    """A team whose threads run one after another, and a list of what they were asked to do."""
    asked = []

    def run(function):
        asked.append(function)
        for _ in range(size):
            function()

    return Team(size, run), asked


def run(cell, team, sizes, dtype):
    """All results of a cell forwards and backwards."""
    T, B, D, H = sizes
    rng = np.random.default_rng(0)
    params = init(cell, D, H, rng, dtype)
    xs, dys = (rng.normal(size=(T, B, n)).astype(dtype) for n in (D, H))
    state, last = ([rng.normal(size=(B, H)).astype(dtype) for _ in cell.states] for _ in "ab")
    ys, end, *tape = forward_unchecked(cell, params, xs, tuple(state), True, team)
    grads, dxs, first = backward_unchecked(cell, params, Tape(xs, *tape), dys, tuple(last), team)
    return [ys, *end, *tape, *grads.values(), dxs, *first]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", EVERY)
def test_results_are_the_same_for_every_number_of_threads(name, dtype, monkeypatch):
    monkeypatch.setattr(threads, "WORTH", 1)
    cell = compiled(EVERY[name])
    for sizes in ((3, 1, 70, 5), (2, 7, 3, 70), (40, 9, 33, 33)):
        wanted = run(cell, ALONE, sizes, dtype)
        for size in (2, 3, 8):
            team, asked = one_after_another(size)
            for found, want in zip(run(cell, team, sizes, dtype), wanted, strict=True):
                np.testing.assert_array_equal(found, want)
            assert asked


@pytest.mark.parametrize("layer", [LSTM, GRU])
def test_a_layer_takes_the_threads_of_torch_and_gives_the_same_bits(layer, monkeypatch):
    taken = []

    def watched(jobs, work, team):
        taken.append(team.size)
        return in_parts(jobs, work, team)

    in_parts = threads.in_parts
    monkeypatch.setattr(threads, "in_parts", watched)
    torch.manual_seed(0)
    made, x = layer(60, 100), torch.randn(12, 40, 60)
    before, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            taken.clear()
            made.zero_grad()
            y = made(x)[0]
            y.square().sum().backward()
            found.append([y.detach(), *(p.grad for p in made.parameters())])
            assert set(taken) == {count if openmp._parallel() else 1}
    finally:
        torch.set_num_threads(before)
    for results in found[1:]:
        assert all(map(torch.equal, found[0], results))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere PyTorch may have other threads")
def test_threads_of_torch_run_at_the_same_time():
    meeting, seen = threading.Barrier(2, timeout=60), set()

    def meet():
        meeting.wait()  # nobody comes past it alone
        seen.add(threading.get_ident())

    team = openmp._team(2)
    assert team.size == 2
    for _ in range(3):
        team.run(meet)
    assert len(seen) == 2


def test_without_openmp_there_is_one_thread(monkeypatch):
    for error in (OSError, AttributeError):

        def none(path, error=error):
            raise error

        monkeypatch.setattr(ctypes, "CDLL", none)
        openmp._parallel.cache_clear()
        openmp._team.cache_clear()
        assert openmp._team(2) is ALONE
    monkeypatch.undo()
    openmp._parallel.cache_clear()
    openmp._team.cache_clear()
    assert openmp._team(1) is ALONE


@pytest.mark.parametrize(
    ("size", "multiple", "team"), [(10, 3, 2), (10, 3, 4), (7, 1, 3), (2, 6, 9)]
)
def test_parts_are_whole_blocks_and_leave_nothing_out(size, multiple, team):
    seen = []
    job = threads.Job(lambda low, high: seen.append((low, high)), size, multiple)
    threads.in_parts([job], team * threads.WORTH, one_after_another(team)[0])
    lows, highs = zip(*seen, strict=True)
    assert lows == (0, *highs[:-1]) and highs[-1] == size
    assert all(low % multiple == 0 for low in lows)
    assert len(seen) == min(team, -(-size // multiple))


def test_little_work_is_not_given_away():
    def never(function):
        raise AssertionError("a thread was asked for")

    seen = []
    job = threads.Job(lambda low, high: seen.append((low, high)), 10, 1)
    threads.in_parts([job], 2 * threads.WORTH - 1, Team(2, never))
    assert seen == [(0, 10)]


def test_parts_that_no_thread_took_are_done_all_the_same():
    seen = []
    job = threads.Job(lambda low, high: seen.append((low, high)), 10, 1)
    threads.in_parts([job], 2 * threads.WORTH, Team(2, lambda function: None))
    assert seen == [(0, 5), (5, 10)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, IndexError])
def test_an_error_in_a_part_is_told_when_all_are_done(error):
    seen = []

    def part(low, high):
        seen.append(low)
        if low == 0:
            raise error

    with pytest.raises(error):
        threads.in_parts([threads.Job(part, 10, 1)], 5 * threads.WORTH, one_after_another(2)[0])
    assert seen == [0, 5]
