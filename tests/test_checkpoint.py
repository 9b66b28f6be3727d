import tracemalloc

import numpy as np
import pytest
from every_cell import EVERY

from companion import backward, forward, init
from companion.engine.checkpoint import backward_checkpointed, forward_checkpointed


def draw(name, T, B=2, D=3, H=4):
    rng = np.random.default_rng(0)
    cell = EVERY[name]
    state = tuple(rng.normal(size=(B, H)) for _ in cell.states)
    xs, dys = rng.normal(size=(T, B, D)), rng.normal(size=(T, B, H))
    return cell, init(cell, D, H, rng), xs, state, dys


@pytest.mark.parametrize("every", [None, 1, 7, 100])
@pytest.mark.parametrize("name", EVERY)
def test_gradients_are_those_of_the_full_tape(name, every):
    cell, params, xs, state, dys = draw(name, T=23)
    ys, last, tape = forward(cell, params, xs, state)
    expected = backward(cell, params, tape, dys, last)
    ys_c, last_c, kept = forward_checkpointed(cell, params, xs, state, every)
    got = backward_checkpointed(cell, params, kept, dys, last)
    np.testing.assert_allclose(ys_c, ys, atol=1e-13)
    for a, b in zip(last_c + got[2], last + expected[2], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    np.testing.assert_allclose(got[1], expected[1], atol=1e-12)
    for key, value in expected[0].items():
        np.testing.assert_allclose(got[0][key], value, atol=1e-11)


def test_what_is_kept_is_the_checkpoints_own():
    cell, params, xs, state, dys = draw("lstm", T=9)
    _, last, tape = forward(cell, params, xs, state)
    _, expected, _ = backward(cell, params, tape, dys, last)
    _, _, kept = forward_checkpointed(cell, params, xs, state)
    for own in (xs, *state):
        own[...] = np.nan
    np.testing.assert_allclose(backward_checkpointed(cell, params, kept, dys, last)[1], expected)


def test_no_steps():
    cell, params, xs, state, dys = draw("lstm", T=0)
    ys, last, kept = forward_checkpointed(cell, params, xs, state)
    grads, dxs, dstate = backward_checkpointed(cell, params, kept, dys, last)
    assert ys.shape == (0, 2, 4) and dxs.shape == xs.shape
    assert not any(value.any() for value in grads.values())
    np.testing.assert_array_equal(dstate, last)


def peak_beyond_io(run, T, sizes):
    cell, params, xs, state, dys = draw("lstm", T, *sizes)
    tracemalloc.start()
    run(cell, params, xs, dys)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # ys, the copy of xs, and dxs are there in either case.
    return peak - dys.nbytes - 2 * xs.nbytes


def test_memory_is_a_fraction_of_the_tape(monkeypatch):
    monkeypatch.setattr("companion.engine.unroll.CHUNK", 1 << 12)

    def whole(cell, params, xs, dys):
        _, _, tape = forward(cell, params, xs)
        backward(cell, params, tape, dys)

    def checkpointed(cell, params, xs, dys):
        _, _, kept = forward_checkpointed(cell, params, xs)
        backward_checkpointed(cell, params, kept, dys)

    sizes = (4, 2, 16)
    assert peak_beyond_io(checkpointed, 2500, sizes) < 0.2 * peak_beyond_io(whole, 2500, sizes)


def test_bad_input():
    cell, params, xs, state, dys = draw("lstm", T=5)
    with pytest.raises(ValueError, match="every must be a whole number of at least 1, got 2.5"):
        forward_checkpointed(cell, params, xs, state, every=2.5)
    with pytest.raises(ValueError, match="every must be a whole number of at least 1, got 0"):
        forward_checkpointed(cell, params, xs, state, every=0)
    with pytest.raises(ValueError, match=r"state must be a tuple \(h, c\)"):
        forward_checkpointed(cell, params, xs, state[0])
    _, _, kept = forward_checkpointed(cell, params, xs, state, every=np.int64(2))
    assert len(kept.states) == 3  # any kind of whole number will do
    with pytest.raises(ValueError, match=r"dys must have shape \(5, 2, H\)"):
        backward_checkpointed(cell, params, kept, dys[:4])
