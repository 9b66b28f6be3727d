"""Forecasts that need no model; what every model is compared with.

Each is a forecaster as it stands, or with its period filled in:
`lambda series, times: seasonal_naive(series, times, 24)`.
Source: Hyndman and Athanasopoulos (2018), 3.1, for all but `climatology` with a period.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from companion.forecast.checks import check_ahead, check_count, check_series, check_times
from companion.types import Array


def naive(series: ArrayLike, times: ArrayLike, ahead: ArrayLike = 1) -> Array:
    """The last value stays: persistence, the best forecast of a random walk.

    series: (T,) or (T, D). times: (N,), when the forecasts are issued. ahead: how many steps after
    its time a forecast is about, a whole number of at least 1 or a list of A.
    Returns (N,), or (N, A) for a list of A steps, with D behind where the series has it.
    Raises ValueError for other arguments.
    """
    series, issued, _ = _check(series, times, ahead, 0)
    return series[issued]


def drift(series: ArrayLike, times: ArrayLike, ahead: ArrayLike = 1) -> Array:
    """The mean step so far goes on: a line through the first value and the last.

    series: (T,) or (T, D). times: (N,), each at least 1. ahead: steps, each at least 1.
    Returns (N,), or (N, A) for a list of A steps, with D behind where the series has it.
    Raises ValueError for other arguments.
    """
    series, issued, target = _check(series, times, ahead, 1)
    steps = ((target - issued) / issued).reshape(issued.shape + (1,) * (series.ndim - 1))
    return series[issued] + (series[issued] - series[0]) * steps


def seasonal_naive(series: ArrayLike, times: ArrayLike, period: int, ahead: ArrayLike = 1) -> Array:
    """The value one period before, or as many periods as it takes to be known.

    series: (T,) or (T, D). times: (N,), each at least period - 1. period: steps of a season.
    ahead: steps, each at least 1.
    Returns (N,), or (N, A) for a list of A steps, with D behind where the series has it.
    Raises ValueError for other arguments.
    """
    series, latest = _latest(series, times, period, ahead)
    return series[latest]


def climatology(series: ArrayLike, times: ArrayLike, period: int, ahead: ArrayLike = 1) -> Array:
    """The mean of all known values at the same place of the period.

    A value that is missing (NaN) makes NaN of every later mean that contains it.

    series: (T,) or (T, D). times: (N,), each at least period - 1. period: steps of a season; if
    it is 1, the mean of all that is known is taken. ahead: steps, each at least 1.
    Returns (N,), or (N, A) for a list of A steps, with D behind where the series has it.
    Raises ValueError for other arguments.
    """
    series, latest = _latest(series, times, period, ahead)
    sums = np.empty_like(series)
    for place in range(period):
        sums[place::period] = np.cumsum(series[place::period], 0)
    count = latest // period + 1
    return sums[latest] / count.reshape(count.shape + (1,) * (series.ndim - 1))


def _check(series, times, ahead, first):
    """The series in float64; of each forecast when it is issued and which step it is about."""
    series, ahead = check_series(series).astype(np.float64), check_ahead(ahead)
    times = check_times(times, first, len(series) - 1)
    return series, np.add.outer(times, 0 * ahead), np.add.outer(times, ahead)


def _latest(series, times, period, ahead):
    """The latest known step at the same place of the period as each target."""
    check_count("period", period, 1, len(series))
    series, issued, target = _check(series, times, ahead, period - 1)
    seasons = -(-(target - issued) // period)
    return series, target - seasons * period
