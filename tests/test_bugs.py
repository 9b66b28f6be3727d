"""The check sees the classic bugs: each is put in on purpose, and caught.

Every other small change of the source is made by `make test-mutants`.
"""

import inspect
from dataclasses import replace

import numpy as np
import pytest

from companion import CELLS, backward, forward, init
from companion.engine import unroll as engine
from companion.gradcheck import check_cell, check_gradients, check_step

lstm = CELLS["lstm"]


def edited(function, old, new):
    """The function with one piece of its source replaced."""
    source = inspect.getsource(function)
    assert source.count(old) == 1, f"{old!r} must stand once in {function.__name__}"
    scope = dict(function.__globals__)
    exec(source.replace(old, new), scope)
    return scope[function.__name__]


CLASSIC = {  # what is replaced by what, and the rows of `check_step` that it makes wrong
    "no cell carry": ("dc_prev = dc * f", "dc_prev = 0 * dc", "c_prev"),
    "only the local part carried": (
        "dc_prev = dc * f",
        "dc_prev = dh * o * (1 - tanh_c * tanh_c) * f",
        "c_prev",
    ),
    "incoming carry ignored": ("dc = dc + dh", "dc = dh", "a_i a_f a_g c_prev"),
    "way through h ignored": (
        "dc = dc + dh * o * (1 - tanh_c * tanh_c)",
        "dc = dc",
        "a_i a_f a_g c_prev",
    ),
    "derivative of the squashed value": (
        "i * (1 - i)",
        "sigmoid(i) * (1 - sigmoid(i))",
        "a_i",
    ),
    "tanh derivative without the square": ("(1 - g * g)", "(1 - g)", "a_g"),
    "c_t for c_{t-1}": ("dc * c_prev", "dc * state[1]", "a_f"),
    "output gate with the raw state": ("dh * tanh_c * o", "dh * state[1] * o", "a_o"),
    "carry with the wrong gate": ("dc_prev = dc * f", "dc_prev = dc * i", "c_prev"),
    "gates in another order": ("(dai, daf, dag, dao)", "(dai, dag, daf, dao)", "a_f a_g"),
}


def with_bug(bug):
    old, new, _ = CLASSIC[bug]
    return replace(lstm, derivative=edited(lstm.derivative, old, new))


@pytest.mark.parametrize("bug", CLASSIC)
def test_classic_bug_in_the_derivative_is_caught(bug):
    report = check_cell(with_bug(bug))
    assert not report.ok, report


@pytest.mark.parametrize("bug", CLASSIC)
def test_check_of_a_step_names_the_wrong_rows_and_no_other(bug):
    report = check_step(with_bug(bug))
    wrong = [row for row, error in report.errors.items() if error > report.tolerance]
    assert wrong == CLASSIC[bug][2].split(), report


ENGINE = {
    "dropped last-state gradient": (
        "backward",
        'check_state("dstate", cell, dstate, (B, H), dtype)',
        'check_state("dstate", cell, None, (B, H), dtype)',
    ),
    "no sum over time": (
        "add_gradients",
        "np.dot(da.T, inputs) if fresh",
        "np.dot(da[-3:].T, inputs[-3:]) if fresh",
    ),
    "h_t for h_{t-1}": (
        "backward_unchecked",
        "states[0, start:stop]",
        "states[0, start + 1 : stop + 1]",
    ),
    "recurrent weights transposed": (
        "backward_loop",
        "np.dot(da_h[t], weight)",
        "np.dot(da_h[t][:, :5], weight[:5].T)",
    ),
    "dy in place of dh": ("backward_loop", "d[0] + dys[t]", "dys[t]"),
    "no way back through h": ("backward_loop", "d[0] + np.dot(da_h[t], weight)", "d[0]"),
    "no carry from step to step": ("backward_loop", "own.get(name, zero)", "zero"),
    "only the last dy": (
        "backward_loop",
        "d[0] + dys[t]",
        "d[0] + dys[t] * (t == T - 1)",
    ),
    "no bias gradient over the batch": (
        "add_gradients",
        "ones = np.ones(len(xs), xs.dtype)",
        "ones = np.arange(len(xs)) % 3 == 0",
    ),
    "recurrent biases of other gates": (
        "_biases",
        "b_ih + b_hh",
        "b_ih + b_hh[::-1]",
    ),
}


@pytest.mark.parametrize("bug", ENGINE)
def test_classic_bug_in_the_engine_is_caught(bug, monkeypatch):
    name, old, new = ENGINE[bug]
    wrong = edited(getattr(engine, name), old, new)
    if name == "backward":
        monkeypatch.setattr("companion.gradcheck.backward", wrong)
    else:
        monkeypatch.setattr(engine, name, wrong)
    assert not check_cell(lstm).ok


def weak_check(cell, T):
    """As many tutorials check: parameters only, first state zero, loss on the outputs."""
    rng = np.random.default_rng(0)
    params = {name: rng.normal(0, 0.5, v.shape) for name, v in init(cell, 4, 5, rng).items()}
    xs, weights = rng.normal(size=(T, 3, 4)), rng.normal(size=(T, 3, 5))

    def loss(params):
        params = {name: value.astype(complex) for name, value in params.items()}
        return np.sum(weights * forward(cell, params, xs.astype(complex))[0])

    _, _, tape = forward(cell, params, xs)
    return check_gradients(loss, params, backward(cell, params, tape, weights)[0])


def test_a_check_over_two_steps_from_zero_cannot_see_the_dropped_carry():
    """The part of dC_t that came from step t + 1 is dropped on its way to step t - 1."""
    wrong = with_bug("only the local part carried")
    assert weak_check(wrong, T=2).ok
    assert not weak_check(wrong, T=3).ok
    assert not check_cell(wrong).ok
