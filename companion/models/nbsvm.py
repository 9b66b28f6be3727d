"""Naive Bayes over runs of words, and the linear classifier built on it. Needs scikit-learn.

Wang and Manning (2012) found that this is hard to beat where texts are judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.svm import LinearSVC

from companion.types import Array


def ngrams(words: Sequence[str], n: int) -> list[str]:
    """All runs of 1 to n words of a list, each joined by spaces: first the words, then pairs, …"""
    return [
        " ".join(words[start : start + size])
        for size in range(1, n + 1)
        for start in range(len(words) - size + 1)
    ]


def counter(n: int) -> CountVectorizer:
    """What turns N lists of words into a sparse array (N, K), 1 where a text has a run of words.

    n: the most words of a run. Returns scikit-learn's `CountVectorizer`: fit_transform(texts), for
    the texts that are trained on, finds their K different runs; then transform(texts) for others.
    """
    analyzer = partial(ngrams, n=n)
    return CountVectorizer(analyzer=analyzer, binary=True, dtype=np.float32)


def naive_bayes(X: csr_matrix, y: ArrayLike) -> tuple[Array, float]:
    """Multinomial naive Bayes with one added to every count, as weights (K,) and a bias.

    A text scores X @ weights + bias, the logarithm of how many times as likely "friendly" is as
    "not friendly". A weight is log(p / q): p is a run's share of all runs in the friendly texts, q
    its share in the others.
    X: (N, K), as of `counter`. y: (N,), 1 for a friendly text and 0 for another; there must be
    some of each.
    Returns the weights, float64 (K,), and the bias.
    """
    friendly = np.asarray(y, bool)
    counts = [1 + np.asarray(X[part].sum(0), np.float64)[0] for part in (friendly, ~friendly)]
    shares = [np.log(count / count.sum()) for count in counts]
    bias = np.log(friendly.sum() / (~friendly).sum())
    return shares[0] - shares[1], float(bias)


def nbsvm(X: csr_matrix, y: ArrayLike, C: float = 1.0, beta: float = 0.25) -> tuple[Array, float]:
    """A support vector machine on features times their naive Bayes weights: weights and a bias.

    The bias is 0: as in the authors' code, github.com/sidaw/nbsvm, the machine is trained without.
    One that is trained would fit the machine's weights, not the mix.
    X, y: as of `naive_bayes`. C: the less, the smaller the machine's weights are kept. beta: 1
    takes the machine's weights as they are; below 1 they are mixed with their mean size, the same
    for all features; at 0 that alone is left, which is naive Bayes without its bias.
    Returns the weights, float64 (K,), and 0.0; a text scores X @ weights, above 0 if friendly.
    Source: Wang and Manning (2012), whose C and beta are the defaults.
    """
    ratio, _ = naive_bayes(X, y)
    machine = LinearSVC(C=C, fit_intercept=False, random_state=0, max_iter=2000)
    machine.fit(X.multiply(ratio.astype(np.float32)).tocsr(), y)
    own = machine.coef_[0]
    return ratio * (beta * own + (1 - beta) * np.abs(own).mean()), 0.0
