"""Victoria's electricity demand a day ahead: seasonal naive, linear, boosting and LSTM."""

import numpy as np
import sklearn
import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from book.experiments.lab.runner import run
from companion.data import load_demand
from companion.forecast import pinball, splits
from companion.models.day_ahead import (
    FIRST,
    LEVELS,
    flat_inputs,
    lstm_forecasts,
    reference_days,
    table_inputs,
)

SETTINGS = {
    "seeds": 5,
    "issued": "at midnight, for the 48 half hours that follow",
    "refitted every": 31,
    "choice on": ["2014-05-01", "2014-08-31"],
    "test on": ["2014-09-01", "2014-12-31"],
    "levels": list(LEVELS),
    "ridge": {"alpha": 300},
    "ridge, tomorrow's temperature": {"alpha": 10},
    "boosting": {
        "max_iter": 100,
        "learning_rate": 0.05,
        "max_leaf_nodes": 8,
        "min_samples_leaf": 200,
        "max_features": 0.3,
    },
    "lstm": {"H": 32, "epochs": 40, "lr": 0.01},
    "data": load_demand().card.checksum,
    "sklearn": sklearn.__version__,
    "torch": torch.__version__,
}
CHOICE, TEST = np.arange(119, 242), np.arange(242, 364)  # when forecasts are issued
BOOSTING = [
    {},
    {"max_iter": 300},
    {"max_leaf_nodes": 4},
    {"max_leaf_nodes": 16},
    {"max_leaf_nodes": 31},
    {"min_samples_leaf": 50},
    {"min_samples_leaf": 400},
    {"max_features": 1.0},
    {"learning_rate": 0.1},
    {"learning_rate": 0.02, "max_iter": 300},
]
LSTM = [{}, {"lr": 0.003}, {"lr": 0.03}, {"H": 16}, {"H": 64}, {"epochs": 20}, {"epochs": 80}]


def ridge(series, workday, split, future, alpha):
    """Forecasts (M, 48): how the day differs from its reference day, linear in all that is known.

    series: (days, 96), demand and temperature side by side.
    """
    demand, temperature = series[:, :48], series[:, 48:]
    ahead = temperature if future else None
    x, base = [], []
    for days in (split.train + 1, split.test + 1):
        x.append(flat_inputs(demand, temperature, workday, days, ahead))
        base.append(demand[reference_days(workday, days)])
    model = make_pipeline(StandardScaler(), Ridge(alpha=alpha))
    return model.fit(x[0], demand[split.train + 1] - base[0]).predict(x[1]) + base[1]


def boosting(series, workday, split, future, seed, levels=LEVELS, **settings):
    """Quantiles (M, 48, K): the same difference by trees, half hour by half hour."""
    demand, temperature = series[:, :48], series[:, 48:]
    ahead = temperature if future else None
    x, base = [], []
    for days in (split.train + 1, split.test + 1):
        x.append(table_inputs(demand, temperature, workday, days, ahead))
        base.append(demand[reference_days(workday, days)])
    y = (demand[split.train + 1] - base[0]).ravel()
    rows, new = (part.reshape(-1, part.shape[-1]) for part in x)
    found = []
    for level in levels:
        model = HistGradientBoostingRegressor(
            loss="quantile",
            quantile=level,
            early_stopping=False,
            random_state=seed,
            **SETTINGS["boosting"] | settings,
        )
        found.append(model.fit(rows, y).predict(new).reshape(base[1].shape) + base[1])
    return np.sort(np.stack(found, -1), -1)


def forecasts(job, series, workday, split):
    """Forecasts of one fold, (M, 48) or quantiles (M, 48, 3)."""
    method, future = job["method"], job.get("tomorrow", False)
    days, demand, seed = split.test + 1, series[:, :48], job.get("seed", 0)
    if method in ("day", "week"):
        return demand[days - {"day": 1, "week": 7}[method]]
    if method == "reference":
        return demand[reference_days(workday, days)]
    if method == "ridge":
        name = "ridge, tomorrow's temperature" if future else "ridge"
        settings = SETTINGS[name] | job.get("other", {})
        return ridge(series, workday, split, future, **settings)
    settings = SETTINGS[method] | job.get("other", {})
    if method == "boosting":
        levels = (0.5,) if "choice" in job else LEVELS
        return boosting(series, workday, split, future, seed, levels, **settings)
    return lstm_forecasts(series, workday, split, seed, future, **settings)[0]


def outcome(job):
    """Errors in GW of the test; of a choice the mean alone."""
    torch.set_num_threads(1)
    data = load_demand()
    series = np.hstack([data.demand, data.temperature])
    times = CHOICE if "choice" in job else TEST
    folds = splits(times, SETTINGS["refitted every"], start=FIRST)
    found = np.concatenate([forecasts(job, series, data.workday, fold) for fold in folds])
    y = data.demand[times + 1]
    quantiles = found.shape[-1] if found.ndim == 3 else 0
    middle = found[..., quantiles // 2] if quantiles else found
    error = np.abs(y - middle)
    if "choice" in job:
        return {"mae": round(float(error.mean()), 5)}
    result = {
        "mae": round(float(error.mean()), 5),
        "mape": round(100 * float((error / y).mean()), 4),
        "by day": np.round(error.mean(1), 5).tolist(),
        "by half hour": np.round(error.mean(0), 5).tolist(),
    }
    if quantiles:
        low, high = found[..., 0], found[..., 2]
        result |= {
            "pinball by day": np.round(pinball(y, found, LEVELS).mean((1, 2)), 5).tolist(),
            "covered by day": ((low <= y) & (y <= high)).sum(1).tolist(),
            "width": round(float((high - low).mean()), 5),
        }
    return result


def jobs(seeds):
    """The test, and the choice of settings on earlier days and other seeds."""
    choice = [
        {"choice": True, "method": "ridge", "tomorrow": tomorrow, "other": {"alpha": alpha}}
        for tomorrow in (False, True)
        for alpha in (1, 3, 10, 30, 100, 300, 1000)
    ]
    choice += [
        {"choice": True, "method": method, "other": other, "seed": 100 + k}
        for k in range(2)
        for method, others in (("boosting", BOOSTING), ("lstm", LSTM))
        for other in others
    ]
    fixed = [{"method": method} for method in ("day", "week", "reference", "ridge")]
    fixed.append({"method": "ridge", "tomorrow": True})
    drawn = [
        {"method": method, "tomorrow": tomorrow, "seed": seed}
        for seed in seeds
        for method in ("boosting", "lstm")
        for tomorrow in (False, True)
    ]
    return fixed + drawn + choice


if __name__ == "__main__":
    run("energy", __doc__, SETTINGS, jobs, outcome)
