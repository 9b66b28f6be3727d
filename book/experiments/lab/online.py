"""LSTM as Gers, Schmidhuber and Cummins (2000) trained it on the continual embedded Reber grammar.

Blocks of two cells, one truncated gradient step a symbol, streams that end at the first error.
What the paper says of network and protocol was read in lecture notes on it, not in the paper.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from companion.tasks.grammar import EMBEDDED

# Every state has one or two legal symbols, each as likely as the other.
PAIRS = np.array([np.resize(np.flatnonzero(row >= 0), 2) for row in EMBEDDED])
BLOCKS, SIZE, SYMBOLS = 4, 2, 7
CELLS = BLOCKS * SIZE
READ = SYMBOLS + CELLS + 1  # the symbol, the cells' outputs and a 1 for the bias
I, F, O = range(3)  # noqa: E741
SQUARED, ABSOLUTE, MOST_ACTIVE = range(3)
LIMIT = 0.49


class Rules(NamedTuple):
    """What tells the networks and the readings of the paper apart.

    forget: with forget gate. reset: states are set to 0 at the start of each string. decay: factor
    of the learning rate from step to step of a stream. possible: the target holds a 1 for every
    symbol that may follow, not for the one that does. judge: which prediction is right, one whose
    SQUARED errors are all below `LIMIT`, or its ABSOLUTE errors, or one in which the symbols that
    may follow are the MOST_ACTIVE outputs.
    """

    forget: bool
    reset: bool
    decay: float
    possible: bool
    judge: int


@njit(cache=True)
def sigmoid(a):
    return 1 / (1 + np.exp(-a))


@njit(cache=True)
def dot(weights, values):
    total = 0.0
    for m in range(READ):
        total += weights[m] * values[m]
    return total


@njit(cache=True)
def add(weights, factor, values, count):
    for m in range(count):
        weights[m] += factor * values[m]


@njit(cache=True)
def first_weights(rng):
    """Weights of the cells (8, 16), of the gates (3, 4, 16) in the order i f o, of the outputs.

    Uniform up to 0.2; gate biases of block b: i and o -b/2, f b/2; the cells have none.
    """
    cells = rng.uniform(-0.2, 0.2, (CELLS, READ))
    gates = rng.uniform(-0.2, 0.2, (3, BLOCKS, READ))
    readout = rng.uniform(-0.2, 0.2, (SYMBOLS, READ))
    cells[:, -1] = 0
    for b in range(BLOCKS):
        gates[I, b, -1] = gates[O, b, -1] = -0.5 * (b + 1)
        gates[F, b, -1] = 0.5 * (b + 1)
    return cells, gates, readout


@njit(cache=True)
def is_right(outputs, target, state, judge):
    low, high, right = 2.0, -1.0, True
    for k in range(SYMBOLS):
        error = abs(target[k] - outputs[k])
        if judge == SQUARED:
            right &= error * error < LIMIT
        elif judge == ABSOLUTE:
            right &= error < LIMIT
        elif EMBEDDED[state, k] >= 0:
            low = min(low, outputs[k])
        else:
            high = max(high, outputs[k])
    return low > high if judge == MOST_ACTIVE else right


@njit(cache=True)
def read(rng, weights, rules, length, rate):
    """Read a new stream up to its first wrong prediction; learn from each symbol if rate > 0.

    The errors pass from cell state to cell state and nowhere else, so that the derivatives of the
    states can be kept up to date on the way forward (`traces`). Stops, too, when the rate has
    fallen to where nothing is learned. Returns the number of right predictions.
    """
    cells, gates, readout = weights
    seen, shown = np.zeros(READ), np.zeros(READ)  # by gates and cells; by the outputs
    seen[-1] = shown[-1] = 1
    gate, traces = np.ones((3, BLOCKS)), np.zeros((3, CELLS, READ))  # traces: of i, f, candidate
    c, squashed, slope, back = np.zeros((4, CELLS))
    outputs, target, error = np.zeros((3, SYMBOLS))
    symbol = PAIRS[0, rng.integers(0, 2)]
    state = EMBEDDED[0, symbol]
    for t in range(length):
        if rules.reset and state == 1:  # the symbol is the first of a string
            shown[SYMBOLS:-1] = c[:] = traces[:] = 0
        following = PAIRS[state, rng.integers(0, 2)]
        seen[SYMBOLS:-1] = shown[SYMBOLS:-1]
        for k in range(SYMBOLS):
            seen[k] = shown[k] = k == symbol
            target[k] = k == following or (rules.possible and EMBEDDED[state, k] >= 0)
        for b in range(BLOCKS):
            for q in range(3):
                if q != F or rules.forget:
                    gate[q, b] = sigmoid(dot(gates[q, b], seen))
        for j in range(CELLS):
            i, f, o = gate[:, j // SIZE]
            s = sigmoid(dot(cells[j], seen))
            g = 4 * s - 2
            if rate > 0:
                for m in range(READ):
                    traces[I, j, m] = f * traces[I, j, m] + g * i * (1 - i) * seen[m]
                    traces[F, j, m] = f * traces[F, j, m] + c[j] * f * (1 - f) * seen[m]
                    traces[2, j, m] = f * traces[2, j, m] + i * 4 * s * (1 - s) * seen[m]
            c[j] = f * c[j] + i * g
            s = sigmoid(c[j])
            squashed[j], slope[j] = 2 * s - 1, 2 * s * (1 - s)
            shown[SYMBOLS + j] = o * squashed[j]
        for k in range(SYMBOLS):
            outputs[k] = sigmoid(dot(readout[k], shown))
        right = is_right(outputs, target, state, rules.judge)
        if rate > 0:
            back[:] = 0
            for k in range(SYMBOLS):
                error[k] = (target[k] - outputs[k]) * outputs[k] * (1 - outputs[k])
                add(back, error[k], readout[k, SYMBOLS:], CELLS)
                add(readout[k], rate * error[k], shown, READ)
            for j in range(CELLS):
                b = j // SIZE
                i, f, o = gate[:, b]
                add(gates[O, b], rate * back[j] * squashed[j] * o * (1 - o), seen, READ)
                inner = rate * back[j] * o * slope[j]
                add(gates[I, b], inner, traces[I, j], READ)
                if rules.forget:
                    add(gates[F, b], inner, traces[F, j], READ)
                add(cells[j], inner, traces[2, j], READ - 1)
            rate *= rules.decay
        if not right or 0 < rate < 1e-12:
            return t
        symbol, state = following, EMBEDDED[state, following]
    return length


@njit(cache=True)
def train(rng, rules, streams, length, symbols):
    """Learn from at most `streams` streams and so many symbols; test after every tenth.

    A test reads 10 streams of `length` symbols; training ends when one is perfect. Only every
    300th test goes on after a stream with an error, to measure all ten.
    Returns whether it was perfect, streams, symbols learned from, and the best mean of ten.
    """
    weights, best, learned = first_weights(rng), 0.0, 0
    for n in range(1, streams + 1):
        learned += read(rng, weights, rules, length, 0.5)
        last = n == streams or learned >= symbols
        whole = last or n % 300 == 0
        if n % 10 == 0 or whole:
            total, perfect = 0, True
            for _ in range(10):
                right = read(rng, weights, rules, length, 0.0)
                total += right
                perfect &= right == length
                if not (perfect or whole):
                    break
            if whole or perfect:
                best = max(best, total / 10)
            if perfect or last:
                return perfect, n, learned, best
    return False, 0, learned, best
