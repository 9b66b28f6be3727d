"""Is a review friendly? Networks that read its words, and what they need to be trained.

`Bag` and `Reader` are called with a pair (x, lengths), as `companion.data.padded` makes it of the
arrays of `numbered`: x (T, B), words' numbers filled up with PADDING, 0, and lengths (B,). Needs
PyTorch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from companion.data import packed
from companion.data.reviews import Vectors
from companion.nn import LSTM
from companion.types import Array

PADDING, UNKNOWN = 0, 1  # numbers that stand for no word


class Bag(nn.Module):
    """The mean of the vectors of a review's words, and a linear layer: order does not count.

    vectors: (K, D), such as `first_vectors` gives them, where the training of the words' vectors
    begins. dropout: share of the numbers of the mean that are dropped while training.
    """

    def __init__(self, vectors: Array, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = embedding(vectors)
        self.drop = nn.Dropout(dropout)
        self.readout = nn.Linear(vectors.shape[1], 1)

    def forward(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """(x, lengths), of shapes (T, B) and (B,), to scores (B,): above 0 is friendly."""
        x, lengths = batch
        mean = self.embedding(x).sum(0) / lengths[:, None]  # the vector of PADDING is zero
        return self.readout(self.drop(mean))[:, 0]


class Reader(nn.Module):
    """An LSTM that reads the words of a review, and a linear layer.

    vectors: as of `Bag`. dropout: share of the numbers of the words' vectors, and of what the
    linear layer reads, that are dropped while training. H: units in each direction.
    bidirectional: whether a second LSTM reads from the end. pool: "last" scores the state after
    the last word (of the second LSTM, after the first word), "mean" the mean of the states after
    each word.
    Raises ValueError for another pool.
    """

    def __init__(
        self,
        vectors: Array,
        H: int,
        bidirectional: bool = False,
        pool: str = "last",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if pool not in ("last", "mean"):
            raise ValueError(f'pool must be "last" or "mean", got {pool!r}')
        self.embedding = embedding(vectors)
        self.drop = nn.Dropout(dropout)
        self.lstm = LSTM(vectors.shape[1], H, bidirectional=bidirectional, forget_bias=1.0)
        self.readout = nn.Linear(H * (1 + bidirectional), 1)
        self.pool = pool

    def forward(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """(x, lengths), of shapes (T, B) and (B,), to scores (B,): above 0 is friendly."""
        x, lengths = batch
        ys, (h, _) = self.lstm(packed(self.drop(self.embedding(x)), lengths))
        if self.pool == "last":
            read = torch.cat(list(h), 1)
        else:
            read = nn.utils.rnn.pad_packed_sequence(ys)[0].sum(0) / lengths[:, None]
        return self.readout(self.drop(read))[:, 0]

    @torch.no_grad()
    def running(self, numbers: ArrayLike) -> Array:
        """The score after each word of one review: what it would be if the review ended there.

        Dropout is left out.
        numbers: T numbers of words, T ≥ 1.
        Returns float32 of shape (T,).
        Raises ValueError for a bidirectional reader, which has to know the end.
        """
        if self.lstm.bidirectional:
            raise ValueError("a running score needs a reader that is not bidirectional")
        ys = self.lstm(self.embedding(torch.as_tensor(numbers)))[0]
        if self.pool == "mean":
            ys = ys.cumsum(0) / torch.arange(1, len(ys) + 1)[:, None]
        return self.readout(ys)[:, 0].numpy()


def embedding(vectors: Array) -> nn.Embedding:
    """A layer that gives each number its vector, zero for PADDING; the vectors are trained.

    vectors: (K, D), copied; row 0, that of PADDING, is set to zero and stays so.
    """
    K, D = vectors.shape
    layer = nn.Embedding(K, D, padding_idx=PADDING)
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(vectors))
        layer.weight[PADDING] = 0
    return layer


def loss(scores: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy, in nats, of scores (B,) with labels y (B,), 1 for a friendly review."""
    return nn.functional.binary_cross_entropy_with_logits(scores, y.to(scores.dtype))


def vocabulary(texts: Iterable[Iterable[str]], K: int) -> dict[str, int]:
    """Numbers of the K - 2 most frequent words of texts that are trained on.

    texts: lists of words. K: how many numbers there are in all, PADDING, 0, and UNKNOWN, 1,
    included; at least 2.
    Returns a dict from word to number, 2 for the most frequent; of equally frequent words the
    first in the alphabet comes first. Where there are fewer words it is shorter.
    """
    if K < 2:
        raise ValueError(f"K must be at least 2, for PADDING and UNKNOWN, got {K}")
    counts = Counter(word for text in texts for word in text)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return {word: k for k, word in enumerate(ranked[: K - 2], start=2)}


def numbered(texts: Iterable[Iterable[str]], vocabulary: Mapping[str, int]) -> list[Array]:
    """Each list of words as an int64 array (T,) of their numbers.

    texts: lists of words. vocabulary: as of `vocabulary`. A word that is not in it has the number
    UNKNOWN, 1; an empty list becomes one UNKNOWN.
    """
    return [
        np.array([vocabulary.get(word, UNKNOWN) for word in text] or [UNKNOWN]) for text in texts
    ]


def first_vectors(
    vocabulary: Mapping[str, int], D: int, rng: np.random.Generator, glove: Vectors | None = None
) -> Array:
    """First vectors for `embedding`: drawn from a normal distribution, or those of GloVe.

    vocabulary: as of `vocabulary`, K - 2 words. D: size of a vector. rng: what vectors are drawn
    with, of mean 0 and standard deviation 0.1. glove: what `companion.data.load_glove` returns,
    or the like with D numbers a word; words that it lacks are drawn. None draws all.
    Returns float32 (K, D), row k being the vector of number k.
    """
    vectors = 0.1 * rng.standard_normal((len(vocabulary) + 2, D)).astype(np.float32)
    if glove is not None:
        for word, vector in zip(glove.words, glove.vectors, strict=True):
            if word in vocabulary:
                vectors[vocabulary[word]] = vector
    return vectors
