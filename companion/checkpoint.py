"""Long sequences in little memory: keep a state now and then, and compute the steps again.

A tape holds every step, O(T). With a checkpoint every √T steps, what is kept is √T states and,
during `backward`, the tape of √T steps; the price is one more forward pass.
Source: Griewank and Walther (2000), with one level of checkpoints.
"""

import math
from typing import NamedTuple

import numpy as np

from companion.unroll import backward, forward


class Checkpoints(NamedTuple):
    """What `forward_checkpointed` keeps: the inputs, and the state before every stretch."""

    xs: np.ndarray  # (T, B, D)
    states: list[tuple[np.ndarray, ...]]  # one tuple of (B, H) a stretch
    every: int  # steps in a stretch


def forward_checkpointed(cell, params, xs, state=None, every=None):
    """`forward`, keeping only the state of every `every`-th step.

    every: steps between checkpoints; None means √T, rounded up.
    Returns ys, the last state, and `Checkpoints` in place of the tape.
    Raises ValueError as `forward` does, or if every is below 1.
    """
    if every is None:
        every = max(1, math.ceil(math.sqrt(len(xs))))
    if every < 1:
        raise ValueError(f"every must be at least 1, got {every}")
    states, ys = [], []
    # The empty first stretch checks all arguments, even where there is no step.
    part, state, _ = forward(cell, params, xs[:0], state, keep_tape=False)
    for start in range(0, len(xs), every):
        states.append(state)
        part, state, _ = forward(cell, params, xs[start : start + every], state, keep_tape=False)
        ys.append(part)
    ys = np.concatenate(ys) if ys else part
    return ys, state, Checkpoints(np.array(xs, order="C"), states, every)


def backward_checkpointed(cell, params, checkpoints, dys, dstate=None):
    """`backward`, computing the tape of one stretch at a time again from its checkpoint.

    checkpoints: as returned by `forward_checkpointed`. Everything else as in `backward`.
    """
    xs, states, every = checkpoints
    _, _, tape = forward(cell, params, xs[:0])
    zero_steps = backward(cell, params, tape, dys[:0])
    grads, dxs = zero_steps[0], np.empty_like(xs)
    if dys.shape[0] != len(xs):
        raise ValueError(f"dys must have {len(xs)} steps like xs, got shape {dys.shape}")
    for k in reversed(range(len(states))):
        stretch = slice(k * every, (k + 1) * every)
        _, _, tape = forward(cell, params, xs[stretch], states[k])
        part, dxs[stretch], dstate = backward(cell, params, tape, dys[stretch], dstate)
        for name, value in part.items():
            grads[name] += value
    return grads, dxs, zero_steps[2] if dstate is None else tuple(dstate)
