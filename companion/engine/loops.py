"""The recurrence of any cell, forwards and backwards, in plain NumPy: one product a step.

`companion.engine.compiled` makes loops that take the same arguments.
"""

import numpy as np


def forward_loop(cell, a_x, b_x, b_h, weight, states, kept, start, p):
    """The recurrence over T steps from `start` on: fills states after it, and kept.

    a_x: input part of the pre-activations (T, B, G·H), without biases; they are added to it.
    b_x, b_h: as in `unroll`. weight: weight_hh (G·H, H). states, kept: as in `Tape`;
    where kept has fewer steps, the last values are overwritten. p: the peepholes.
    """
    T, B, rows = a_x.shape
    H = states.shape[-1]
    states, kept = states[:, start:], kept[:, start:]
    joint = rows - len(b_h)
    a_x += b_x
    weight = np.ascontiguousarray(weight.T)  # BLAS is faster on it than on the view
    a_h = np.empty((B, rows), a_x.dtype)
    sums, sums_h, split_h = a_h[:, :joint], _blocks(a_h[:, :joint], H), _blocks(a_h[:, joint:], H)
    carried = [states[s] for s in cell.carried]
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
            k[min(t, len(k) - 1)] = value


def backward_loop(cell, da_x, da_h, weight, states, kept, start, dys, dstate, p, dp_sum):
    """The recurrence backwards: fills da_x and da_h (T, B, G·H), adds to dp_sum (B, P, H).

    dstate: (S, B, H), derivative for the state after the last step, in; for `start`, out.
    da_h is da_x itself unless the cell splits gates. The rest is as in the forward loop.
    """
    T, B, H = dys.shape
    states, kept = states[:, start:], kept[:, start:]
    G, joint = len(cell.gates), cell.joint * H
    zero = np.zeros((B, H), dys.dtype)
    d = tuple(dstate)
    for t in reversed(range(T)):
        d = (d[0] + dys[t], *d[1:])  # h_t goes on to step t + 1, and out
        carry = tuple([states[s, t] for s in cell.carried])
        state = tuple(states[:, t + 1])
        da, dcarry, dp = cell.derivative(d, state, tuple(kept[:, t]), carry, p)
        np.concatenate(da[:G], axis=1, out=da_x[t])
        if cell.split:
            da_h[t, :, :joint] = da_x[t, :, :joint]
            np.concatenate(da[G:], axis=1, out=da_h[t, :, joint:])
        # A state that the step did not read has no derivative of its own; h has one more, which
        # comes through the weights.
        own = dict(zip(cell.carries, dcarry, strict=True))
        d = tuple([own.get(name, zero) for name in cell.states])
        d = (d[0] + np.dot(da_h[t], weight), *d[1:])
        for k, value in enumerate(dp):
            dp_sum[:, k] += value
    for s, value in zip(dstate, d, strict=True):
        s[:] = value


def add_gradients(da_x, da_h, xs, hs, weight_ih, sums, fresh, dxs):
    """What all steps' da_x and da_h (K, G·H) give to weights and biases, and to their inputs.

    xs: (K, D). hs: h before each step (K, H). sums: of weight_ih, weight_hh, bias_ih, bias_hh,
    which are added to, or filled if they are fresh. dxs: (K, D), which is filled.
    """
    # A bias is the weight of an input that is always 1, and a product is faster than NumPy's sum.
    ones = np.ones(len(xs), xs.dtype)
    for total, da, inputs in zip(sums, (da_x, da_h) * 2, (xs, hs, ones, ones), strict=True):
        total[:] = np.dot(da.T, inputs) if fresh else total + np.dot(da.T, inputs)
    np.dot(da_x, weight_ih, out=dxs)


def steps_within(limit, size):
    """How many steps of this size are taken at once: what fits the limit, and at least one."""
    return max(1, limit // max(1, size))


def _blocks(a, H):
    """The columns of a (B, k·H) as a tuple of k views (B, H)."""
    return tuple(a[:, j : j + H] for j in range(0, a.shape[1], H))
