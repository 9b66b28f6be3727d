"""Layers whose h is a projection of what the cell puts out (torch's proj_size), on any engine."""

import torch
from torch.nn import functional as F


def projected(run, cell, params, xs, state):
    """Run a cell with h = W_hr m, where m is what the cell itself puts out.

    W_hh h is (W_hh W_hr) m: so a cell without a projection and with this for its weight_hh gives
    m at every step, and one product all h. Only the first h is given, and no m for it: it enters
    as inputs of the first step, with m zero. One step alone is made as it is written.

    run: as in `Layer._run`. cell: if h is all that is wanted of a step, else None.
    params: with weight_hr (P, H). xs: (T, B, D). state: h (B, P), the others (B, H).
    Returns values, h (T, B, P) first, and the last state, as `run` does.
    """
    # A program that is recorded must also be right for another T.
    recorded = torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None
    if cell and not cell.split and not recorded and xs.shape[0] == 1:
        return _one_step(cell, params, xs, state)
    weights = dict(params)
    weight_hr, weight_hh = weights.pop("weight_hr"), weights["weight_hh"]
    weights["weight_ih"] = torch.cat((weights["weight_ih"], weight_hh), 1)
    weights["weight_hh"] = weight_hh @ weight_hr
    h, *others = state
    given = F.pad(h.unsqueeze(0), (0, 0, 0, 0, 0, xs.shape[0] - 1))
    first = (torch.zeros_like(others[0]), *others)
    (ms, *values), (_, *last) = run(weights, torch.cat((xs, given), 2), first)
    hs = F.linear(ms.to(xs.dtype), weight_hr)
    return (hs, *values), (hs[-1] if xs.shape[0] else h, *last)


def _one_step(cell, params, xs, state):
    """The same for T = 1, where the weights' product would take longer than all else."""
    dtype, wide = xs.dtype, torch.promote_types(xs.dtype, torch.float32)
    h, *others = state
    x = F.linear(xs[0], params["weight_ih"], params["bias_ih"] + params["bias_hh"])
    a = torch.addmm(x, h, params["weight_hh"].t()).to(wide).split(others[0].shape[1], 1)
    before = dict(zip(cell.states[1:], others, strict=True))
    carry = tuple(before[name].to(wide) for name in cell.carries)
    p = tuple(params[name].to(wide) for name in cell.peepholes)
    (m, *new), _ = cell.step(a, carry, p)
    h = F.linear(m.to(dtype), params["weight_hr"])
    return (h.unsqueeze(0),), (h, *(s.to(dtype) for s in new))
