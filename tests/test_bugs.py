"""The check sees the bugs: every one is put in on purpose, and caught."""

import ast
import inspect
import textwrap
from dataclasses import replace

import numpy as np
import pytest

from companion import CELLS, backward, forward, init
from companion import unroll as engine
from companion.gradcheck import check_cell, check_gradients
from companion.params import gate

lstm = CELLS["lstm"]


def rebuilt(function, tree):
    """The function that a changed syntax tree of it defines, with its globals and closure."""
    free = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    scope = dict(function.__globals__) | {name: c.cell_contents for name, c in free.items()}
    exec(compile(ast.fix_missing_locations(tree), "<mutant>", "exec"), scope)
    return scope[function.__name__]


def parsed(function):
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


def edited(function, old, new):
    """The function with one piece of its source replaced."""
    source = inspect.getsource(function)
    assert source.count(old) == 1, f"{old!r} must stand once in {function.__name__}"
    return rebuilt(function, ast.parse(source.replace(old, new)))


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
        "backward",
        "flat_x.T @ tape.xs[start:stop].reshape(n * B, D)",
        "da_x[n - 1].T @ tape.xs[-1]",
    ),
    "h_t for h_{t-1}": ("backward", "span[0][:-1]", "span[0][1:]"),
    "recurrent weights transposed": (
        "_backward_loop",
        "np.dot(da_h[t], weight)",
        "np.dot(da_h[t][:, :5], weight[:5].T)",
    ),
    "dy not added": (
        "_backward_loop",
        "(dstate[0] + dys[t], *dstate[1:])",
        "(dys[t], *dstate[1:])",
    ),
    "only the last dy": (
        "_backward_loop",
        "dstate[0] + dys[t]",
        "dstate[0] + dys[t] * (t == T - 1)",
    ),
    "no bias gradient over the batch": ("backward", "flat_x.sum(0)", "da_x[:n, 0].sum(0)"),
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


def test_swapped_biases_are_caught_where_they_differ():
    """In a sum the two biases of a gate are one; swapping gates among them is seen."""
    wrong = edited(engine._project, 'params["bias_hh"][:joint]', 'params["bias_hh"][:joint][::-1]')
    rng = np.random.default_rng(0)
    params, xs = init(lstm, 4, 5, rng), rng.normal(size=(6, 3, 4))
    good, bad = (p(lstm, params, xs, 5)[0] for p in (engine._project, wrong))
    assert not np.allclose(good, bad)
    forget = gate(lstm, params["bias_hh"], "f")
    forget += 3
    np.testing.assert_allclose(
        engine._project(lstm, params, xs, 5)[0][..., 5:10] - good[..., 5:10], 3
    )


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


class Mutate(ast.NodeTransformer):
    """Apply the k-th mutation: another operator, a dropped operand, another name."""

    SWAP = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add}

    def __init__(self, k):
        self.left = k
        self.what = None

    def hit(self, node, what):
        self.left -= 1
        if self.left == -1:
            self.what = f"{ast.unparse(node)}: {what}"
            return True
        return False

    def visit_BinOp(self, node):
        if self.hit(node, "operator"):
            return ast.BinOp(node.left, self.SWAP[type(node.op)](), node.right)
        if self.hit(node, "right operand dropped"):
            return node.left
        if self.hit(node, "left operand dropped"):
            return node.right
        return self.generic_visit(node)

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Load) and self.hit(node, "sign"):
            return ast.UnaryOp(ast.USub(), node)
        return node

    def visit_Call(self, node):
        """A slope is an even function of its tanh: -y for y in it changes nothing."""
        return node if node.func.id.endswith("_slope") else self.generic_visit(node)

    def visit_Return(self, node):
        """Swap two neighbours in the returned da."""
        da = node.value.elts[0]
        for j in range(len(da.elts) - 1):
            if self.hit(da, f"gates {j} and {j + 1} swapped"):
                da.elts[j : j + 2] = da.elts[j : j + 2][::-1]
        return self.generic_visit(node)


# A gate held open adds no maths of its own: its cells are the peephole cell's and the LSTM's.
OWN_MATHS = {
    name: cell for name, cell in CELLS.items() if "held_open" not in cell.derivative.__module__
}


# Dropping a factor that is 1 changes nothing.
EQUIVALENT = {
    "no_input_activation": {"dc * i * g_slope(g): right operand dropped"},
    "no_output_activation": {"dh * o * y_slope(y): right operand dropped"},
}


@pytest.mark.parametrize("cell", OWN_MATHS.values(), ids=OWN_MATHS)
def test_every_mutation_of_a_derivative_is_caught(cell):
    survivors, k = [], 0
    while True:
        mutate = Mutate(k)
        tree = mutate.visit(parsed(cell.derivative))
        if mutate.what is None:
            break
        k += 1
        mutant = rebuilt(cell.derivative, tree)
        with np.errstate(all="ignore"):
            try:
                if check_cell(replace(cell, derivative=mutant), T=4).ok:
                    survivors.append(mutate.what)
            except TypeError:  # a negated tuple, say: the mutant does not run
                continue
    assert k > 5
    assert set(survivors) == EQUIVALENT.get(cell.name, set())
