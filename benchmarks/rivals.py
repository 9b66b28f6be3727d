"""What is timed: each rival takes a problem and returns a training step to call.

A step computes the derivatives of all parameters and of the inputs, and returns the latter, so
that rivals can be compared; one that returns None computes something else. Every rival has the
problem's own weights. A rival that has no such cell returns None instead of a step.

numpy-ml is not among them: its newest release, 0.1.2, cannot be imported on Python 3.10 or newer
(it takes Hashable from collections), and the constructor of its LSTM fails on any: it assigns
`gradients`, which is a property without a setter.
"""

from importlib.util import find_spec

import numpy as np
import torch

from benchmarks.layers import LAYER_RIVALS
from benchmarks.optional import jax_scan, keras_layer
from companion import CELLS, backward, compiled, forward, init

LAYERS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


class Problem:
    """Random parameters, inputs and output derivatives for one cell and (T, B, D, H), float32."""

    def __init__(self, name, sizes):
        self.name, self.sizes, self.cell = name, sizes, CELLS[name]
        T, B, D, H = sizes
        rng = np.random.default_rng(0)
        self.params = init(self.cell, D, H, rng, np.float32)
        self.xs = rng.normal(size=(T, B, D)).astype(np.float32)
        self.dys = rng.normal(size=(T, B, H)).astype(np.float32)


def torch_nn(problem):
    """`torch.nn.LSTM`, or RNN or GRU; for the variants that torch has not, its LSTM."""
    _, _, D, H = problem.sizes
    layer = LAYERS.get(problem.name, torch.nn.LSTM)(D, H)
    same = problem.name in LAYERS
    if same:
        weights = {f"{name}_l0": torch.from_numpy(p) for name, p in problem.params.items()}
        layer.load_state_dict(weights)

    def step():
        layer.zero_grad()
        xs = torch.tensor(problem.xs, requires_grad=True)
        layer(xs)[0].backward(torch.from_numpy(problem.dys))
        return xs.grad if same else None

    return step


def _companion(cell, problem):
    def step():
        _, _, tape = forward(cell, problem.params, problem.xs)
        _, dxs, _ = backward(cell, problem.params, tape, problem.dys)
        return dxs

    return step


def compiled_cell(problem):
    """The package with compiled loops."""
    return _companion(compiled(problem.cell), problem)


def plain_numpy(problem):
    """The package with NumPy alone."""
    return _companion(problem.cell, problem)


def bare_products(problem):
    """The matrix products that a training step cannot do without, and nothing else."""
    (T, B, D, H), p = problem.sizes, problem.params
    xs = problem.xs.reshape(T * B, D)
    hs, da = np.zeros((T * B, H), np.float32), np.zeros((T * B, len(p["bias_ih"])), np.float32)
    h, weight_t = hs[:B], np.ascontiguousarray(p["weight_hh"].T)

    def step():
        xs @ p["weight_ih"].T
        for _ in range(T):
            h @ weight_t
        for _ in range(T):
            da[:B] @ p["weight_hh"]
        da.T @ xs
        da.T @ hs
        da @ p["weight_ih"]

    return step


def textbook_loop(problem):
    """An LSTM as tutorials write it: everything step by step, [h, x] joined. LSTM only."""
    if problem.name != "lstm":
        return None
    (T, B, _, H), p = problem.sizes, problem.params
    W = np.hstack([p["weight_hh"], p["weight_ih"]])
    bias = p["bias_ih"] + p["bias_hh"]

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    def step():
        h = c = np.zeros((B, H), np.float32)
        saved = []
        for x in problem.xs:
            z = np.hstack([h, x])
            a = z @ W.T + bias
            i, f, o = sigmoid(a[:, :H]), sigmoid(a[:, H : 2 * H]), sigmoid(a[:, 3 * H :])
            g = np.tanh(a[:, 2 * H : 3 * H])
            c_prev, c = c, f * c + i * g
            tanh_c = np.tanh(c)
            h = o * tanh_c
            saved.append((z, i, f, g, o, c_prev, tanh_c))
        dW, db, dxs = np.zeros_like(W), np.zeros_like(bias), np.empty_like(problem.xs)
        dh = dc = np.zeros((B, H), np.float32)
        for t in reversed(range(T)):
            z, i, f, g, o, c_prev, tanh_c = saved[t]
            dh = dh + problem.dys[t]
            dc = dc + dh * o * (1 - tanh_c**2)
            da = np.hstack(
                [
                    dc * g * i * (1 - i),
                    dc * c_prev * f * (1 - f),
                    dc * i * (1 - g**2),
                    dh * tanh_c * o * (1 - o),
                ]
            )
            dW += da.T @ z
            db += da.sum(0)
            dz = da @ W
            dh, dxs[t], dc = dz[:, :H], dz[:, H:], dc * f
        return dxs

    return step


def lstm_cell_loop(problem):
    """`torch.nn.LSTMCell` in a Python loop, with autograd. LSTM only."""
    if problem.name != "lstm":
        return None
    T, B, D, H = problem.sizes
    cell = torch.nn.LSTMCell(D, H)
    cell.load_state_dict({name: torch.from_numpy(p) for name, p in problem.params.items()})

    def step():
        cell.zero_grad()
        xs = torch.tensor(problem.xs, requires_grad=True)
        state, ys = (torch.zeros(B, H), torch.zeros(B, H)), []
        for x in xs.unbind():
            state = cell(x, state)
            ys.append(state[0])
        torch.stack(ys).backward(torch.from_numpy(problem.dys))
        return xs.grad

    return step


OPTIONAL = {"keras": keras_layer, "jax": jax_scan}
MISSING = tuple(package for package in OPTIONAL if not find_spec(package))
RIVALS = (torch_nn, compiled_cell, plain_numpy, bare_products, textbook_loop, lstm_cell_loop)
RIVALS += LAYER_RIVALS
RIVALS += tuple(rival for package, rival in OPTIONAL.items() if package not in MISSING)


def training_steps(problem):
    """A step for every rival that has the problem's cell, by the rival's name.

    Each has run once. Raises RuntimeError if one that computes the same gives other derivatives.
    """
    steps = {rival.__name__: rival(problem) for rival in RIVALS}
    steps = {name: step for name, step in steps.items() if step is not None}
    expected = steps["plain_numpy"]()
    for name, step in steps.items():
        dxs = step()
        if dxs is None:
            continue
        error = np.abs(np.asarray(dxs) - expected).max() / np.abs(expected).max()
        if not error < 1e-4:
            raise RuntimeError(f"{name} gives other derivatives for {problem.name}, by {error:.1e}")
    return steps
