"""Ways to change the future of a series, so that whatever reads it gives another result.

Each is a function of the future (F, D), the whole series (T, D) and rng. No change makes a value
missing that was not, and what is positive stays so: a logarithm goes on working.
"""

import numpy as np

from companion.types import Array


def _replace(future, series, rng):
    """Each value drawn from those of its column, so that categories and signs stay possible."""
    columns = [column[~np.isnan(column)] for column in series.T]
    return np.stack([rng.choice(column, len(future)) for column in columns], 1)


def _scale(future, series, rng):
    return 3 * future


def _shift(future, series, rng):
    return future + 2 * _span(series)


def _noise(future, series, rng):
    """A factor and not a summand, so that what is positive stays so."""
    return future * np.exp(rng.normal(0, 0.5, future.shape))


def _swap(future, series, rng):
    """Backward in time, each column in the place of the next, in the range of that one."""
    low, span = np.nanmin(series, 0), _span(series)
    return low + span * np.roll((future[::-1] - low) / span, 1, axis=1)


def _span(series):
    span = np.nanmax(series, 0) - np.nanmin(series, 0)
    return np.where(span > 0, span, 1)


CHANGES = {
    "replace": _replace,
    "scale": _scale,
    "shift": _shift,
    "noise": _noise,
    "swap": _swap,
}


def change(kind: str, series: Array, after: int, rng: np.random.Generator) -> Array:
    """The series, (T,) or (T, D), with every step after time `after` changed in one way."""
    columns, changed = series.reshape(len(series), -1), series.copy()
    future = CHANGES[kind](columns[after + 1 :], columns, rng)
    changed[after + 1 :] = future.reshape(changed[after + 1 :].shape)
    return changed
