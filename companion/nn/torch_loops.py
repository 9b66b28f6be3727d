"""Runs any cell over a sequence, and back through time, in torch operations.

The same structure as `companion.engine`, and the same `step` and `derivative` of the cell. It runs
on every device and in every precision, and each result can be differentiated again, since nothing
is written in place. In float16 and bfloat16 only products are in that precision: states and
elementwise maths are in float32, so that what a cell adds up over many steps is not rounded away.
"""

from operator import add

import torch

from companion.engine.loops import steps_within

# Backwards, what does not depend on the step after is computed for about this many numbers of a
# state at once: few operations for small layers, and results that stay in the cache for large. On
# a GPU it is the number of operations that counts.
BULK, BULK_ON_GPU = 1 << 15, 1 << 22


def forward(cell, params, xs, state, settle=None):
    """`companion.forward` on tensors: ys (T, B, H), the last state, and states and kept values.

    params: a dict of tensors under the names of `companion.init`. xs: (T, B, D), of their dtype.
    state: one (B, H) tensor for each of `cell.states`.
    settle: from the states before and after a step, tuples, to those that are handed on.
    Returns ys, the last state (a tuple), states (S, T + 1, B, H) and kept (K, T, B, H).
    """
    dtype, wide = xs.dtype, torch.promote_types(xs.dtype, torch.float32)
    H = params["weight_hh"].shape[1]
    joint = cell.joint
    weight = params["weight_hh"].t()
    bias_x, bias_h = params["bias_ih"], params["bias_hh"]
    if not cell.split:
        bias_x = bias_x + bias_h
    p = tuple(params[name].to(wide) for name in cell.peepholes)
    states, kept = [tuple(s.to(wide) for s in state)], []
    for x in torch.nn.functional.linear(xs, params["weight_ih"], bias_x).unbind():
        h = states[-1][0].to(dtype)
        if cell.split:
            x, a_h = x.split(H, 1), torch.addmm(bias_h, h, weight).split(H, 1)
            a = (*map(add, x[:joint], a_h[:joint]), *x[joint:], *a_h[joint:])
        else:
            a = torch.addmm(x, h, weight).split(H, 1)
        if dtype != wide:
            a = tuple(value.to(wide) for value in a)
        new, keep = cell.step(a, tuple(states[-1][s] for s in cell.carried), p)
        states.append(settle(states[-1], new) if settle else new)
        kept.append(keep)
    last = tuple(s.to(dtype, copy=True) for s in states[-1])
    like = states[0][0]
    states, kept = stacked(states, len(cell.states), like), stacked(kept, len(cell.kept), like)
    return states[0][1:].to(dtype, copy=True), last, states, kept


def stacked(steps, count, like):
    """One tensor (count, len(steps), B, H) of a tuple of values (B, H) for every step."""
    if not steps or not count:
        return like.new_zeros((count, len(steps), *like.shape))
    values = [step[k] for k in range(count) for step in steps]
    return torch.stack(values).unflatten(0, (count, len(steps)))


def backward(cell, params, xs, tape, dys, dlast):
    """`companion.backward` on tensors: dxs, derivatives for the first state and for params.

    tape: states and kept, as `forward` returns them. dys: (T, B, H). dlast: a tuple of (B, H).
    Returns dxs (T, B, D), dstate (a tuple) and grads (a dict with the keys of params).
    """
    states, kept = tape
    (T, B, D), dtype, wide = xs.shape, xs.dtype, states[0].dtype
    weight = params["weight_hh"]
    H, G = weight.shape[1], len(cell.gates)
    A, C = G + len(cell.split), len(cell.carries)
    joint = G - len(cell.split)
    p = tuple(params[name].to(wide) for name in cell.peepholes)
    dstate = tuple(d.to(wide) for d in dlast)
    dys, rows = dys.to(wide).unbind(), []
    steps = steps_within(BULK if xs.device.type == "cpu" else BULK_ON_GPU, B * H)
    for stop in range(T, 0, -steps):
        first = max(stop - steps, 0)
        found = slopes(cell, states, kept, p, slice(first, stop))
        found = [torch.stack(values, 2).unbind() for values in found]
        for t in reversed(range(first, stop)):
            dstate = (dstate[0] + dys[t], *dstate[1:])
            row = found[0][t - first] * dstate[0].unsqueeze(1)
            for slope, d in zip(found[1:], dstate[1:], strict=True):
                row = torch.addcmul(row, slope[t - first], d.unsqueeze(1))
            rows.append(row)
            da = _recurrent(row, joint, G, A).to(dtype)
            dh = (da.flatten(1) @ weight).to(wide)
            own = dict(zip(cell.carries, row[:, A : A + C].unbind(1), strict=True))
            rest = (own.get(name, torch.zeros_like(dh)) for name in cell.states[1:])
            dstate = (own["h"] + dh if "h" in own else dh, *rest)
    rows = torch.stack(rows[::-1]) if rows else xs.new_zeros((0, B, A + C + len(p), H), dtype=wide)
    rows = rows.flatten(0, 1)
    flat_x = rows[:, :G].flatten(1).to(dtype)
    flat_h = _recurrent(rows, joint, G, A).flatten(1).to(dtype) if cell.split else flat_x
    grads = {
        "weight_ih": flat_x.t() @ xs.reshape(T * B, D),
        "weight_hh": flat_h.t() @ states[0][:-1].reshape(T * B, H).to(dtype),
        "bias_ih": flat_x.sum(0),
        "bias_hh": flat_h.sum(0),
    }
    dp = (rows[:, k].sum(0).to(dtype) for k in range(A + C, rows.shape[1]))
    grads |= dict(zip(cell.peepholes, dp, strict=True))
    dxs = (flat_x @ params["weight_ih"]).view(T, B, D)
    return dxs, tuple(d.to(dtype, copy=True) for d in dstate), grads


def slopes(cell, states, kept, p, steps):
    """What `derivative` returns where one state has the derivative 1 and the others 0.

    A derivative is linear in dstate, so that these say all about it; and they depend on no other
    step, so that they are computed for many steps at once.
    states, kept: of a tape, (S, T + 1, B, H) and (K, T, B, H). steps: a slice of the T steps.
    Returns one tuple (*da, *dcarry, *dp) for each state, of tensors (steps, B, H).
    """
    state, carry = states[:, 1:][:, steps], tuple(states[s, steps] for s in cell.carried)
    # Twice what is wanted, then halved, which rounds nothing: a `derivative` that forgets a
    # factor dstate would be right where it is 1.
    two = torch.full_like(state[0], 2)
    found = []
    for s in range(len(cell.states)):
        dstate = tuple(two if k == s else torch.zeros_like(two) for k in range(len(cell.states)))
        groups = cell.derivative(dstate, tuple(state), tuple(kept[:, steps]), carry, p)
        found.append(tuple(value / 2 for value in sum(groups, ())))
    return found


def _recurrent(rows, joint, G, A):
    """The blocks (N, ·, H) of derivatives of the recurrent part of the pre-activations."""
    return torch.cat((rows[:, :joint], rows[:, G:A]), 1) if A > G else rows[:, :G]
