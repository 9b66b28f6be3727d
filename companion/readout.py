"""From hidden states to a loss: a linear layer, and two losses with their derivatives."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from companion.params import check_array
from companion.types import Array, Params


def init_linear(H: int, K: int, rng: np.random.Generator, dtype: DTypeLike = np.float64) -> Params:
    """Draw the readout's parameters, uniform in (-1/√H, 1/√H), as torch.nn.Linear does.

    H: number of inputs, the cell's units. K: number of outputs. rng: a `numpy.random.Generator`.
    dtype: float64 or float32, like the cell's.
    Returns {"weight": (K, H), "bias": (K,)}; the names do not clash with a cell's.
    """
    bound = 1 / np.sqrt(H)
    draw = {"weight": rng.uniform(-bound, bound, (K, H)), "bias": rng.uniform(-bound, bound, K)}
    return {name: value.astype(dtype) for name, value in draw.items()}


def linear(params: Params, hs: Array) -> Array:
    """Outputs hs · weightᵀ + bias.

    params: as of `init_linear`. hs: (..., H), such as all h of a cell, (T, B, H).
    Returns an array (..., K).
    Raises ValueError if hs does not end in the H of params["weight"] (K, H).
    """
    H = params["weight"].shape[1]
    if not isinstance(hs, np.ndarray) or hs.ndim == 0 or hs.shape[-1] != H:
        raise ValueError(f"hs must have shape (..., {H}), got {np.shape(hs)}")
    return hs @ params["weight"].T + params["bias"]


def linear_backward(params: Params, hs: Array, dys: Array) -> tuple[Params, Array]:
    """Carry the derivative of a loss back through `linear`.

    params, hs: as given to it. dys: derivative of the loss with respect to the outputs, (..., K).
    Returns grads {"weight": (K, H), "bias": (K,)} and dhs (..., H).
    Raises ValueError for a dys that does not fit in shape or dtype.
    """
    K, H = params["weight"].shape
    check_array("dys", dys, (*hs.shape[:-1], K), hs.dtype)
    flat = dys.reshape(-1, K)
    grads = {"weight": flat.T @ hs.reshape(-1, H), "bias": flat.sum(0)}
    return grads, dys @ params["weight"]


def log_softmax(logits: Array) -> Array:
    """Logarithms of softmax(logits), for any finite logits and -inf, which has probability 0.

    logits: (..., K), each row with a number above -inf.
    Returns the same shape.
    """
    with np.errstate(over="ignore"):  # a difference below -1e308 is rightly -inf
        # Complex numbers, as the complex step has them, are sorted by their real part.
        shifted = logits - logits.real.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def cross_entropy(logits: Array, targets: ArrayLike) -> tuple[float, Array]:
    """Mean cross-entropy of softmax(logits) in nats, and its derivative.

    logits: (..., K). targets: whole numbers in 0 … K-1, of shape (...).
    Returns the loss, a float, and dlogits (..., K) = (softmax - one-hot) / number of targets.
    Divide by ln 2 for bits.
    Raises ValueError for targets that are out of range, do not fit, or are empty.
    """
    K = logits.shape[-1]
    targets = np.asarray(targets)
    if targets.shape != logits.shape[:-1] or targets.dtype.kind not in "iu":
        raise ValueError(
            f"targets must be whole numbers of shape {logits.shape[:-1]}, "
            f"got {targets.dtype} of shape {targets.shape}"
        )
    if targets.size == 0:
        raise ValueError("targets must not be empty: the mean of no losses is undefined")
    if targets.min() < 0 or targets.max() >= K:
        raise ValueError(f"targets must be in 0 … {K - 1}, got {targets.min()} … {targets.max()}")
    # Subtracting the largest logit changes nothing but keeps exp from overflowing.
    shifted = logits - logits.max(-1, keepdims=True)
    dlogits = np.exp(shifted)
    total = dlogits.sum(-1, keepdims=True)
    picked = np.take_along_axis(shifted, targets[..., None], -1)
    loss = float(np.mean(np.log(total) - picked))
    dlogits /= total
    np.put_along_axis(
        dlogits, targets[..., None], np.take_along_axis(dlogits, targets[..., None], -1) - 1, -1
    )
    dlogits /= targets.size
    return loss, dlogits


def squared_error(ys: Array, targets: Array) -> tuple[float, Array]:
    """Mean squared error over all entries, and its derivative.

    ys: any shape. targets: the same shape and dtype.
    Returns the loss, a float, and dys = 2 (ys - targets) / number of entries.
    Raises ValueError for targets that do not fit, or for arrays without an entry.
    """
    check_array("targets", targets, ys.shape, ys.dtype)
    if ys.size == 0:
        raise ValueError("ys must not be empty: the mean of no errors is undefined")
    error = ys - targets
    return float(np.mean(error * error)), 2 * error / error.size
