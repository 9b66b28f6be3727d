"""Encoder and decoder: one LSTM reads a sentence, another writes its translation.

With attention (Bahdanau, Cho and Bengio 2015) the decoder looks, before each word, at all that the
encoder gave out; without, at the encoder's last output only (Cho et al. 2014). Needs PyTorch.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_packed_sequence

from companion.data import packed
from companion.data.pairs import END, PAD, START, UNKNOWN
from companion.decode import NextToken
from companion.types import Array

Hidden = tuple[torch.Tensor, torch.Tensor]  # (h, c), each (B, H)


class Memory(NamedTuple):
    """What the encoder hands to the decoder, of sources filled up to S words."""

    ys: torch.Tensor  #: (S, B, H), the encoder's outputs
    keys: torch.Tensor  #: (S, B, H), their part of the attention; without attention the same as ys
    filling: torch.Tensor  #: (S, B), true behind the end of a source
    state: Hidden  #: (h, c), each (B, H), after each source's own last word


class Translator(nn.Module):
    """Numbers of source words, and of the target words so far, to logits of the next one.

    Batches are those of `companion.data.pairs.paired`.
    K: sizes of the source's and of the target's vocabulary, a pair. D: size of a word's vector.
    H: units of encoder and decoder. attention: whether the decoder looks at all outputs of the
    encoder, or at the last only. dropout: share of the numbers of the words' vectors, and of the
    readout's inputs, that training drops.
    Sources: Sutskever, Vinyals and Le (2014); Bahdanau, Cho and Bengio (2015), with LSTM in place
    of their GRU, an encoder of one direction, and the plain readout of h.
    """

    def __init__(
        self, K: tuple[int, int], D: int, H: int, attention: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(K[0], D), nn.Embedding(K[1], D)
        self.encoder, self.decoder = nn.LSTM(D, H), nn.LSTMCell(D + H, H)
        self.readout, self.dropout = nn.Linear(H, K[1]), nn.Dropout(dropout)
        self.attention = attention
        if attention:
            self.key, self.query = nn.Linear(H, H), nn.Linear(H, H, bias=False)
            self.score = nn.Linear(H, 1, bias=False)

    def forward(self, x: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Logits of each next word, the decoder reading the true ones before it.

        x: source (S, B), lengths (B,) and read (T, B), START and the target's words.
        Returns logits (T, B, K), K being the size of the target's vocabulary.
        """
        source, lengths, read = x
        memory = self.encode(source, lengths)
        state, hs = memory.state, []
        for word in self.dropout(self.target(read)):
            state, _ = self.decode(memory, state, word)
            hs.append(state[0])
        return self.readout(self.dropout(torch.stack(hs)))

    def encode(self, source: torch.Tensor, lengths: torch.Tensor) -> Memory:
        """Read sources, (S, B), filled up with PAD, of these lengths, (B,): a `Memory`."""
        words = self.dropout(self.source(source))
        ys, (h, c) = self.encoder(packed(words, lengths))
        ys, _ = pad_packed_sequence(ys, total_length=len(source))
        filling = torch.arange(len(source), device=source.device)[:, None] >= lengths
        return Memory(ys, self.key(ys) if self.attention else ys, filling, (h[0], c[0]))

    def decode(
        self, memory: Memory, state: Hidden, word: torch.Tensor
    ) -> tuple[Hidden, torch.Tensor | None]:
        """One step of the decoder.

        memory: as of `encode`. state: (h, c), each (B, H). word: (B, D), vectors of the words read.
        Returns the new state, and the weights of the attention (S, B), or None without attention.
        """
        if self.attention:
            scores = self.score(torch.tanh(memory.keys + self.query(state[0])))[..., 0]
            weights = scores.masked_fill(memory.filling, -torch.inf).softmax(0)
            context = (weights[..., None] * memory.ys).sum(0)
        else:
            weights, context = None, memory.state[0]
        return self.decoder(torch.cat([word, context], 1), state), weights

    def log_probs(
        self, memory: Memory, state: Hidden, word: torch.Tensor
    ) -> tuple[torch.Tensor, Hidden, torch.Tensor | None]:
        """What may come after a word; never PAD, START or UNKNOWN, whose probability is set to 0.

        memory, state: as of `decode`. word: (B,), numbers of the words read.
        Returns log-probabilities (B, K), the new state, and the weights as of `decode`.
        """
        state, weights = self.decode(memory, state, self.target(word))
        logits = self.readout(state[0])
        logits[:, [PAD, START, UNKNOWN]] = -torch.inf  # no word of a translation
        return F.log_softmax(logits, 1), state, weights


def loss(logits: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Cross-entropy in nats, summed over the words, and how many there are; PAD is none.

    logits: (T, B, K). y: int64 (T, B), the target's words and END.
    """
    total = F.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=PAD, reduction="sum")
    return total, int((y != PAD).sum())


@torch.no_grad()
def translate(
    model: Translator, source: torch.Tensor, lengths: torch.Tensor, limit: int
) -> tuple[list[list[int]], torch.Tensor | None]:
    """The likeliest next word, again and again, for a whole batch: greedy search.

    model: is left in evaluation mode. source: (S, B), numbers of words, filled up with PAD.
    lengths: (B,). limit: the most words to write, END included.
    Returns B lists of words' numbers, without END, and the weights of the attention, (T, S, B), T
    being the number of steps that the longest took; None without attention.
    Raises ValueError for a limit below 1.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit!r}")
    model.eval()
    memory = model.encode(source, lengths)
    state, word, written = memory.state, torch.full_like(lengths, START), []
    looked: list[Any] = []
    for _ in range(limit):
        log_p, state, weights = model.log_probs(memory, state, word)
        word = log_p.argmax(1)
        written.append(word)
        looked.append(weights)
        if bool((torch.stack(written) == END).any(0).all()):
            break
    rows = torch.stack(written, 1).tolist()
    rows = [row[: row.index(END)] if END in row else row for row in rows]
    return rows, torch.stack(looked) if model.attention else None


def searcher(
    model: Translator, source: Sequence[int] | Array
) -> tuple[NextToken, tuple[Hidden, int]]:
    """What `companion.decode.greedy` and `beam_search` need to translate one sentence.

    model: is left in evaluation mode. source: the numbers of the sentence's words, at least one.
    Returns the pair (step, start); the search's `end` is `companion.data.pairs.END`.
    """
    model.eval()
    with torch.no_grad():
        memory = model.encode(torch.as_tensor(source)[:, None], torch.tensor([len(source)]))

    @torch.no_grad()
    def step(state, token):
        log_p, state, _ = model.log_probs(memory, state, torch.tensor([token]))
        return log_p[0].numpy().astype(np.float64), state

    return step, (memory.state, START)
