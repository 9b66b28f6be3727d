"""Does a forecaster read its future? Change the future, and forecasts issued before must not move.

That needs no look at the forecaster's code: it may be yours, sklearn's or torch's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from companion.forecast.changes import CHANGES, change
from companion.forecast.checks import check_count, check_series, check_times
from companion.forecast.report import LeakReport, Moved
from companion.types import Array

# As a share of the largest forecast: above what rounding in float32 does, below what a leak does.
TOLERANCE = 1e-6


def find_leak(
    forecaster: Callable[[Array, Array], Any],
    series: ArrayLike,
    times: ArrayLike,
    cuts: int = 5,
    rng: np.random.Generator | None = None,
) -> LeakReport:
    """Change the future of a series: a forecast that moves, though issued before, has read it.

    forecaster: a function (series, times) -> forecasts. It gets the whole series, as an array
    of its own, and the times at which forecasts are issued: for `times[k]` it may read
    `series[: times[k] + 1]`, whatever the other times are. It returns an array (N, ...), one row
    for each time, with a number, many steps or quantiles: NumPy, a list, or a torch tensor.

      - Whatever is fitted, scaled or selected on data belongs inside the function, and all data
        must come from `series`: what was fitted before cannot be changed here.
      - What is known ahead, such as the calendar, stays outside:
        `lambda series, times: mine(series, calendar, times)`.
      - One series, one result, whatever it was called with before. If it draws, it makes its
        generator at every call.
      - If yours takes the steps that are forecast, one ahead, hand over
        `lambda series, times: mine(series, times + 1)`.

    series: (T,) or (T, D); NaN where a value is missing. times: (N,), increasing, in 0 … T-2. Take
    all that you would test on: the first tells whether training ends in time.
    cuts: after how many of the times the future is changed: the first, and others at random.
    Each in five ways, so the forecaster runs 3 + 5·cuts times, and to follow a leak about
    2·log₂ T times more. rng: a `numpy.random.Generator`; None means seed 0.

    A move counts if it is more than a millionth of the largest forecast in its column. The changes:
    values drawn anew from the column, times 3, plus twice the column's range, times noise, and
    backward with columns swapped; what is positive stays so. What moves no forecast is no leak:
    least squares forecasts the same however its inputs are scaled. A forecaster that does not read
    the series at all is reported as such, since nothing could be checked.
    Returns a `LeakReport`; `print` it, assert its `ok`.
    Raises ValueError for other arguments, and for forecasts that are not finite or not N.
    """
    series = check_series(series)
    if np.isnan(series).all(0).any():
        raise ValueError("series must have a value in every column, got one with NaN only")
    times = check_times(times, 0, len(series) - 2, increasing=True)
    cuts = min(check_count("cuts", cuts), len(times))
    rng = np.random.default_rng(0) if rng is None else rng
    name = getattr(forecaster, "__name__", type(forecaster).__name__)
    title = f"{name}, {len(times)} forecasts issued at {times[0]} … {times[-1]}"

    base = _forecasts(forecaster, series, times)
    if not np.isfinite(base).all():
        bad = times[~np.isfinite(base).all(1)][0]
        raise ValueError(f"forecasts must be finite, got NaN or inf at time {bad}")

    def moves(changed, how):
        try:
            return _moves(base, _forecasts(forecaster, changed, times))
        except Exception as error:
            error.add_note(f"find_leak: the series that it was given was {how}")
            raise

    reads = any(
        moves(change(kind, series, -1, rng), f"changed as a whole by {kind}").any()
        for kind in CHANGES
    )
    # After another series, so that whatever is carried over from call to call shows here.
    again = moves(series, "given before")
    if again.any():
        return LeakReport(title, "NOT REPEATABLE", by=float(again.max()))
    if not reads:
        return LeakReport(title, "READS NOTHING")

    # The first of the times, and one from each of as many equal parts of the others.
    parts = np.array_split(np.arange(1, len(times)), cuts - 1) if cuts > 1 else []
    ends = [0, *(int(rng.choice(part)) for part in parts)]
    tried = [_try_change(kind, moves, series, times, ends, rng) for kind in CHANGES]
    rows = tuple(row for row, _ in tried)
    (kind, moved, _, by, time, after), changed = max(tried, key=lambda pair: pair[0].by)
    if not moved:
        return LeakReport(title, "no leak found", rows)
    k, how = int(np.searchsorted(times, time)), f"changed in part by {kind}"
    sooner = change(kind, series, time, rng)
    if moves(sooner, how)[k]:
        after, changed = time, sooner
    near, far = _reads(lambda mixed: moves(mixed, how)[k] > 0, series, changed, after)
    return LeakReport(title, "LEAK", rows, by, (near - time, far - time))


def _forecasts(forecaster, series, times):
    """The forecasts as an array (N, M)."""
    result = forecaster(series.copy(), times.copy())
    result = np.asarray(result.detach().cpu() if hasattr(result, "detach") else result)
    if result.ndim < 1 or len(result) != len(times) or result.dtype.kind not in "biuf":
        raise ValueError(
            f"forecaster must return numbers with one row for each of {len(times)} times, "
            f"got {result.dtype} of {result.shape}"
        )
    return result.astype(np.float64).reshape(len(times), -1)


def _moves(base, other):
    """By how much each forecast moved, (N,); 0 within the tolerance, inf where it is lost."""
    if other.shape != base.shape:
        raise ValueError(
            f"forecaster must return one shape at every call, got {base.shape} and {other.shape}"
        )
    moves = np.where(np.isfinite(other), np.abs(other - base), np.inf)
    limit = TOLERANCE * np.abs(base).max(0)
    return np.where(moves > limit, moves, 0).max(1)


def _try_change(kind, moves, series, times, ends, rng):
    """Change the future after each of times[ends]. Returns `Moved` and the worst series."""
    row, worst = Moved(kind, 0, 0, 0.0, int(times[0]), int(times[0])), series
    for end in ends:
        after = int(times[end])
        changed = change(kind, series, after, rng)
        found = moves(changed, f"changed after time {after} by {kind}")[: end + 1]
        count, checked = row.moved + int(np.sum(found > 0)), row.checked + len(found)
        row = row._replace(moved=count, checked=checked)
        if found.max() > row.by:
            k, worst = int(np.argmax(found)), changed
            row = row._replace(by=float(found[k]), time=int(times[k]), after=after)
    return row, worst


def _reads(moves, series, changed, after):
    """Nearest and furthest of the changed steps that a forecast reads, found by halving."""

    def mixed(first, end):
        return np.concatenate([series[:first], changed[first:end], series[end:]])

    first, T = after + 1, len(series)
    far, lost = first, T  # changed from `far` on it moves, from `lost` on it does not
    while lost - far > 1:
        middle = (far + lost) // 2
        far, lost = (middle, lost) if moves(mixed(middle, T)) else (far, middle)
    near, lost = T, first  # changed up to `near` it moves, up to `lost` it does not
    while near - lost > 1:
        middle = (near + lost) // 2
        near, lost = (middle, lost) if moves(mixed(first, middle)) else (near, middle)
    return near - 1, far
