"""What every function of `companion.forecast` asks of series, times and other arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from companion.types import Array


def check_series(series: ArrayLike, name: str = "series") -> Array:
    """The series as floats of shape (T,) or (T, D); NaN may stand where a value is missing."""
    series = np.asarray(series)
    if series.dtype.kind not in "iuf" or series.ndim not in (1, 2) or not series.size:
        raise ValueError(
            f"{name} must be numbers of shape (T,) or (T, D), T > 0, "
            f"got {series.dtype} of {series.shape}"
        )
    if np.isinf(series).any():
        raise ValueError(f"{name} must be free of infinite values, got one")
    return series if series.dtype.kind == "f" else series.astype(np.float64)


def check_times(times: ArrayLike, first: int, last: int, increasing: bool = False) -> Array:
    """The times as a whole-number array (N,), all in first … last."""
    times = np.asarray(times)
    if times.ndim != 1 or times.dtype.kind not in "iu" or not times.size:
        raise ValueError(
            f"times must be whole numbers of shape (N,), N > 0, got {times.dtype} of {times.shape}"
        )
    times = times.astype(np.int64)
    if times.min() < first or times.max() > last:
        raise ValueError(f"times must be in {first} … {last}, got {times.min()} … {times.max()}")
    if increasing and np.any(np.diff(times) < 1):
        raise ValueError("times must increase from each to the next")
    return times


def check_ahead(ahead: ArrayLike) -> Array:
    """One whole number of steps, or an array (A,) of them, each at least 1."""
    ahead = np.asarray(ahead)
    if ahead.ndim > 1 or ahead.dtype.kind not in "iu" or not ahead.size or ahead.min() < 1:
        raise ValueError(
            f"ahead must be a whole number of at least 1, or a list of such, got {ahead.tolist()}"
        )
    return ahead.astype(np.int64)


def check_count(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """A whole number from `least` to `most`."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        wanted = f"of at least {least}" if most is None else f"in {least} … {most}"
        raise ValueError(f"{name} must be a whole number {wanted}, got {value!r}")
    return int(value)


def check_same_shape(
    first: ArrayLike, second: ArrayLike, names: tuple[str, str]
) -> tuple[Array, Array]:
    """Both as float64 arrays, of one shape and with no NaN: (N,) and (N, 1) are not the same."""
    first, second = (np.asarray(values, np.float64) for values in (first, second))
    if first.shape != second.shape or first.ndim < 1 or not first.size:
        raise ValueError(
            f"{names[0]} and {names[1]} must have one shape (N,) or (N, ...), N > 0, "
            f"got {first.shape} and {second.shape}"
        )
    for name, values in zip(names, (first, second), strict=True):
        if np.isnan(values).any():
            raise ValueError(f"{name} must be free of NaN, got {np.isnan(values).sum()} of them")
    return first, second
