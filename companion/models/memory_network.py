"""Networks that read a story and answer a question about it. Needs PyTorch.

`MemoryNetwork` and `Reader` are called with a pair (rows, lengths), as `companion.data.padded`
makes it of the arrays of `companion.tasks.stories.numbered`: rows (S, B, W), words' numbers of
the sentences and then of the question, filled up with 0; lengths (B,), how many rows a story has
with its question. They return logits (B, K + 1) of the answer, over 0 and the numbers of all K
words.
"""

import torch
from torch import nn
from torch.nn import functional as F

from companion.data import packed
from companion.nn import LSTM


class MemoryNetwork(nn.Module):
    """Look at the sentences of a story `hops` times, each time with a question that has changed.

    Every sentence is one vector of the memory. A hop gives it a weight, by the softmax of its
    product with the question's vector u, and adds the weighted mean of the sentences' second
    vectors to u. While the attribute `linear` is set, training leaves out the softmax of the
    weights: the linear start.
    K: number of words. D: size of a vector. hops: at least 1. sentences: how many the longest
    story may have.
    Raises ValueError for hops below 1; in a call, for a story with too many sentences.
    Source: Sukhbaatar et al. (2015): adjacent weights, position encoding, temporal encoding and
    linear start, without their random noise in time.
    """

    linear = False

    def __init__(self, K: int, D: int, hops: int, sentences: int) -> None:
        super().__init__()
        if hops < 1:
            raise ValueError(f"hops must be at least 1, got {hops!r}")
        # C of one hop is A of the next; B is the first A, and W the last C.
        self.words = nn.ParameterList(0.1 * torch.randn(K + 1, D) for _ in range(hops + 1))
        self.ages = nn.ParameterList(0.1 * torch.randn(sentences, D) for _ in range(hops + 1))

    def forward(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Logits (B, K + 1) of the answer."""
        return self.look(batch)[0]

    def look(self, batch: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (B, K + 1), and the weights of all rows in every hop, (hops, S, B).

        Weights of the question and of the filling are 0.
        """
        rows, lengths = batch
        age = lengths - 2 - torch.arange(len(rows))[:, None]  # 0 for the newest sentence
        if age.max() >= len(self.ages[0]):
            raise ValueError(
                f"stories must have at most {len(self.ages[0])} sentences, got {int(age.max()) + 1}"
            )
        question = rows[lengths - 1, torch.arange(rows.shape[1])]
        u, weights = sentence_vectors(self.words[0], question), []
        m = sentence_vectors(self.words[0], rows) + self.ages[0][age.clamp(min=0)]
        for words, ages in zip(self.words[1:], self.ages[1:], strict=True):
            c = sentence_vectors(words, rows) + ages[age.clamp(min=0)]
            scores = (m * u).sum(-1)
            if self.linear and self.training:
                p = scores.masked_fill(age < 0, 0.0)
            else:
                p = scores.masked_fill(age < 0, -torch.inf).softmax(0)
            u, m = u + (p[..., None] * c).sum(0), c
            weights.append(p)
        return u @ self.words[-1].T, torch.stack(weights)


def sentence_vectors(words: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Sum of the vectors of a sentence's words, each weighted by its position: (..., D).

    words: (K + 1, D), of which number 0, the filling, counts as zero. rows: (..., W).
    Source: Sukhbaatar et al. (2015, Section 4.1), "position encoding": with J words, the j-th has
    the factor (1 - j/J) - (d/D)(1 - 2j/J) at the d-th of D numbers, all counted from 1.
    """
    there = (rows > 0)[..., None]
    J = there.sum(-2, keepdim=True).clamp(min=1)
    j = torch.arange(1, rows.shape[-1] + 1, dtype=words.dtype)[:, None] / J
    d = torch.arange(1, words.shape[1] + 1, dtype=words.dtype) / words.shape[1]
    return (((1 - j) - d * (1 - 2 * j)) * there * F.embedding(rows, words)).sum(-2)


class Reader(nn.Module):
    """An LSTM that reads the story and the question word by word, and answers after the last one.

    K: number of words. D: size of a word's vector. H: units.
    """

    def __init__(self, K: int, D: int, H: int) -> None:
        super().__init__()
        self.words = nn.Embedding(K + 1, D)
        self.lstm = LSTM(D, H, forget_bias=1.0)
        self.readout = nn.Linear(H, K + 1)

    def forward(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Logits (B, K + 1) of the answer."""
        rows, _ = batch
        texts = [story[story > 0] for story in rows.transpose(0, 1)]
        lengths = torch.tensor([len(text) for text in texts])
        x = self.words(nn.utils.rnn.pad_sequence(texts))
        _, (h, _) = self.lstm(packed(x, lengths))
        return self.readout(h[0])
