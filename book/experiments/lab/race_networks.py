"""The networks of the race on characters: numbers of characters in, scores of the next ones out.

All have the call `scores, state = net(x, state)`, x (T, B) whole numbers, scores (T, B, K).
"""

import torch
from torch import nn
from torch.nn import functional as F

from companion import nn as layers
from companion.models.min_lstm import MinLSTM


class Recurrent(nn.Module):
    """One recurrent layer between one-hot characters and the readout."""

    def __init__(self, layer, K, H, dropped=0.0):
        super().__init__()
        self.K, self.layer = K, recurrent(layer, K, H)
        self.drop, self.readout = nn.Dropout(dropped), nn.Linear(H, K)

    def forward(self, x, state=None):
        ys, state = self.layer(F.one_hot(x, self.K).float(), state)
        return self.readout(self.drop(ys)), state


def recurrent(name, D, H):
    """A layer by its name; where there is a bias for it, what it holds is kept at first."""
    if name == "minLSTM":
        return MinLSTM(D, H)
    options = {"forget_bias": 1} if name in ("GRU", "LSTM", "SLSTM") else {}
    return getattr(layers, name)(D, H, **options)


class Deep(nn.Module):
    """Blocks that each add what a mixer over time finds, then what two dense layers make of it.

    mixers: one for each block, called as `ys, state = mixer(xs, state)`, on (T, B, H).
    """

    def __init__(self, mixers, K, H, dropped=0.0):
        super().__init__()
        self.embedding, self.mixers = nn.Embedding(K, H), nn.ModuleList(mixers)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.norms = nn.ModuleList(nn.LayerNorm(H) for _ in range(2 * len(mixers) + 1))
        self.dense = nn.ModuleList(
            nn.Sequential(nn.Linear(H, 4 * H), nn.GELU(), nn.Linear(4 * H, H)) for _ in mixers
        )
        self.drop, self.readout = nn.Dropout(dropped), nn.Linear(H, K)

    def forward(self, x, states=None):
        v, lasts = self.embedding(x), []
        for k, (mixer, dense) in enumerate(zip(self.mixers, self.dense, strict=True)):
            ys, last = mixer(self.norms[2 * k](v), states[k] if states else None)
            v = v + self.drop(ys)
            v = v + self.drop(dense(self.norms[2 * k + 1](v)))
            lasts.append(last)
        return self.readout(self.norms[-1](v)), lasts


class Attention(nn.Module):
    """Causal self-attention with rotary positions (Su et al. 2021): a mixer without a state."""

    def __init__(self, H, longest, width=32):
        super().__init__()
        self.heads, self.width = H // width, width
        self.three, self.out = nn.Linear(H, 3 * H), nn.Linear(H, H)
        angle = torch.outer(torch.arange(longest), 1e4 ** (-torch.arange(0, width, 2) / width))
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def rotated(self, x):
        """Pairs of numbers turned by an angle that grows with the step: (B, heads, T, width)."""
        (a, b), T = x.chunk(2, -1), x.shape[-2]
        cos, sin = self.cos[:T], self.sin[:T]
        return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)

    def forward(self, xs, state=None):
        T, B, H = xs.shape
        queries, keys, values = (
            part.reshape(T, B, self.heads, self.width).permute(1, 2, 0, 3)
            for part in self.three(xs).chunk(3, -1)
        )
        ys = F.scaled_dot_product_attention(
            self.rotated(queries), self.rotated(keys), values, is_causal=True
        )
        return self.out(ys.permute(2, 0, 1, 3).reshape(T, B, H)), None


def network(name, K, size, dropped, longest):
    """A network by its name. size: units, or (units, blocks). longest: steps for attention."""
    if isinstance(size, int):
        return Recurrent(name.split(",")[0], K, size, dropped)
    H, blocks = size
    if name == "Transformer":
        mixers = [Attention(H, longest) for _ in range(blocks)]
    else:
        mixers = [recurrent(name, H, H) for _ in range(blocks)]
    return Deep(mixers, K, H, dropped)
