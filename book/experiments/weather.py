"""Temperature at JFK 24 hours ahead: free forecasts, a linear model, and LSTMs of two kinds."""

import numpy as np
import sklearn
import torch
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from book.experiments.lab.runner import run
from companion.data import load_weather
from companion.forecast import naive, seasonal_naive, splits, targets, windows
from companion.models.hours_ahead import (
    LEADS,
    clock,
    direct_forecasts,
    hours_net,
    recursive_forecasts,
)

SETTINGS = {
    "seeds": 5,
    "issued": "every 3 hours, for the 24 hours that follow",
    "refitted every": "30 days",
    "choice on": ["2013-07-01", "2013-08-31"],
    "test on": ["2013-09-01", "2013-12-30"],
    "linear": {"n": 48, "alpha": 100},
    "direct": {"H": 32, "epochs": 30, "lr": 0.01, "noise": 0.3},
    "recursive": {"H": 32, "epochs": 8, "lr": 0.01, "noise": 0.3},
    "data": load_weather().card.checksum,
    "sklearn": sklearn.__version__,
    "torch": torch.__version__,
}
CHOSEN = {"direct": {"lr": 0.03}, "recursive": {"H": 16}}  # what was best in the choice
NOISE = [{"noise": 0.0}, {"noise": 0.1}, {"noise": 0.6}]
RATES = [{"lr": 0.003}, {"lr": 0.03}, {"H": 16}, {"H": 64}]
CHOICES = {
    "direct": [{}, {"epochs": 10}, {"epochs": 20}, {"epochs": 60}, *NOISE, *RATES],
    "recursive": [{}, {"epochs": 4}, {"epochs": 15}, {"epochs": 30}, *NOISE, *RATES],
}


def linear(series, fold, n, alpha):
    """Ridge regression of 24 changes on the last n hours of all variables and the clock."""

    def inputs(times):
        x = windows(series, times, n).reshape(len(times), -1)
        return np.hstack([x, clock(times)])

    temp = series[:, 0]
    change = targets(temp, fold.train, LEADS) - temp[fold.train, None]
    model = make_pipeline(StandardScaler(), Ridge(alpha=alpha)).fit(inputs(fold.train), change)
    return temp[fold.test, None] + model.predict(inputs(fold.test))


def forecasts(job, series, fold):
    """Temperatures of one fold, (M, 24)."""
    method, temp = job["method"], series[:, 0]
    if method == "stays":
        return naive(temp, fold.test, LEADS)
    if method == "mean of days":
        days = range(1, job["days"] + 1)
        return np.mean([seasonal_naive(temp, fold.test, 24 * k, LEADS) for k in days], 0)
    settings = SETTINGS[method] | job.get("other", {})
    if method == "linear":
        return linear(series, fold, **settings)
    net = hours_net(series, fold, job["seed"], method == "recursive", **settings)
    issue = recursive_forecasts if method == "recursive" else direct_forecasts
    return issue(*net, fold.test)


def outcome(job):
    """Absolute errors in °C: their mean, at every lead, and of a test at every forecast."""
    torch.set_num_threads(1)
    weather = load_weather()
    series = weather.values.copy()
    series[:, 6] = np.log1p(series[:, 6])
    first, end = (
        int((np.datetime64(day, "h") - weather.time[0]).astype(int))
        for day in ("2013-07-01", "2013-09-01")
    )
    choice = "choice" in job
    times = np.arange(first, end - 24, 3) if choice else np.arange(end, len(series) - 24, 3)
    folds = splits(times, 244 if choice else 240, ahead=24, start=47)
    found = np.concatenate([forecasts(job, series, fold) for fold in folds])
    error = np.abs(found - targets(series[:, 0], times, LEADS))
    result = {"mae": round(float(error.mean()), 4)}
    if not choice:
        result["by lead"] = np.round(error.mean(0), 4).tolist()
        result["by forecast"] = np.round(error.mean(1), 3).tolist()
    return result


def jobs(seeds):
    """The test, and the choice on earlier weeks and other seeds: one setting changed at a time."""
    free = [{"method": "stays"}] + [{"method": "mean of days", "days": k} for k in (1, 15)]
    drawn = [
        {"method": kind, "seed": seed} | option
        for seed in seeds
        for kind, other in CHOSEN.items()
        for option in ({}, {"other": other})  # before the choice and after it
    ]
    choice = [{"choice": True, "method": "mean of days", "days": k} for k in range(1, 31)]
    choice += [
        {"choice": True, "method": "linear", "other": {"n": n, "alpha": alpha}}
        for n in (1, 3, 6, 12, 24, 48)
        for alpha in (10, 100, 1000)
    ]
    choice += [
        {"choice": True, "method": kind, "other": other, "seed": 100 + k}
        for k in range(2)
        for kind, others in CHOICES.items()
        for other in others
    ]
    return [*free, {"method": "linear"}, *drawn, *choice]


if __name__ == "__main__":
    run("weather", __doc__, SETTINGS, jobs, outcome)
