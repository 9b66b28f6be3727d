"""Layers, and what a loss on them depends on, for the tests of companion.nn."""

import torch
from torch.func import functional_call

from companion.nn import GRU, LSTM, RNN, SLSTM, CoupledLSTM, PeepholeLSTM


def ReluRNN(*sizes, **options):
    """An RNN with ReLU."""
    return RNN(*sizes, nonlinearity="relu", **options)


def relu_twin(*sizes, **options):
    """torch's RNN with ReLU."""
    return torch.nn.RNN(*sizes, nonlinearity="relu", **options)


def ProjectedLSTM(*sizes, **options):
    """An LSTM whose h has 2 numbers."""
    return LSTM(*sizes, proj_size=2, **options)


def ProjectedPeepholeLSTM(*sizes, **options):
    """The same with peepholes, which torch has not."""
    return PeepholeLSTM(*sizes, proj_size=2, **options)


def projected_twin(*sizes, **options):
    """torch's LSTM whose h has 2 numbers."""
    return torch.nn.LSTM(*sizes, proj_size=2, **options)


# Those that are a cell of the NumPy engine, weight by weight; and all.
CELL_LAYERS = [RNN, ReluRNN, LSTM, PeepholeLSTM, CoupledLSTM, GRU, SLSTM]
LAYERS = [*CELL_LAYERS, ProjectedLSTM, ProjectedPeepholeLSTM]
TWINS = {
    RNN: torch.nn.RNN,
    ReluRNN: relu_twin,
    LSTM: torch.nn.LSTM,
    GRU: torch.nn.GRU,
    ProjectedLSTM: projected_twin,
}
# What the companion's parameters and torch's have in common.
STACKED = {"num_layers": 2, "bidirectional": True, "batch_first": True}
OPTIONS = {"one": {}, "stacked": STACKED, "no bias": STACKED | {"bias": False}}


def make(layer, seed=0, dtype=torch.float64, **options):
    """A layer of 3 inputs and 4 units with weights of about 0.5: small ones would hide errors."""
    torch.manual_seed(seed)
    made = layer(3, 4, dtype=dtype, **options)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.uniform_(-1, 1)
    return made


def tensors(layer, shape, seed=1):
    """Random input of this shape (the last axis added), and a first state, for derivatives."""
    torch.manual_seed(seed)
    dtype = layer.weight_ih_l0.dtype
    count = layer.num_layers * (1 + layer.bidirectional)
    batch = shape[:1] if layer.batch_first and len(shape) > 1 else shape[1:]
    kind = type(layer).__name__
    states = 4 if kind == "SLSTM" else 2 if "LSTM" in kind else 1
    x = torch.randn(*shape, 3, dtype=dtype, requires_grad=True)
    units = [layer.proj_size or 4] + [4] * (states - 1)
    state = [torch.randn(count, *batch, n, dtype=dtype, requires_grad=True) for n in units]
    if kind == "SLSTM":  # its n adds up weights, which are positive
        state[2] = (state[2].detach().abs() + 0.5).requires_grad_()
    return x, state


def call(layer, x, state, params=None):
    """Output and every last state, in one flat tuple."""
    hx = tuple(state) if len(state) > 1 else state[0]
    params = dict(layer.named_parameters()) if params is None else params
    y, last = functional_call(layer, params, (x, hx))
    return (y, *last) if isinstance(last, tuple) else (y, last)


def results(layer, x, state):
    """Output, last state, and the derivatives of a loss on all of them for all it depends on."""
    values = call(layer, x, state)
    loss = sum((value * torch.cos(value.detach() + k)).sum() for k, value in enumerate(values))
    return *values, *torch.autograd.grad(loss, (x, *state, *layer.parameters()))


def assert_close(ours, theirs, tolerance):
    """Every tensor as good as equal, relative to its largest entry or 1."""
    for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        assert a.shape == b.shape and a.dtype == b.dtype, k
        scale = max(1.0, b.abs().max().item()) if b.numel() else 1.0
        assert (a - b).abs().max().item() <= tolerance * scale if b.numel() else True, k
