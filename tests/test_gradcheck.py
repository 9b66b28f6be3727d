from dataclasses import replace

import numpy as np
import pytest
from every_cell import EVERY

from companion import CELLS, Cell
from companion.activations import tanh
from companion.gradcheck import (
    Problem,
    central_difference,
    check_cell,
    check_gradients,
    check_step,
    complex_step,
)


def f(x):
    return np.sum(np.exp(x) / np.sqrt(np.sin(x) ** 3 + np.cos(x) ** 3))


def df(x):
    s, c = np.sin(x), np.cos(x)
    root = s**3 + c**3
    return np.exp(x) * (root - 1.5 * (s**2 * c - c**2 * s)) / root**1.5


def test_complex_step_is_exact_to_rounding_and_central_difference_is_not():
    x = np.array([[0.3, 1.5], [0.7, 1.1]])
    np.testing.assert_allclose(complex_step(f, x), df(x), rtol=1e-14)
    error = np.abs(central_difference(f, x) - df(x)).max()
    assert 1e-13 < error < 3e-9  # the right step: with another rounding or curvature is larger


@pytest.mark.parametrize("method", ["complex", "central"])
def test_check_gradients_finds_the_wrong_one(method):
    arrays = {"a": np.array([0.5, 1.0]), "b": np.array(0.3)}
    right = {"a": 2 * arrays["a"] * 0.3, "b": np.array(1.25)}

    def loss(v):
        return np.sum(v["a"] ** 2) * v["b"]

    assert check_gradients(loss, arrays, right, method).ok
    report = check_gradients(loss, arrays, right | {"b": np.array(1.24)}, method)
    assert not report.ok
    assert report.errors["a"] <= report.tolerance < report.errors["b"]
    lines = str(report).splitlines()
    by = "the complex step" if method == "complex" else "central differences"
    assert lines[0] == f"gradients, by {by}"
    assert lines[1].index("verdict") == lines[2].index("right") == lines[3].index("WRONG")
    assert lines[1].split() == ["value", "shape", "error", "verdict"]
    bound = "< 1e-12" if method == "complex" else "< 1e-09"
    assert " ".join(lines[2].split()) == f"a (2,) {bound} right"
    assert " ".join(lines[3].split()) == "b () 0.008 WRONG"


@pytest.mark.parametrize(("method", "tolerance"), [("complex", 1e-11), ("central", 1e-7)])
def test_one_wrong_entry_of_a_large_array_is_enough(method, tolerance):
    x = np.random.default_rng(0).normal(size=(20, 30))
    for planted, ok in ((0, True), (30, False), (1e3, False)):
        grads = 2 * x
        grads[7, 11] += planted * tolerance * np.abs(grads).max()
        report = check_gradients(lambda v: np.sum(v["x"] ** 2), {"x": x}, {"x": grads}, method)
        assert report.ok == ok, (planted, report)


def test_a_problem_has_nothing_that_hides_an_error():
    for cell in EVERY.values():
        problem = Problem.draw(cell, 5, np.random.default_rng(0), sizes=(20, 30, 40))
        names = [*cell.parameters, "xs", *(f"{name}_0" for name in cell.states)]
        assert [*problem.arrays] == names
        for name, value in problem.arrays.items():
            assert value.all() and abs(value.mean()) < 0.3
            assert value.std() == pytest.approx(1 if name == "xs" else 0.5, rel=0.4)
        assert problem.dys.all() and all(d.all() for d in problem.dstate)


def test_an_error_is_relative_to_what_is_right():
    x = np.array([1.0, -2.0])
    for factor, error in ((3, 2), (0.5, 0.5), (-1, 2)):
        grads = {"x": factor * 2 * x, "none": np.ones(0)}
        report = check_gradients(lambda v: np.sum(v["x"] ** 2), {"x": x, "none": np.ones(0)}, grads)
        assert report.errors == {"x": pytest.approx(error, rel=1e-12), "none": 0}


@pytest.mark.parametrize("check", [check_cell, check_step])
def test_a_check_draws_from_the_generator_that_it_is_given_or_from_seed_0(check):
    given = [check("lstm", rng=np.random.default_rng(seed)).errors for seed in (0, 1)]
    assert check("lstm").errors == given[0] != given[1]


def test_a_report_says_what_was_checked():
    assert str(check_cell("rnn")).startswith("rnn, T = 6, by the complex step\n")
    assert str(check_step("rnn")).startswith("rnn, one step, by the complex step\n")


def test_nan_is_wrong():
    report = check_gradients(lambda v: np.sum(v["a"]), {"a": np.ones(2)}, {"a": np.full(2, np.nan)})
    assert not report.ok


def test_bad_input():
    one = {"a": np.ones(2)}
    with pytest.raises(ValueError, match="method must be one of"):
        check_gradients(np.sum, one, one, "forward")
    with pytest.raises(ValueError, match=r"grads must have the names \['a'\]"):
        check_gradients(np.sum, one, {})
    short = replace(CELLS["rnn"], derivative=lambda *values: ((values[0][0],), ()))
    with pytest.raises(ValueError, match="derivative of rnn must return the tuples"):
        check_step(short)
    with pytest.raises(ValueError, match=r"grads\['a'\] must have shape \(2,\), got \(3,\)"):
        check_gradients(np.sum, one, {"a": np.ones(3)})


def test_a_readers_own_cell_is_checked():
    def step(a, carry, p):
        (ah,) = a
        (h_prev,) = carry
        return (0.5 * h_prev + tanh(ah),), (tanh(ah),)

    def derivative(dstate, state, kept, carry, p):
        (dh,) = dstate
        (y,) = kept
        return (dh * (1 - y * y),), (0.5 * dh,), ()

    def wrong(dstate, state, kept, carry, p):
        (dh,) = dstate
        (h,) = state
        return (dh * (1 - h * h),), (0.5 * dh,), ()

    leaky = Cell("leaky", ("h",), ("h",), ("h",), ("y",), step, derivative)
    assert check_cell(leaky).ok
    assert not check_cell(Cell("wrong", ("h",), ("h",), ("h",), ("y",), step, wrong)).ok
    assert repr(CELLS["lstm"]) == "<cell 'lstm': gates i f g o, state h c>"


@pytest.mark.parametrize("method", ["complex", "central"])
@pytest.mark.parametrize("cell", EVERY.values(), ids=EVERY)
def test_one_step_of_every_cell_is_right(cell, method):
    assert check_step(cell, method).ok


@pytest.mark.parametrize("name", ["lstm", "peephole", "gru"])
def test_one_step_says_which_value_is_wrong(name):
    cell = CELLS[name]
    rows = [*cell.pre_activations, *(f"{c}_prev" for c in cell.carries), *cell.peepholes]
    sizes = [len(cell.pre_activations), len(cell.carries), len(cell.peepholes)]
    for k, row in enumerate(rows):

        def wrong(*arguments, k=k):
            flat = [-v if j == k else v for j, v in enumerate(sum(cell.derivative(*arguments), ()))]
            return tuple(tuple(flat[sum(sizes[:n]) : sum(sizes[: n + 1])]) for n in range(3))

        report = check_step(replace(cell, derivative=wrong))
        bad = [name for name, error in report.errors.items() if error > report.tolerance]
        assert bad == [row] and f"{row} " in str(report) and "WRONG" in str(report)
