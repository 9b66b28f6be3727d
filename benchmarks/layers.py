"""Rivals that are PyTorch layers, in the form of `benchmarks.rivals`: companion.nn and loops."""

import torch
from torch.nn import functional as F

from companion.nn import GRU, LSTM, RNN, CoupledLSTM, PeepholeLSTM

COMPANION = {
    "rnn": RNN,
    "lstm": LSTM,
    "peephole": PeepholeLSTM,
    "coupled": CoupledLSTM,
    "gru": GRU,
}


def _step(problem, parameters, layer):
    """A training step of layer, a function from xs to ys, with these parameters."""

    def step():
        for parameter in parameters:
            parameter.grad = None
        xs = torch.tensor(problem.xs, requires_grad=True)
        layer(xs).backward(torch.from_numpy(problem.dys))
        return xs.grad

    return step


def _companion(problem, compiled):
    if problem.name not in COMPANION:
        return None
    _, _, D, H = problem.sizes
    layer = COMPANION[problem.name](D, H, compiled=compiled)
    weights = {f"{name}_l0": torch.from_numpy(p) for name, p in problem.params.items()}
    layer.load_state_dict(weights)
    return _step(problem, list(layer.parameters()), lambda xs: layer(xs)[0])


def companion_layer(problem):
    """The layer of companion.nn, with compiled loops."""
    return _companion(problem, True)


def companion_layer_without_numba(problem):
    """The layer of companion.nn as it runs where numba is not installed."""
    return _companion(problem, False)


def autograd_loop(problem):
    """The cell's step on tensors, in a Python loop, with autograd: a cell as users write it."""
    params = {name: torch.tensor(p, requires_grad=True) for name, p in problem.params.items()}
    return _step(problem, list(params.values()), loop_of(problem.cell, params))


def loop_of(cell, params):
    """The loop of `autograd_loop`, a function from xs to ys; params: a dict of tensors."""
    H, joint = params["weight_hh"].shape[1], len(cell.gates) - len(cell.split)
    p = tuple(params[name] for name in cell.peepholes)

    def layer(xs):
        state, ys = dict.fromkeys(cell.states, xs.new_zeros((xs.shape[1], H))), []
        for x in xs.unbind():
            from_x = F.linear(x, params["weight_ih"], params["bias_ih"]).split(H, 1)
            from_h = F.linear(state["h"], params["weight_hh"], params["bias_hh"]).split(H, 1)
            sums = tuple(a + b for a, b in zip(from_x[:joint], from_h[:joint], strict=True))
            carry = tuple(state[name] for name in cell.carries)
            new, _ = cell.step(sums + from_x[joint:] + from_h[joint:], carry, p)
            state = dict(zip(cell.states, new, strict=True))
            ys.append(state["h"])
        return torch.stack(ys)

    return layer


def scripted_loop(problem):
    """A loop over an LSTM or peephole cell under torch.jit.script, with autograd."""
    if problem.name not in ("lstm", "peephole"):
        return None
    params = {name: torch.tensor(p, requires_grad=True) for name, p in problem.params.items()}
    loop = torch.jit.script(_loop)
    values = list(params.values())
    return _step(problem, values, lambda xs: loop(xs, *values[:4], values[4:]))


def _loop(
    xs: torch.Tensor,
    weight_ih: torch.Tensor,
    weight_hh: torch.Tensor,
    bias_ih: torch.Tensor,
    bias_hh: torch.Tensor,
    p: list[torch.Tensor],
) -> torch.Tensor:
    h = xs.new_zeros((xs.size(1), weight_hh.size(1)))
    c, ys = h, []
    for x in xs.unbind():
        a = F.linear(x, weight_ih, bias_ih) + F.linear(h, weight_hh, bias_hh)
        i, f, g, o = a.chunk(4, 1)
        if len(p) > 0:
            i, f = i + p[0] * c, f + p[1] * c
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        if len(p) > 0:
            o = o + p[2] * c
        h = torch.sigmoid(o) * torch.tanh(c)
        ys.append(h)
    return torch.stack(ys)


LAYER_RIVALS = (companion_layer, companion_layer_without_numba, autograd_loop, scripted_loop)
