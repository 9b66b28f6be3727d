"""Newton's method for all steps at once: equal to the loop, or an error that says so."""

from functools import partial
from itertools import islice

import numpy as np
import pytest

from companion import CELLS, forward, gate, init
from companion.newton import (
    BOUNDED,
    every_step,
    forward_at_once,
    jacobians,
    matrix_loop,
    newton,
    within_bounds,
)

WITH_DERIVATIVE = [name for name, cell in CELLS.items() if cell.derivative is not None]


def problem(cell, T=40, B=2, seed=0, spread=0.5):
    rng = np.random.default_rng(seed)
    D, H = 3, 4
    params = {name: rng.normal(0, spread, v.shape) for name, v in init(cell, D, H, rng).items()}
    state = tuple(rng.normal(0, 0.5, (B, H)) for _ in cell.states)
    return params, rng.normal(size=(T, B, D)), state


def chaotic(T, H=32):
    """PyTorch's first weights with the recurrent ones multiplied by 12: no two states stay near."""
    rng = np.random.default_rng(0)
    params = init("lstm", 4, H, rng)
    params["weight_hh"] *= 12
    return params, rng.normal(size=(T, 1, 4))


@pytest.mark.parametrize("name", WITH_DERIVATIVE)
def test_the_jacobian_is_that_of_the_complex_step(name):
    cell = CELLS[name]
    params, xs, _ = problem(cell, T=5)
    S, H = len(cell.states), 4
    rng = np.random.default_rng(1)
    before = rng.normal(size=(5, 2, S * H))
    after, slopes = every_step(cell, params, xs, before)
    found = jacobians(cell, params, slopes)
    for j in range(S * H):
        moved = before.astype(complex)
        moved[..., j] += 1e-30j
        stepped, _ = every_step(cell, params, xs.astype(complex), moved)
        # The complex step is right to rounding, and so is the hand-derived Jacobian.
        np.testing.assert_allclose(found[..., j], stepped.imag / 1e-30, atol=1e-14)
    for t in range(5):
        _, last, _ = forward(cell, params, xs[t : t + 1], tuple(np.split(before[t], S, -1)))
        np.testing.assert_allclose(after[t], np.concatenate(last, -1), atol=1e-14)


@pytest.mark.parametrize("name", WITH_DERIVATIVE)
def test_it_equals_forward(name):
    cell = CELLS[name]
    params, xs, state = problem(cell)
    ys, last, _ = forward(cell, params, xs, state)
    at_once, end, residuals = forward_at_once(cell, params, xs, state)
    # Both are right to rounding; a stable network does not let roundings grow.
    np.testing.assert_allclose(at_once, ys, atol=1e-11)
    np.testing.assert_allclose(np.concatenate(end), np.concatenate(last), atol=1e-11)
    assert residuals[-1] < 1e-12 < residuals[0] and 3 <= len(residuals) <= len(xs)


def test_the_number_of_right_digits_doubles():
    cell = CELLS["lstm"]
    params = init(cell, 4, 16, np.random.default_rng(0))
    xs = np.random.default_rng(1).normal(size=(1000, 1, 4))
    _, _, residuals = forward_at_once(cell, params, xs)
    assert len(residuals) == 5  # the guess, and four updates for a thousand steps
    assert all(new < 10 * old**2 for old, new in zip(residuals[1:3], residuals[2:4], strict=True))


def test_the_limit_is_that_of_the_updates():
    params = init("lstm", 4, 16, np.random.default_rng(0))
    xs = np.random.default_rng(1).normal(size=(1000, 1, 4))
    assert len(forward_at_once("lstm", params, xs, limit=4)[2]) == 5
    with pytest.raises(ArithmeticError, match="after 3 updates"):
        forward_at_once("lstm", params, xs, limit=3)


def test_each_update_makes_at_least_one_more_step_right():
    cell = CELLS["lstm"]
    params, xs = chaotic(T=30)
    ys, _, _ = forward(cell, params, xs)
    for inside in (None, partial(within_bounds, cell, 0)):
        for n, guess in enumerate(islice(newton(cell, params, xs, None, inside), 31)):
            # Guesses beyond step n may be huge, but step n depends on those before it alone.
            np.testing.assert_allclose(guess.states[:n, :, :32], ys[:n], atol=1e-7)
    assert guess.residual < 1e-12


def test_a_guess_that_overflows_is_started_again():
    params, xs = chaotic(T=400)
    residuals = [guess.residual for guess in islice(newton("lstm", params, xs), 60)]
    assert not np.isfinite(residuals).all() or max(residuals) > 1e200
    assert np.isfinite(residuals[-1])


def test_what_does_not_converge_is_an_error_that_says_so():
    params, xs = chaotic(T=300)
    with pytest.raises(ArithmeticError, match=r"after 20 updates of 300 steps.*companion\.forward"):
        forward_at_once("lstm", params, xs, limit=20)


def test_bounds_save_updates_and_change_no_result():
    params = init("lstm", 4, 16, np.random.default_rng(0))
    gate("lstm", params["bias_ih"], "f")[:] += 6
    xs = np.random.default_rng(1).normal(size=(1000, 1, 4))
    ys, _, _ = forward("lstm", params, xs)

    def updates(inside):
        for n, guess in enumerate(newton("lstm", params, xs, None, inside)):
            if guess.residual < 1e-12:
                np.testing.assert_allclose(guess.states[..., :16], ys, atol=1e-10)
                return n
        return None

    assert updates(partial(within_bounds, "lstm", 0)) < updates(None) / 2


@pytest.mark.parametrize("name", BOUNDED)
def test_no_state_leaves_the_bounds(name):
    cell = CELLS[name]
    params, xs, _ = problem(cell, spread=5)
    state = tuple(np.full((2, 4), sign * 3.0) for sign in (1, -1)[: len(cell.states)])
    _, _, tape = forward(cell, params, 100 * xs, state)
    states = np.concatenate(list(tape.states[:, 1:]), -1)
    np.testing.assert_array_equal(within_bounds(cell, 3, states), states)
    assert np.abs(within_bounds(cell, 3, states + 1000)).max() <= 3 + len(xs)


def test_only_bounded_cells_have_bounds():
    with pytest.raises(ValueError, match="cell must be one of rnn, lstm.*got lstm1997"):
        within_bounds("lstm1997", 0, np.zeros((2, 1, 16)))


def test_warnings_of_the_caller_stay_on():
    params, xs = chaotic(T=5)
    before = np.geterr()
    for _ in islice(newton("lstm", params, xs), 3):
        assert np.geterr() == before


def test_the_matrix_loop_is_the_recurrence():
    rng = np.random.default_rng(0)
    for T in (0, 1, 2, 7, 64):
        J, r = rng.normal(0, 0.4, (T, 2, 5, 5)), rng.normal(size=(T, 2, 5))
        kept = J.copy(), r.copy()
        s = np.zeros((2, 5))
        by_loop = matrix_loop(J, r)
        for t in range(T):
            s = np.einsum("bkj,bj->bk", J[t], s) + r[t]
            np.testing.assert_allclose(by_loop[t], s, atol=1e-12)
        assert np.array_equal(J, kept[0]) and np.array_equal(r, kept[1])


def test_float32_and_empty_input():
    cell = CELLS["lstm"]
    params, xs, state = problem(cell)
    single = {name: value.astype(np.float32) for name, value in params.items()}
    ys, _, _ = forward_at_once(cell, single, xs.astype(np.float32))
    assert ys.dtype == np.float32
    np.testing.assert_allclose(ys, forward(cell, params, xs)[0], atol=1e-4)
    ys, last, residuals = forward_at_once(cell, params, xs[:0], state)
    assert ys.shape == (0, 2, 4) and residuals == [0]
    assert all(np.array_equal(a, b) and a is not b for a, b in zip(last, state, strict=True))


def test_what_does_not_fit_is_named():
    cell = CELLS["lstm"]
    params, xs, state = problem(cell)
    with pytest.raises(ValueError, match=r"state \(c\) must have shape"):
        forward_at_once(cell, params, xs, (state[0], state[1][:1]))
    for wrong, got in ((state[:1], "tuple of 1"), ((), "tuple of 0"), (3, "int")):
        with pytest.raises(ValueError, match=rf"state must be a tuple \(h, c\), got {got}"):
            forward_at_once(cell, params, xs, wrong)
    with pytest.raises(ValueError, match=r"state \(c\) must be a NumPy array, got NoneType"):
        forward_at_once(cell, params, xs, (state[0], None))
    with pytest.raises(ValueError, match="xs"):
        forward_at_once(cell, params, xs[0])
