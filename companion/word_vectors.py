"""What lies near a word, and a : b as c : which word? Plain searches in an array of word vectors.

The vectors are an array (K, D), one row a word, from wherever they come: `load_glove`, gensim, the
embedding of a network. A word is the number of its row.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from companion.types import Array


def units(vectors: Array) -> Array:
    """The vectors, floats (K, D), each divided by its length; one of zeros stays zero."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def nearest(vectors: Array, queries: Array, n: int, without: ArrayLike | None = None) -> Array:
    """The n rows with the largest product with each query, the largest first: int64 (N, n).

    vectors: floats (K, D); by `units` for neighbours by angle, otherwise long vectors are favoured.
    queries: floats (N, D). n: how many rows to find. without: for each query the rows that may not
    be answers, int64 (N, any), or None.
    Raises ValueError unless n is at least 1 and n rows are left for each query.
    """
    taken = 0 if without is None else np.shape(without)[1]
    if not 1 <= n <= len(vectors) - taken:
        raise ValueError(f"n must be in 1 … {len(vectors) - taken}, got {n}")
    found = np.empty((len(queries), n), np.int64)
    for start in range(0, len(queries), 1000):  # so that the products fit into memory
        part = slice(start, start + 1000)
        products = queries[part] @ vectors.T
        if without is not None:
            np.put_along_axis(products, np.asarray(without)[part], -np.inf, axis=1)
        largest = np.argpartition(-products, n - 1, axis=1)[:, :n]
        order = np.argsort(-np.take_along_axis(products, largest, axis=1), axis=1)
        found[part] = np.take_along_axis(largest, order, axis=1)
    return found


def questions(words: Iterable[str]) -> dict[str, Array]:
    """The analogy questions whose four words are all among `words`. Needs gensim.

    The file of 19,544 questions comes with gensim and is read in lower case.

    words: in lower case, since others match nothing; a word's number is its place, from 0.
    Returns a dict from a kind of question, such as "capital-common-countries", to an int64 array
    (N, 4). A row holds the numbers of a, b, c and of the right answer to a : b as c : ?. A kind
    without questions is left out.
    Raises ImportError without gensim.
    Source: Mikolov, Chen, Corrado and Dean (2013).
    """
    from gensim.test.utils import datapath

    number = {word: k for k, word in enumerate(words)}
    found: dict[str, list[list[int]]] = {}
    with open(datapath("questions-words.txt"), encoding="utf-8") as lines:
        for line in lines:
            parts = line.lower().split()
            if parts[0] == ":":
                rows = found.setdefault(parts[1], [])
            elif all(word in number for word in parts):
                rows.append([number[word] for word in parts])
    return {kind: np.array(rows, np.int64) for kind, rows in found.items() if rows}


def analogies(vectors: Array, asked: Array, exclude: bool = True, offset: bool = True) -> Array:
    """Answers to a : b as c : ?, the word nearest by angle to b - a + c: int64 (N,).

    vectors: floats (K, D), made unit vectors first, as gensim does. asked: int64 (N, 3) or (N, 4),
    as of `questions`; the fourth column is not read. exclude: True, as usual, lets none of a, b and
    c be the answer. offset: False looks near c alone, which is the simplest baseline.
    Raises ValueError where no word is left to answer with.
    Sources: Mikolov, Yih and Zweig (2013); of the baseline Linzen (2016).
    """
    vectors = units(vectors)
    a, b, c = (vectors[asked[:, k]] for k in range(3))
    return nearest(vectors, b - a + c if offset else c, 1, asked[:, :3] if exclude else None)[:, 0]
