"""Returns and volatility of three stocks a day ahead: an LSTM walking forward, 2008 to 2013."""

from itertools import product

import numpy as np
import torch

from book.experiments.lab.runner import run
from companion.data import load_stocks
from companion.forecast import splits
from companion.models.daily_returns import DAYS, LOSSES, Forecaster
from companion.models.volatility import gaussian_loss

SETTINGS = {
    "seeds": 5,
    "returns": "100 times the difference of the logarithms of two days' prices",
    "days read": DAYS,
    "refitted every": 250,
    "test": "forecasts of 2008-01-02 to 2013-03-01",
    "choice": {
        "on": "2006 and 2007, trained on the days before, forecast without refitting",
        "seeds": 2,
        "H": [4, 8],
        "lr": [0.003, 0.01],
        "epochs": [5, 10, 20],
    },
    "data": load_stocks().card.checksum,
    "torch": torch.__version__,
}

# What had the smallest mean loss in the choice. Only these rest on 2006 and 2007 alone: which days
# and inputs the network reads, and the form of the models that it is compared with, were settled
# in trials in which losses on the test had been seen as well.
CHOSEN = {
    "return": {"H": 8, "lr": 0.01, "epochs": 20},
    "volatility": {"H": 4, "lr": 0.003, "epochs": 10},
}


def times_of(part, stocks):
    """When the forecasts of a part's returns are issued; return t is that of day t + 1."""
    return np.arange(part.start - 2, part.stop - 2)


def choice(job, returns, stocks):
    """Mean loss on the validation days; squared errors in units of the past variance."""
    times = times_of(stocks.valid, stocks)
    train = np.arange(DAYS - 1, times[0])
    forecaster = Forecaster(returns, train, job["choice"], job["seed"], **job["settings"])
    y, forecasts = returns[times + 1], forecaster(returns, times)
    if job["choice"] == "return":
        losses = ((y - forecasts) / forecaster.scaling.sd) ** 2
    else:
        losses = gaussian_loss(y, forecasts)
    return {"loss": round(float(losses.mean()), 5)}


def outcome(job):
    """Forecasts in thousandths of a percent, a list for each stock; of a choice, its loss."""
    torch.set_num_threads(1)
    stocks = load_stocks()
    returns = 100 * np.diff(np.log(stocks.prices), axis=0)
    if "choice" in job:
        return choice(job, returns, stocks)
    times = times_of(stocks.test, stocks)
    folds = splits(times, SETTINGS["refitted every"], start=DAYS - 1)
    parts = []
    for train, test in folds:
        fitted = Forecaster(returns, train, job["task"], job["seed"], **job["settings"])
        parts.append(fitted(returns, test))
    whole = np.rint(1000 * np.concatenate(parts)).astype(int).T.tolist()
    return {"forecasts": dict(zip(stocks.names, whole, strict=True))}


def jobs(seeds):
    """The choice of settings, on seeds of its own, then both tasks with every seed."""
    given = SETTINGS["choice"]
    names = ("H", "lr", "epochs")
    for task, *values in product(LOSSES, *(given[name] for name in names)):
        settings = dict(zip(names, values, strict=True))
        for seed in range(100, 100 + given["seeds"]):
            yield {"choice": task, "settings": settings, "seed": seed}
    for seed in seeds:
        for task in LOSSES:
            yield {"task": task, "settings": CHOSEN[task], "seed": seed}


if __name__ == "__main__":
    run("stocks", __doc__, SETTINGS, jobs, outcome)
