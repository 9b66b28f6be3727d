"""Where time and batch are: batch first or second, no batch, or a `PackedSequence`.

Inside, layers work on parts, each (T, B, D), where B falls from one part to the next: one part for
a whole tensor, and for a `PackedSequence` one for each length that occurs, so that no step is spent
on padding, and the reverse direction starts at each sequence's own end.
"""

from typing import NamedTuple

import torch
from torch._subclasses import FakeTensor
from torch.nn.utils.rnn import PackedSequence

# What a layer reads and writes, and its state: h, or a tuple of h and the others.
Input = torch.Tensor | PackedSequence
Hidden = torch.Tensor | tuple[torch.Tensor, ...]


class Layout(NamedTuple):
    """How the caller laid out time and batch."""

    batched: bool
    batch_first: bool
    packed: PackedSequence | None

    def enter(self, input):
        """The caller's input, as (T, B, D), or (N, D) if packed."""
        if self.packed:
            return input.data
        if not self.batched:
            return input.unsqueeze(1)
        return input.transpose(0, 1) if self.batch_first else input

    def leave(self, data):
        """What `enter` or `join` returns, laid out like the caller's input."""
        if self.packed:
            return self.packed._replace(data=data)
        if not self.batched:
            return data.squeeze(1)
        return data.transpose(0, 1) if self.batch_first else data

    def batch(self, data):
        """Number of sequences in what `enter` returns."""
        return int(self.packed.batch_sizes[0]) if self.packed else data.shape[1]

    def enter_state(self, state):
        """The caller's state, as (layers, B, H), in the order of the packed sequences."""
        if self.packed and self.packed.sorted_indices is not None:
            return state.index_select(1, self.packed.sorted_indices)
        return state if self.batched else state.unsqueeze(1)

    def leave_state(self, state):
        """The inverse of `enter_state`."""
        if self.packed and self.packed.unsorted_indices is not None:
            return state.index_select(1, self.packed.unsorted_indices)
        return state if self.batched else state.squeeze(1)

    def split(self, data):
        """The parts of what `enter` returns."""
        if not self.packed:
            return [data]
        sizes, steps = self.packed.batch_sizes.unique_consecutive(return_counts=True)
        shapes = list(zip(steps.tolist(), sizes.tolist(), strict=True))
        parts = data.split([T * B for T, B in shapes])
        return [part.view(*shape, -1) for part, shape in zip(parts, shapes, strict=True)]

    def join(self, parts):
        """The inverse of `split`."""
        if not self.packed:
            return parts[0]
        return torch.cat([part.flatten(0, 1) for part in parts])


def layout_of(input, batch_first):
    """The layout of a layer's input."""
    if isinstance(input, PackedSequence):
        traced = torch._C._get_tracing_state() is not None  # it would keep the lengths it has seen
        if traced or isinstance(input.batch_sizes, FakeTensor):
            raise ValueError(
                "input must be a tensor while a model is exported or traced: of a PackedSequence "
                "no lengths are known then; take one sequence, or sequences of one length"
            )
        return Layout(True, False, input)
    alone = isinstance(input, torch.Tensor) and input.dim() == 2
    return Layout(not alone, batch_first, None)


def over_parts(run, parts, first, reverse=False):
    """Run over parts one after the other, handing on the state.

    run: from xs (T, B, D) and a state to a tuple of values (T, B, H), and the last state.
    first: the first state, a tuple of (B, H). reverse: whether to run from the end to the start.
    Returns the values, a tuple for each part, and each sequence's last state.
    """
    if reverse:
        return _over_parts_reversed(run, parts, first)
    results, ended, state = [], [], first
    for xs in parts:
        B = xs.shape[1]
        if B < state[0].shape[0]:
            ended.append([s[B:] for s in state])
            state = tuple(s[:B] for s in state)
        values, state = run(xs, state)
        results.append(values)
    if ended:
        state = tuple(map(torch.cat, zip(state, *reversed(ended), strict=True)))
    return results, state


def _over_parts_reversed(run, parts, first):
    results, state = [], tuple(s[: parts[-1].shape[1]] for s in first)
    for xs in reversed(parts):
        B, ready = xs.shape[1], state[0].shape[0]
        if B > ready:
            state = tuple(torch.cat((s, new[ready:B])) for s, new in zip(state, first, strict=True))
        values, state = run(xs.flip(0), state)
        results.append(tuple(value.flip(0) for value in values))
    return results[::-1], state
