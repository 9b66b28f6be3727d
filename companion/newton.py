"""All steps of a recurrent network at once, by Newton's method, instead of one after another.

The states of T steps solve T equations, s_t = F(s_{t-1}, x_t). Newton's method guesses all of
them, takes every step by itself from its guess, which can be done at once, and lets the
differences run through the linearized steps, which is a linear recurrence: on many processors a
scan, as on the page of {eq}`eq-challenges-newton`; here, where one works, a loop.
Source: Lim et al. (2024), "Parallelizing non-linear sequential models over the sequence length".
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from companion.cells import Cell, find_cell
from companion.cells.cell import check_returns
from companion.params import check_array, check_params
from companion.types import Array, Params, State

# Cells whose h stays within ±1, or within the first state's bound, and whose c grows by at most 1
# a step.
BOUNDED = ("rnn", "lstm", "peephole", "coupled", "gru", "mgu")


class Iterate(NamedTuple):
    """One guess of all states: of every step h, then the other states, side by side."""

    states: np.ndarray  #: (T, B, S·H) for a cell with S states
    residual: float  #: largest |F(s_{t-1}, x_t) - s_t|; not finite once the guess has run away


class Slopes(NamedTuple):
    """Derivative of every new state of every step, by what the cell reads: elementwise."""

    a: np.ndarray  #: (S, G, T, B, H), by the recurrent part of each gate's pre-activation
    carry: np.ndarray  #: (S, C, T, B, H), by each of the C states that are carried elementwise


def every_step(cell: Cell | str, params: Params, xs: Array, before: Array) -> tuple[Array, Slopes]:
    """Take each step by itself, all at once, from the state before it.

    xs: (T, B, D). before: the states before each step, (T, B, S·H), h first.
    Returns the states after each step, (T, B, S·H), and `Slopes`.
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
    """Jacobian of every step, ds_t / ds_{t-1}: (T, B, S·H, S·H)."""
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

    xs, state: as in `companion.forward`. The first guess is zero everywhere. inside(states) moves
    a guess to what is known of the answer, as `within_bounds` does; None leaves it as it is.
    After n updates the first n steps are right whatever happens, so that T updates suffice. States
    of a guess that overflow start again from zero, as in Gonzalez et al. (2024).
    Raises ValueError for what does not fit.
    """
    cell = find_cell(cell)
    check_returns(cell, derivative=True)
    check_array("xs", xs, ("T", "B", "D"))
    T, B, D = xs.shape
    H = check_params(cell, params, D, xs.dtype)
    first = (np.zeros((B, H), xs.dtype),) * len(cell.states) if state is None else state
    if len(first) != len(cell.states):
        raise ValueError(f"state must have {len(cell.states)} arrays, got {len(first)}")
    for name, s in zip(cell.states, first, strict=True):
        check_array(f"state {name!r}", s, (B, H), xs.dtype)
    first = np.concatenate(first, -1)[None]
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

    limit: how many updates to allow. The guesses of cells in `BOUNDED` are kept within bounds.
    Returns ys (T, B, H), the last state, and the residual of every guess, the last of them within
    a hundred roundings of the largest state. Where the network is chaotic its states are
    another trajectory's after a while, like those of `forward` in another rounding.
    Raises ArithmeticError if `limit` updates do not get there, ValueError as `newton` does.
    """
    cell, residuals = find_cell(cell), []
    size = 0 if state is None else max(float(np.abs(s).max(initial=0)) for s in state)
    inside = partial(within_bounds, cell, size) if cell.name in BOUNDED else None
    for guess in newton(cell, params, xs, state, inside):
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
    """A guess moved to where a cell of `BOUNDED` can be: |h| ≤ 1, |c_t| ≤ size + t.

    size: largest absolute value of the first state. states: (T, B, S·H).
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
    """s_t = J_t s_{t-1} + r_t from s_0 = 0, step by step. J: (T, B, N, N). r: (T, B, N), as s."""
    s = np.array(r)
    for t in range(1, len(s)):
        s[t] += np.einsum("bkj,bj->bk", J[t], s[t - 1])
    return s
