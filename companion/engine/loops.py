"""The recurrence of any cell, forwards and backwards, in plain NumPy: one product a step.

`companion.engine.compiled` makes loops that take the same arguments.
"""

import numpy as np

# Backwards, what does not depend on the step after is computed for about this many numbers of a
# state at once: few operations for small layers, and results that stay in the cache for large.
BULK = 1 << 15


def forward_loop(cell, a_x, b_x, b_h, weight, states, kept, start, p):
    """The recurrence over T steps from `start` on: fills states after it, and kept.

    a_x: input part of the pre-activations (T, B, G·H), without biases; they are added to it.
    b_x, b_h: as in `unroll`. weight: weight_hh (G·H, H). states, kept: as in `Tape`.
    p: the peepholes.
    """
    T, B, rows = a_x.shape
    H = states.shape[-1]
    states, kept = states[:, start:], kept[:, start:]
    joint = rows - len(b_h)
    a_x += b_x
    weight = np.ascontiguousarray(weight.T)  # BLAS is faster on it than on the view
    a_h = np.empty((B, rows), a_x.dtype)
    sums, sums_h, split_h = a_h[:, :joint], _blocks(a_h[:, :joint], H), _blocks(a_h[:, joint:], H)
    carried = [states[cell.states.index(name)] for name in cell.carries]
    for t, x in enumerate(a_x):
        np.dot(states[0, t], weight, out=a_h)
        sums += x[:, :joint]
        a = sums_h
        if cell.split:
            a_h[:, joint:] += b_h
            a += _blocks(x[:, joint:], H) + split_h
        state, keep = cell.step(a, tuple([s[t] for s in carried]), p)
        for s, value in zip(states, state, strict=True):
            s[t + 1] = value
        for k, value in zip(kept, keep, strict=True):
            k[t] = value


def backward_loop(cell, da_x, da_h, weight, states, kept, start, dys, dstate, p, dp_sum):
    """The recurrence backwards: fills da_x and da_h (T, B, G·H), adds to dp_sum.

    dstate: (S, B, H), derivative for the state after the last step, in; for `start`, out.
    da_h is da_x itself unless the cell splits gates. The rest is as in the forward loop.
    """
    T, B, H = dys.shape
    states, kept = states[:, start:], kept[:, start:]
    G, A, C = len(cell.gates), len(cell.gates + cell.split), len(cell.carries)
    joint = da_x.shape[-1] - len(cell.split) * H
    carried = [cell.states.index(name) for name in cell.carries]
    steps = steps_within(BULK, B * H)
    for stop in range(T, 0, -steps):
        first = max(stop - steps, 0)
        # What needs no derivative from the step after is computed for many steps at once.
        slopes = cell.slopes(states, kept, p, slice(first, stop))
        slopes = [np.stack(values, 2) for values in slopes]  # each (steps, B, A + C + P, H)
        rows = np.empty_like(slopes[0])
        for k in reversed(range(len(rows))):
            row, t = rows[k], first + k
            dstate[0] += dys[t]
            np.multiply(slopes[0][k], dstate[0, :, None], out=row)
            for slope, d in zip(slopes[1:], dstate[1:], strict=True):
                row += slope[k] * d[:, None]
            da_x[t] = row[:, :G].reshape(B, G * H)
            if cell.split:
                da_h[t, :, :joint] = da_x[t, :, :joint]
                da_h[t, :, joint:] = row[:, G:A].reshape(B, (A - G) * H)
            # A state that the step before does not read elementwise has no derivative of its
            # own; h is also reached through the weights.
            dstate[...] = 0
            for s, value in zip(carried, row[:, A : A + C].swapaxes(0, 1), strict=True):
                dstate[s] = value
            dstate[0] += np.dot(da_h[t], weight)
        dp_sum += rows[:, :, A + C :].sum((0, 1))


def steps_within(limit, size):
    """How many steps of this size are taken at once: what fits the limit, and at least one."""
    return max(1, limit // max(1, size))


def _blocks(a, H):
    """The columns of a (B, k·H) as a tuple of k views (B, H)."""
    return tuple(a[:, j : j + H] for j in range(0, a.shape[1], H))
