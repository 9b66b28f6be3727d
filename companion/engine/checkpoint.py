"""Long sequences in little memory: keep a state now and then, and compute the steps again.

A tape holds every step, O(T). With a checkpoint every √T steps, what is kept is √T states and,
during `backward`, the tape of √T steps; the price is one more forward pass.
Source: Griewank and Walther (2000), with one level of checkpoints.
"""

import math
from typing import NamedTuple

import numpy as np

from companion.cells import Cell
from companion.engine.unroll import backward, forward
from companion.params import check_array
from companion.types import Array, Params, State


class Checkpoints(NamedTuple):
    """What `forward_checkpointed` keeps: the inputs, and the state before every stretch."""

    xs: np.ndarray  #: The inputs, (T, B, D).
    states: list[State | None]  #: One tuple of (B, H) a stretch; None is zeros.
    every: int  #: Steps in a stretch; the last may be shorter.


def forward_checkpointed(
    cell: Cell | str,
    params: Params,
    xs: Array,
    state: State | None = None,
    every: int | None = None,
) -> tuple[Array, State, Checkpoints]:
    """`forward`, keeping only the state of every `every`-th step, for `backward_checkpointed`.

    A tape holds every step. With a checkpoint every √T steps, what is kept of the states is √T of
    them and, on the way back, the tape of √T steps; the price is one more forward pass.
    cell, params, xs, state: as for `forward`.
    every: steps between checkpoints; None means √T, rounded up.
    Returns ys (T, B, H), the last state, and `Checkpoints` in place of the tape.
    Raises ValueError as `forward` does, or if every is below 1.
    Source: Griewank and Walther (2000), with one level of checkpoints.
    """
    check_array("xs", xs, ("T", "B", "D"))
    if every is None:
        every = max(1, math.ceil(math.sqrt(len(xs))))
    if not isinstance(every, int | np.integer) or every < 1:
        raise ValueError(f"every must be a whole number of at least 1, got {every!r}")
    states: list[State | None] = []
    ys = []
    for start in range(0, max(len(xs), 1), every):  # at least one stretch, if need be an empty one
        part, after, _ = forward(cell, params, xs[start : start + every], state, keep_tape=False)
        states.append(None if state is None else tuple(map(np.array, state)))
        state = after
        ys.append(part)
    assert state is not None  # there was a stretch
    return np.concatenate(ys), state, Checkpoints(np.array(xs, order="C"), states, every)


def backward_checkpointed(
    cell: Cell | str,
    params: Params,
    checkpoints: Checkpoints,
    dys: Array,
    dstate: State | None = None,
) -> tuple[Params, Array, State]:
    """`backward`, computing the tape of one stretch at a time again from its checkpoint.

    checkpoints: as returned by `forward_checkpointed`, of the same cell and params.
    dys, dstate: as for `backward`.
    Returns what `backward` does, with the same result but for rounding, and raises the same errors.
    """
    xs, states, every = checkpoints
    check_array("dys", dys, (*xs.shape[:2], "H"), xs.dtype)
    grads: Params = {}
    dxs = np.empty_like(xs)
    for k in reversed(range(len(states))):
        stretch = slice(k * every, (k + 1) * every)
        _, _, tape = forward(cell, params, xs[stretch], states[k])
        part, dxs[stretch], dstate = backward(cell, params, tape, dys[stretch], dstate)
        grads = {name: grads[name] + part[name] if grads else part[name] for name in part}
    assert dstate is not None  # there was a stretch
    return grads, dxs, dstate
