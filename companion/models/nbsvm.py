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
    """All runs of 1 to n words of a list, each joined by spaces."""
    return [
        " ".join(words[start : start + size])
        for size in range(1, n + 1)
        for start in range(len(words) - size + 1)
    ]


def counter(n: int) -> CountVectorizer:
    """What turns lists of words into a sparse array, 1 where a text has a run of 1 to n words.

    A `CountVectorizer`: fit_transform(texts) for those that are trained on, then transform(texts).
    """
    analyzer = partial(ngrams, n=n)
    return CountVectorizer(analyzer=analyzer, binary=True, dtype=np.float32)


def naive_bayes(X: csr_matrix, y: ArrayLike) -> tuple[Array, float]:
    """Multinomial naive Bayes with one added to every count, as weights (K,) and a bias.

    X: (N, K), as of `counter`. y: (N,), 1 for friendly and 0. A text scores X @ weights + bias,
    the log of how many times as likely "friendly" is; a weight is the log of the ratio of a run's
    share of the friendly texts' runs to its share of the others'.
    """
    friendly = np.asarray(y, bool)
    counts = [1 + np.asarray(X[part].sum(0), np.float64)[0] for part in (friendly, ~friendly)]
    shares = [np.log(count / count.sum()) for count in counts]
    bias = np.log(friendly.sum() / (~friendly).sum())
    return shares[0] - shares[1], float(bias)


def nbsvm(X: csr_matrix, y: ArrayLike, C: float = 1.0, beta: float = 0.25) -> tuple[Array, float]:
    """A support vector machine on features times their naive Bayes weights: weights and a bias.

    X, y: as of `naive_bayes`. C: the less, the smaller the machine's weights are kept. beta: 1 for
    the machine alone; below, its weights are drawn towards one size for all, which alone would
    be naive Bayes without its bias. The bias is 0: as in the authors' code, github.com/sidaw/nbsvm,
    the machine is trained without. One that is trained fits the machine's weights, not the mix.
    Source: Wang and Manning (2012), whose C and beta these are.
    """
    ratio, _ = naive_bayes(X, y)
    machine = LinearSVC(C=C, fit_intercept=False, random_state=0, max_iter=2000)
    machine.fit(X.multiply(ratio.astype(np.float32)).tocsr(), y)
    own = machine.coef_[0]
    return ratio * (beta * own + (1 - beta) * np.abs(own).mean()), 0.0
