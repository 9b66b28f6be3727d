"""Words over a group: say after every symbol what the product of all symbols so far is."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from companion.tasks.batch import Batch, check_at_least, check_outputs, one_hot
from companion.types import Array

# Row and column are elements, 0 the neutral one; an entry is the row's element, then the column's.
PARITY = np.array([[0, 1], [1, 0]])


def _composed():
    """The table of S3: the six ways to order three things, composed."""
    ways: list[tuple[int, ...]]
    ways = [(0, 1, 2), (1, 2, 0), (2, 0, 1), (1, 0, 2), (0, 2, 1), (2, 1, 0)]
    # Things that lie in the order of `first` are picked up in the order of `then`.
    return np.array([[ways.index(tuple(f[k] for k in t)) for t in ways] for f in ways])


S3 = _composed()


def group_words(rng: np.random.Generator, B: int, T: int, table: ArrayLike = PARITY) -> Batch:
    """Random words over a group, and at every step the product of all symbols so far.

    table: (K, K), whole numbers: `table[state, symbol]` is the next state, and the first state
    is 0. `PARITY` (K = 2): is the number of ones so far odd? `S3` (K = 6): how do three things
    lie after so many rearrangements? In S3 the elements 0, 1 and 2 are the turns, 3, 4 and 5 the
    swaps, and the order of the symbols matters.
    Returns a `Batch` with D = K: symbols and states are one-hot, and every step has a target. All
    symbols are equally likely.
    Raises ValueError for a table that is not square, or holds anything but 0 … K - 1.
    Source: Merrill, Petty and Sabharwal (2024), who call it the word problem, and take larger
    groups.
    """
    check_at_least(1, B=B, T=T)
    table = np.asarray(table)
    K = len(table)
    if table.shape != (K, K) or table.dtype.kind not in "iu" or not np.isin(table, range(K)).all():
        raise ValueError(
            f"table must have shape (K, K) and numbers of 0 … K - 1, got {table.shape}, {table}"
        )
    symbols = rng.integers(K, size=(T, B))
    states, state = np.empty_like(symbols), np.zeros(B, int)
    for t in range(T):
        state = states[t] = table[state, symbols[t]]
    return Batch(one_hot(symbols, K), one_hot(states, K), np.ones((T, B), bool))


def group_words_correct(outputs: Array, batch: Batch) -> Array:
    """Whether the right state has the largest output, at every step: bool (T, B). A tie is wrong.

    outputs: (T, B, K), logits or probabilities.
    Raises ValueError if outputs does not have the shape of the targets.
    """
    check_outputs(outputs, batch)
    right = np.sum(outputs * batch.targets, -1, keepdims=True)
    return np.all((right > outputs) | (batch.targets == 1), axis=-1)
