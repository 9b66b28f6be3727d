"""Forecasts of a series that are judged fairly: what is known when, baselines, errors, leaks.

A series has shape (T,) or (T, D). Step t is its row t, counted from 0. A forecast is issued at a
time t, the last step that it may read, and is about step t + ahead. A forecaster is a function
(series, times) -> forecasts, one row a time; `find_leak` says exactly what it must be, and finds
out whether it reads its future. With a model that is fitted again every 50 times:

    def forecaster(series, times):
        return np.concatenate([
            model.fit(windows(series, train, 24), targets(series, train))
            .predict(windows(series, test, 24))
            for train, test in splits(times, 50, start=23)
        ])

    print(find_leak(forecaster, series, times))
"""

from companion.forecast.baselines import climatology, drift, naive, seasonal_naive
from companion.forecast.errors import mae, mase, pinball, rmse, skill
from companion.forecast.intervals import Coverage, coverage, difference_interval, mean_interval
from companion.forecast.leak import find_leak
from companion.forecast.past import Scaling, Split, fit_scaling, splits, targets, windows
from companion.forecast.report import LeakReport, Moved

__all__ = [
    "Coverage",
    "LeakReport",
    "Moved",
    "Scaling",
    "Split",
    "climatology",
    "coverage",
    "difference_interval",
    "drift",
    "find_leak",
    "fit_scaling",
    "mae",
    "mase",
    "mean_interval",
    "naive",
    "pinball",
    "rmse",
    "seasonal_naive",
    "skill",
    "splits",
    "targets",
    "windows",
]
