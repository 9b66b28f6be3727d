"""Is a derivative right? Compare it with one that needs no derivation.

`check_cell` checks a cell, yours included, over a sequence; `check_step` says which line of its
`derivative` is wrong; `check_gradients` takes any loss with any gradients.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from companion.cells import Cell, find_cell
from companion.cells.cell import check_returns
from companion.engine import Tape, backward, forward
from companion.params import init
from companion.types import Array, Params, State

# Complex step: no subtraction, so the step can be tiny and the result is good to rounding error.
# Central difference: step and tolerance balance rounding (1e-16/ε) against curvature (ε²).
METHODS = {"complex": (1e-30, 1e-11), "central": (1e-5, 1e-7)}


def complex_step(F: Callable[[Array], Any], x: Array) -> Array:
    """Gradient of the real-valued F at x by the complex step, Im F(x + iε) / ε with ε = 1e-30.

    F: a function from one array to one number that also works on complex numbers; it must not
    take abs, which loses the imaginary part. x: float64, any shape.
    Returns an array of the shape of x, right to about 1e-15 relative.
    Source: Squire and Trapp (1998); {eq}`eq-backward-complex-step`.
    """
    eps, _ = METHODS["complex"]
    return _each_element(x, lambda at, unit: F(at + 1j * eps * unit).imag / eps)


def central_difference(F: Callable[[Array], Any], x: Array) -> Array:
    """Gradient of the real-valued F at x by (F(x + ε) - F(x - ε)) / 2ε with ε = 1e-5.

    F: a function from one array to one number. x: float64, any shape.
    Returns an array of the shape of x, right to about 1e-10 where F is of order 1 and smooth.
    """
    eps, _ = METHODS["central"]
    return _each_element(x, lambda at, unit: (F(at + eps * unit) - F(at - eps * unit)) / (2 * eps))


def _each_element(x, derivative):
    x = np.asarray(x, np.float64)
    result, unit = np.empty_like(x), np.zeros_like(x)
    for index in np.ndindex(x.shape):
        unit[index] = 1
        result[index] = derivative(x, unit)
        unit[index] = 0
    return result


@dataclass(frozen=True)
class Report:
    """Result of a check: `errors`, a dict name -> relative error, and whether all are `ok`.

    The error of a gradient is its largest deviation from the numerical one, divided by the largest
    entry of the numerical one; it is inf if one of the two is not finite. Printed, it is a table.
    title: the table's first line. shapes: a dict name -> shape.
    tolerance: the largest error that is right.
    """

    title: str
    shapes: dict[str, tuple[int, ...]]
    errors: dict[str, float]
    tolerance: float

    @property
    def ok(self) -> bool:
        """True if every error is at most the tolerance."""
        return all(error <= self.tolerance for error in self.errors.values())

    def __str__(self) -> str:
        rows = [("value", "shape", "error", "verdict")]
        for name, error in self.errors.items():
            verdict = "right" if error <= self.tolerance else "WRONG"
            rows.append((name, str(self.shapes[name]), _bound(error), verdict))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
        return "\n".join([self.title, *lines])

    __repr__ = __str__


def _bound(error):
    """The error in words that do not change with the processor's last digits."""
    for bound in (1e-12, 1e-9, 1e-6):
        if error < bound:
            return f"< {bound:.0e}"
    return f"{error:.1g}"


def check_gradients(
    loss: Callable[[Params], Any],
    arrays: Params,
    grads: Params,
    method: str = "complex",
    title: str = "gradients",
) -> Report:
    """Compare gradients that you derived with numerical ones, element by element.

    loss: a function of a dict of arrays that returns one real number. For the complex step it is
    given one array at a time as complex128, the others as they are, and returns a complex number.
    arrays: dict name -> float64 array, where to check.
    grads: dict name -> your gradient, same names and shapes.
    method: "complex" for `complex_step`, with a tolerance of 1e-11, or "central" for
    `central_difference`, with 1e-7. title: what the report begins with.
    Returns a `Report`; `print` it for the table, assert its `ok`.
    Raises ValueError for an unknown method, or names and shapes of grads that do not fit.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {sorted(METHODS)}, got {method!r}")
    if sorted(arrays) != sorted(grads):
        raise ValueError(f"grads must have the names {sorted(arrays)}, got {sorted(grads)}")
    numerical = complex_step if method == "complex" else central_difference
    errors = {}
    for name, array in arrays.items():
        if np.shape(grads[name]) != np.shape(array):
            wanted, got = np.shape(array), np.shape(grads[name])
            raise ValueError(f"grads[{name!r}] must have shape {wanted}, got {got}")

        def at(x, name=name):
            return loss({**arrays, name: x})

        expected = numerical(at, array)
        errors[name] = _relative_error(grads[name], expected)
    shapes = {name: np.shape(array) for name, array in arrays.items()}
    by = "the complex step" if method == "complex" else "central differences"
    return Report(f"{title}, by {by}", shapes, errors, METHODS[method][1])


def _relative_error(actual, expected):
    if expected.size == 0:
        return 0.0
    error = np.max(np.abs(actual - expected)) / max(np.max(np.abs(expected)), 1e-300)
    return float(error) if np.isfinite(error) else float("inf")


def check_cell(
    cell: Cell | str, method: str = "complex", T: int = 6, rng: np.random.Generator | None = None
) -> Report:
    """Check every derivative of a cell, unrolled: parameters, inputs and first state.

    From a first state of zero some bugs go unseen. So the first state here is random, and the loss
    weighs every output and the last state.
    cell: an entry of `CELLS` or its name, or a `Cell` of your own step and derivative.
    method: as for `check_gradients`.
    T: number of steps; with fewer than 3 some bugs go unseen, too.
    rng: a `numpy.random.Generator`; None means seed 0.
    Returns a `Report` with a row for each parameter, for "xs", and for "h_0" and the like.
    Raises ValueError for an unknown method, or a cell that `backward` does not take.
    """
    cell = find_cell(cell)
    rng = np.random.default_rng(0) if rng is None else rng
    problem = Problem.draw(cell, T, rng)
    return check_gradients(
        problem.loss, problem.arrays, problem.gradients(), method, f"{cell.name}, T = {T}"
    )


def check_step(
    cell: Cell | str, method: str = "complex", rng: np.random.Generator | None = None
) -> Report:
    """Check the derivative of a single step, value by value: which line of it is wrong?

    Over a sequence one wrong line spoils the gradient of everything before it; here each row
    stands for one value that `derivative` returns: `a_i` and so on for the pre-activations
    (`a_hn` for the recurrent part of a gate that is split), `c_prev` for a carry, and peepholes.
    cell, method: as for `check_cell`. rng: a `numpy.random.Generator`; None means seed 0.
    Returns a `Report`.
    Raises ValueError for an unknown method, a cell without a derivative, or a `step` or
    `derivative` that returns too few values or too many.
    """
    cell = find_cell(cell)
    check_returns(cell, derivative=True)
    assert cell.derivative is not None
    rng = np.random.default_rng(0) if rng is None else rng
    B, H = 3, 5
    previous = tuple(f"{name}_prev" for name in cell.carries)
    groups = [cell.pre_activations, previous, cell.peepholes]
    arrays = {name: rng.normal(size=(B, H)) for name in (*groups[0], *groups[1])}
    arrays |= {name: rng.normal(size=H) for name in cell.peepholes}
    dstate = tuple(rng.normal(size=(B, H)) for _ in cell.states)

    def step(values):
        return cell.step(*(tuple(values[name] for name in group) for group in groups))

    def loss(values):
        return sum(np.sum(d * s) for d, s in zip(dstate, step(values)[0], strict=True))

    state, kept = step(arrays)
    _, carry, p = (tuple(arrays[name] for name in group) for group in groups)
    found = zip(
        sum(groups, ()), sum(cell.derivative(dstate, state, kept, carry, p), ()), strict=True
    )
    grads = {name: d.sum(0) if name in cell.peepholes else d for name, d in found}
    return check_gradients(loss, arrays, grads, method, f"{cell.name}, one step")


@dataclass(frozen=True)
class Problem:
    """A cell unrolled on random data, with a loss on every output and on the last state.

    arrays: parameters, "xs", and the first state as "h_0" (and "c_0").
    dys, dstate: the weights of the loss, and so its derivatives: (T, B, H), and a tuple of (B, H).
    """

    cell: Cell
    arrays: Params
    dys: Array
    dstate: State

    @classmethod
    def draw(
        cls, cell: Cell, T: int, rng: np.random.Generator, sizes: tuple[int, int, int] = (3, 4, 5)
    ) -> Self:
        """Draw T steps, with parameters of standard deviation 0.5. sizes: B, D and H."""
        B, D, H = sizes
        params = init(cell, D, H, rng)
        arrays = {name: rng.normal(0, 0.5, value.shape) for name, value in params.items()}
        arrays["xs"] = rng.normal(size=(T, B, D))
        for name in cell.states:
            arrays[f"{name}_0"] = rng.normal(0, 0.5, (B, H))
        dstate = tuple(rng.normal(size=(B, H)) for _ in cell.states)
        return cls(cell, arrays, rng.normal(size=(T, B, H)), dstate)

    def run(self, arrays: Params) -> tuple[Array, State, Tape]:
        """What `forward` returns for `arrays`, cast to the widest of their dtypes."""
        dtype = np.result_type(*arrays.values())
        arrays = {name: np.asarray(value, dtype) for name, value in arrays.items()}
        state = tuple(arrays[f"{name}_0"] for name in self.cell.states)
        return forward(self.cell, arrays, arrays["xs"], state)

    def loss(self, arrays: Params) -> Any:
        """Sum of dys · ys over every step, plus the sum of dstate · last state."""
        ys, state, _ = self.run(arrays)
        ends = zip(self.dstate, state, strict=True)
        return np.sum(self.dys * ys) + sum(np.sum(d * s) for d, s in ends)

    def gradients(self) -> Params:
        """What `backward` says: one dict with the names of `arrays`."""
        _, _, tape = self.run(self.arrays)
        grads, dxs, dstate = backward(self.cell, self.arrays, tape, self.dys, self.dstate)
        starts = zip(self.cell.states, dstate, strict=True)
        return grads | {"xs": dxs} | {f"{name}_0": d for name, d in starts}
