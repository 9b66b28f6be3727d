"""Strings of the Reber grammar: plain, embedded, and as one stream without ends.

Sources: Reber (1967) for the grammar; Hochreiter and Schmidhuber (1997), Experiment 1, for the
embedded one and its success rule; Gers, Schmidhuber and Cummins (2000) for the stream. Of the
last, the test (Table 2) was checked in the paper's own words, the rest in lecture notes on it.
"""

import numpy as np

from companion.tasks.batch import Batch, check_at_least, check_outputs, one_hot, until_end
from companion.types import Array

SYMBOLS = "BTPSXVE"
# After the first B: a letter and the node that it leads to. The last node is the end.
REBER = ["T1 P2", "S1 X3", "T2 V4", "X2 S5", "P3 V5", "E6"]


def _strings(embedded):
    """The grammar as a table (states, 7): the next state, or -1 where the symbol is not legal.

    State 0 is before the first B, and again after the last E.
    """
    rows = []

    def add(edges):
        rows.append([-1] * len(SYMBOLS))
        for symbol, state in edges:
            rows[-1][SYMBOLS.index(symbol)] = state

    def add_reber(end):
        start = len(rows)
        add([("B", start + 1)])
        for node in REBER:
            edges = [(edge[0], int(edge[1])) for edge in node.split()]
            add([(symbol, end if to == len(REBER) else start + 1 + to) for symbol, to in edges])

    if not embedded:
        add_reber(end=0)
        return np.array(rows)
    size = len(REBER) + 1
    add([("B", 1)])
    add([("T", 2), ("P", 3 + size)])
    for outer in "TP":
        start = len(rows)
        add_reber(end=start + size)
        add([(outer, 4 + 2 * size)])
    add([("E", 0)])
    return np.array(rows)


PLAIN, EMBEDDED = _strings(embedded=False), _strings(embedded=True)


def _walk(rng, table, B, T=None):
    """Symbol numbers (T, B) of B walks from state 0; -1 after the end unless T is given."""
    # Every state has one or two legal symbols, each as likely as the other.
    pair = np.array([np.resize(np.flatnonzero(row >= 0), 2) for row in table])
    state, going = np.zeros(B, int), np.ones(B, bool)
    steps: list[Array] = []
    while len(steps) < T if T is not None else going.any():
        symbol = pair[state, rng.integers(2, size=B)]
        state = table[state, symbol]
        steps.append(symbol if T is not None else np.where(going, symbol, -1))
        going &= state != 0
    return np.array(steps, int).reshape(len(steps), B)


def _prediction(symbols):
    """The batch in which each next symbol is predicted."""
    lengths = (symbols >= 0).sum(0) - 1
    mask = until_end(lengths)
    xs = one_hot(np.where(mask, symbols[:-1], -1), len(SYMBOLS))
    return Batch(xs, one_hot(symbols[1:], len(SYMBOLS)), mask)


def reber(rng: np.random.Generator, B: int) -> Batch:
    """B strings of the Reber grammar: predict each next symbol.

    D = K = 7, one-hot B, T, P, S, X, V, E in this order. Where the grammar has two ways on, each
    has the probability 1/2. A string has 5 symbols or more, 8 on average; the last one is only
    predicted, so that a string of n symbols takes n - 1 steps.
    Source: Reber (1967) for the grammar.
    """
    check_at_least(1, B=B)
    return _prediction(_walk(rng, PLAIN, B))


def embedded_reber(rng: np.random.Generator, B: int) -> Batch:
    """B strings of the embedded Reber grammar: B, T or P, a Reber string, the same letter, E.

    D = K = 7, as in `reber`. Each next symbol is predicted; to predict the symbol before last, the
    second one must be remembered. A string has 9 symbols or more, 12 on average, and takes one step
    less.
    Source: Hochreiter and Schmidhuber (1997), Experiment 1: 256 strings to train, 256 to test.
    """
    check_at_least(1, B=B)
    return _prediction(_walk(rng, EMBEDDED, B))


def continual_reber(rng: np.random.Generator, B: int, T: int) -> Batch:
    """B streams of embedded Reber strings, one after the other without a mark: T predictions.

    D = K = 7, as in `reber`. Nothing tells the network where a string ends but the symbols.
    Source: Gers, Schmidhuber and Cummins (2000), Experiment 1: test streams of 10^5 symbols.
    """
    check_at_least(1, B=B, T=T)
    return _prediction(_walk(rng, EMBEDDED, B, T + 1))


def legal(table: Array, xs: Array) -> Array:
    """Which symbols may follow each step: bool, the shape of xs (T, B, 7).

    table: `PLAIN` or `EMBEDDED`. Raises ValueError where xs itself is not legal.
    """
    state, allowed = np.zeros(xs.shape[1], int), np.zeros(xs.shape, bool)
    for x, may_follow in zip(xs, allowed, strict=True):
        here = x.any(-1)
        state[here] = table[state[here], x[here].argmax(-1)]
        if (state < 0).any():
            raise ValueError("xs must be strings of the grammar, got a symbol that is not legal")
        may_follow[here] = table[state[here]] >= 0
    return allowed


def _legal_most_active(table, outputs, batch):
    """Whether at each step every legal next symbol is above all others: bool (T, B)."""
    check_outputs(outputs, batch)
    allowed = legal(table, batch.xs)
    least = np.where(allowed, outputs, np.inf).min(-1)
    most = np.where(allowed, -np.inf, outputs).max(-1)
    return (least > most) | ~batch.mask


def reber_solved(outputs: Array, batch: Batch) -> Array:
    """As `embedded_reber_solved`, for the plain strings of `reber`: bool (B,)."""
    return _legal_most_active(PLAIN, outputs, batch).all(0)


def embedded_reber_solved(outputs: Array, batch: Batch) -> Array:
    """Whether at every step the outputs of the legal next symbols are the most active: bool (B,).

    outputs: (T, B, 7). Every legal symbol must be strictly above every other one.
    Raises ValueError for outputs of another shape, or a batch that is no string of the grammar.
    Source: Hochreiter and Schmidhuber (1997), where a trial is successful when this holds for all
    strings of the training set and of the test set.
    """
    return _legal_most_active(EMBEDDED, outputs, batch).all(0)


def continual_reber_correct(outputs: Array, batch: Batch) -> Array:
    """Whether at each step the outputs of the legal next symbols are the most active: bool (T, B).

    outputs: (T, B, 7). batch: streams that begin with the first symbol of a string.
    Raises ValueError for outputs of another shape, or a stream that is not of the grammar.

    This is the rule of Hochreiter and Schmidhuber (1997), step by step. Gers, Schmidhuber and
    Cummins (2000) are reported to ask for a squared error below 0.49 at each unit; on the next
    symbol that would pass a network that gives T and P 1/2 each and remembers nothing. Their stream
    stops at the first wrong prediction (see `steps_until_error`). Of 10 test streams of 10^5
    symbols, a perfect solution predicts all, a good one more than 1000 on average (their Table 2).
    """
    return _legal_most_active(EMBEDDED, outputs, batch)
