"""What every task gives, and the parts that the success rules are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from companion.types import Array


class Batch(NamedTuple):
    """Sequences side by side, each from step 0 on; after its end inputs and targets are 0."""

    xs: np.ndarray  #: inputs (T, B, D), float32
    targets: np.ndarray  #: (T, B, K), float32
    mask: np.ndarray  #: (T, B), bool: the steps that have a target


def one_hot(numbers: ArrayLike, K: int) -> Array:
    """Local code of whole numbers in 0 … K-1: (...) to (..., K), float32; -1 becomes all zeros."""
    return (np.asarray(numbers)[..., None] == np.arange(K)).astype(np.float32)


def last_step(lengths: Array) -> Array:
    """Mask (T, B) that is True only at the last step of each sequence; lengths: (B,)."""
    return np.arange(lengths.max(initial=0))[:, None] == lengths - 1


def until_end(lengths: Array) -> Array:
    """Mask (T, B) that is True at every step of each sequence; lengths: (B,)."""
    return np.arange(lengths.max(initial=0))[:, None] < lengths


def within(outputs: Array, batch: Batch, limit: float) -> Array:
    """Whether each sequence has all absolute errors below `limit`, wherever there is a target.

    outputs: (T, B, K). batch: what the task gave, with the targets of these outputs. limit: in the
    units of the targets.
    Returns bool (B,); an output that is NaN is wrong.
    Raises ValueError if outputs does not have the shape of the targets.
    """
    check_outputs(outputs, batch)
    good = np.abs(outputs - batch.targets) < limit
    return np.all(good.all(-1) | ~batch.mask, axis=0)


def mean_error(outputs: Array, batch: Batch) -> Array:
    """Mean absolute error of each sequence over the steps with a target and all output units.

    outputs: (T, B, K). batch: what the task gave, with the targets of these outputs.
    Returns floats (B,); NaN for a sequence without a target.
    Raises ValueError if outputs does not have the shape of the targets.
    """
    check_outputs(outputs, batch)
    error = np.abs(outputs - batch.targets).mean(-1) * batch.mask
    return error.sum(0) / batch.mask.sum(0)


def finished(
    correct: Sequence[bool] | Array,
    errors: Sequence[float] | Array,
    limit: float = np.inf,
    wrong: int = 0,
    window: int = 2000,
) -> bool:
    """The rule by which training stops in Hochreiter and Schmidhuber (1997).

    correct: whether each training sequence so far was processed correctly, oldest first.
    errors: the mean absolute error of each, in the same order; see `mean_error`.
    limit: what the average error must be below. wrong: how many sequences may be wrong. window: of
    how many sequences, the most recent ones, both are asked.
    Returns False as long as there are fewer than `window` sequences.
    Raises ValueError unless there are as many errors as answers.
    The paper's ST3(β) is limit = β. That its average training error is the absolute one, over the
    same 2000 sequences, is our reading.
    """
    if len(errors) != len(correct):
        raise ValueError(f"errors must be {len(correct)}, as many as correct, got {len(errors)}")
    if len(correct) < window:
        return False
    recent = slice(len(correct) - window, None)
    return bool(np.sum(~np.asarray(correct[recent])) <= wrong and np.mean(errors[recent]) < limit)


def steps_until_error(correct: Array) -> Array:
    """Number of steps before the first wrong one in each stream.

    correct: bool (T, B), as of `continual_reber_correct`.
    Returns whole numbers (B,), T for a stream without a wrong step.
    """
    return np.where(correct.all(0), len(correct), (~correct).argmax(0))


def check_outputs(outputs: Array, batch: Batch) -> None:
    """Raise a ValueError unless outputs has the shape of the targets."""
    if np.shape(outputs) != batch.targets.shape:
        raise ValueError(f"outputs must have shape {batch.targets.shape}, got {np.shape(outputs)}")


def check_at_least(least: int, **sizes: int) -> None:
    """Raise a ValueError that names the first size below `least`, or that is no whole number."""
    for name, size in sizes.items():
        if not isinstance(size, int | np.integer) or size < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, got {size!r}")
