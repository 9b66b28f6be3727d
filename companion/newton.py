"""All steps of a recurrent network at once, by Newton's method, instead of one after another.

The states of T steps solve T equations, s_t = F(s_{t-1}, x_t). Newton's method guesses all of
them, takes every step by itself from its guess, which can be done at once, and lets the
differences run through the linearized steps, which is a linear recurrence: on many processors a
scan, as on the page of {eq}`eq-challenges-newton`; here, where one works, a loop.
Source: Lim et al. (2024), "Parallelizing non-linear sequential models over the sequence length".
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from companion.cells import Cell, find_cell
from companion.cells.cell import check_returns
from companion.engine.unroll import check_state
from companion.params import check_array, check_params
from companion.types import Array, Params, State

# Cells whose h stays within ±1, or within the first state's bound, and whose c grows by at most 1
# a step.
BOUNDED = ("rnn", "lstm", "peephole", "coupled", "gru", "mgu")


class Iterate(NamedTuple):
    """One guess of all states: of every step h, then the other states, side by side."""

    states: np.ndarray  #: (T, B, S·H) for a cell with S states.
    residual: float  #: Largest |F(s_{t-1}, x_t) - s_t|; not finite once the guess has run away.


class Slopes(NamedTuple):
    """Derivatives of the S new states of every step with respect to what the step reads.

    A cell is elementwise, so that there is one number for each unit.
    """

    #: (S, G, T, B, H), with respect to the recurrent part of each gate's pre-activation.
    a: np.ndarray
    carry: np.ndarray  #: (S, C, T, B, H), with respect to each of the C states of `cell.carries`.


def every_step(cell: Cell | str, params: Params, xs: Array, before: Array) -> tuple[Array, Slopes]:
    """Take each step by itself, all at once, from the state before it.

    cell, params: as for `companion.forward`; the cell has a derivative.
    xs: (T, B, D). before: the states before each step, (T, B, S·H), h first.
    Returns the states after each step, (T, B, S·H), and `Slopes`. Checks no shape or dtype.
    """
    cell = find_cell(cell)
    derivative: Any = cell.derivative
    states = dict(zip(cell.states, np.split(before, len(cell.states), -1), strict=True))
    a_x = xs @ params["weight_ih"].T + params["bias_ih"]
    a_h = states["h"] @ params["weight_hh"].T + params["bias_hh"]
    G, joint = len(cell.gates), cell.joint
    a_x, a_h = (np.split(a, G, -1) for a in (a_x, a_h))
    a = [x + h for x, h in zip(a_x[:joint], a_h[:joint], strict=True)]
    a = (*a, *a_x[joint:], *a_h[joint:])
    carry = tuple(states[name] for name in cell.carries)
    p = tuple(params[name] for name in cell.peepholes)
    after, kept = cell.step(a, carry, p)
    recurrent = [*range(joint), *range(G, len(a))]  # of a split gate, the recurrent part
    by_a, by_carry = [], []
    for name in cell.states:  # elementwise, so that one derivative holds for all units at once
        ones = tuple(np.full_like(s, n == name) for n, s in zip(cell.states, after, strict=True))
        da, dcarry, _ = derivative(ones, after, kept, carry, p)
        by_a.append([da[k] for k in recurrent])
        by_carry.append(list(dcarry))
    shape = (len(cell.states), len(cell.carries), *after[0].shape)
    return np.concatenate(after, -1), Slopes(np.array(by_a), np.reshape(by_carry, shape))


def jacobians(cell: Cell | str, params: Params, slopes: Slopes) -> Array:
    """Jacobian of every step, ds_t / ds_{t-1}.

    cell, params: as given to `every_step`. slopes: as returned by it.
    Returns an array (T, B, S·H, S·H): rows are the new states, columns those before the step.
    """
    cell = find_cell(cell)
    S, G, T, B, H = slopes.a.shape
    weight = params["weight_hh"].reshape(G, H, H)
    whole = np.zeros((T, B, S, H, S, H), weight.dtype)
    whole[:, :, :, :, 0] = np.einsum("sgtbk,gkj->tbskj", slopes.a, weight)
    units = np.arange(H)
    for k, name in enumerate(cell.carries):
        part = np.moveaxis(slopes.carry[:, k], 0, 2)  # (T, B, S, H)
        whole[:, :, :, units, cell.states.index(name), units] += part
    return whole.reshape(T, B, S * H, S * H)


def newton(
    cell: Cell | str,
    params: Params,
    xs: Array,
    state: State | None = None,
    inside: Callable[[Array], Array] | None = None,
) -> Iterator[Iterate]:
    """Newton's guesses of the states of all steps, better and better: a generator of `Iterate`.

    cell, params, xs, state: as for `companion.forward`.
    inside: a function that moves a guess, (T, B, S·H), to where the answer is known to be, as
    `within_bounds` does; None leaves every guess as it is.

    The first guess is zero everywhere, and the generator never ends: stop it by the residual.
    After n updates the first n steps are right whatever happens, so that T updates suffice. States
    of a guess that overflow start again from zero, as in Gonzalez et al. (2024).
    Raises ValueError, when the first guess is taken, for what does not fit.
    """
    cell = find_cell(cell)
    check_returns(cell, derivative=True)
    check_array("xs", xs, ("T", "B", "D"))
    T, B, D = xs.shape
    H = check_params(cell, params, D, xs.dtype)
    first = np.concatenate(check_state("state", cell, state, (B, H), xs.dtype), -1)[None]
    states = np.zeros((T, B, first.shape[-1]), xs.dtype)
    while True:
        with np.errstate(over="ignore", invalid="ignore"):
            after, slopes = every_step(cell, params, xs, np.concatenate([first, states])[:-1])
            rest = after - states
        yield Iterate(states, float(np.abs(rest).max(initial=0)))  # with the caller's errstate
        with np.errstate(over="ignore", invalid="ignore"):
            states = states + matrix_loop(jacobians(cell, params, slopes), rest)
        states[~np.isfinite(states)] = 0
        if inside is not None:
            states = inside(states)


def forward_at_once(
    cell: Cell | str, params: Params, xs: Array, state: State | None = None, limit: int = 100
) -> tuple[Array, State, list[float]]:
    """`companion.forward` by Newton's method: the same result, but for rounding, or an error.

    cell, params, xs, state: as for `companion.forward`.
    limit: how many updates to allow.

    The guesses of the cells rnn, lstm, peephole, coupled, gru and mgu go through `within_bounds`.
    Where the network is chaotic, its states are those of another trajectory after a while, as
    those of `forward` are with another rounding.
    Returns ys (T, B, H); the last state, a tuple of (B, H); and a list of the residual of every
    guess. The last residual is at most 100 ε (1 + s), where s is the largest absolute value of a
    state and ε is `numpy.finfo(xs.dtype).eps`.
    Raises ArithmeticError if `limit` updates do not get there, ValueError as `newton` does.
    """
    cell, residuals = find_cell(cell), []

    def inside(states):
        size = 0 if state is None else max(float(np.abs(s).max(initial=0)) for s in state)
        return within_bounds(cell, size, states)

    for guess in newton(cell, params, xs, state, inside if cell.name in BOUNDED else None):
        residuals.append(guess.residual)
        size = 1 + np.abs(guess.states).max(initial=0)
        if guess.residual <= 100 * np.finfo(xs.dtype).eps * size:
            break
        if len(residuals) > limit:
            raise ArithmeticError(
                f"Newton's method has a residual of {guess.residual:.0e} after {limit} updates of "
                f"{len(xs)} steps: allow more (T always suffice), or use companion.forward"
            )
    parts = np.split(guess.states, len(cell.states), -1)
    if len(xs) == 0:
        zeros = tuple(np.zeros(parts[0].shape[1:], xs.dtype) for _ in parts)
        return parts[0], zeros if state is None else tuple(s.copy() for s in state), residuals
    return parts[0].copy(), tuple(part[-1].copy() for part in parts), residuals


def within_bounds(cell: Cell | str, size: float, states: Array) -> Array:
    """A guess moved to where the cell's states can be: |h| ≤ max(1, size), |c_t| ≤ size + t.

    cell: rnn, lstm, peephole, coupled, gru or mgu, by its name or itself.
    size: largest absolute value of the first state.
    states: the guess, (T, B, S·H), with step t = 1 first.
    Returns an array of that shape.
    Raises ValueError for another cell.
    """
    cell = find_cell(cell)
    if cell.name not in BOUNDED:
        raise ValueError(f"cell must be one of {', '.join(BOUNDED)}, got {cell.name}")
    t = np.arange(1, len(states) + 1, dtype=states.dtype)[:, None, None]
    h, *others = np.split(states, len(cell.states), -1)
    bound = max(1, size)
    return np.concatenate(
        [np.clip(h, -bound, bound), *(np.clip(c, -size - t, size + t) for c in others)], -1
    )


def matrix_loop(J: Array, r: Array) -> Array:
    """All states of s_t = J_t s_{t-1} + r_t from s_0 = 0, step by step.

    J: (T, B, N, N). r: (T, B, N).
    Returns s_1 to s_T, (T, B, N).
    """
    s = np.array(r)
    for t in range(1, len(s)):
        s[t] += np.einsum("bkj,bj->bk", J[t], s[t - 1])
    return s
