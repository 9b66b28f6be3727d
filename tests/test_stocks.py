"""Prices of three stocks, volatility without a network, and the LSTM that forecasts both."""

import hashlib
from importlib.resources import files

import numpy as np
import pytest
import torch

from companion.data import load_stocks
from companion.forecast import Split, find_leak, splits
from companion.models.daily_returns import DAYS, LOSSES, Forecaster, inputs
from companion.models.volatility import (
    ewma,
    ewma_forecasts,
    garch,
    garch_forecasts,
    gaussian_loss,
    har_forecasts,
    har_inputs,
    past_of,
)

stocks = load_stocks()
returns = 100 * np.diff(np.log(stocks.prices), axis=0)


def test_prices_are_those_of_the_source():
    assert stocks.names == ["IBM", "AAPL", "MSFT"]
    assert stocks.prices.shape == stocks.volumes.shape == (3270, 3) == (len(stocks.dates), 3)
    # As the file has them: the first of AAPL, and the last volumes.
    assert stocks.prices[0, 1] == np.float32(4.186662803811)
    assert stocks.volumes[0, 1] == 9616100 and stocks.dates[0] == np.datetime64("2000-03-01")
    assert stocks.dates[-1] == np.datetime64("2013-03-01")
    gaps = np.diff(stocks.dates).astype(int)
    assert gaps.min() == 1 and gaps.max() == 7  # a weekend, and the week of September 2001
    # Apple's split of two for one, 28 February 2005, is no fall by half.
    k = int(np.searchsorted(stocks.dates, np.datetime64("2005-02-28")))
    assert abs(stocks.prices[k, 1] / stocks.prices[k - 1, 1] - 1) < 0.02
    stocks.prices[0] = 0
    assert load_stocks().prices[0].all()  # a copy


def test_parts_follow_each_other_and_the_card_says_so():
    train, valid, test = stocks.train, stocks.valid, stocks.test
    assert (train.start, train.stop, valid.stop, test.stop) == (0, valid.start, test.start, 3270)
    years = stocks.dates.astype("datetime64[Y]").astype(int) + 1970
    assert years[train].max() == 2005 and set(years[valid]) == {2006, 2007}
    assert years[test].min() == 2008
    content = files("companion.data").joinpath("stocks.npz").read_bytes()
    assert stocks.card.checksum == hashlib.sha256(content).hexdigest()
    assert len(content) < 100_000 and max(map(len, str(stocks.card).splitlines())) <= 90


def test_the_loss_is_smallest_for_the_true_width():
    x = 2 * np.random.default_rng(0).normal(size=100_000)
    losses = [gaussian_loss(x, sd).mean() for sd in (1.9, 2.0, 2.1)]
    assert losses[1] < min(losses[0], losses[2])
    density = np.exp(-losses[1]) / np.sqrt(2 * np.pi)  # geometric mean of the density at x
    true = np.exp(-(x**2) / 8) / (2 * np.sqrt(2 * np.pi))
    assert np.isclose(np.log(density), np.log(true).mean(), rtol=1e-12)


def test_filters_are_their_loops():
    x = returns[:50] / 2
    v, w = np.ones(3), np.ones(3)
    for t in range(50):
        v = 0.9 * v + 0.1 * x[t] ** 2
        w = 0.02 + 0.88 * w + (0.03 + 0.1 * (x[t] < 0)) * x[t] ** 2
        np.testing.assert_allclose(ewma(x, 0.9)[t], np.sqrt(v), rtol=1e-12)
        np.testing.assert_allclose(garch(x, (0.02, 0.03, 0.88, 0.1))[t], np.sqrt(w), rtol=1e-12)


def test_inputs_of_the_linear_model_are_means_of_the_last_days():
    times = np.array([39, 45, 199])
    found = har_inputs(returns, times)
    for row, t in zip(found, times, strict=True):
        sizes, falls = np.abs(returns), np.maximum(-returns, 0)
        wanted = [sizes[t - n + 1 : t + 1].mean(0) for n in (1, 5, 22, 40)]
        wanted += [falls[t - n + 1 : t + 1].mean(0) for n in (1, 5)]
        np.testing.assert_allclose(row, np.stack(wanted, -1), rtol=1e-9)


def made_up(theta, T=4000):
    """Returns of a GARCH process: two series of variance about 1."""
    rng, v, found = np.random.default_rng(1), np.ones(2), []
    w, a, b, c = theta
    for _ in range(T):
        x = np.sqrt(v) * rng.normal(size=2)
        v = w + b * v + (a + c * (x < 0)) * x**2
        found.append(x)
    return np.array(found)


def test_garch_is_fitted_as_well_as_if_its_parameters_were_known():
    theta = (0.05, 0.05, 0.8, 0.2)
    x = 3 * made_up(theta)
    split = Split(np.arange(39, 2999), np.arange(3000, 3999))
    y = x[split.test + 1]
    true = gaussian_loss(y, 3 * garch(x / 3, theta)[split.test]).mean()
    methods = {
        "constant": gaussian_loss(y, x[:3000].std(0)).mean(),
        **{
            method.__name__: gaussian_loss(y, method(x, split)).mean()
            for method in (garch_forecasts, har_forecasts, ewma_forecasts)
        },
    }
    # Four parameters fitted on 6,000 returns cost about 2 / 6,000 in loss.
    assert abs(methods["garch_forecasts"] - true) < 0.005
    assert methods["constant"] - true > 0.08
    for name in ("har_forecasts", "ewma_forecasts"):
        assert true - 0.002 < methods[name] < methods["constant"] - 0.05


@pytest.mark.parametrize("method", [ewma_forecasts, har_forecasts, garch_forecasts])
def test_no_baseline_reads_its_future(method):
    def forecaster(series, times):
        return np.concatenate([method(series, fold) for fold in splits(times, 40, start=39)])

    report = find_leak(forecaster, returns[:420], np.arange(300, 419), cuts=3)
    assert report.ok, report


@pytest.mark.parametrize("task", LOSSES)
def test_the_network_reads_no_future_and_all_of_its_days(task):
    def forecaster(series, times):
        return np.concatenate(
            [
                Forecaster(series, train, task, 3, H=2, epochs=1)(series, test)
                for train, test in splits(times, 10, start=DAYS - 1)
            ]
        )

    report = find_leak(forecaster, returns[:80], np.arange(60, 79), cuts=2)
    assert report.ok, report
    fitted = Forecaster(returns[:200], np.arange(39, 150), task, 0, H=4, epochs=3)
    fitted.net.lstm.bias_ih_l0.data[4:8] = 5  # remember, so that float32 shows the oldest day
    base = fitted(returns, np.array([160]))
    for t, moves in ((160, True), (160 - DAYS + 1, True), (161, False), (160 - DAYS, False)):
        changed = returns.copy()
        changed[t] += 5
        assert (fitted(changed, np.array([160])) != base).all() == moves


def test_columns_are_kept_apart_and_units_come_back():
    times = np.arange(100, 110)
    x = inputs(returns, times)
    assert x.shape == (DAYS, 30, 2)
    np.testing.assert_allclose(x[-1, 10:20, 0], returns[times, 1], rtol=1e-6)  # float32
    np.testing.assert_allclose(x[0, :10, 1], np.abs(returns[times - DAYS + 1, 0]), rtol=1e-6)
    # Untrained, it forecasts the mean of the past, or its spread.
    known = returns[:152]
    mean = Forecaster(returns, np.arange(39, 151), "return", 0, epochs=0)(returns, times)
    np.testing.assert_allclose(mean, np.tile(known.mean(0), (10, 1)), rtol=1e-12)
    sd = Forecaster(returns, np.arange(39, 151), "volatility", 0, epochs=0)(returns, times)
    np.testing.assert_allclose(sd, np.tile(np.sqrt((known**2).mean(0)), (10, 1)), rtol=1e-12)


def test_the_loss_of_the_network_is_that_of_the_book():
    a, y = torch.tensor([0.3, -0.2]), torch.tensor([1.0, -2.0])
    wanted = gaussian_loss(y.numpy(), np.exp(a.numpy())).mean()
    assert np.isclose(float(LOSSES["volatility"](a, y)), wanted, rtol=1e-6)  # float32
    assert np.isclose(float(LOSSES["return"](a, y)), np.mean([0.49, 3.24]), rtol=1e-6)


def test_it_learns_what_can_be_learned():
    x = 3 * made_up((0.05, 0.05, 0.7, 0.35), 2500)
    split = Split(np.arange(39, 1999), np.arange(2000, 2499))
    fitted = Forecaster(x, split.train, "volatility", 0, H=4, epochs=5)
    y = x[split.test + 1]
    constant = gaussian_loss(y, np.sqrt((x[:2000] ** 2).mean(0))).mean()
    assert gaussian_loss(y, fitted(x, split.test)).mean() < constant - 0.03


def test_what_cannot_be_fitted_is_refused():
    holes, flat = returns.copy(), returns.copy()
    holes[50, 1], flat[:, 2] = np.nan, 0
    train = np.arange(39, 100)
    assert len(past_of(holes[:102], train[:10])) == 50  # a hole that is not known yet
    for bad, times, words in (
        (returns[:, 0], train, r"shape \(T, D\)"),
        (returns[:100], train, "last training time must be in 20 … 98, got 99"),
        (returns, np.array([19]), "got 19"),
        (holes, train, "finite"),
        (flat, train, "zero"),
    ):
        with pytest.raises(ValueError, match=words):
            past_of(bad, times)
        with pytest.raises(ValueError, match=words):
            garch_forecasts(bad, Split(times, train))
    with pytest.raises(ValueError, match="train_times must hold at least one time"):
        past_of(returns, train[:0])
    with pytest.raises(ValueError, match="finite"):
        Forecaster(holes, train, "return", 0, epochs=0)
    with pytest.raises(ValueError, match="task must be one of"):
        Forecaster(returns, train, "price", 0, epochs=0)
    with pytest.raises(ValueError, match="times must be 39 or later, got 38"):
        har_inputs(returns, np.array([38, 50]))
    with pytest.raises(ValueError, match="times must be in 39"):
        Forecaster(returns, np.arange(38, 100), "return", 0, epochs=0)
    for sd in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="sd must be above 0"):
            gaussian_loss(returns[:2], np.array([1.0, sd, 1.0]))
