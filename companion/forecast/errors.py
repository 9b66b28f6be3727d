"""How wrong forecasts are: errors in the units of the series, scaled, and against a baseline."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from companion.forecast.checks import check_count, check_same_shape, check_series
from companion.types import Array


def mae(targets: ArrayLike, forecasts: ArrayLike) -> float:
    """Mean absolute error, in the units of the series.

    targets, forecasts: of one shape, (N,) or (N, ...). Returns a number.
    Raises ValueError for two shapes, or NaN.
    """
    targets, forecasts = check_same_shape(targets, forecasts, ("targets", "forecasts"))
    return float(np.mean(np.abs(targets - forecasts)))


def rmse(targets: ArrayLike, forecasts: ArrayLike) -> float:
    """Root of the mean squared error, in the units of the series; large errors weigh more.

    targets, forecasts: of one shape, (N,) or (N, ...). Returns a number.
    Raises ValueError for two shapes, or NaN.
    """
    targets, forecasts = check_same_shape(targets, forecasts, ("targets", "forecasts"))
    return float(np.sqrt(np.mean((targets - forecasts) ** 2)))


def mase(targets: ArrayLike, forecasts: ArrayLike, past: ArrayLike, period: int = 1) -> float:
    """Mean absolute scaled error: that of the forecasts over that of the naive one on the past.

    The naive forecast repeats the value of one period before. Below 1 the forecasts err less than
    it did on the past.

    targets, forecasts: of one shape, (N,) or (N, ...). past: (T,), what the forecaster was
    fitted on. period: steps of a season, 1 for none.
    Returns a number, without units.
    Raises ValueError for other arguments, and for a past that repeats itself exactly.
    Source: Hyndman and Koehler (2006); with a period, Hyndman and Athanasopoulos (2018), 3.4.
    """
    past = check_series(past, "past")
    if past.ndim != 1 or np.isnan(past).any():
        raise ValueError(f"past must have shape (T,) and no NaN, got {past.shape}")
    check_count("period", period, 1, len(past) - 1)
    unit = np.mean(np.abs(past[period:] - past[:-period]))
    if unit == 0:
        raise ValueError(f"past must not repeat itself exactly after period = {period}")
    return mae(targets, forecasts) / float(unit)


def skill(error: float, baseline: float) -> float:
    """Share of a baseline's error that is gone: 1 - error / baseline.

    1 is perfect, 0 as good as the baseline, below 0 worse. error, baseline: two mean errors of
    one kind on the same targets. Returns a number, without units.
    Raises ValueError unless error >= 0 and baseline > 0.
    """
    if not (error >= 0 and baseline > 0):
        raise ValueError(f"error must be >= 0 and baseline > 0, got {error} and {baseline}")
    return float(1 - error / baseline)


def pinball(targets: ArrayLike, quantiles: ArrayLike, levels: ArrayLike) -> Array:
    """Pinball loss of forecast quantiles, in the units of the series; its mean is the score.

    It is level · (target - quantile) where the target is the larger, and
    (1 - level) · (quantile - target) elsewhere: the true quantile makes the mean of it smallest.

    targets: (N,) or (N, ...). quantiles: the same with one axis more, (..., K). levels: (K,),
    each between 0 and 1. Returns the losses, of the shape of quantiles.
    Raises ValueError for other shapes or levels, or NaN. Source: Koenker and Bassett (1978).
    """
    levels, quantiles = np.asarray(levels, np.float64), np.asarray(quantiles, np.float64)
    if levels.ndim != 1 or not levels.size or not (levels.min() > 0 and levels.max() < 1):
        raise ValueError(f"levels must be a list of numbers between 0 and 1, got {levels}")
    if quantiles.ndim < 2 or quantiles.shape[-1] != len(levels):
        raise ValueError(
            f"quantiles must have shape (N, ..., K) with K = {len(levels)} levels, "
            f"got {quantiles.shape}"
        )
    targets = np.asarray(targets, np.float64)[..., None]
    if targets.shape[:-1] != quantiles.shape[:-1]:
        raise ValueError(
            f"targets must have shape {quantiles.shape[:-1]}, got {targets.shape[:-1]}"
        )
    over, _ = check_same_shape(targets - quantiles, quantiles, ("targets - quantiles",) * 2)
    return np.maximum(levels * over, (levels - 1) * over)
