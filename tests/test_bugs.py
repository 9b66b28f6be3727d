"""The check sees the classic bugs: each is put in on purpose, and caught.

Every other small change of the source is made by `python -m tests.mutation`.
"""

import inspect
from dataclasses import replace

import numpy as np
import pytest

from companion import CELLS, backward, forward, init
from companion.engine import unroll as engine
from companion.gradcheck import check_cell, check_gradients

lstm = CELLS["lstm"]


def edited(function, old, new):
    """The function with one piece of its source replaced."""
    source = inspect.getsource(function)
    assert source.count(old) == 1, f"{old!r} must stand once in {function.__name__}"
    scope = dict(function.__globals__)
    exec(source.replace(old, new), scope)
    return scope[function.__name__]


CLASSIC = {
    "no cell carry": ("dc_prev = dc * f", "dc_prev = 0 * dc"),
    "only the local part carried": (
        "dc_prev = dc * f",
        "dc_prev = dh * o * (1 - tanh_c * tanh_c) * f",
    ),
    "incoming carry ignored": ("dc = dc + dh", "dc = dh"),
    "derivative of the squashed value": ("i * (1 - i)", "sigmoid(i) * (1 - sigmoid(i))"),
    "tanh derivative without the square": ("(1 - g * g)", "(1 - g)"),
    "c_t for c_{t-1}": ("dc * c_prev", "dc * state[1]"),
    "carry with the wrong gate": ("dc_prev = dc * f", "dc_prev = dc * i"),
    "gates in another order": ("(dai, daf, dag, dao)", "(dai, dag, daf, dao)"),
}


@pytest.mark.parametrize("bug", CLASSIC)
def test_classic_bug_in_the_derivative_is_caught(bug):
    report = check_cell(replace(lstm, derivative=edited(lstm.derivative, *CLASSIC[bug])))
    assert not report.ok, report


ENGINE = {
    "dropped last-state gradient": (
        "backward",
        '_check_state("dstate", cell, dstate, (B, H), dtype)',
        '_check_state("dstate", cell, None, (B, H), dtype)',
    ),
    "no sum over time": (
        "backward_unchecked",
        "np.dot(flat_x.T, xs[start:stop].reshape(n * B, D))",
        "da_x[n - 1].T @ xs[-1]",
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
    "dy not added": ("backward_loop", "d[0] + dys[t]", "dys[t]"),
    "only the last dy": (
        "backward_loop",
        "d[0] + dys[t]",
        "d[0] + dys[t] * (t == T - 1)",
    ),
    "no bias gradient over the batch": (
        "backward_unchecked",
        "np.dot(ones, flat_x)",
        "da_x[:n, 0].sum(0)",
    ),
    "recurrent biases of other gates": (
        "_biases",
        'params["bias_hh"][:joint]',
        'params["bias_hh"][:joint][::-1]',
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
    bug = "only the local part carried"
    wrong = replace(lstm, derivative=edited(lstm.derivative, *CLASSIC[bug]))
    assert weak_check(wrong, T=2).ok
    assert not weak_check(wrong, T=3).ok
    assert not check_cell(wrong).ok
