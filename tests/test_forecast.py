"""Walk-forward splits, baselines, errors and their intervals, against their definitions."""

from itertools import product

import numpy as np
import pytest

from companion.forecast import (
    Scaling,
    climatology,
    coverage,
    difference_interval,
    drift,
    fit_scaling,
    mae,
    mase,
    mean_interval,
    naive,
    pinball,
    rmse,
    seasonal_naive,
    skill,
    splits,
    targets,
    windows,
)
from companion.forecast.intervals import _block_means
from companion.scores import wilson_interval

rng = np.random.default_rng(0)
one, many = rng.normal(size=40), rng.normal(size=(40, 3))


# Splits


@pytest.mark.parametrize("times", [np.arange(30, 60), np.arange(30, 90, 7), np.array([31])])
@pytest.mark.parametrize("ahead", [1, 5, [1, 5, 3]])
@pytest.mark.parametrize("window", [None, 1, 12, 40])
def test_training_ends_where_its_last_target_is_known(times, ahead, window):
    folds = splits(times, 4, ahead, window, start=9)
    np.testing.assert_array_equal(np.concatenate([test for _, test in folds]), times)
    assert [len(test) for _, test in folds[:-1]] == [4] * (len(folds) - 1)
    for train, test in folds:
        known = [s for s in range(9, test[0]) if s + np.max(ahead) <= test[0]]
        np.testing.assert_array_equal(train, known if window is None else known[-window:])


def test_no_target_of_training_lies_after_the_start_of_testing_and_the_last_lies_on_it():
    series = np.arange(100.0)
    for train, test in splits(np.arange(50, 90), 8, ahead=6):
        assert targets(series, train, 6).max() == test[0]
        assert targets(series, test, 6).min() == test[0] + 6


def test_one_example_is_enough_to_train_on():
    ((train, test),) = splits([5], 1, ahead=2, start=3)
    assert (train.tolist(), test.tolist()) == ([3], [5])


# Examples and scaling


@pytest.mark.parametrize("series", [one, many])
def test_windows_end_at_their_time_and_targets_lie_ahead(series):
    times = np.array([4, 9, 30])
    found = windows(series, times, 5)
    for k, t in enumerate(times):
        np.testing.assert_array_equal(found[k], series[t - 4 : t + 1])
        np.testing.assert_array_equal(targets(series, times)[k], series[t + 1])
        np.testing.assert_array_equal(targets(series, times, [3, 9])[k], series[[t + 3, t + 9]])
    found[:] = 0
    assert series.all()


@pytest.mark.parametrize("series", [one, many])
def test_scaling_has_mean_0_and_deviation_1_on_the_past_and_can_be_undone(series):
    scaling = fit_scaling(series[:25])
    scaled = scaling.apply(series)
    np.testing.assert_allclose(scaled[:25].mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled[:25].std(0), 1, rtol=1e-12)
    np.testing.assert_allclose(scaling.undo(scaled), series, rtol=0, atol=1e-12)


def test_scaling_leaves_out_missing_values_and_a_constant_column_stays_finite():
    past = np.array([[1.0, 0.1], [np.nan, 0.1], [3.0, 0.1]])
    scaling = fit_scaling(past)
    np.testing.assert_allclose(scaling.mean, [2, 0.1])
    np.testing.assert_array_equal(scaling.sd, [1, 1])
    np.testing.assert_allclose(scaling.apply(past)[:, 1], 0, atol=1e-15)
    assert Scaling(scaling.mean[0], scaling.sd[0]).undo(0.5) == 2.5


# Baselines

TIMES = np.array([6, 7, 12, 39])


def same_place(t, ahead, period):
    """All known steps at the target's place of the period."""
    return [s for s in range(t + 1) if (t + ahead - s) % period == 0]


BASELINES = {
    "naive": (naive, lambda x, t, n: x[t]),
    "drift": (drift, lambda x, t, n: x[t] + n * np.mean([x[s + 1] - x[s] for s in range(t)], 0)),
    "seasonal": (
        lambda x, t, n=1: seasonal_naive(x, t, 7, n),
        lambda x, t, n: x[same_place(t, n, 7)[-1]],
    ),
    "climatology": (
        lambda x, t, n=1: climatology(x, t, 7, n),
        lambda x, t, n: x[same_place(t, n, 7)].mean(0),
    ),
    "mean": (lambda x, t, n=1: climatology(x, t, 1, n), lambda x, t, n: x[: t + 1].mean(0)),
}


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("series", [one, many])
def test_baselines_against_their_definitions(name, series):
    forecaster, wanted = BASELINES[name]
    for ahead in ([1], [3, 7, 8, 14, 20]):
        found = forecaster(series, TIMES, ahead)
        assert found.shape == (len(TIMES), len(ahead)) + series.shape[1:]
        for (j, t), (k, n) in product(enumerate(TIMES), enumerate(ahead)):
            np.testing.assert_allclose(found[j, k], wanted(series, t, n), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(forecaster(series, TIMES), forecaster(series, TIMES, [1])[:, 0])


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_take_whole_numbers(name):
    whole = np.arange(40) ** 2
    forecaster = BASELINES[name][0]
    np.testing.assert_array_equal(forecaster(whole, TIMES), forecaster(whole * 1.0, TIMES))


# Errors


def test_errors_by_hand():
    y, forecasts = np.array([1.0, 2, 4]), np.array([2.0, 2, 0])
    assert mae(y, forecasts) == pytest.approx(5 / 3)
    assert rmse(y, forecasts) == pytest.approx(np.sqrt(17 / 3))
    assert mase(y, forecasts, [0.0, 1, 3, 6]) == pytest.approx(5 / 3 / 2)
    assert mase(y, forecasts, [0.0, 1, 3, 6], period=2) == pytest.approx(5 / 3 / 4)
    assert skill(3.0, 4.0) == 0.25 and skill(8.0, 4.0) == -1 and skill(0, 2) == 1


def test_on_its_own_past_the_seasonal_naive_forecaster_has_a_mase_of_1():
    times = np.arange(6, 39)
    forecasts = seasonal_naive(one, times, 7)
    assert mase(targets(one, times), forecasts, one, 7) == pytest.approx(1)


def test_pinball_by_hand_and_at_one_half_it_is_half_the_absolute_error():
    found = pinball([1.0, 5.0], [[2.0, 2.0], [4.0, 8.0]], [0.1, 0.9])
    np.testing.assert_allclose(found, [[0.9, 0.1], [0.1, 0.3]])
    halves = pinball(many, many[..., None] * 0, [0.5])
    assert 2 * halves.mean() == pytest.approx(mae(many, 0 * many))


@pytest.mark.parametrize("level", [0.1, 0.5, 0.8])
def test_the_true_quantile_has_the_smallest_pinball_loss(level):
    y = np.random.default_rng(1).exponential(size=4000)
    guesses = np.linspace(0, 3, 301)
    losses = pinball(y, np.tile(guesses, (len(y), 1)), np.full(len(guesses), level)).mean(0)
    assert guesses[losses.argmin()] == pytest.approx(np.quantile(y, level), abs=0.011)


# Intervals


def test_means_of_blocks_against_all_that_there_are():
    """N = 5 and blocks of 2: four starts, three blocks, of the last one value; all 64 equal."""
    values = np.array([1.0, 2, 4, 8, 16])
    pairs, singles = [values[k : k + 2].sum() for k in range(4)], values[:4]
    wanted = np.array([(a + b + c) / 5 for a, b, c in product(pairs, pairs, singles)])
    given, found = _block_means(values, 2, None, 64 * 600)
    np.testing.assert_array_equal(given, values)
    apart = np.sort(found) - np.repeat(np.sort(wanted - wanted.mean()), 600)
    assert np.abs(apart).mean() < 0.03 < 0.01 * np.ptp(wanted)
    low, high = mean_interval(values, 2, draws=64 * 600)
    np.testing.assert_allclose((low, high), values.mean() + np.quantile(found, [0.025, 0.975]))


def test_draws_that_do_not_fit_in_memory_together_are_the_same():
    values = rng.normal(size=5000)
    starts = np.random.default_rng(0).integers(0, 5000, (450, 5000))
    means = values[starts].mean(1)
    wanted = values.mean() + np.quantile(means - means.mean(), [0.025, 0.975])
    np.testing.assert_allclose(mean_interval(values, 1, draws=450), wanted, rtol=0, atol=1e-12)


def ar1(runs, N, phi=0.8):
    noise = np.random.default_rng(2).normal(size=(N, runs))
    x = np.zeros_like(noise)
    for t in range(1, N):
        x[t] = phi * x[t - 1] + noise[t]
    return x[100:].T


def share_with_0(series, block):
    found = np.array([mean_interval(x, block, draws=300) for x in series])
    return np.mean((found[:, 0] <= 0) & (0 <= found[:, 1]))


def test_blocks_cover_the_mean_of_a_dependent_series_and_single_values_do_not():
    series = ar1(300, 700)
    assert share_with_0(series, 40) > 0.86
    assert share_with_0(series, 1) < 0.6
    independent = np.random.default_rng(3).normal(size=(300, 200))
    assert 0.91 < share_with_0(independent, 1) < 0.99


def test_difference_interval_is_paired_and_has_the_sign_of_first_minus_second():
    common = ar1(1, 500)[0]
    first, second = common + 0.1 * one[:1], common + 0.3 + 0.01 * rng.normal(size=400)
    low, high = difference_interval(first, second, 20)
    assert low < np.mean(first - second) < high < 0 and high - low < 0.01
    flipped = difference_interval(second, first, 20)
    np.testing.assert_allclose(flipped, (-high, -low), rtol=0, atol=1e-3)


def test_further_axes_are_averaged_before_blocks_are_drawn():
    values = rng.normal(size=(60, 4, 2))
    assert mean_interval(values, 5) == mean_interval(values.mean((1, 2)), 5)


def test_intervals_are_seeded_and_take_a_generator():
    assert mean_interval(one, 4) == mean_interval(one, 4)
    assert mean_interval(one, 4) != mean_interval(one, 4, np.random.default_rng(1))
    y, high = rng.normal(size=100), rng.normal(size=100)
    assert coverage(y, -9, high, 4) == coverage(y, -9, high, 4, np.random.default_rng(0))
    assert coverage(y, -9, high, 4) != coverage(y, -9, high, 4, np.random.default_rng(1))
    first, second = rng.normal(size=(2, 100))
    assert difference_interval(first, second, 4) == mean_interval(first - second, 4)
    given = difference_interval(first, second, 4, np.random.default_rng(1), 50)
    assert given == mean_interval(first - second, 4, np.random.default_rng(1), 50)


def test_a_level_shift_moves_the_interval_along():
    low, high = mean_interval(one, 4)
    np.testing.assert_allclose(mean_interval(one + 5, 4), (low + 5, high + 5))
    assert low < one.mean() < high


def test_coverage_counts_ends_and_needs_both():
    found = coverage(np.array([0.0, 1, 2, 3, 4, 5]), 1, np.array([9.0, 9, 2, 2.9, 9, 9]), 1)
    assert found.share == pytest.approx(4 / 6)
    assert 0 < found.low < found.share < found.high < 1


def test_coverage_of_independent_targets_has_wilsons_interval():
    y = np.random.default_rng(4).uniform(size=1000)
    found = coverage(y, -np.inf, 0.9, 1)
    wanted = wilson_interval(int(np.sum(y <= 0.9)), 1000)
    np.testing.assert_allclose((found.low, found.high), wanted, rtol=0, atol=2e-3)


def test_coverage_of_dependent_targets_is_less_sure_and_holds_what_it_promises():
    series = ar1(150, 700)
    high = 1.2815515655 / 0.6  # the quantile of level 0.9 at a deviation of 1/√(1 - 0.8²)
    found = [coverage(y, -np.inf, high, 40) for y in series]
    assert np.mean([c.low <= 0.9 <= c.high for c in found]) > 0.82
    blind = [coverage(y, -np.inf, high, 1) for y in series]
    assert np.mean([c.low <= 0.9 <= c.high for c in blind]) < 0.7


def test_coverage_of_all_or_none_has_a_width_that_blocks_set():
    for low, share in ((-10, 1), (10, 0)):
        wide, narrow = (coverage(rng.normal(size=200), low, 20, block) for block in (20, 2))
        assert wide.share == share and wide.high - wide.low > narrow.high - narrow.low > 0
    assert narrow.low == 0 and narrow.high == pytest.approx(1.96**2 / (100 + 1.96**2))


def test_targets_that_take_turns_are_not_surer_than_independent_ones():
    y = np.tile([0.0, 1.0], 51)
    found = coverage(y, 0.5, 2, 3)
    np.testing.assert_allclose(found, (0.5, *wilson_interval(51, 102)), rtol=0, atol=1e-12)


def test_one_target_more_or_less_of_two_axes_counts_once():
    y = rng.uniform(size=(50, 4))
    found = coverage(y, 0.2, 0.8, 1)
    assert found.share == np.mean((y >= 0.2) & (y <= 0.8))
    # Independent in both axes: about 200 targets, not 50.
    assert found.high - found.low < 1.3 * 2 * 1.96 * np.sqrt(0.6 * 0.4 / 200)


# Bad input

nan = np.array([1.0, np.nan, 2.0])
ok = np.zeros(3)
BAD = [
    (lambda: splits([3, 2], 1), "times must increase"),
    (lambda: splits([], 1), r"times must be whole numbers of shape \(N,\), N > 0, got"),
    (lambda: splits([3.0], 1), "times must be whole numbers .* got float64"),
    (lambda: splits([5], 0), "size must be a whole number of at least 1, got 0"),
    (lambda: splits([5], 1, window=0), "window must be a whole number of at least 1, got 0"),
    (lambda: splits([5], 1, start=-1), "start must be a whole number of at least 0, got -1"),
    (lambda: splits([5], 1, ahead=0), "ahead must be a whole number of at least 1, or a list"),
    (lambda: splits([5], 1, ahead=1.5), "ahead must be a whole number .* got 1.5"),
    (lambda: splits([5], 1, ahead=[]), r"ahead must be .* got \[\]"),
    (lambda: splits([5], 1, ahead=[[1]]), r"ahead must be .* got \[\[1\]\]"),
    (lambda: splits([5], True), "size must be a whole number of at least 1, got True"),
    (lambda: splits([5], 1, ahead=2, start=4), "times must begin at 6 or later, .* got 5"),
    (lambda: windows(one, [3], 5), r"times must be in 4 … 39, got 3 … 3"),
    (lambda: windows(one, [40], 5), r"times must be in 4 … 39, got 40 … 40"),
    (lambda: windows(one, [3], 41), r"n must be a whole number in 1 … 40, got 41"),
    (lambda: targets(one, [36], [1, 4]), r"times must be in 0 … 35, got 36 … 36"),
    (lambda: targets(one, [-1]), r"times must be in 0 … 38, got -1 … -1"),
    (lambda: targets([[["x"]]], [1]), r"series must be numbers of shape \(T,\) or \(T, D\)"),
    (lambda: targets([[[1.0]]], [1]), r"series must be numbers .* got float64 of \(1, 1, 1\)"),
    (lambda: targets([], [1]), r"series must be numbers .* T > 0, got float64 of \(0,\)"),
    (lambda: targets([1.0, np.inf], [0]), "series must be free of infinite values"),
    (lambda: naive(one, [40]), r"times must be in 0 … 39"),
    (lambda: drift(one, [0]), r"times must be in 1 … 39, got 0 … 0"),
    (lambda: seasonal_naive(one, [5], 7), r"times must be in 6 … 39, got 5 … 5"),
    (lambda: climatology(one, [5], 7), r"times must be in 6 … 39, got 5 … 5"),
    (lambda: climatology(one, [5], 0), r"period must be a whole number in 1 … 40, got 0"),
    (lambda: fit_scaling([[np.nan, 1.0]]), "past must have a value in every column"),
    (lambda: fit_scaling("x"), r"past must be numbers of shape"),
    (lambda: mae(np.zeros(3), np.zeros((3, 1))), r"one shape .* got \(3,\) and \(3, 1\)"),
    (lambda: rmse(np.zeros(3), np.zeros((3, 1))), r"one shape .* got \(3,\) and \(3, 1\)"),
    (lambda: mae(1.0, 1.0), r"targets and forecasts must have one shape .* got \(\) and \(\)"),
    (lambda: mae([], []), r"N > 0, got \(0,\) and \(0,\)"),
    (lambda: mae(nan, ok), "targets must be free of NaN, got 1 of them"),
    (lambda: rmse(ok, nan), "forecasts must be free of NaN, got 1 of them"),
    (lambda: mase(ok, ok, many), r"past must have shape \(T,\) and no NaN, got \(40, 3\)"),
    (lambda: mase(ok, ok, nan), r"past must have shape \(T,\) and no NaN, got \(3,\)"),
    (lambda: mase(ok, ok, one, 40), "period must be a whole number in 1 … 39, got 40"),
    (lambda: mase(ok, ok, [1, 2, 1, 2], 2), "past must not repeat itself exactly"),
    (lambda: skill(-1, 1), "error must be >= 0 and baseline > 0, got -1 and 1"),
    (lambda: skill(1, 0), "error must be >= 0 and baseline > 0, got 1 and 0"),
    (lambda: skill(np.nan, 1), "error must be >= 0 and baseline > 0, got nan and 1"),
    (lambda: pinball(ok, np.zeros((3, 1)), [1.0]), "levels must be a list of numbers between"),
    (lambda: pinball(ok, np.zeros((3, 1)), [0.0]), "levels must be a list of numbers between"),
    (lambda: pinball(ok, np.zeros((3, 1)), 0.5), "levels must be a list"),
    (lambda: pinball(ok, np.zeros((3, 1)), []), "levels must be a list"),
    (lambda: pinball(ok, ok, [0.1, 0.2, 0.3]), r"quantiles must have shape .* K = 3 .* got \(3,\)"),
    (lambda: pinball(ok, np.zeros((3, 1)), [0.1, 0.9]), r"K = 2 levels, got \(3, 1\)"),
    (lambda: pinball(ok, np.zeros((1, 1)), [0.5]), r"targets must have shape \(1,\), got \(3,\)"),
    (lambda: pinball(nan, np.zeros((3, 1)), [0.5]), "targets - quantiles must be free of NaN"),
    (lambda: coverage(ok, ok, one, 1), r"^targets and high must have one shape"),
    (lambda: mean_interval(nan, 1), r"values must be numbers of shape \(N, ...\), no NaN"),
    (lambda: mean_interval(1.0, 1), r"values must be numbers of shape \(N, ...\)"),
    (lambda: mean_interval([1.0], 1), "values must be at least 2, got 1"),
    (lambda: mean_interval(one, 0), "block must be a whole number in 1 … 20, got 0"),
    (lambda: mean_interval(one, 21), "block must be a whole number in 1 … 20, got 21"),
    (lambda: mean_interval(one, 2, draws=0), "draws must be a whole number of at least 1"),
    (lambda: difference_interval(ok, one, 1), "first and second must have one shape"),
    (lambda: coverage(ok, 1, 0, 1), "low must not be above high"),
    (lambda: coverage(ok, nan, 9, 1), "low must be free of NaN"),
    (lambda: coverage(ok, -1, one, 1), "targets and high must have one shape"),
]


@pytest.mark.parametrize(("call", "says"), BAD)
def test_bad_input_names_the_argument(call, says):
    with pytest.raises(ValueError, match=says):
        call()
