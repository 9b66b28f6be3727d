"""Parts in threads: the same bits for every number of them, and no part is lost."""

import ctypes
import math
import sys
import threading

import numpy as np
import pytest
import torch
from every_cell import EVERY

pytest.importorskip("numba", reason="compiled cells need numba")

from numba import njit, types  # noqa: E402

from companion import compiled, init  # noqa: E402
from companion.engine import threads  # noqa: E402
from companion.engine.parts import in_threads, part_of  # noqa: E402
from companion.engine.team import ALONE, Team  # noqa: E402
from companion.engine.tiles import PANEL  # noqa: E402
from companion.engine.unroll import Tape, backward_unchecked, forward_unchecked  # noqa: E402
from companion.nn import GRU, LSTM, openmp  # noqa: E402

BODY = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
RUN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)


def one_after_another(size, come=None):
    """A team whose threads run one after another, and a list of how many were asked for.

    come: how many there are in truth, if not as many as are asked for. The third is to be kept.
    """
    asked = []

    @RUN
    def run(body, data, count, flags):
        asked.append((count, flags))
        for _ in range(come or count):
            BODY(body)(data)

    return Team(size, ctypes.cast(run, ctypes.c_void_p).value), asked, run


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
        for size, come in ((2, 2), (3, 3), (8, 8), (3, 1), (2, 5)):  # fewer, and more
            team, asked, _kept = one_after_another(size, come)
            for found, want in zip(run(cell, team, sizes, dtype), wanted, strict=True):
                np.testing.assert_array_equal(found, want)
            assert asked and set(asked) == {(size, 0)}


@pytest.mark.parametrize("layer", [LSTM, GRU])
def test_a_layer_takes_the_threads_of_torch_and_gives_the_same_bits(layer, monkeypatch):
    taken = []

    def watched(*arguments):
        taken.append(arguments[-1].size)
        do(*arguments)

    do = threads._do
    monkeypatch.setattr(threads, "_do", watched)
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
        RUN(team.run)(BODY(lambda data: meet()), None, team.size, 0)
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
    ("size", "multiple", "count"), [(10, 3, 2), (10, 3, 4), (7, 1, 3), (2, 6, 9)]
)
def test_parts_are_whole_blocks_and_leave_nothing_out(size, multiple, count):
    for function in (part_of, part_of.py_func):
        parts = [function(size, multiple, k, count) for k in range(count)]
        lows, highs = zip(*parts, strict=True)
        assert lows == (0, *highs[:-1]) and highs[-1] == size
        assert all(low % multiple == 0 for low in lows)
        longest = max(high - low for low, high in parts)
        assert longest <= -(-size // multiple // count) * multiple + multiple


@pytest.mark.parametrize(
    ("work", "blocks", "size", "given"),
    [
        (2 * threads.WORTH - 1, 9, 2, (0, 1)),  # little work is not given away
        (2 * threads.WORTH, 9, 2, (-1, 2)),
        (9 * threads.WORTH, 9, 4, (-1, 4)),
        (9 * threads.WORTH, 3, 4, (-1, 3)),
        (9 * threads.WORTH, 1, 4, (0, 1)),
        (0, 0, 4, (0, 1)),
        (9 * threads.WORTH, 9, 1, (0, 1)),
    ],
)
def test_work_is_given_to_as_many_threads_as_it_is_worth(work, blocks, size, given):
    asked, team = [], Team(size, 77)
    threads._do(lambda *arguments: asked.append(arguments), ("a", "b"), work, blocks, team)
    assert asked == [("a", "b", *given, *team)]


def test_work_is_counted_in_multiplications_and_parts_in_tiles_and_panels(monkeypatch):
    asked, two = [], Team(2, 0)
    monkeypatch.setattr(threads, "_do", lambda function, _, *asks: asked.append((function, *asks)))
    T, B, D, H, rows = 3, 9, 7, 5, 20
    threads.over_batch("loop", 4, two, np.zeros((T, B, rows)), "more")
    assert asked == [("loop", T * B * rows * H, 3, two)]  # four sequences each

    def zeros(*shape):
        return np.zeros(shape, np.float32)

    for M, N in ((50, 90), (5, 90), (50, 7)):
        threads.product("multiply", two, zeros(M, D), zeros(D, N), zeros(M, N))
        blocks = max(math.ceil(M / 6), math.ceil(4 * N / PANEL))
        assert asked.pop() == ("multiply", M * D * N, blocks, two)
    K, da, weight = 30, zeros(30, rows), zeros(rows, D)
    sums, dxs = [zeros(rows, D), zeros(rows, H)], zeros(K, D)
    threads.gradients(
        "add", "multiply", two, da, da, zeros(K, D), zeros(K, H), weight, sums, True, dxs
    )
    assert asked[1:] == [
        ("add", K * rows * (D + H), 4, two),
        ("multiply", K * rows * D, 5, two),
    ]


def test_a_part_that_fails_is_told():
    with pytest.raises(MemoryError, match="a thread"):
        threads._do(lambda *arguments: True, (), 0, 1, ALONE)


@njit(nogil=True)
def count_calls(calls, failing, k, count, size, run):
    if k < 0:
        return in_threads((calls, failing), count, size, run)
    calls[k] += count
    if k == failing:
        raise ValueError
    return False


@pytest.mark.parametrize("failing", [-1, 0, 2])
def test_compiled_code_calls_itself_for_every_part_and_says_if_one_failed(failing):
    number = types.int64
    count_calls.compile((types.Array(number, 1, "C"), *[number] * 5))
    team, asked, _kept = one_after_another(3)
    calls = np.zeros(5, np.int64)
    assert count_calls(calls, failing, -1, 5, *team) == (failing >= 0)
    assert calls.tolist() == [5] * 5 and asked == [(3, 0)]
