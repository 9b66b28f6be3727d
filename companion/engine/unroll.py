"""Runs any cell over a sequence, and back through time.

One product makes all input projections of a chunk of steps, and one a chunk each weight gradient;
the recurrence, one product a step, is in `companion.engine.loops`, or compiled. A cell itself is
elementwise (see `companion.cells.Cell`).
"""

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple, overload

import numpy as np

from companion.cells import Cell, find_cell
from companion.cells.cell import check_returns
from companion.engine.loops import add_gradients, backward_loop, forward_loop, steps_within
from companion.engine.team import ALONE, Team
from companion.params import check_array, check_params
from companion.types import Array, Params, State

# Steps are taken in chunks of about this many pre-activations: memory beyond the tape stays
# bounded however long the sequence, and the products of a chunk are large enough to be fast.
CHUNK = 1 << 22


class Tape(NamedTuple):
    """What `forward` keeps for `backward`. The arrays are the tape's own: do not write to them."""

    xs: np.ndarray  #: The inputs, (T, B, D).
    #: (S, T + 1, B, H), the S states of the cell in their order: `states[:, 0]` before the first
    #: step, `states[:, t + 1]` after step t.
    states: np.ndarray
    kept: np.ndarray  #: (K, T, B, H), the K values of `cell.kept` in their order.


@overload
def forward(
    cell: Cell | str, params: Params, xs: Array, state: State | None = None
) -> tuple[Array, State, Tape]: ...
@overload
def forward(
    cell: Cell | str, params: Params, xs: Array, state: State | None = None, keep_tape: bool = True
) -> tuple[Array, State, Tape | None]: ...
def forward(
    cell: Cell | str, params: Params, xs: Array, state: State | None = None, keep_tape: bool = True
) -> tuple[Array, State, Tape | None]:
    """Run `cell` over a batch of sequences.

    cell: an entry of `CELLS` or its name, or a `Cell` of your own.
    params: the flat dict of `init`; other names in it are left alone.
    xs: inputs (T, B, D), float32 or float64 like params.
    state: the first state, one (B, H) array for each of `cell.states`; None means zeros.
    keep_tape: whether to keep what `backward` needs; if not, the memory beside ys is bounded,
    however long the sequence.
    Returns ys (T, B, H), the h of every step; the last state, a tuple of (B, H); and the `Tape`,
    or None. Nothing given is changed, and nothing returned shares memory with it.
    Raises ValueError naming the argument that does not fit, what it is and what is wanted.
    """
    cell = find_cell(cell)
    check_returns(cell, derivative=False)
    check_array("xs", xs, ("T", "B", "D"))
    _, B, D = xs.shape
    H = check_params(cell, params, D, xs.dtype)
    first = check_state("state", cell, state, (B, H), xs.dtype)
    ys, last, states, kept = forward_unchecked(cell, params, xs, first, keep_tape)
    tape = Tape(np.array(xs, order="C"), states, kept) if keep_tape else None
    return ys, last, tape


def forward_unchecked(
    cell: Cell,
    params: Params,
    xs: Array,
    first: State,
    keep_tape: bool,
    team: Team = ALONE,
    ys: Array | None = None,
) -> tuple[Array, State, Array, Array]:
    """`forward` for arguments that fit; the first state is not None.

    team: threads that compiled code may take; the results are the same.
    ys: where to write ys, of any contents; None: in an array of its own.
    Returns ys, the last state, and the states and kept of a `Tape`, which are whole if it is kept.
    """
    T, B, D = xs.shape
    H = params["weight_hh"].shape[1]
    steps = steps_within(CHUNK, B * len(cell.gates) * H)
    held = T if keep_tape else min(T, steps)
    # Without a tape one step's kept values are written again and again, and stay in the caches.
    held_kept = held if keep_tape else 1
    S, K = len(cell.states), len(cell.kept)
    # In one block, since an allocator that gives back to the system what is freed, and asks for it
    # again in the next call, learns from the size of blocks how much to keep.
    block = np.empty((S * (held + 1) + K * held_kept, B, H), xs.dtype)
    states = block[: S * (held + 1)].reshape(S, held + 1, B, H)
    kept = block[S * (held + 1) :].reshape(K, held_kept, B, H)
    if ys is None:
        ys = np.empty((T, B, H), xs.dtype)
    for k, value in enumerate(first):
        states[k, 0] = value
    run, _, product, _, p = _loops(cell, params, xs.dtype, team)
    weight = _plain(params["weight_hh"])
    b_x, b_h = _biases(cell, params, H)
    a_x = np.empty((min(T, steps), B, len(b_x)), xs.dtype)
    for start in range(0, T, steps):
        stop = min(start + steps, T)
        n = stop - start
        at = start if keep_tape else 0
        flat = a_x[:n].reshape(n * B, len(b_x))
        product(xs[start:stop].reshape(n * B, D), params["weight_ih"].T, flat)
        run(a_x[:n], b_x, b_h, weight, states, kept, at, p)
        ys[start:stop] = states[0, at + 1 : at + n + 1]
        if not keep_tape:
            states[:, 0] = states[:, n]
    last = tuple(states[:, T if keep_tape else 0].copy())
    return ys, last, states, kept


def backward(
    cell: Cell | str, params: Params, tape: Tape, dys: Array, dstate: State | None = None
) -> tuple[Params, Array, State]:
    """Carry the derivative of a loss back through time: the hand-derived BPTT of chapter 3.

    cell, params: as given to `forward`. tape: as returned by it.
    dys: derivative of the loss with respect to ys, (T, B, H).
    dstate: the same with respect to the last state, one (B, H) array for each of `cell.states`;
    None means zeros. The last h is also ys[-1], and its two derivatives are added.
    Returns grads, a dict with the cell's parameter names and shapes; dxs (T, B, D); and the
    derivative with respect to the first state, a tuple of (B, H). Nothing given is changed.
    Raises ValueError naming the argument that does not fit, what it is and what is wanted, and for
    a cell without a derivative.
    Source: Werbos (1990), Graves and Schmidhuber (2005); {eq}`eq-backward-cell-state`.
    """
    cell = find_cell(cell)
    check_returns(cell, derivative=True)
    if not isinstance(tape, Tape):
        raise ValueError(f"tape must come from forward(keep_tape=True), got {tape!r:.60}")
    T, B, D = tape.xs.shape
    dtype = tape.xs.dtype
    H = check_params(cell, params, D, dtype)
    counts = len(tape.states), len(tape.kept)
    if counts != (len(cell.states), len(cell.kept)) or tape.states.shape[3] != H:
        raise ValueError(f"tape must come from forward with this cell ({cell.name}) and {H} units")
    check_array("dys", dys, (T, B, H), dtype)
    last = check_state("dstate", cell, dstate, (B, H), dtype)
    return backward_unchecked(cell, params, tape, dys, last)


def backward_unchecked(
    cell: Cell,
    params: Params,
    tape: Tape,
    dys: Array,
    last: State,
    team: Team = ALONE,
    out: tuple[Params, Array] | None = None,
) -> tuple[Params, Array, State]:
    """`backward` for arguments that fit; last: its dstate, not None. team: as forwards.

    out: where to write grads and dxs, of any contents; None: in arrays of their own.
    """
    xs, states, kept = tape
    (T, B, D), dtype = xs.shape, xs.dtype
    H = states.shape[3]
    dstate = np.array(last, dtype)
    if out is None:
        grads = {name: np.empty(params[name].shape, dtype) for name in cell.parameters}
        out = grads, np.empty((T, B, D), dtype)
    grads, dxs = out
    dys = _plain(dys)
    _, run, _, add_gradients, p = _loops(cell, params, dtype, team)
    weight = _plain(params["weight_hh"])
    dp = np.zeros((B, len(p), H), dtype)
    rows = len(cell.gates) * H
    steps = steps_within(CHUNK, B * len(cell.gates) * H)
    da_x = np.empty((min(T, steps), B, rows), dtype)
    da_h = np.empty_like(da_x) if cell.split else da_x
    sums = [grads[name] for name in cell.parameters[:4]]
    for stop in range(T, 0, -steps) or (0,):  # without a step, too, the sums are filled
        start = max(stop - steps, 0)
        n = stop - start
        run(da_x[:n], da_h[:n], weight, states, kept, start, dys[start:stop], dstate, p, dp)
        # One product a weight: the sum over time and batch of outer products.
        flat_x, flat_h = (da[:n].reshape(n * B, rows) for da in (da_x, da_h))
        flat_xs, flat_hs = xs[start:stop].reshape(n * B, D), states[0, start:stop].reshape(-1, H)
        flat_dxs = dxs[start:stop].reshape(n * B, D)
        weight_ih, fresh = params["weight_ih"], stop == T
        add_gradients(flat_x, flat_h, flat_xs, flat_hs, weight_ih, sums, fresh, flat_dxs)
    for k, name in enumerate(cell.peepholes):
        dp[:, k].sum(0, out=grads[name])
    return grads, dxs, tuple(dstate)


def history(cell: Cell | str, tape: Tape) -> Params:
    """Everything the cell computed at every step, for plots.

    cell: as given to `forward`. tape: as returned by it.
    Returns a dict name -> (T, B, H), with the names of `cell.kept` (gates, candidate) and of
    `cell.states`, each state after the step; the arrays are copies.
    Raises ValueError for a tape of a cell that keeps another number of values.
    """
    cell = find_cell(cell)
    if not isinstance(tape, Tape):
        raise ValueError(f"tape must come from forward(keep_tape=True), got {tape!r:.60}")
    named = dict(zip(cell.kept, tape.kept, strict=True))
    named |= {name: s[1:] for name, s in zip(cell.states, tape.states, strict=True)}
    return {name: np.array(values) for name, values in named.items()}


def _loops(
    cell: Cell, params: Params, dtype: np.dtype, team: Team
) -> tuple[Callable, Callable, Callable, Callable, State]:
    """The loops over time that run this cell, and the products before and after them.

    Compiled ones, if it has them, take the same arguments as plain ones: np.dot of two matrices,
    and `add_gradients`. With them come the peepholes, as the loops take them.
    """
    p = tuple(params[name] for name in cell.peepholes)
    found = cell.loops(dtype) if cell.loops else None
    if found is None:
        return partial(forward_loop, cell), partial(backward_loop, cell), np.dot, add_gradients, p
    return *_in_team(found, team), tuple(map(_plain, p))


@cache
def _in_team(loops, team):
    return tuple(partial(run, team) for run in loops)


def _plain(array):
    """The array as compiled loops take it, in C order and writeable; a copy where it is not."""
    flags = array.flags
    return array if flags.c_contiguous and flags.writeable else array.copy()


def _biases(cell, params, H):
    """Bias of every input part, which takes the recurrent one in; recurrent bias of split gates."""
    b_ih, b_hh, joint = params["bias_ih"], params["bias_hh"], cell.joint * H
    b_x = b_ih + b_hh
    if cell.split:
        b_x[joint:] = b_ih[joint:]
    return b_x, _plain(b_hh[joint:])


def check_state(
    name: str, cell: Cell, state: State | None, shape: tuple[int, int], dtype: np.dtype
) -> State:
    """The state, zeros for None; raises a ValueError unless it has an array (B, H) for each name.

    name: what the error calls the state. shape: (B, H).
    """
    if state is None:
        return tuple(np.zeros(shape, dtype) for _ in cell.states)
    if not isinstance(state, tuple | list) or len(state) != len(cell.states):
        got = type(state).__name__ + (
            f" of {len(state)}" if isinstance(state, tuple | list) else ""
        )
        raise ValueError(f"{name} must be a tuple ({', '.join(cell.states)}), got {got}")
    for letter, array in zip(cell.states, state, strict=True):
        check_array(f"{name} ({letter})", array, shape, dtype)
    return tuple(state)
