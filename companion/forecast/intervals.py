"""How sure a mean over time is: errors of neighbouring forecasts are alike, so blocks are drawn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from companion.forecast.checks import check_count, check_same_shape
from companion.scores import wilson_interval


class Coverage(NamedTuple):
    """The share of targets within their intervals, and the 95 % interval of that share.

    share: from 0 to 1. low, high: the ends of its own interval.
    """

    share: float
    low: float
    high: float


def mean_interval(
    values: ArrayLike, block: int, rng: np.random.Generator | None = None, draws: int = 2000
) -> tuple[float, float]:
    """95 % interval of the mean of values that follow each other in time, by moving blocks.

    Series as long as this one are put together from stretches of `block` values, drawn anywhere
    in it with replacement. The interval is the middle 95 % of the means of these series, moved so
    that the mean of the means lies on that of the values. So what hangs together within a block
    stays together.

    values: (N,) in order of time; with further axes, the mean is taken over them first.
    block: steps, long enough that values so far apart have little to do with each other, and at
    least as many as a forecast reaches ahead; at most N / 2. With few blocks the interval is
    somewhat too narrow: of 15 blocks of an AR(1) with factor 0.8 it holds the mean in about
    90 % of series, not 95 %; block = 1 makes that 46 %.
    rng: a `numpy.random.Generator`; None means seed 0. draws: how many such series.
    Returns (low, high), in the units of the values.
    Raises ValueError for other arguments, or NaN.
    Source: Künsch (1989).
    """
    values, means = _block_means(values, block, rng, draws)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(values.mean() + low), float(values.mean() + high)


def difference_interval(
    first: ArrayLike,
    second: ArrayLike,
    block: int,
    rng: np.random.Generator | None = None,
    draws: int = 2000,
) -> tuple[float, float]:
    """95 % interval of the mean of first - second, two errors of the same forecasts, paired.

    Where it lies below 0 the first forecaster is better. Paired, since an hour that is hard for
    one is hard for the other; in moving blocks, as in `mean_interval`.

    first, second: of one shape, (N,) or (N, ...): absolute or squared errors, or losses, not
    their means. block, rng, draws: as in `mean_interval`.
    Returns (low, high), in the units of the errors.
    Raises ValueError for other arguments, or NaN.
    """
    first, second = check_same_shape(first, second, ("first", "second"))
    return mean_interval(first - second, block, rng, draws)


def coverage(
    targets: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    block: int,
    rng: np.random.Generator | None = None,
) -> Coverage:
    """How many targets lie in their forecast intervals, ends included, and how sure that is.

    The share is to be compared with the level that was promised, such as 0.9 between the quantiles
    of 0.05 and 0.95. For one quantile alone, low is -np.inf, and the level is that of the quantile.
    Moving blocks say how many independent targets would be as sure as these, and the interval of
    the share is Wilson's for so many. Where all targets are covered, or none, it is taken for
    N / block of them, so that it still has a width. With few blocks it is somewhat too narrow, like
    `mean_interval`.

    targets: (N,) or (N, ...), in order of time. low, high: of the same shape, or numbers.
    block, rng: as in `mean_interval`.
    Returns `Coverage`.
    Raises ValueError for other arguments, or NaN.
    """
    targets = np.asarray(targets, np.float64)
    ends = [np.full(targets.shape, end) if np.ndim(end) == 0 else end for end in (low, high)]
    for name, end in zip(("low", "high"), ends, strict=True):
        check_same_shape(targets, end, ("targets", name))
    if np.any(np.asarray(ends[0]) > np.asarray(ends[1])):
        raise ValueError("low must not be above high, got quantiles that cross")
    inside = (ends[0] <= targets) & (targets <= ends[1])
    _, means = _block_means(inside, block, rng, 2000)
    share, variance = float(inside.mean()), float(means.var())
    # A share of n independent targets has the variance share · (1 - share) / n.
    known = 0 < share < 1 and variance > 0
    n = min(share * (1 - share) / variance, inside.size) if known else len(inside) / block
    return Coverage(share, *wilson_interval(share * n, n))


def _block_means(values, block, rng, draws):
    """The values, (N,), and how far the means of `draws` series of blocks lie from theirs."""
    values = np.asarray(values, np.float64)
    if values.ndim < 1 or not values.size or np.isnan(values).any():
        raise ValueError(f"values must be numbers of shape (N, ...), no NaN, got {values.shape}")
    values = values.reshape(len(values), -1).mean(1)
    N = len(values)
    if N < 2:
        raise ValueError("values must be at least 2, got 1")
    block, draws = check_count("block", block, 1, N // 2), check_count("draws", draws)
    rng = np.random.default_rng(0) if rng is None else rng
    sums = np.concatenate([[0.0], np.cumsum(values)])
    lengths = np.full(-(-N // block), block)
    lengths[-1] = N - lengths[:-1].sum()
    chunk = max(1, 1_000_000 // len(lengths))  # of draws at a time: each start takes memory
    parts = []
    for first in range(0, draws, chunk):
        many = min(chunk, draws - first)
        starts = rng.integers(0, N - block + 1, (many, len(lengths)))
        parts.append(np.sum(sums[starts + lengths] - sums[starts], 1) / N)
    means = np.concatenate(parts)
    return values, means - means.mean()
