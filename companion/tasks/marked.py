"""Adding and multiplication: two marked numbers among many, one answer at the end."""

import numpy as np

from companion.tasks.batch import Batch, check_at_least, last_step, until_end, within
from companion.types import Array


def adding(rng: np.random.Generator, B: int, T: int = 100) -> Batch:
    """Add the two marked numbers: target 0.5 + (X_1 + X_2) / 4 at the last step.

    D = 2: a number, uniform in [-1, 1], then a marker. K = 1. Lengths: uniform in T … T + T/10.
    The marker is 1 at X_1, one of the first ten steps, and at X_2, one of the first T/2 - 1
    others; -1 at the first and at the last step; else 0. A mark that falls on the first step
    counts as X = 0. Below T = 20 the first ten steps become the first T/2.
    Source: Hochreiter and Schmidhuber (1997), Experiment 4, for T = 100, 500, 1000.
    """
    numbers, markers, mask = _marked(rng, B, T, low=-1)
    total = np.where(markers == 1, numbers, 0).sum(0)
    return _batch(numbers, markers, mask, 0.5 + total / 4)


def multiplication(rng: np.random.Generator, B: int, T: int = 100) -> Batch:
    """Multiply the two marked numbers: target X_1 · X_2 at the last step.

    As `adding`, with numbers uniform in [0, 1]; a mark on the first step counts as X = 1.
    Source: Hochreiter and Schmidhuber (1997), Experiment 5, for T = 100.
    """
    numbers, markers, mask = _marked(rng, B, T, low=0)
    return _batch(numbers, markers, mask, np.where(markers == 1, numbers, 1).prod(0))


def adding_solved(outputs: Array, batch: Batch) -> Array:
    """Absolute error at the end below 0.04: bool (B,).

    The paper stops training by `finished` with limit 0.01, and then found at most 3 of 2560 test
    sequences wrong. For multiplication it stops when fewer than 140, or fewer than 13, of the 2000
    most recent training sequences were wrong.
    """
    return within(outputs, batch, 0.04)


multiplication_solved = adding_solved


def _marked(rng, B, T, low):
    """Numbers and markers, both (steps, B), zero after the end, and the mask of the last step."""
    check_at_least(1, B=B)
    check_at_least(4, T=T)
    lengths = rng.integers(T, T + T // 10 + 1, size=B)
    inside = until_end(lengths)
    numbers = rng.uniform(low, 1, inside.shape).astype(np.float32) * inside
    first = rng.integers(min(10, T // 2), size=B)
    second = rng.integers(T // 2 - 1, size=B)
    second += second >= first
    markers = np.zeros(inside.shape, np.float32)
    rows = np.arange(B)
    markers[first, rows] = markers[second, rows] = 1
    markers[0] = markers[lengths - 1, rows] = -1
    return numbers, markers, last_step(lengths)


def _batch(numbers, markers, mask, answer):
    targets = np.where(mask, answer, 0).astype(np.float32)
    return Batch(np.stack([numbers, markers], axis=-1), targets[..., None], mask)
