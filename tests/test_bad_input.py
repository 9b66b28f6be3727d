"""Bad input gets a ValueError that names the argument, what it is and what is wanted."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from companion import CELLS, Cell, backward, forward, gate, history, init
from companion.cells import held_open
from companion.params import check_array

lstm = CELLS["lstm"]
rng = np.random.default_rng(0)
params = init(lstm, 4, 5, rng)
xs = rng.normal(size=(6, 3, 4))
state = (np.zeros((3, 5)), np.zeros((3, 5)))
_, _, tape = forward(lstm, params, xs)
dys = np.zeros((6, 3, 5))


def without(name):
    return {key: value for key, value in params.items() if key != name}


def other(name, H=5):
    return CELLS[name], init(CELLS[name], 4, H, rng)


def tape_of(name):
    return forward(*other(name), xs)[2]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: forward(lstm, params, xs.tolist()), "xs must be a NumPy array, got list"),
        (lambda: forward(lstm, params, torch.tensor(xs)), "xs must be a NumPy array, got Tensor"),
        (lambda: forward(lstm, params, xs[0]), r"xs must have shape \(T, B, D\), got \(3, 4\)"),
        (lambda: forward(lstm, params, xs.astype(int)), "xs must be float32 or float64, got int64"),
        (lambda: forward(lstm, params, xs.astype(np.float16)), "float64, got float16"),
        (
            lambda: forward(lstm, params, xs.astype(np.float32)),
            "must be float32 like xs, got float64",
        ),
        (
            lambda: forward(lstm, params, xs[:, :, :3]),
            r"params\['weight_ih'\] must have shape \(20, 3\), got \(20, 4\)",
        ),
        (lambda: forward(lstm, without("bias_hh"), xs), "params must have 'bias_hh' for lstm"),
        (
            lambda: forward(lstm, params, xs, state[0]),
            r"state must be a tuple \(h, c\), got ndarray$",
        ),
        (lambda: forward(lstm, params, xs, np.stack(state)), r"state must .* got ndarray$"),
        (
            lambda: forward(lstm, params, xs, state[:1]),
            r"state must be a tuple \(h, c\), got tuple of 1",
        ),
        (
            lambda: forward(lstm, params, xs, (state[0], state[1][:2])),
            r"state \(c\) must have shape \(3, 5\), got \(2, 5\)",
        ),
        (lambda: forward(lstm, params, xs, [state[0]]), r"state must .* got list of 1"),
        (lambda: backward(lstm, params, None, dys), "tape must come from forward"),
        (lambda: history(lstm, None), "tape must come from forward.keep_tape=True., got None"),
        (lambda: held_open(lstm, "x", "none"), r"gate must be one of \('i', .* for lstm, got 'x'"),
        (lambda: backward(*other("rnn"), tape, dys), r"this cell \(rnn\) and 5 units"),
        (lambda: backward(*other("gru"), tape_of("rnn"), dys), r"this cell \(gru\) and 5 units"),
        (lambda: backward(*other("lstm", 6), tape, dys), r"this cell \(lstm\) and 6 units"),
        (lambda: backward(lstm, params, tape, dys[:5]), r"dys must have shape \(6, 3, 5\)"),
        (lambda: backward(lstm, params, tape, dys.astype("f4")), "dys must be float64 like xs"),
        (lambda: backward(lstm, params, tape, dys, dys), r"dstate must be a tuple \(h, c\)"),
        (lambda: init(lstm, 0, 5, rng), "D must be a whole number of at least 1, got 0"),
        (lambda: init(lstm, 4, 2.5, rng), "H must be a whole number of at least 1, got 2.5"),
        (lambda: init(lstm, 4, 5, rng, int), "dtype must be float32 or float64"),
        (lambda: gate(lstm, params["bias_ih"], "z"), r"gate must be one of \('i', 'f', 'g', 'o'\)"),
        (lambda: gate(lstm, np.zeros(7), "f"), "array must have G·H rows"),
        (lambda: Cell("x", ("a",), ("c",), (), (), None, None), "states must start with 'h'"),
        (lambda: Cell("x", ("a",), (), (), (), None, None), "states must start with 'h'"),
        (lambda: Cell("x", ["a"], ("h",), (), (), None, None), "gates must be a tuple of names"),
        (
            lambda: Cell("x", ("a",), ("h",), (), (), None, None, forgets=("a", 2)),
            r"forgets must be one of \('a',\) and 1 or -1, got \('a', 2\)",
        ),
        (
            lambda: Cell("x", ("a",), ("h",), (), (), None, None, forgets=("f", 1)),
            r"forgets must be one of \('a',\) and 1 or -1, got \('f', 1\)",
        ),
        (lambda: Cell("x", ("a",), ("h",), ("c",), (), None, None), "carries must be among"),
        (
            lambda: Cell("x", ("a", "b"), ("h",), (), (), None, None, split=("a",)),
            "split must be the last",
        ),
    ],
)
def test_error_names_the_argument(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_keys_of_the_rest_of_a_model_are_left_alone():
    ys, _, _ = forward(lstm, params | {"weight": np.zeros((2, 5))}, xs)
    np.testing.assert_array_equal(ys, forward(lstm, params, xs)[0])


def test_a_list_of_states_is_as_good_as_a_tuple():
    ys, last, _ = forward(lstm, params, xs, list(state))
    np.testing.assert_array_equal(ys, forward(lstm, params, xs, state)[0])
    backward(lstm, params, tape, dys, list(last))


OTHERS = [replace(lstm, kept=lstm.kept[1:]), replace(lstm, states=("h",), carries=())]


@pytest.mark.parametrize("cell", OTHERS, ids=["kept", "states"])
def test_history_refuses_the_tape_of_another_cell(cell):
    with pytest.raises(ValueError, match="zip"):
        history(cell, tape)


peephole = CELLS["peephole"]


def short(method, k):
    """The method without the last array of the k-th group that it returns."""

    def shorter(*arguments):
        groups = list(getattr(peephole, method)(*arguments))
        groups[k] = groups[k][:-1]
        return tuple(groups)

    return {method: shorter}


SHORT = {
    "state": (short("step", 0), r"step of peephole must return the tuples state of 2, kept of 5"),
    "kept": (short("step", 1), r"step of .* got \[2, 4\]"),
    "da": (short("derivative", 0), "derivative of peephole must .* da of 4, dcarry of 1, dp of 3"),
    "dcarry": (short("derivative", 1), r"derivative of .* got \[4, 0, 3\]"),
    "dp": (short("derivative", 2), r"derivative of .* got \[4, 1, 2\]"),
    "none": ({"derivative": None}, "peephole must have a derivative to go backward, got None"),
    "bare": ({"step": lambda a, carry, p: a[0]}, r"step of peephole must .* got \['ndarray'\]"),
    "list": (
        {"derivative": lambda d, state, kept, carry, p: ([*kept[:4]], (carry[0],), p)},
        r"derivative of peephole must .* got \['list', 1, 3\]",
    ),
    "one list": ({"step": lambda a, carry, p: [a[:2], a]}, r"step of .* got \['list'\]"),
}


@pytest.mark.parametrize(("change", "says"), SHORT.values(), ids=SHORT)
def test_a_cell_of_your_own_that_returns_too_little_is_refused(change, says):
    cell = replace(peephole, **change)
    params = init(cell, 4, 5, rng)
    with pytest.raises(ValueError, match=says):
        backward(cell, params, forward(cell, params, xs)[2], dys)


def test_a_cell_without_derivative_runs_forward():
    cell = replace(peephole, derivative=None)
    params = init(cell, 4, 5, rng)
    expected = forward(peephole, params, xs)[0]
    np.testing.assert_array_equal(forward(cell, params, xs)[0], expected)


def test_a_cell_may_be_given_by_its_name():
    ys, last, own = forward("lstm", params, xs)
    np.testing.assert_array_equal(ys, forward(lstm, params, xs)[0])
    grads, dxs, _ = backward("lstm", params, own, dys)
    assert history("lstm", own)["f"].shape == (6, 3, 5)
    np.testing.assert_array_equal(gate("lstm", params["bias_ih"], "f"), params["bias_ih"][5:10])
    assert init("gru", 4, 5, rng)["weight_ih"].shape == (15, 4)
    wrong = ("lsmt", None, ["lstm"])
    for call in [lambda cell=cell: forward(cell, params, xs) for cell in wrong]:
        with pytest.raises(ValueError, match="cell must be a Cell or one of rnn, lstm, peephole"):
            call()


def test_a_shape_of_letters_and_numbers():
    check_array("a", np.zeros((6, 4)), ("3H", 4))
    for shape, wanted in ((("3H", 5), r"\(3H, 5\)"), (("H",), r"\(H,\)"), ((4, 6), r"\(4, 6\)")):
        with pytest.raises(ValueError, match=rf"a must have shape {wanted}, got \(6, 4\)"):
            check_array("a", np.zeros((6, 4)), shape)
