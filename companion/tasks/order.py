"""Temporal order: in which order did the X and the Y come?"""

import numpy as np

from companion.tasks.batch import Batch, check_at_least, last_step, one_hot, until_end, within
from companion.types import Array

SYMBOLS = "EBabcdXY"
# Percent of T at which the window of each relevant symbol opens; it is T/10 wide.
WINDOWS = {2: (10, 50), 3: (10, 33, 66)}


def temporal_order(rng: np.random.Generator, B: int, T: int = 100, relevant: int = 2) -> Batch:
    """Classify a sequence by its two (or three) relevant symbols, each an X or a Y.

    relevant: how many such symbols, 2 or 3; what holds for three stands in brackets below.
    Raises ValueError for another number.

    D = 8: one-hot E, B, a, b, c, d, X, Y in this order. K = 4 (8) classes in the order XX, XY, YX,
    YY (XXX, XXY, XYX …, YYY); the target is at the last step.
    A sequence starts with E and ends with the trigger B. Between are random a, b, c, d, and one
    relevant symbol each within steps 10-20 and 50-60 (10-20, 33-43 and 66-76), counted from 0, at
    T = 100; another T scales these. Lengths: uniform in T … T + T/10.
    Source: Hochreiter and Schmidhuber (1997), Tasks 6a and 6b, with T = 100.
    """
    check_at_least(1, B=B)
    check_at_least(10, T=T)
    if relevant not in WINDOWS:
        raise ValueError(f"relevant must be 2 or 3, got {relevant!r}")
    lengths = rng.integers(T, T + T // 10 + 1, size=B)
    symbols = np.where(until_end(lengths), rng.integers(2, 6, (lengths.max(), B)), -1)
    rows, number = np.arange(B), np.zeros(B, int)
    for percent in WINDOWS[relevant]:
        at = T * percent // 100 + rng.integers(T // 10 + 1, size=B)
        is_y = rng.integers(2, size=B)
        symbols[at, rows] = SYMBOLS.index("X") + is_y
        number = 2 * number + is_y
    symbols[0] = SYMBOLS.index("E")
    symbols[lengths - 1, rows] = SYMBOLS.index("B")
    mask = last_step(lengths)
    targets = one_hot(np.where(mask, number, -1), 2**relevant)
    return Batch(one_hot(symbols, len(SYMBOLS)), targets, mask)


def temporal_order_solved(outputs: Array, batch: Batch) -> Array:
    """All absolute errors of all output units at the end below 0.3: bool (B,).

    The paper stops training by `finished` with limit 0.1, and then found at most 3 of 2560 test
    sequences wrong.
    """
    return within(outputs, batch, 0.3)
