"""Runs any cell over a sequence, and back through time. Every matrix product is here.

One product makes all input projections of a chunk of steps, one a step the recurrence, and one
a chunk each weight gradient. A cell itself is elementwise (see `companion.cells.Cell`).
"""

from typing import NamedTuple

import numpy as np

from companion.params import check_array, check_params

# Steps are taken in chunks of about this many pre-activations: memory stays bounded however long
# the sequence, and a chunk stays in the processor's cache between its product and its use.
CHUNK = 1 << 18


class Tape(NamedTuple):
    """What `forward` keeps for `backward`. The arrays are the tape's own: do not write to them."""

    xs: np.ndarray  # (T, B, D)
    states: np.ndarray  # (S, T + 1, B, H), the first state at index 0
    kept: np.ndarray  # (K, T, B, H)


def forward(cell, params, xs, state=None, keep_tape=True):
    """Run `cell` over a batch of sequences.

    cell: an entry of `CELLS`, or a `Cell` of your own.
    params: the flat dict of `init`. xs: inputs (T, B, D), of the dtype of params.
    state: the first state, one (B, H) array for each of `cell.states`; None means zeros.
    keep_tape: whether to keep what `backward` needs.
    Returns ys (T, B, H), the h of every step; the last state, a tuple of (B, H); and the tape,
    or None. Nothing given is changed, and nothing returned shares memory with it.
    Raises ValueError naming the argument that does not fit, what it is and what is wanted.
    """
    check_array("xs", xs, ("T", "B", "D"))
    T, B, D = xs.shape
    H = check_params(cell, params, D, xs.dtype)
    first = _check_state("state", cell, state, (B, H), xs.dtype)
    S, K = len(cell.states), len(cell.kept)

    steps = _chunk(cell, B, H)
    held = T if keep_tape else min(T, steps)
    states = np.empty((S, held + 1, B, H), xs.dtype)
    kept = np.empty((K, held, B, H), xs.dtype)
    ys = np.empty((T, B, H), xs.dtype)
    states[:, 0] = first
    for start in range(0, T, steps):
        stop = min(start + steps, T)
        n = stop - start
        at = start if keep_tape else 0
        span = states[:, at : at + n + 1]
        a_x, b_h = _project(cell, params, xs[start:stop], H)
        _steps_forward(cell, params, (a_x, b_h), span, kept[:, at : at + n])
        ys[start:stop] = span[0, 1:]
        if not keep_tape:
            states[:, 0] = span[:, n]
    last = states[:, T] if keep_tape else states[:, 0]
    tape = Tape(np.array(xs, order="C"), states, kept) if keep_tape else None
    return ys, tuple(last.copy()), tape


def backward(cell, params, tape, dys, dstate=None):
    """Carry the derivative of a loss back through time: the hand-derived BPTT of chapter 3.

    params, tape: as given to and returned by `forward`.
    dys: derivative of the loss with respect to ys (T, B, H).
    dstate: the same for the last state, one (B, H) array for each of `cell.states`; None: zeros.
    Returns grads, a dict with the cell's parameter names and shapes; dxs (T, B, D); and dstate
    for the first state, a tuple of (B, H). Nothing given is changed.
    Raises ValueError naming the argument that does not fit, what it is and what is wanted.
    Source: Werbos (1990), Graves and Schmidhuber (2005); {eq}`eq-backward-cell-state`.
    """
    if not isinstance(tape, Tape):
        raise ValueError(f"tape must come from forward(keep_tape=True), got {tape!r:.60}")
    T, B, D = tape.xs.shape
    dtype = tape.xs.dtype
    H = check_params(cell, params, D, dtype)
    if tape.states.shape != (len(cell.states), T + 1, B, H) or len(tape.kept) != len(cell.kept):
        raise ValueError(f"tape must come from forward with this cell ({cell.name}) and {H} units")
    check_array("dys", dys, (T, B, H), dtype)
    dstate = _check_state("dstate", cell, dstate, (B, H), dtype)

    grads = {name: np.zeros_like(params[name]) for name in _names(cell)}
    dxs = np.empty_like(tape.xs)
    steps = _chunk(cell, B, H)
    for stop in range(T, 0, -steps):
        start = max(stop - steps, 0)
        span = tape.states[:, start : stop + 1]
        da_x, da_h, dp, dstate = _steps_backward(
            cell, params, (span, tape.kept[:, start:stop]), dys[start:stop], dstate
        )
        # One product a weight: the sum over time and batch of outer products.
        flat_x, flat_h = (
            da_x.reshape(-1, len(cell.gates) * H),
            da_h.reshape(-1, len(cell.gates) * H),
        )
        grads["weight_ih"] += flat_x.T @ tape.xs[start:stop].reshape(-1, D)
        grads["weight_hh"] += flat_h.T @ span[0, :-1].reshape(-1, H)
        grads["bias_ih"] += flat_x.sum(0)
        grads["bias_hh"] += flat_h.sum(0)
        for name, d in zip(cell.peepholes, dp, strict=True):
            grads[name] += d
        dxs[start:stop] = (flat_x @ params["weight_ih"]).reshape(stop - start, B, D)
    return grads, dxs, tuple(np.array(d) for d in dstate)


def history(cell, tape):
    """Everything the cell computed at every step, for plots: a dict name -> (T, B, H).

    The names are those of `cell.kept` (gates, candidate) and `cell.states`; the arrays are copies.
    """
    named = dict(zip(cell.kept, tape.kept, strict=True))
    named |= {name: s[1:] for name, s in zip(cell.states, tape.states, strict=True)}
    return {name: np.array(values) for name, values in named.items()}


def _steps_forward(cell, params, projected, states, kept):
    """The recurrence: fills states[:, 1:] and kept from states[:, 0]. Shapes as in `Tape`."""
    a_x, b_h = projected
    T, B, rows = a_x.shape
    H = states.shape[-1]
    joint = rows - len(cell.split) * H
    weight = params["weight_hh"].T
    a_h = np.empty((B, rows), a_x.dtype)
    recurrent_parts = _blocks(a_h[:, joint:], H)
    carried = [cell.states.index(name) for name in cell.carries]
    p = tuple(params[name] for name in cell.peepholes)
    for t in range(T):
        np.dot(states[0, t], weight, out=a_h)
        a_h[:, :joint] += a_x[t, :, :joint]
        a_h[:, joint:] += b_h
        a = _blocks(a_h[:, :joint], H) + _blocks(a_x[t, :, joint:], H) + recurrent_parts
        state, keep = cell.step(a, tuple(states[s, t] for s in carried), p)
        for s, value in enumerate(state):
            states[s, t + 1] = value
        for k, value in enumerate(keep):
            kept[k, t] = value


def _steps_backward(cell, params, taped, dys, dstate):
    """The recurrence backwards. Returns da_x and da_h (T, B, G·H), dp, and dstate at the start."""
    states, kept = taped
    T, B, H = dys.shape
    rows = len(cell.gates) * H
    joint = rows - len(cell.split) * H
    da_x = np.empty((T, B, rows), dys.dtype)
    da_h = np.empty_like(da_x) if cell.split else da_x
    weight = params["weight_hh"]
    carried = [cell.states.index(name) for name in cell.carries]
    p = tuple(params[name] for name in cell.peepholes)
    dp_sum = tuple(np.zeros(H, dys.dtype) for _ in p)
    dh, *others = dstate
    for t in reversed(range(T)):
        da, dcarry, dp = cell.derivative(
            (dh + dys[t], *others),
            tuple(states[:, t + 1]),
            tuple(kept[:, t]),
            tuple(states[s, t] for s in carried),
            p,
        )
        targets = _blocks(da_x[t], H) + _blocks(da_h[t, :, joint:], H)[: len(cell.split)]
        for target, value in zip(targets, da, strict=True):
            target[...] = value
        if cell.split:
            da_h[t, :, :joint] = da_x[t, :, :joint]
        for total, value in zip(dp_sum, dp, strict=True):
            total += value.sum(0)
        # h_{t-1} is reached through the weights, and where a cell reads it elementwise, directly.
        dh = np.dot(da_h[t], weight)
        others = [np.zeros_like(d) for d in others]
        for s, value in zip(carried, dcarry, strict=True):
            if s == 0:
                dh += value
            else:
                others[s - 1] = value
    return da_x, da_h, dp_sum, (dh, *others)


def _project(cell, params, xs, H):
    """Input part of every pre-activation with its biases, (T, B, G·H); bias of the split gates."""
    T, B, D = xs.shape
    joint = (len(cell.gates) - len(cell.split)) * H
    bias = params["bias_ih"].copy()
    bias[:joint] += params["bias_hh"][:joint]
    a_x = xs.reshape(-1, D) @ params["weight_ih"].T
    a_x += bias
    return a_x.reshape(T, B, len(bias)), params["bias_hh"][joint:]


def _blocks(a, H):
    """The columns of a (B, k·H) as a tuple of k views (B, H)."""
    return tuple(a[:, j : j + H] for j in range(0, a.shape[1], H))


def _chunk(cell, B, H):
    return max(1, CHUNK // max(1, B * len(cell.gates) * H))


def _names(cell):
    return ("weight_ih", "weight_hh", "bias_ih", "bias_hh", *cell.peepholes)


def _check_state(name, cell, state, shape, dtype):
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
