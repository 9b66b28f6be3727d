"""What is known at the time of a forecast: splits in time, examples, and scaling on the past."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from companion.forecast.checks import check_ahead, check_count, check_series, check_times
from companion.types import Array


class Split(NamedTuple):
    """One step of a walk forward: the times to fit on, (N,), and those to test on, (M,)."""

    train: np.ndarray
    test: np.ndarray


def splits(
    times: ArrayLike, size: int, ahead: ArrayLike = 1, window: int | None = None, start: int = 0
) -> list[Split]:
    """Walk forward: cut the times of testing into folds, and fit before each on what is known then.

    times: (N,), increasing, when the forecasts to be tested are issued. size: how many of them
    are in one fold; the last has what is left. ahead: how many steps after its time a target
    lies, the furthest if there are several. A training example of time s is known at the first
    test time t if its target is known then: s + ahead <= t. So training ends at t - ahead.
    start: the first time to train on; with windows of n steps it is n - 1. window: on how many
    of the latest times to train, for a window that slides; None for one that grows.
    Returns a list of `Split`.
    Raises ValueError for other arguments, and where nothing is left to train on.
    """
    times = check_times(times, 0, np.iinfo(np.int64).max, increasing=True)
    size, start = check_count("size", size), check_count("start", start, 0)
    if window is not None:
        window = check_count("window", window)
    ahead = int(np.max(check_ahead(ahead)))
    if times[0] < start + ahead:
        raise ValueError(
            f"times must begin at {start + ahead} or later, so that a first target is known "
            f"{ahead} steps after start = {start}, got {times[0]}"
        )
    folds = []
    for test in np.split(times, range(size, len(times), size)):
        end = int(test[0]) - ahead + 1
        first = start if window is None else max(start, end - window)
        folds.append(Split(np.arange(first, end), test))
    return folds


def windows(series: ArrayLike, times: ArrayLike, n: int) -> Array:
    """The last n steps known at each time, oldest first: an input for every forecast.

    series: (T,) or (T, D). times: (N,), each at least n - 1. n: steps, from 1 to T.
    Returns (N, n) or (N, n, D), a copy.
    Raises ValueError for other arguments.
    """
    series = check_series(series)
    n = check_count("n", n, 1, len(series))
    times = check_times(times, n - 1, len(series) - 1)
    return series[np.add.outer(times, np.arange(1 - n, 1))]


def targets(series: ArrayLike, times: ArrayLike, ahead: ArrayLike = 1) -> Array:
    """What came `ahead` steps after each time: what a forecast issued then is compared with.

    series: (T,) or (T, D). times: (N,). ahead: a number, or a list of A numbers.
    Returns (N,) or (N, A), with D behind where the series has it.
    Raises ValueError for other arguments, and for times whose targets lie behind the end.
    """
    series, ahead = check_series(series), check_ahead(ahead)
    times = check_times(times, 0, len(series) - 1 - int(ahead.max()))
    return series[np.add.outer(times, ahead)]


class Scaling(NamedTuple):
    """Mean and standard deviation, each () or (D,); `fit_scaling` makes it from the past.

    For column k alone: `Scaling(scaling.mean[k], scaling.sd[k])`.
    """

    mean: np.ndarray
    sd: np.ndarray

    def apply(self, values: ArrayLike) -> Array:
        """(values - mean) / sd, for values of shape (...) or (..., D)."""
        return (values - self.mean) / self.sd

    def undo(self, values: ArrayLike) -> Array:
        """Back to the units of the series: values · sd + mean."""
        return values * self.sd + self.mean


def fit_scaling(past: ArrayLike) -> Scaling:
    """Mean and standard deviation of what is known, column by column, missing values left out.

    past: (T,) or (T, D), such as `series[: t + 1]`; what comes after time t stays out of it.
    Returns `Scaling`; its sd divides by the number of values, not by one less, and is 1 where all
    values are equal.
    Raises ValueError for another past, or a column without a value.
    """
    past = check_series(past, "past")
    if np.isnan(past).all(0).any():
        raise ValueError("past must have a value in every column, got one with NaN only")
    sd = np.nanstd(past, 0)
    return Scaling(np.nanmean(past, 0), np.where(np.nanmin(past, 0) < np.nanmax(past, 0), sd, 1.0))
