"""Sequences that hold several episodes: the state is zero again wherever one begins."""

from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence

from companion.nn.batch_layout import Hidden, layout_of


def run_with_resets(
    layer: Any, input: torch.Tensor, resets: torch.Tensor, hx: Hidden | None = None
) -> tuple[torch.Tensor, Hidden]:
    """Run a layer whose state is set to zero before some steps, as where episodes begin.

    An episode, which is what lies between two resets, becomes a sequence of its own, and the layer
    runs once over all of them as a `PackedSequence`: there is no loop over steps. A reset before
    the first step puts zeros in place of hx. The reverse direction starts from zero at the end of
    every episode but the last of a sequence, where it starts from hx.
    layer: of `companion.nn`, or torch.nn.LSTM, GRU or RNN.
    input, hx: as for a call of the layer; input is a tensor, no PackedSequence.
    resets: bool, of the shape of input without its last axis: (T, B), (B, T) with batch_first, or
    (T,). True where the state before that step is set to zero.
    Returns what the layer returns: h at every step, laid out like input, and the last state, that
    of the reverse direction after it has read the first step.
    Raises ValueError if resets or hx do not fit.
    """
    if isinstance(input, PackedSequence):
        raise ValueError(
            "input must be a tensor, with filling where sequences end, got a PackedSequence"
        )
    layout = layout_of(input, layer.batch_first)
    if resets.dtype != torch.bool or resets.shape != input.shape[:-1]:
        got = f"{resets.dtype} {tuple(resets.shape)}"
        raise ValueError(f"resets must be bool, of shape {tuple(input.shape[:-1])}, got {got}")
    if not input.shape[:-1].numel():
        return layer(input, hx)
    data = layout.enter(input).transpose(0, 1)  # (B, T, D)
    B, T, D = data.shape
    reset = layout.enter(resets.unsqueeze(-1)).squeeze(-1).t()
    begins = reset.clone()
    begins[:, 0] = True
    # Episodes, the longest first: their first steps, counted over all sequences, and lengths.
    first = begins.flatten().nonzero().squeeze(1)
    length = torch.diff(first, append=first.new_tensor([B * T]))
    length, order = length.sort(descending=True, stable=True)
    first = first[order]
    # The steps of all episodes, by step and then by episode, as a PackedSequence holds them.
    episode = torch.arange(len(first), device=first.device).repeat_interleave(length)
    step = torch.arange(B * T, device=first.device) - (length.cumsum(0) - length)[episode]
    step, order = step.sort(stable=True)
    at = first[episode[order]] + step
    packed = PackedSequence(data.reshape(B * T, D)[at], torch.bincount(step).cpu())

    sequence = first // T
    opens, closes = first % T == 0, (first + length) % T == 0
    directions = 2 if layer.bidirectional else 1
    rows = layer.num_layers * directions
    if hx is not None:
        wanted = (rows, B) if layout.batched else (rows,)
        for s in _tuple(hx):
            if s.shape[:-1] != wanted:
                shape = ", ".join(map(str, wanted))
                raise ValueError(f"hx must have shape ({shape}, units), got {tuple(s.shape)}")
        enters = torch.stack((opens & ~reset.flatten()[first], closes))[:directions]
        stays_out = ~enters.repeat(layer.num_layers, 1).unsqueeze(2)
        # No product: what is not a number would stay none.
        state = tuple(
            layout.enter_state(s)[:, sequence].masked_fill(stays_out, 0) for s in _tuple(hx)
        )
        hx = state if len(state) > 1 else state[0]
    output, last = layer(packed, hx)
    # Which episode a sequence closes with, and which it opens with: where the directions end.
    ends = torch.stack([torch.nonzero(w)[sequence[w].argsort(), 0] for w in (closes, opens)])
    ends = ends[:directions].repeat(layer.num_layers, 1)
    row = torch.arange(rows, device=first.device).unsqueeze(1)
    finals = tuple(layout.leave_state(s[row, ends]) for s in _tuple(last))
    ys = output.data[at.argsort()].view(B, T, -1).transpose(0, 1)
    return layout.leave(ys), finals if isinstance(last, tuple) else finals[0]


def _tuple(hx):
    return tuple(hx) if isinstance(hx, tuple | list) else (hx,)
