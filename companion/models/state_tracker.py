"""Networks that answer at every step: a recurrent layer with a readout, and a stack of blocks."""

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention, silu

from companion.models.min_lstm import MinLSTM, torch_scan
from companion.nn import LSTM, RNN

POSITIONS = ("none", "rotary")


class Recurrent(nn.Module):
    """One layer of `companion.nn`, an LSTM or a plain RNN, and a linear readout.

    The LSTM starts with a forget bias of 1. The RNN starts with an orthogonal recurrent matrix and
    biases of zero: with weights as torch draws them it seldom learns to track a state.
    Called with xs (T, B, D), returns logits (T, B, K).
    cell: "lstm" or "rnn". D: inputs. H: units. K: outputs.
    """

    def __init__(self, cell: str, D: int, H: int, K: int) -> None:
        super().__init__()
        if cell not in ("lstm", "rnn"):
            raise ValueError(f"cell must be 'lstm' or 'rnn', got {cell!r}")
        self.layer = LSTM(D, H, forget_bias=1.0) if cell == "lstm" else RNN(D, H)
        self.readout = nn.Linear(H, K)
        if cell == "rnn":
            nn.init.orthogonal_(self.layer.get_parameter("weight_hh_l0"))
            nn.init.zeros_(self.layer.get_parameter("bias_ih_l0"))
            nn.init.zeros_(self.layer.get_parameter("bias_hh_l0"))

    def forward(self, xs: torch.Tensor) -> torch.Tensor:
        return self.readout(self.layer(xs)[0])


class Stack(nn.Module):
    """Blocks that mix over time and then think at every step, with residuals and layer norms.

    A learned vector stands before the first input, so that a state can begin at something, and
    attention has something to look at that is always there.
    Called with xs (T, B, D), returns logits (T, B, K).
    mixer: what mixes over time. "min_lstm" is `MinLSTM`; "positive" or "signed" is a `Diagonal`
    with factors in (0, 1) or (-1, 1); "none" or "rotary" is causal `Attention` with this kind of
    position. D: inputs. H: numbers in a block, for attention a multiple of 8. K: outputs.
    depth: number of blocks.
    Raises ValueError for another mixer.
    """

    def __init__(self, mixer: str, D: int, H: int, K: int, depth: int = 2) -> None:
        super().__init__()
        self.embed, self.start = nn.Linear(D, H), nn.Parameter(torch.randn(H) / H**0.5)
        self.mixers = nn.ModuleList(make_mixer(mixer, H) for _ in range(depth))
        self.thinkers = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(H), nn.Linear(H, 2 * H), nn.GELU(), nn.Linear(2 * H, H))
            for _ in range(depth)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(H) for _ in range(depth))
        self.readout = nn.Sequential(nn.LayerNorm(H), nn.Linear(H, K))

    def forward(self, xs: torch.Tensor) -> torch.Tensor:
        ys = torch.cat([self.start.expand(1, xs.shape[1], -1), self.embed(xs)])
        for norm, mixer, thinker in zip(self.norms, self.mixers, self.thinkers, strict=True):
            ys = ys + mixer(norm(ys))
            ys = ys + thinker(ys)
        return self.readout(ys[1:])


def make_mixer(name: str, H: int) -> nn.Module:
    """The layer of a `Stack` that mixes over time, called with (T, B, H) and returning the same.

    name: a mixer, as of `Stack`.
    Raises ValueError for another name.
    """
    if name in POSITIONS:
        return Attention(H, name)
    if name == "min_lstm":
        return Gated(MinLSTM(H, H), H)
    if name in ("positive", "signed"):
        return Gated(Diagonal(H, signed=name == "signed"), H)
    known = ["min_lstm", "positive", "signed", *POSITIONS]
    raise ValueError(f"mixer must be one of {known}, got {name!r}")


class Gated(nn.Module):
    """The outputs of a recurrent layer, times a gate of the same input, then projected.

    Called with xs (T, B, H), returns (T, B, H).
    layer: called as layer(xs) -> (ys, state), all of H numbers a step; the state is dropped.
    """

    def __init__(self, layer: nn.Module, H: int) -> None:
        super().__init__()
        self.layer, self.gate, self.out = layer, nn.Linear(H, H), nn.Linear(H, H)

    def forward(self, xs: torch.Tensor) -> torch.Tensor:
        return self.out(self.layer(xs)[0] * silu(self.gate(xs)))


class Diagonal(nn.Module):
    """A diagonal linear recurrence whose factor is read from the input: h_t = a_t h_(t-1) + b_t.

    a_t and b_t are linear in the input, a_t then squashed; the first state is zero.
    Called with xs (T, B, H), T ≥ 1, returns ys (T, B, H) and the last state (B, H).
    signed: a_t goes through tanh, to (-1, 1), if true, else through the sigmoid, to (0, 1).
    Source: Grazzi et al. (2025), who open the range of a_t to negative numbers.
    """

    def __init__(self, H: int, signed: bool) -> None:
        super().__init__()
        self.factor, self.write = nn.Linear(H, H), nn.Linear(H, H)
        self.squash = torch.tanh if signed else torch.sigmoid

    def forward(self, xs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        b = self.write(xs)
        ys = torch_scan(self.squash(self.factor(xs)), b, torch.zeros_like(b[0]))
        return ys, ys[-1]


class Attention(nn.Module):
    """Causal self-attention, with one of two kinds of position.

    Called with xs (T, B, H), returns (T, B, H).
    H: a multiple of heads, with "rotary" of 2 · heads. position: "none", so that the order is
    known only because later steps see more steps; or "rotary", queries and keys turned by an angle
    that grows with the step. heads: how many look side by side.
    Source: Su et al. (2021) for "rotary".
    """

    def __init__(self, H: int, position: str, heads: int = 4) -> None:
        super().__init__()
        if position not in POSITIONS:
            raise ValueError(f"position must be one of {POSITIONS}, got {position!r}")
        self.position, self.heads = position, heads
        self.inputs, self.out = nn.Linear(H, 3 * H), nn.Linear(H, H)

    def forward(self, xs: torch.Tensor) -> torch.Tensor:
        T, B, H = xs.shape
        parts = self.inputs(xs).view(T, B, 3, self.heads, H // self.heads)
        q, k, v = parts.permute(2, 1, 3, 0, 4)  # each (B, heads, T, H / heads)
        if self.position == "rotary":
            q, k = turned(q), turned(k)
        ys = scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(ys.permute(2, 0, 1, 3).reshape(T, B, H))


def turned(x: torch.Tensor, base: float = 10_000.0) -> torch.Tensor:
    """Pairs of numbers turned by an angle that grows with the step, as rotary positions do.

    x: (..., T, 2n). Pair k, from 0, is made of the numbers k and n + k; at step t, from 0, it is
    turned by t · base^(-k / n) radians. base: sets the slowest turn.
    Returns a tensor of the shape of x.
    Source: Su et al. (2021), who pair neighbouring numbers.
    """
    T, half = x.shape[-2], x.shape[-1] // 2
    speed = base ** (-torch.arange(half, dtype=x.dtype, device=x.device) / half)
    angle = torch.arange(T, dtype=x.dtype, device=x.device)[:, None] * speed
    cos, sin, one, other = angle.cos(), angle.sin(), x[..., :half], x[..., half:]
    return torch.cat([one * cos - other * sin, one * sin + other * cos], -1)
