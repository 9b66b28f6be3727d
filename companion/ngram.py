"""Models that count: n-grams with smoothing, the baseline that a language model has to beat.

An n-gram model of order n guesses a symbol from the n - 1 symbols before it, its history. All
smoothings here mix the orders in one form, where h' is the history h without its first symbol:

    p(w | h) = seen(h, w) + rest(h) · p(w | h'),    below order 1: p(w) = 1/K.

They differ in `seen`, the share that counting gives, and `rest`, what it leaves to shorter
histories. Source of all formulas: Chen and Goodman (1999).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from companion.types import Array


@dataclass(frozen=True)
class Counts:
    """All n-grams of a text, from order 1 up; `count` makes it.

    K: size of the alphabet. keys: `keys[n - 1]` has the n-grams of order n, sorted, each as the
    number (place of its history in `keys[n - 2]`) · K + last symbol; the empty history has the
    place 0. times: `times[n - 1]` says how often each occurs. before: `before[n - 1]` says after
    how many different symbols each occurs.
    All are int64 arrays.
    """

    K: int
    keys: tuple[Array, ...]
    times: tuple[Array, ...]
    before: tuple[Array, ...]


@dataclass(frozen=True)
class Ngram:
    """A smoothed model; `kneser_ney` and `witten_bell` make it.

    K: size of the alphabet. keys: as in `Counts`. seen: `seen[n - 1]` has the share of each n-gram
    of order n. rest: `rest[n - 1]` has what each of its histories leaves to shorter ones.
    """

    K: int
    keys: tuple[Array, ...]
    seen: tuple[Array, ...]
    rest: tuple[Array, ...]


def count(text: ArrayLike, K: int, order: int) -> Counts:
    """Count all n-grams of a text up to `order`.

    text: (N,), whole numbers in 0 … K-1. K: size of the alphabet. order: of the longest n-grams.
    Returns `Counts`.
    Raises ValueError for another text, or unless 1 <= order <= N.
    """
    text = _check_text("text", text, K)
    if not (isinstance(order, (int, np.integer)) and 1 <= order <= len(text)):
        raise ValueError(f"order must be a whole number in 1 … {len(text)}, got {order!r}")
    keys: list[Array] = []
    times: list[Array] = []
    before: list[Array] = []
    shorter = np.zeros(len(text) + 1, np.int64)  # the empty history, before each place
    for n in range(1, order + 2):
        # The n-gram that ends at a place: the shorter one that ends just before, and the symbol.
        codes = shorter[:-1] * K + text[n - 1 :]
        found, first, number, many = np.unique(
            codes, return_index=True, return_inverse=True, return_counts=True
        )
        if n > 1:  # each different n-gram is one more symbol before its last n - 1
            before.append(np.bincount(shorter[1:][first], minlength=len(keys[-1])))
        keys.append(found)
        times.append(many)
        shorter = number
    return Counts(K, tuple(keys[:order]), tuple(times[:order]), tuple(before))


def kneser_ney(counts: Counts, order: int | None = None, discounts: int = 3) -> Ngram:
    """Interpolated Kneser-Ney smoothing: take a discount D off each count, for shorter histories.

    seen = (c - D) / c(h) and rest = (sum of D over all that follows h) / c(h), where c(h) is the
    sum of c over all that follows h. At the highest order c counts how often an n-gram occurs,
    below it how many different symbols came before it.

    order: at most that of counts, and the same if None. discounts: 1 for one D at each order,
    n₁ / (n₁ + 2n₂), where n_k n-grams have c = k; 3 for the modified form, which has a D for
    c = 1, for 2 and for 3 or more. Where the n_k give no D > 0 it is 1/2, or 1/2, 1 and 3/2.
    Returns an `Ngram`.
    Raises ValueError for another order or discounts.
    Source: Kneser and Ney (1995) with continuation counts; Chen and Goodman (1999) as here.
    """
    order = _check_order(counts, order)
    if discounts not in (1, 3):
        raise ValueError(f"discounts must be 1 or 3, got {discounts!r}")
    seen, rest = [], []
    for n in range(order):
        c = counts.times[n] if n == order - 1 else counts.before[n]
        D = _discounts(c, discounts)[np.minimum(c, 3)]
        total, left = _sum(counts, n, c), _sum(counts, n, D)
        some = np.maximum(total, 1)
        seen.append((c - D) / some[counts.keys[n] // counts.K])
        rest.append(np.where(total > 0, left / some, 1.0))
    return Ngram(counts.K, counts.keys[:order], tuple(seen), tuple(rest))


def witten_bell(counts: Counts, order: int | None = None) -> Ngram:
    """Witten-Bell smoothing: the more different symbols followed a history, the likelier a new one.

    With N(h) different symbols seen after h, seen = c / (c(h) + N(h)) and
    rest = N(h) / (c(h) + N(h)), where c counts how often an n-gram occurs, at all orders, and c(h)
    is the sum of c over all that follows h.

    order: at most that of counts, and the same if None.
    Returns an `Ngram`.
    Raises ValueError for another order.
    """
    order = _check_order(counts, order)
    seen, rest = [], []
    for n in range(order):
        total = _sum(counts, n, counts.times[n])
        kinds = _sum(counts, n, np.ones(len(counts.keys[n])))
        both = np.maximum(total + kinds, 1)
        seen.append(counts.times[n] / both[counts.keys[n] // counts.K])
        rest.append(np.where(total > 0, kinds / both, 1.0))
    return Ngram(counts.K, counts.keys[:order], tuple(seen), tuple(rest))


def log2_probabilities(model: Ngram, text: ArrayLike) -> Array:
    """Log2 of the probability of each symbol of a text, given the symbols before it.

    The first symbols of the text have shorter histories.

    text: (N,), whole numbers in 0 … K-1.
    Returns float64 (N,); minus its mean is the bits a symbol.
    Raises ValueError for another text.
    """
    text = _check_text("text", text, model.K)
    p = np.full(len(text), 1 / model.K)
    before = np.zeros(len(text), np.int64)  # number of the history, -1 where it was never seen
    for keys, seen, rest in zip(model.keys, model.seen, model.rest, strict=True):
        known, codes = before >= 0, before * model.K + text  # negative where not known
        at = np.minimum(np.searchsorted(keys, codes), len(keys) - 1)
        found = keys[at] == codes
        p = np.where(known, rest[before], 1.0) * p + np.where(found, seen[at], 0.0)
        before = np.concatenate([[-1], np.where(found, at, -1)[:-1]])
    return np.log2(p)


def _sum(counts, n, values):
    """Sum the values of n-grams over those with the same history."""
    histories = len(counts.keys[n - 1]) if n else 1
    return np.bincount(counts.keys[n] // counts.K, values, histories)


def _discounts(c, how_many):
    """What is taken off a count of 0, 1, 2 and 3 or more."""
    n1, n2, n3, n4 = np.bincount(c, minlength=5)[1:5]
    if n1 == 0:  # nothing was seen once, so nothing says how much is still unseen
        return np.array([0, 0.5, 0.5, 0.5] if how_many == 1 else [0, 0.5, 1, 1.5])
    Y = n1 / (n1 + 2 * n2)
    if how_many == 1:
        return np.array([0, Y, Y, Y])
    D2 = 2 - 3 * Y * n3 / n2 if n2 else 0
    D3 = 3 - 4 * Y * n4 / n3 if n3 else 0
    return np.array([0, Y, D2 if D2 > 0 else 1, D3 if D3 > 0 else 1.5])


def _check_order(counts, order):
    most = len(counts.keys)
    if order is None:
        return most
    if not (isinstance(order, (int, np.integer)) and 1 <= order <= most):
        raise ValueError(f"order must be a whole number in 1 … {most}, got {order!r}")
    return order


def _check_text(name, text, K):
    text = np.asarray(text)
    if text.ndim != 1 or text.dtype.kind not in "iu" or not text.size:
        raise ValueError(
            f"{name} must be whole numbers of shape (N,), N > 0, got {text.dtype} of {text.shape}"
        )
    if text.min() < 0 or text.max() >= K:
        raise ValueError(f"{name} must be in 0 … {K - 1}, got {text.min()} … {text.max()}")
    return text.astype(np.int64)
