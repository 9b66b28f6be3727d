"""Layers whose h is a projection of what the cell puts out (torch's proj_size), on any engine."""

import torch
from torch.nn import functional as F


def projected(run, params, xs, state):
    """Run a cell with h = W_hr m, where m is what the cell itself puts out.

    W_hh h is (W_hh W_hr) m: so a cell without a projection and with this for its weight_hh gives
    m at every step, and one product all h. Only the first h is given, and no m for it: it enters
    as inputs of the first step, with m zero.

    run: as in `Layer._run`. params: with weight_hr (P, H). xs: (T, B, D).
    state: h (B, P), the others (B, H).
    Returns values, h (T, B, P) first, and the last state, as `run` does.
    """
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
