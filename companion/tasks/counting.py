"""Counting: the language aⁿbⁿ, and parity."""

import numpy as np

from companion.tasks.batch import Batch, check_at_least, last_step, one_hot, until_end, within
from companion.types import Array


def anbn(rng: np.random.Generator, B: int, n_max: int = 10, n_min: int = 1) -> Batch:
    """Strings S aⁿ bⁿ: at every step say which symbols may follow.

    D = 3: one-hot S, a, b. K = 3: a, b, T (the end), each 1 if it may follow, else 0.
    n is uniform in n_min … n_max; a string takes 2n + 1 steps.
    After S only a may follow, after an a both a and b, after a b only b, after the last b only T.
    Source: Gers and Schmidhuber (2001), who train on n in 1 … 10 and test up to n = 1000. Checked
    in a description of the paper, not in the paper itself; there is no empty string here.
    """
    check_at_least(1, B=B, n_min=n_min)
    check_at_least(n_min, n_max=n_max)
    n = rng.integers(n_min, n_max + 1, size=B)
    t = np.arange(2 * n.max() + 1)[:, None]
    mask = until_end(2 * n + 1)
    symbols = np.where(mask, (t > 0).astype(int) + (t > n), -1)
    may_follow = np.stack([t <= n, (t > 0) & (t < 2 * n), t == 2 * n], axis=-1)
    return Batch(one_hot(symbols, 3), may_follow.astype(np.float32), mask)


def anbn_solved(outputs: Array, batch: Batch) -> Array:
    """Whether every output is on the right side of 1/2 at every step: bool (B,)."""
    return within(outputs, batch, 0.5)


def parity(rng: np.random.Generator, B: int, T: int = 500) -> Batch:
    """Whether the number of ones among inputs of 1 and -1 is odd (1) or even (0).

    D = K = 1; the target is at the last step. Lengths: uniform in T … T + T/5.
    Source: Schmidhuber, Hochreiter and Bengio (2001), "Evaluating benchmark problems by random
    guessing", without the noise; lengths of 500 to 600 are theirs, the task is Bengio and
    Frasconi's (1994). Hochreiter and Schmidhuber (1997, Section 6) name it, at 500 steps, among
    what truncated LSTM does not learn.
    """
    check_at_least(1, B=B, T=T)
    lengths = rng.integers(T, T + T // 5 + 1, size=B)
    bits = rng.integers(2, size=(lengths.max(), B)) * until_end(lengths)
    xs = np.where(until_end(lengths), 2 * bits - 1, 0).astype(np.float32)
    mask = last_step(lengths)
    targets = (bits.sum(0) % 2 * mask).astype(np.float32)
    return Batch(xs[..., None], targets[..., None], mask)


def parity_solved(outputs: Array, batch: Batch) -> Array:
    """Whether the absolute error at the end is below 0.1: bool (B,)."""
    return within(outputs, batch, 0.1)
