"""Runs any cell over a sequence, and back through time. Every matrix product is here.

One product makes all input projections of a chunk of steps, one a step the recurrence, and one
a chunk each weight gradient. A cell itself is elementwise (see `companion.cells.Cell`).
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from companion.params import WEIGHTS, check_array, check_params

# Steps are taken in chunks of about this many pre-activations: memory beyond the tape stays
# bounded however long the sequence, and the products of a chunk are large enough to be fast.
CHUNK = 1 << 22


class Tape(NamedTuple):
    """What `forward` keeps for `backward`. The arrays are the tape's own: do not write to them."""

    xs: np.ndarray  #: (T, B, D)
    states: tuple[np.ndarray, ...]  #: each (T + 1, B, H), the first state at index 0
    kept: tuple[np.ndarray, ...]  #: each (T, B, H)


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
    steps = _chunk(cell, B, H)
    held = T if keep_tape else min(T, steps)
    states = tuple(np.empty((held + 1, B, H), xs.dtype) for _ in cell.states)
    kept = tuple(np.empty((held, B, H), xs.dtype) for _ in cell.kept)
    ys = np.empty((T, B, H), xs.dtype)
    for s, value in zip(states, first, strict=True):
        s[0] = value
    run, _, p = _loops(cell, params, xs.dtype)
    weight = np.require(params["weight_hh"], requirements="CW")
    bias, b_h = _biases(cell, params, H)
    a_x = np.empty((min(T, steps), B, len(bias)), xs.dtype)
    for start in range(0, T, steps):
        stop = min(start + steps, T)
        n = stop - start
        at = start if keep_tape else 0
        span = tuple(s[at : at + n + 1] for s in states)
        flat = a_x[:n].reshape(n * B, len(bias))
        np.matmul(xs[start:stop].reshape(n * B, D), params["weight_ih"].T, out=flat)
        flat += bias
        run(a_x[:n], b_h, weight, span, tuple(k[at : at + n] for k in kept), p)
        ys[start:stop] = span[0][1:]
        if not keep_tape:
            for s in states:
                s[0] = s[n]
    last = tuple(s[T if keep_tape else 0].copy() for s in states)
    tape = Tape(np.array(xs, order="C"), states, kept) if keep_tape else None
    return ys, last, tape


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
    counts = len(tape.states), len(tape.kept)
    if counts != (len(cell.states), len(cell.kept)) or tape.states[0].shape[2] != H:
        raise ValueError(f"tape must come from forward with this cell ({cell.name}) and {H} units")
    check_array("dys", dys, (T, B, H), dtype)
    dstate = np.array(_check_state("dstate", cell, dstate, (B, H), dtype))

    dxs = np.empty((T, B, D), dtype)
    dys = np.require(dys, requirements="CW")
    _, run, p = _loops(cell, params, dtype)
    weight = np.require(params["weight_hh"], requirements="CW")
    dp = np.zeros((len(p), H), dtype)
    rows = len(cell.gates) * H
    steps = _chunk(cell, B, H)
    da_x = np.empty((min(T, steps), B, rows), dtype)
    da_h = np.empty_like(da_x) if cell.split else da_x
    sums = None
    for stop in range(T, 0, -steps) or (0,):  # without a step, too, the sums have their shapes
        start = max(stop - steps, 0)
        n = stop - start
        span = tuple(s[start : stop + 1] for s in tape.states)
        kept = tuple(k[start:stop] for k in tape.kept)
        run(da_x[:n], da_h[:n], weight, span, kept, dys[start:stop], dstate, p, dp)
        flat_x, flat_h = (da[:n].reshape(n * B, rows) for da in (da_x, da_h))
        bias = flat_x.sum(0)
        # One product a weight: the sum over time and batch of outer products.
        part = (
            flat_x.T @ tape.xs[start:stop].reshape(n * B, D),
            flat_h.T @ span[0][:-1].reshape(n * B, H),
            bias,
            flat_h.sum(0) if cell.split else bias.copy(),
        )
        sums = part if sums is None else tuple(map(np.add, sums, part))
        np.matmul(flat_x, params["weight_ih"], out=dxs[start:stop].reshape(n * B, D))
    grads = dict(zip(WEIGHTS + cell.peepholes, (*sums, *dp), strict=True))
    return grads, dxs, tuple(dstate)


def history(cell, tape):
    """Everything the cell computed at every step, for plots: a dict name -> (T, B, H).

    The names are those of `cell.kept` (gates, candidate) and `cell.states`; the arrays are copies.
    """
    named = dict(zip(cell.kept, tape.kept, strict=True))
    named |= {name: s[1:] for name, s in zip(cell.states, tape.states, strict=True)}
    return {name: np.array(values) for name, values in named.items()}


def _loops(cell, params, dtype):
    """The two loops over time that run this cell: compiled ones if it has them, or plain NumPy."""
    p = tuple(params[name] for name in cell.peepholes)
    found = cell.loops(dtype) if cell.loops else None
    if found is None:
        return partial(_forward_loop, cell), partial(_backward_loop, cell), p
    return *found, tuple(np.require(value, requirements="CW") for value in p)


def _forward_loop(cell, a_x, b_h, weight, states, kept, p):
    """The recurrence: fills states[1:] and kept from states[0]. Shapes as in `Tape`.

    a_x: input part of the pre-activations (T, B, G·H). b_h: recurrent bias of the split gates.
    weight: weight_hh (G·H, H). p: the peepholes.
    """
    T, B, rows = a_x.shape
    H = states[0].shape[-1]
    joint = rows - len(b_h)
    weight = np.ascontiguousarray(weight.T)  # BLAS is faster on it than on the view
    a_h = np.empty((B, rows), a_x.dtype)
    sums, recurrent_parts = _blocks(a_h[:, :joint], H), _blocks(a_h[:, joint:], H)
    carried = [cell.states.index(name) for name in cell.carries]
    for t in range(T):
        np.dot(states[0][t], weight, out=a_h)
        a_h[:, :joint] += a_x[t, :, :joint]
        a_h[:, joint:] += b_h
        a = sums + _blocks(a_x[t, :, joint:], H) + recurrent_parts
        state, keep = cell.step(a, tuple(states[s][t] for s in carried), p)
        for s, value in zip(states, state, strict=True):
            s[t + 1] = value
        for k, value in zip(kept, keep, strict=True):
            k[t] = value


def _backward_loop(cell, da_x, da_h, weight, states, kept, dys, dstate, p, dp_sum):
    """The recurrence backwards: fills da_x and da_h (T, B, G·H), adds to dp_sum.

    dstate: (S, B, H), derivative for the last state, in; for the first state, out.
    da_h is da_x itself unless the cell splits gates. weight, states, kept, p: as in forward.
    """
    T, B, H = dys.shape
    joint = da_x.shape[-1] - len(cell.split) * H
    carried = [cell.states.index(name) for name in cell.carries]
    for t in reversed(range(T)):
        da, dcarry, dp = cell.derivative(
            (dstate[0] + dys[t], *dstate[1:]),
            tuple(s[t + 1] for s in states),
            tuple(k[t] for k in kept),
            tuple(states[s][t] for s in carried),
            p,
        )
        targets = _blocks(da_x[t], H) + _blocks(da_h[t, :, joint:], H)
        for target, value in zip(targets, da, strict=True):
            target[...] = value
        if cell.split:
            da_h[t, :, :joint] = da_x[t, :, :joint]
        for total, value in zip(dp_sum, dp, strict=True):
            total += value.sum(0)
        # A state that the step before does not read elementwise has no derivative of its own;
        # h is also reached through the weights.
        dstate[...] = 0
        for s, value in zip(carried, dcarry, strict=True):
            dstate[s] = value
        dstate[0] += np.dot(da_h[t], weight)


def _biases(cell, params, H):
    """Bias of every input part, which takes the recurrent one in; recurrent bias of split gates."""
    joint = (len(cell.gates) - len(cell.split)) * H
    bias = params["bias_ih"].copy()
    bias[:joint] += params["bias_hh"][:joint]
    return bias, params["bias_hh"][joint:]


def _blocks(a, H):
    """The columns of a (B, k·H) as a tuple of k views (B, H)."""
    return tuple(a[:, j : j + H] for j in range(0, a.shape[1], H))


def _chunk(cell, B, H):
    return max(1, CHUNK // max(1, B * len(cell.gates) * H))


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
