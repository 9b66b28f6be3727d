"""The leak detector finds each classic leak, seeded here, and is silent on honest forecasters."""

import numpy as np
import pytest
import torch

from companion.forecast import (
    climatology,
    drift,
    find_leak,
    fit_scaling,
    naive,
    seasonal_naive,
    splits,
    targets,
    windows,
)
from companion.forecast.changes import CHANGES, change

torch.set_num_threads(1)
T = 160
rng = np.random.default_rng(0)
SERIES = 20 + np.cumsum(rng.normal(size=T)) + 3 * np.sin(np.arange(T) * 2 * np.pi / 24)
MANY = np.stack([SERIES, *rng.normal(size=(40, T))], 1)  # the target, and 40 columns of noise
TIMES = np.arange(60, T - 1)


class Ridge:
    """A linear model with `fit` and `predict`, as in scikit-learn."""

    def fit(self, X, y):
        X = np.column_stack([X, np.ones(len(X))])
        self.weights = np.linalg.solve(X.T @ X + np.eye(X.shape[1]), X.T @ y)
        return self

    def predict(self, X):
        return np.column_stack([X, np.ones(len(X))]) @ self.weights


def walk(series, times, ahead=1, known=None, n=6):
    """Fitted again every 25 times, on what is known then if `known` is what `ahead` is."""
    folds = splits(times, 25, ahead if known is None else known, start=n - 1)
    return np.concatenate(
        [
            Ridge()
            .fit(windows(series, train, n), targets(series, train, ahead))
            .predict(windows(series, test, n))
            for train, test in folds
        ]
    )


def ar_at_each_origin(series, times):
    return [walk(series[: t + 1], np.array([t]))[0] for t in times]


def lstm(bidirectional=False, seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    layer = torch.nn.LSTM(1, 6, bidirectional=bidirectional).to(dtype)
    readout = torch.nn.Linear(12 if bidirectional else 6, 1).to(dtype)
    return lambda xs: readout(layer(xs)[0])[..., 0]  # (T, B, 1) to (T, B)


def over_the_series(network):
    def forecaster(series, times):
        xs = torch.tensor(series / 20, dtype=torch.float32)[:, None, None]
        return network(xs)[times, 0]

    return forecaster


def over_windows(network):
    def forecaster(series, times):
        xs = torch.tensor(windows(series / 20, times, 8).T[..., None], dtype=torch.float32)
        return network(xs)[-1]

    return forecaster


def bootstrap_of_steps(series, times):
    """Stochastic and seeded: simulated paths of three steps, from steps that were seen."""
    rng = np.random.default_rng(5)
    draws = rng.uniform(size=(len(times), 50, 3))
    paths = []
    for t, u in zip(times, draws, strict=True):
        steps = np.diff(series[: t + 1])[(u * t).astype(int)]
        paths.append(np.quantile(series[t] + steps.cumsum(1), [0.1, 0.5, 0.9], axis=0).T)
    return np.array(paths)


def fill_forward(series):
    return np.array([series[: t + 1][~np.isnan(series[: t + 1])][-1] for t in range(len(series))])


def scaled_on(series, past):
    scaling = fit_scaling(past)
    return np.tanh(scaling.apply(series))


HONEST = {
    "naive": naive,
    "naive, three steps": lambda s, t: naive(s, t, [1, 2, 3]),
    "seasonal": lambda s, t: seasonal_naive(s, t, 24, [1, 30]),
    "drift": drift,
    "climatology": lambda s, t: climatology(s, t, 24),
    "AR at each origin": ar_at_each_origin,
    "AR every 25 times": walk,
    "AR, 10 steps ahead": lambda s, t: walk(s, t, 10),
    "scaler on the past": lambda s, t: scaled_on(s, s[: t[0] + 1])[t],
    "moving average": lambda s, t: windows(s, t, 5).mean(1),
    "exact by differences": lambda s, t: np.log(s[t]) + np.diff(np.log(s), prepend=1)[t],
    "LSTM": over_the_series(lstm()),
    "LSTM over windows": over_windows(lstm()),
    "bidirectional, over windows that end in time": over_windows(lstm(True)),
    "stochastic and seeded": bootstrap_of_steps,
    # The scale cancels: nothing moves, so nothing leaks.
    "scaler on all, before a ratio": lambda s, t: (s / s.std())[t] / (s / s.std())[t - 1],
    # An honest one in the frequency domain: rounding reads the future, at 1e-16.
    "convolution by FFT": lambda s, t: np.fft.irfft(
        np.fft.rfft(s, 2 * T) * np.fft.rfft(np.ones(5) / 5, 2 * T), 2 * T
    )[t],
}


@pytest.mark.parametrize("name", HONEST)
def test_silent_on_honest_forecasters(name):
    report = find_leak(HONEST[name], SERIES, TIMES)
    assert report.ok and report.verdict == "no leak found" and report.worst is None, report
    assert [row.change for row in report.rows] == list(CHANGES)
    assert all(row.moved == 0 and row.checked >= 5 for row in report.rows)


def fit_once(series, examples, times, n=6):
    model = Ridge().fit(windows(series, examples, n), targets(series, examples))
    return model.predict(windows(series, times, n))


def shuffled_split(series, times):
    examples = np.random.default_rng(0).permutation(np.arange(5, T - 1))
    return fit_once(series, np.sort(examples[: int(0.8 * len(examples))]), times)


def selection_on_all(series, times):
    """Fitted at each origin on the past, but on columns chosen by their correlation in all."""
    goal = np.diff(series[:, 0])
    r = np.abs(np.corrcoef(series[:-1].T, goal)[-1, :-1])
    chosen = np.argsort(r)[-3:]
    result = []
    for t in times:
        model = Ridge().fit(series[:t, chosen], goal[:t])
        result.append(series[t, 0] + model.predict(series[t : t + 1, chosen])[0])
    return result


def peek(n):
    return lambda series, times: series[np.minimum(times + n, T - 1)]


def scaler_on_all_then_network(series, times):
    xs = torch.tensor(fit_scaling(series).apply(series), dtype=torch.float32)
    return lstm()(xs[:, None, None])[times, 0]


def interpolated(series, times):
    known = np.flatnonzero(~np.isnan(series))
    return np.interp(times, known, series[known])


def batch_norm(series, times):
    xs = torch.tensor(windows(series, times, 8), dtype=torch.float32)
    return torch.nn.BatchNorm1d(8)(xs)[:, -1]


LEAKS = {
    "scaler on all": lambda s, t: scaled_on(s, s)[t],
    "scaler on all, network": scaler_on_all_then_network,
    "window that looks one step ahead": lambda s, t: fit_once(s, np.arange(5, 50), t + 1),
    "next value": peek(1),
    "value after 7 steps": peek(7),
    "centred moving average": lambda s, t: np.convolve(s, np.ones(5) / 5, "same")[t],
    "shuffled split": shuffled_split,
    "bidirectional": over_the_series(lstm(True)),
    "smoothed backward": lambda s, t: (s + np.convolve(s, np.ones(3), "full")[2:])[t],
    "fitted on all": lambda s, t: fit_once(s, np.arange(5, T - 1), t),
    "training ends too late": lambda s, t: walk(s, t, ahead=10, known=1),
    "a little, in one of many outputs": lambda s, t: np.stack(
        [1e5 + s[t], 0.001 * s[t] + 1e-7 * s[t + 1]], 1
    ),
    "largest of all": lambda s, t: s[t] + s.max(),
    "rank among all": lambda s, t: s.argsort().argsort()[t],
    "one quantile of all": lambda s, t: s[t] + np.quantile(s, 0.5),
    "batch norm": batch_norm,
    "sign of the next step": lambda s, t: s[t] + np.sign(s[t + 1] - s[t]),
    "mean of what the others know": lambda s, t: s[t] + s[t].mean(),
    "refitted at the last of the times": lambda s, t: fit_once(s, np.arange(5, t[-1]), t),
    "not a number when the future is large": lambda s, t: np.where(s.max() > 60, np.nan, s[t]),
}


@pytest.mark.parametrize("name", LEAKS)
@pytest.mark.parametrize("seed", range(3))
def test_finds_leaks(name, seed):
    report = find_leak(LEAKS[name], SERIES, TIMES, rng=np.random.default_rng(seed))
    assert report.verdict == "LEAK" and not report.ok, report
    near, far = report.reads
    assert 1 <= near <= far <= T - 1 - report.worst.time
    assert report.worst.time <= report.worst.after and report.worst.time in TIMES
    assert report.by == report.worst.by == max(row.by for row in report.rows) > 0


COLUMNS = {
    "feature selection on all": selection_on_all,
    "target among the features": lambda s, t: s[t + 1, 0] + 0.1 * s[t, 1],
    "another column's next value": lambda s, t: s[t, 0] + 0.01 * s[t + 1, 7],
    "all columns at once": lambda s, t: s[t] + s.mean(0),
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("seed", range(3))
def test_finds_leaks_among_columns(name, seed):
    report = find_leak(COLUMNS[name], MANY, TIMES, rng=np.random.default_rng(seed))
    assert report.verdict == "LEAK", report


def test_silent_where_columns_are_selected_on_the_past():
    def selected_on_the_past(series, times):
        return [selection_on_all(series[: t + 1], [t])[0] for t in times]

    assert find_leak(selected_on_the_past, MANY, TIMES[::9]).ok
    assert find_leak(lambda s, t: s[t] + s[t - 1], MANY, TIMES).ok


def test_interpolation_of_missing_values_leaks_and_filling_forward_does_not():
    gaps = SERIES.copy()
    gaps[np.r_[65, 80:120, 130:140]] = np.nan
    assert find_leak(interpolated, gaps, TIMES).verdict == "LEAK"
    assert find_leak(lambda s, t: fill_forward(s)[t], gaps, TIMES).ok
    two = np.stack([gaps, SERIES], 1)
    assert find_leak(lambda s, t: interpolated(s[:, 0], t), two, TIMES).verdict == "LEAK"
    assert find_leak(lambda s, t: s[t, 1] + fill_forward(s[:, 0])[t], two, TIMES).ok


# What it says


@pytest.mark.parametrize("n", [1, 2, 7, 20])
def test_says_how_far_a_forecast_reads_ahead(n):
    report = find_leak(peek(n), SERIES, np.arange(60, 120))
    assert report.reads == (n, n)
    assert f"issued at {report.worst.time} reads step {n} after it." in str(report)


def test_says_from_which_step_to_which_a_forecast_reads():
    def some(series, times):
        return series[times] + series[times + 3] + series[times + 11]

    times = np.arange(60, 120)
    for seed in range(5):
        report = find_leak(some, SERIES, times, rng=np.random.default_rng(seed))
        assert report.reads == (3, 11)
    assert "reads steps 3 to 11 after it." in str(report)
    report = find_leak(LEAKS["scaler on all"], SERIES, TIMES)
    assert report.reads == (1, T - 1 - report.worst.time)
    assert find_leak(LEAKS["centred moving average"], SERIES, TIMES).reads == (1, 2)


def test_says_which_forecast_moved_by_how_much():
    """Only the forecast of time 97 reads ahead, by one step, a tenth of it."""

    def one_bad(series, times):
        return series[times] + np.where(times == 97, 0.1 * series[98], 0)

    report = find_leak(one_bad, SERIES, TIMES, cuts=len(TIMES))
    assert report.worst.time == report.worst.after == 97
    for row in report.rows:
        assert row.moved in (0, 1) and row.checked == len(TIMES) * (len(TIMES) + 1) // 2
    shift = next(row for row in report.rows if row.change == "shift")
    assert shift.by == pytest.approx(0.2 * np.ptp(SERIES))
    scale = next(row for row in report.rows if row.change == "scale")
    assert scale.by == pytest.approx(0.2 * SERIES[98])


def test_the_first_of_the_times_is_always_checked():
    """Training ends 3 steps too late, once: only the first forecasts are hurt."""

    def late(series, times):
        return fit_once(series, np.arange(5, times[0] + 3), times)

    times = np.arange(30, T - 1)
    for seed in range(5):
        report = find_leak(late, SERIES, times, cuts=1, rng=np.random.default_rng(seed))
        assert report.reads == (1, 3) and report.worst.after == 30
        assert report.rows[0].checked == 1


def test_looks_after_every_part_of_the_times():
    seen = set()
    for seed in range(30):
        report = find_leak(peek(1), SERIES, TIMES, cuts=4, rng=np.random.default_rng(seed))
        assert all(row.moved <= 4 for row in report.rows)
        seen.add(report.worst.after)
    assert min(seen) < 75 and max(seen) > 125
    late = np.arange(TIMES[-33], T)

    def only_late(series, times):
        return series[times] + np.where(np.isin(times, late), series[times + 1], 0)

    for seed in range(10):  # a third of the times, so one part of three lies in it
        rng = np.random.default_rng(seed)
        assert find_leak(only_late, SERIES, TIMES, cuts=4, rng=rng).verdict == "LEAK"


def test_prints_a_table_and_the_verdict():
    def bad(series, times):
        return series[times + 1]

    lines = str(find_leak(bad, SERIES, TIMES)).splitlines()
    assert lines[0] == "bad, 99 forecasts issued at 60 … 158"
    assert lines[1].split() == "change moved by at most issued at changed after".split()
    assert [line.split()[0] for line in lines[2:7]] == list(CHANGES)
    assert lines[7].startswith("LEAK: the forecast issued at ")
    lines = repr(find_leak(naive, SERIES, TIMES)).splitlines()
    assert lines[2].startswith("replace  0 of ") and lines[-1] == "no leak found."
    assert len({line.index(" of ") for line in lines[2:7]}) == 1


# Not repeatable, and nothing to check


def test_a_forecaster_that_draws_anew_is_not_repeatable_and_not_leaking():
    noise = np.random.default_rng(0)
    report = find_leak(lambda s, t: s[t] + noise.normal(size=len(t)), SERIES, TIMES)
    assert report.verdict == "NOT REPEATABLE" and not report.ok
    assert report.rows == () and report.by > 1 and report.worst is None
    assert "differ by" in str(report) and "Seed it" in str(report)
    torch.manual_seed(0)
    dropout = torch.nn.Dropout(0.5)
    report = find_leak(lambda s, t: dropout(torch.tensor(s[t])), SERIES, TIMES)
    assert report.verdict == "NOT REPEATABLE"


def test_a_forecaster_with_a_memory_is_not_repeatable_and_not_leaking():
    """Its scaler holds the series of the call before; twice the same series shows nothing."""
    memory = [SERIES.mean()]

    def remembers(series, times):
        result = series[times] + memory[0]
        memory[0] = series.mean()
        return result

    report = find_leak(remembers, SERIES, TIMES)
    assert report.verdict == "NOT REPEATABLE"
    assert report.by > 0 and "begin afresh" in str(report)


def test_one_that_does_not_use_the_series_it_is_given_is_not_passed():
    for forecaster in (lambda s, t: SERIES[t + 1], lambda s, t: np.ones(len(t))):
        report = find_leak(forecaster, SERIES, TIMES)
        assert report.verdict == "READS NOTHING" and not report.ok and report.worst is None
        assert "nothing could be checked" in str(report)


def test_what_was_fitted_outside_is_not_seen():
    """A limit that the docstring states: the detector cannot change what it is not given."""
    outside = fit_scaling(SERIES)
    assert find_leak(lambda s, t: np.tanh(outside.apply(s[t])), SERIES, TIMES).ok


# What a forecaster gets and may do


def test_the_series_is_the_forecasters_own_and_stays_as_it_is():
    given, times = SERIES.copy(), TIMES.copy()

    def careless(series, times):
        result = series[times].copy()
        series[:], times[:] = 0, 0
        return result

    assert find_leak(careless, given, times).ok
    np.testing.assert_array_equal(given, SERIES)
    np.testing.assert_array_equal(times, TIMES)


def test_it_runs_as_often_as_it_says():
    def count(forecaster, cuts):
        calls = []
        find_leak(lambda s, t: (calls.append(0), forecaster(s, t))[1], SERIES, TIMES, cuts)
        return len(calls)

    assert count(naive, 1) == 8 and count(naive, 5) == 28
    assert 8 < count(peek(1), 1) <= 8 + 2 * np.log2(T) + 1


def test_kinds_of_series_and_forecasts():
    kinds = []

    def forecaster(series, times):
        kinds.append(series.dtype)
        return series[times].tolist()

    assert find_leak(forecaster, SERIES.astype(np.float32), TIMES).ok
    assert set(kinds) == {np.dtype(np.float32)}
    kinds.clear()
    assert find_leak(forecaster, np.arange(T), TIMES.tolist()).ok
    assert set(kinds) == {np.dtype(np.float64)}
    assert find_leak(forecaster, torch.arange(T), TIMES).ok
    weights = torch.ones(1, requires_grad=True)
    assert find_leak(lambda s, t: torch.tensor(s[t]) * weights, SERIES, TIMES).ok
    assert find_leak(lambda s, t: s[t] > 25, SERIES, TIMES).ok
    assert find_leak(lambda s, t: s[t + 1] > 25, SERIES, TIMES).verdict == "LEAK"


@pytest.mark.parametrize("series", [np.ones(T), np.zeros(T), np.stack([SERIES, np.ones(T)], 1)])
def test_constant_columns_are_changed_too(series):
    assert find_leak(lambda s, t: s[t + 1], series, TIMES).verdict == "LEAK"
    assert find_leak(lambda s, t: s[t], series, TIMES).ok


def test_few_times():
    assert find_leak(naive, SERIES, [60]).ok
    assert find_leak(peek(1), SERIES, [60]).reads == (1, 1)
    assert find_leak(peek(1), SERIES, [T - 2]).reads == (1, 1)
    assert find_leak(peek(1), SERIES, [60, 150], cuts=9).verdict == "LEAK"
    assert find_leak(peek(5), SERIES, [60, 70, 90]).reads == (5, 5)


# The changes


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("series", [SERIES, MANY])
def test_changes_leave_the_past_and_touch_every_step_after_it(kind, series):
    changed = change(kind, series, 80, np.random.default_rng(0))
    np.testing.assert_array_equal(changed[:81], series[:81])
    assert changed.shape == series.shape and changed.dtype == series.dtype
    moved = changed[81:] != series[81:]
    assert moved.mean() > 0.95


@pytest.mark.parametrize("kind", CHANGES)
def test_changes_keep_what_is_positive_and_what_is_there(kind):
    series = np.exp(rng.normal(0, 2, (T, 2)))
    series[::3, 0] = np.nan
    for after in (-1, 50, T - 2):
        changed = change(kind, series, after, rng)
        # Backward in time, a missing value is missing elsewhere; as many as there were.
        assert np.isnan(changed).sum() <= np.isnan(series).sum()
        assert np.nanmin(changed) > 0


def test_noise_is_another_factor_at_every_step_and_in_every_column():
    factors = (change("noise", MANY, 50, rng) / MANY)[51:]
    assert len(np.unique(factors.round(9))) == factors.size and factors.min() > 0


def test_drawn_anew_means_values_of_the_same_column():
    codes = np.stack([np.arange(T) % 3, 10 + np.arange(T) % 2], 1).astype(float)
    changed = change("replace", codes, 50, rng)
    assert set(changed[:, 0]) == {0, 1, 2} and set(changed[:, 1]) == {10, 11}


def test_swapped_means_the_next_columns_course_backward():
    series = np.stack([np.arange(T), 100 + 10 * rng.uniform(size=T)], 1)
    changed = change("swap", series, 99, rng)
    low, span = series[:, 1].min(), np.ptp(series[:, 1])
    wanted = low + span * (np.arange(100, T)[::-1]) / (T - 1)
    np.testing.assert_allclose(changed[100:, 1], wanted)


# Bad input

BAD = [
    (dict(series=[]), r"series must be numbers of shape \(T,\) or \(T, D\), T > 0"),
    (dict(series=[1.0, np.inf, 2.0]), "series must be free of infinite values"),
    (dict(series=[[1.0, np.nan]] * 5), "series must have a value in every column"),
    (dict(times=[T - 1]), r"times must be in 0 … 158, got 159 … 159"),
    (dict(times=[-1, 5]), r"times must be in 0 … 158, got -1 … 5"),
    (dict(times=[5, 5]), "times must increase from each to the next"),
    (dict(times=[5.0]), "times must be whole numbers"),
    (dict(times=[]), "times must be whole numbers"),
    (dict(times=7), "times must be whole numbers"),
    (dict(cuts=0), "cuts must be a whole number of at least 1, got 0"),
    (dict(forecaster=lambda s, t: s), r"one row for each of 99 times, got float64 of \(160,\)"),
    (dict(forecaster=lambda s, t: 1.0), r"one row for each of 99 times, got float64 of \(\)"),
    (dict(forecaster=lambda s, t: ["a"] * len(t)), "forecaster must return numbers"),
    (dict(forecaster=lambda s, t: s[t] / (t != 63)), "forecasts must be finite, .* at time 63"),
]


@pytest.mark.parametrize(("change", "says"), BAD)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_input_names_the_argument(change, says):
    arguments = {"forecaster": naive, "series": SERIES, "times": TIMES} | change
    with pytest.raises(ValueError, match=says):
        find_leak(**arguments)


def test_refuses_another_shape_at_another_call():
    calls = []

    def grows(series, times):
        calls.append(0)
        return np.tile(series[times, None], len(calls))

    with pytest.raises(ValueError, match=r"one shape at every call, got \(99, 1\) and \(99, 2\)"):
        find_leak(grows, SERIES, TIMES)


def test_an_error_of_the_forecaster_says_when_it_came():
    def picky(series, times):
        if series[0] != SERIES[0]:
            raise RuntimeError("another past")
        return series[times]

    with pytest.raises(RuntimeError, match="another past") as error:
        find_leak(picky, SERIES, TIMES)
    (note,) = error.value.__notes__
    assert note == "find_leak: the series that it was given was changed as a whole by replace"

    def too_large(series, times):
        if series[0] == SERIES[0] and series.max() > 2 * SERIES.max():
            raise RuntimeError
        return series[times]

    with pytest.raises(RuntimeError) as error:
        find_leak(too_large, SERIES, TIMES, cuts=1)
    (note,) = error.value.__notes__
    assert note == "find_leak: the series that it was given was changed after time 60 by scale"
