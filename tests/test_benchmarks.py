"""The rivals that are timed compute the same thing."""

import importlib
import sys

import numpy as np
import pytest

from companion import backward, forward


@pytest.fixture(scope="module")
def rivals():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "torch")
        from benchmarks import rivals

        yield rivals


# Who computes the derivatives of a cell; torch.nn has no variants, so its LSTM stands in.
EVERYWHERE = {
    "compiled_cell",
    "plain_numpy",
    "companion_layer",
    "companion_layer_without_numba",
    "autograd_loop",
}
LAYERS = EVERYWHERE | {"torch_nn", "keras_layer", "jax_scan"}
COMPUTES = {
    "rnn": LAYERS,
    "lstm": LAYERS | {"textbook_loop", "lstm_cell_loop", "scripted_loop"},
    "gru": LAYERS,
    "peephole": EVERYWHERE | {"scripted_loop"},
    "coupled": EVERYWHERE,
}


@pytest.mark.parametrize("name", COMPUTES)
def test_rivals_compute_the_same(rivals, name):
    problem = rivals.Problem(name, (7, 3, 4, 5))
    _, _, tape = forward(problem.cell, problem.params, problem.xs)
    _, expected, _ = backward(problem.cell, problem.params, tape, problem.dys)
    given = {}
    for rival, step in rivals.training_steps(problem).items():
        dxs = step()
        if dxs is not None:
            given[rival] = np.asarray(dxs)
    missing = {rivals.OPTIONAL[package].__name__ for package in rivals.MISSING}
    assert set(given) == COMPUTES[name] - missing
    for rival, dxs in given.items():
        np.testing.assert_allclose(dxs, expected, rtol=0, atol=1e-4, err_msg=rival)


def test_a_rival_that_computes_something_else_is_named(rivals, monkeypatch):
    def wrong(problem):
        return lambda: np.ones_like(problem.xs)

    monkeypatch.setattr(rivals, "RIVALS", (rivals.plain_numpy, wrong))
    with pytest.raises(RuntimeError, match="^wrong gives other derivatives for gru"):
        rivals.training_steps(rivals.Problem("gru", (7, 3, 4, 5)))


def test_a_package_that_is_not_there_is_left_out(rivals, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "benchmarks.rivals")  # so that it is imported anew
    monkeypatch.delattr("benchmarks.rivals")
    without = importlib.import_module("benchmarks.rivals")
    assert without.MISSING == ("keras", "jax")
    assert {r.__name__ for r in without.RIVALS}.isdisjoint({"keras_layer", "jax_scan"})
