"""Predict the last symbol from the first: the noise-free long time lag, and the copy task."""

import numpy as np

from companion.tasks.batch import Batch, check_at_least, check_outputs, one_hot, within
from companion.types import Array


def noise_free_lag(rng: np.random.Generator, B: int, p: int = 100) -> Batch:
    """The sequences (y, a_1 … a_{p-1}, y) and (x, a_1 … a_{p-1}, x): predict each next symbol.

    T = p, D = K = p + 1, one-hot a_1 … a_{p-1}, x, y in this order. Each of the two
    sequences has the probability 1/2.
    Source: Hochreiter and Schmidhuber (1997), Task 2a; p = 100 is theirs.
    """
    check_at_least(1, B=B)
    check_at_least(2, p=p)
    return _between(rng, np.repeat(np.arange(p - 1)[:, None], B, axis=1))


def random_lag(rng: np.random.Generator, B: int, p: int = 100) -> Batch:
    """As `noise_free_lag`, with p - 1 random symbols in between: only the end can be predicted.

    Each of them is drawn from a_1 … a_{p-1}, all with the same probability.
    Source: Hochreiter and Schmidhuber (1997), Task 2b.
    """
    check_at_least(1, B=B)
    check_at_least(2, p=p)
    return _between(rng, rng.integers(p - 1, size=(p - 1, B)))


def _between(rng, middle):
    """middle (p-1, B), with the same x or y before and after it."""
    p, B = len(middle) + 1, middle.shape[1]
    mark = rng.integers(p - 1, p + 1, size=(1, B))
    symbols = np.concatenate([mark, middle, mark])
    return Batch(one_hot(symbols[:-1], p + 1), one_hot(symbols[1:], p + 1), np.ones((p, B), bool))


def noise_free_lag_solved(outputs: Array, batch: Batch) -> Array:
    """All errors of all units below 0.25 at every step: bool (B,).

    The paper asks it of 10,000 successive sequences after training. There are only two kinds.
    """
    return within(outputs, batch, 0.25)


def random_lag_solved(outputs: Array, batch: Batch) -> Array:
    """All errors of all units below 0.25 at the last step: bool (B,).

    The paper asks it of 10,000 successive sequences after training.
    """
    check_outputs(outputs, batch)
    return within(outputs[-1:], Batch(batch.xs[-1:], batch.targets[-1:], batch.mask[-1:]), 0.25)


def copy(rng: np.random.Generator, B: int, T: int) -> Batch:
    """Repeat ten symbols after a lag of T: D = K = 10, T + 20 steps, a target at each.

    Symbols are one-hot: units 0 to 7 are the symbols to repeat, 8 is the blank, 9 the delimiter.
    Input: ten symbols, T - 1 blanks, the delimiter, ten blanks. Target: T + 10 blanks, then the
    ten symbols.
    Source: Arjovsky, Shah and Bengio (2016), Section 4.1; checked in a transcript of its text.
    """
    check_at_least(1, B=B, T=T)
    xs = np.full((T + 20, B), 8)
    xs[:10] = rng.integers(8, size=(10, B))
    xs[T + 9] = 9
    targets = np.full((T + 20, B), 8)
    targets[-10:] = xs[:10]
    return Batch(one_hot(xs, 10), one_hot(targets, 10), np.ones((T + 20, B), bool))


def copy_solved(outputs: Array, batch: Batch) -> Array:
    """Whether the right unit is the most active at every step: bool (B,). Our rule.

    The paper reports the mean cross-entropy instead; see `copy_baseline`.
    """
    check_outputs(outputs, batch)
    right = np.sum(outputs * batch.targets, -1, keepdims=True)
    return np.all((right > outputs) | (batch.targets == 1), axis=(0, 2))


def copy_baseline(T: int) -> float:
    """Mean cross-entropy in nats a step of a network without memory: 10 ln 8 / (T + 20).

    T: the lag, as in `copy`, whose source gives it.
    """
    return 10 * np.log(8) / (T + 20)
