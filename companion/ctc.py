"""Connectionist temporal classification (CTC): learn a label without knowing when it is said.

At each step a network gives probabilities of K classes; class 0 is the blank, which says nothing.
A path, one class a step, spells a label: merge equal neighbours, then drop the blanks, so that
0 1 1 0 1 2 spells 1 1 2. The probability of a label is the sum over all paths that spell it.
For a label of n classes the paths are followed on 2n + 1 places, its classes with a blank before,
between and after them: 0 1 0 1 0 2 0.
Source: Graves, Fernández, Gomez and Schmidhuber (2006).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from companion.params import check_array
from companion.readout import log_softmax
from companion.types import Array

BLANK = 0


def ctc_loss(
    logits: Array, labels: Sequence[ArrayLike], lengths: ArrayLike | None = None
) -> tuple[Array, Array]:
    """Minus log-probability of a label for each sequence, and its derivative.

    logits: (T, B, K), before the softmax; -inf is a class of probability 0.
    labels: B sequences, each of whole numbers in 1 … K-1; a sequence may be empty.
    lengths: whole numbers (B,), how many steps of each sequence count, or None for T; the steps
    after them are not read.
    Returns losses (B,) in nats, in float64, and dlogits (T, B, K), the derivative of their sum: at
    each step the softmax minus the part of the label's probability that goes through each class,
    0 after a sequence's length.
    Where no path spells the label, since the steps are too few or a probability is 0, the loss
    is inf and the derivative 0: nothing to learn. A label of n classes, of which m are equal to
    the one before, needs n + m steps.
    Raises ValueError for labels, lengths or logits that do not fit, NaN, or a step all of -inf.
    Source: Graves et al. (2006), section 4, with logarithms in place of the rescaling.
    """
    check_array("logits", logits, ("T", "B", "K"))
    T, B, K = logits.shape
    lengths = _check_lengths(lengths, T, B)
    if not hasattr(labels, "__len__") or len(labels) != B:
        got = len(labels) if hasattr(labels, "__len__") else type(labels).__name__
        raise ValueError(f"labels must be {B} sequences, one for each of the batch, got {got}")
    losses = np.zeros(B, np.result_type(logits, np.float64))
    dlogits = np.zeros_like(logits)
    for b, n in enumerate(lengths):
        label = _check_label(f"labels[{b}]", labels[b], K)
        log_p = _log_probabilities(f"logits[:, {b}]", logits[:n, b])
        losses[b], shares = _sum_paths(log_p, label)
        if shares is not None:
            classes = _places(label)[:, None] == np.arange(K)
            dlogits[:n, b] = np.exp(log_p) - shares @ classes
    return losses, dlogits


def ctc_alignment(logits: Array, label: ArrayLike) -> Array:
    """When a label is said: the probability that its path is at each place, step by step.

    logits: (T, K), of one sequence, before the softmax. label: n whole numbers in 1 … K-1.
    Returns shares (T, 2n + 1), in float64, each row of sum 1; columns are a blank, the first class
    of the label, a blank, …
    Raises ValueError as `ctc_loss`, and if no path spells the label.
    Source: Graves et al. (2006), section 4.
    """
    check_array("logits", logits, ("T", "K"))
    label = _check_label("label", label, logits.shape[1])
    _, shares = _sum_paths(_log_probabilities("logits", logits), label)
    if shares is None:
        needed = len(label) + int(np.sum(label[1:] == label[:-1]))
        raise ValueError(
            f"label must have a path of {len(logits)} steps with a probability above 0, got none; "
            f"it needs at least {needed} steps"
        )
    return shares


@np.errstate(divide="ignore", over="ignore")  # log 0 and sums below -1e308 are rightly -inf
def _sum_paths(log_p, label):
    """Minus log of the sum over all paths, and the shares of `ctc_alignment`, None if it is inf."""
    places = _places(label)
    here = log_p[:, places]
    arrive = _arrive(here, places)
    # What is still to come is what has been, read from the end.
    leave = _arrive(here[::-1, ::-1], places[::-1])[::-1, ::-1]
    through = arrive + here + leave
    if not len(through):
        return (np.inf, None) if len(label) else (0.0, np.exp(through))
    loss = -_log_sum(through[-1])
    return loss, np.exp(log_softmax(through)) if np.isfinite(loss) else None


def _arrive(here, places):
    """Log-probability of all ways to each place at each step, without that step's own.

    A path stays, goes to the next place, or jumps the blank between two different labels.
    """
    arrive = np.full_like(here, -np.inf)
    arrive[:1, :2] = 0
    jumps = places[2:] != places[:-2]  # two blanks are equal, too
    for t in range(1, len(here)):
        ways = np.full((3, len(places)), -np.inf, here.dtype)
        ways[0] = arrive[t - 1] + here[t - 1]
        ways[1, 1:] = ways[0, :-1]
        ways[2, 2:][jumps] = ways[0, :-2][jumps]
        arrive[t] = _log_sum(ways)
    return arrive


def _log_sum(x):
    """Logarithm of the sum of exp(x) over the first axis, also where all are -inf."""
    top = x.real.max(0)
    top = np.where(top == -np.inf, 0, top)
    return top + np.log(np.exp(x - top).sum(0))


def _places(label):
    """A blank before, between and after all: (2n + 1,)."""
    places = np.full(2 * len(label) + 1, BLANK)
    places[1::2] = label
    return places


def _log_probabilities(name, logits):
    """The checked logits as log-probabilities in float64: sums over many steps lose digits."""
    if np.isnan(logits).any() or (logits.real == np.inf).any():
        raise ValueError(f"{name} must be finite or -inf, got NaN or inf")
    if (logits.real == -np.inf).all(-1).any():
        raise ValueError(f"{name} must have a number above -inf at each step, got -inf for all")
    return log_softmax(logits.astype(np.result_type(logits, np.float64)))


def _check_label(name, label, K):
    label = np.asarray(label)
    if label.ndim != 1 or (label.size and label.dtype.kind not in "iu"):
        raise ValueError(
            f"{name} must be a sequence of whole numbers, got {label.dtype} of shape {label.shape}"
        )
    if label.size and not (1 <= label.min() and label.max() < K):
        raise ValueError(
            f"{name} must be in 1 … {K - 1}, since 0 is the blank, "
            f"got {label.min()} … {label.max()}"
        )
    return label.astype(np.int64)


def _check_lengths(lengths, T, B):
    lengths = np.full(B, T) if lengths is None else np.asarray(lengths)
    if lengths.shape != (B,) or (B and lengths.dtype.kind not in "iu"):
        raise ValueError(
            f"lengths must be whole numbers of shape ({B},), "
            f"got {lengths.dtype} of shape {lengths.shape}"
        )
    if B and not (0 <= lengths.min() and lengths.max() <= T):
        raise ValueError(f"lengths must be in 0 … {T}, got {lengths.min()} … {lengths.max()}")
    return lengths
