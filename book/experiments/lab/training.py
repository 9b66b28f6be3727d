"""Train one small network on one task until its success rule holds or its budget is spent."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from companion import Cell, backward, compiled, forward, gate, init
from companion.activations import identity, sigmoid
from companion.optim import adam, clip_by_norm
from companion.params import shapes
from companion.readout import init_linear, linear, linear_backward
from companion.tasks import finished, mean_error

SQUASH = {"sigmoid": sigmoid, "identity": identity}


@dataclass(frozen=True)
class Task:
    """What is learned, and when it counts as learned.

    make(rng, B) gives a `companion.tasks.Batch`, solved(outputs, batch) says which of its
    sequences are right. Training stops when `finished` says so for `limit` and `window`, and
    proof(net, rng), if there is one, agrees; else it goes on for at least another window.
    fresh(rng, B): what to test on, if it is not `make`.
    """

    make: Callable
    solved: Callable
    limit: float = np.inf
    window: int = 2000
    proof: Callable | None = None
    fresh: Callable | None = None
    squash: str = "sigmoid"


@dataclass(frozen=True)
class Settings:
    """How it is learned: with Adam, online or in small batches.

    cell: a name of `CELLS`, or a `Cell` of the experiment's own.
    B: sequences an update. budget: number of sequences. clip: limit of the gradient's norm.
    falling: whether the learning rate falls linearly, to 0 when the budget is spent.
    scale: what all first weights are multiplied by. forget_bias, input_bias, output_bias: then
    added to the bias of these gates, where the cell has them. start(params, rng), if there is one:
    the first weights, made from those that were drawn.
    shortcut: whether the readout sees the input beside the hidden state. frozen: for so many
    sequences only the shortcut learns, ten times as fast, so that the cells are not abused for
    what needs no memory (Hochreiter and Schmidhuber 1997, Section 4, add the cells later).
    """

    cell: str | Cell
    H: int
    lr: float
    B: int = 16
    budget: int = 100_000
    clip: float = 1.0
    forget_bias: float = 1.0
    input_bias: float = 0.0
    output_bias: float = 0.0
    scale: float = 1.0
    start: Callable | None = None
    shortcut: bool = False
    frozen: int = 0
    falling: bool = False


def count(cell, D, H, K):
    """Number of parameters of a network of H units, D inputs and K outputs."""
    inner = sum(np.prod(shape) for shape in shapes(cell, D, H).values())
    return int(inner) + K * (H + 1)


def units(cell, D, K, parameters):
    """The largest H for which the network has at most so many parameters."""
    H = 1
    while count(cell, D, H + 1, K) <= parameters:
        H += 1
    return H


class Network:
    """A cell and a linear readout, with all parameters in one vector for a cheap Adam step."""

    def __init__(self, settings, D, K, rng, squash="sigmoid"):
        self.cell, self.squash, self.settings = compiled(settings.cell), SQUASH[squash], settings
        start = init(self.cell, D, settings.H, rng, np.float32)
        start |= init_linear(settings.H + D * settings.shortcut, K, rng, np.float32)
        start = {name: value * np.float32(settings.scale) for name, value in start.items()}
        for name, bias in zip(
            "fio", (settings.forget_bias, settings.input_bias, settings.output_bias), strict=True
        ):
            if name in self.cell.gates:
                gate(self.cell, start["bias_ih"], name)[:] += np.float32(bias)
        if settings.start:
            start = settings.start(start, rng)
        self.shapes = {name: value.shape for name, value in start.items()}
        self.memory, self.seen = None, 0
        self._set(np.concatenate([value.ravel() for value in start.values()]))

    def _set(self, vector):
        self.vector, self.params, at = vector, {}, 0
        for name, shape in self.shapes.items():
            size = int(np.prod(shape))
            self.params[name] = vector[at : at + size].reshape(shape)
            at += size

    def outputs(self, xs, state=None):
        """Outputs (T, B, K) and the last state."""
        ys, state, _ = forward(self.cell, self.params, xs, state, keep_tape=False)
        return self.squash(linear(self.params, self._seen(ys, xs))), state

    def learn(self, batch, state=None, lr=None):
        """One step of Adam on the clipped gradient; returns the outputs before it, and the state.

        A gradient that has exploded beyond float32 is left out.

        The loss is the cross-entropy of logistic outputs, or half the squared error of linear
        ones, averaged over the targets: both have the derivative output - target.
        """
        ys, state, tape = forward(self.cell, self.params, batch.xs, state)
        seen = self._seen(ys, batch.xs)
        outputs = self.squash(linear(self.params, seen))
        error = (outputs - batch.targets) * batch.mask[..., None] / np.float32(batch.mask.sum())
        grads, dseen = linear_backward(self.params, seen, error)
        grads |= backward(self.cell, self.params, tape, dseen[..., : self.settings.H])[0]
        lr = self.settings.lr if lr is None else lr
        if self.seen < self.settings.frozen:
            for name in self.shapes.keys() - {"weight", "bias"}:
                grads[name][:] = 0
            grads["weight"][:, : self.settings.H] = 0
            lr = 10 * lr
        elif self.seen - batch.xs.shape[1] < self.settings.frozen:
            self.memory = None
        self.seen += batch.xs.shape[1]
        gradient = {"all": np.concatenate([grads[name].ravel() for name in self.shapes])}
        gradient, norm = clip_by_norm(gradient, self.settings.clip)
        if np.isfinite(norm):
            new, self.memory = adam({"all": self.vector}, gradient, self.memory, np.float32(lr))
            self._set(new["all"])
        return outputs, state

    def _seen(self, ys, xs):
        return np.concatenate([ys, xs], -1) if self.settings.shortcut else ys


def train(task, settings, seed, tests=2560):
    """Train until the task's rule holds, then test. The same seed gives the same result.

    Returns a dict: solved; sequences, the number seen in training; wrong, how many of `tests` new
    sequences are wrong, and error, their mean absolute error; parameters; seconds of CPU.
    """
    start = time.process_time()
    weights, data, new = (np.random.default_rng([seed, k]) for k in range(3))
    first = task.make(np.random.default_rng(0), 1)
    net = Network(settings, first.xs.shape[-1], first.targets.shape[-1], weights, task.squash)
    correct, errors = np.zeros(settings.budget, bool), np.zeros(settings.budget)
    n, since, solved = 0, 0, False
    while n + settings.B <= settings.budget and not solved:
        batch = task.make(data, settings.B)
        lr = settings.lr * (1 - n / settings.budget) if settings.falling else settings.lr
        outputs, _ = net.learn(batch, lr=lr)
        here = slice(n, n + settings.B)
        correct[here], errors[here] = task.solved(outputs, batch), mean_error(outputs, batch)
        n += settings.B
        solved = finished(correct[since:n], errors[since:n], task.limit, window=task.window)
        if solved and task.proof and not task.proof(net, new):
            since, solved = n, False
    wrong, error = examine(task, net, new, tests)
    return {
        "solved": solved,
        "sequences": n,
        "wrong": wrong,
        "error": error,
        "parameters": len(net.vector),
        "seconds": round(time.process_time() - start, 1),
    }


def examine(task, net, rng, tests, B=256):
    """Of `tests` new sequences: how many are wrong, and the mean absolute error."""
    wrong, total = 0, 0.0
    for start in range(0, tests, B):
        batch = (task.fresh or task.make)(rng, min(B, tests - start))
        outputs, _ = net.outputs(batch.xs)
        wrong += int(np.sum(~task.solved(outputs, batch)))
        total += float(np.sum(mean_error(outputs, batch)))
    return wrong, round(total / tests, 5)
