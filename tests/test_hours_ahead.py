"""Networks for 24 hours of temperature: what they are trained on, and that they read no future."""

import numpy as np
import pytest
import torch

from companion.data import load_weather
from companion.forecast import find_leak, splits
from companion.models.hours_ahead import (
    LEADS,
    HoursAhead,
    clock,
    direct_forecasts,
    hours_examples,
    hours_net,
    recursive_forecasts,
    train_hours_ahead,
)

SERIES = load_weather().values[:700]
WAYS = {False: direct_forecasts, True: recursive_forecasts}


def split(times):
    return splits(times, len(times), ahead=24, start=47)[0]


def test_the_clock_knows_time_of_day_and_year():
    np.testing.assert_allclose(clock(18)[:2], [0, 1], atol=1e-12)  # midnight UTC
    np.testing.assert_allclose(clock(0)[:2], [1, 0], atol=1e-12)  # 6:00 UTC
    np.testing.assert_allclose(clock(8760 - 6)[2:], [0, 1], atol=1e-12)  # New Year


def test_targets_are_changes_from_the_hour_itself():
    fold = split(np.arange(600, 640, 3))
    scaling, x, change = hours_examples(SERIES, fold, False)
    assert x.shape == (700, 11) and change.shape == (676, 24)
    np.testing.assert_allclose(scaling.mean, SERIES[:601].mean(0))
    want = (SERIES[100 + LEADS, 0] - SERIES[100, 0]) / SERIES[:601, 0].std()
    np.testing.assert_allclose(change[100], want, atol=1e-5)
    _, x, change = hours_examples(SERIES, fold, True)
    assert change.shape == (699, 7)
    np.testing.assert_allclose(change[100], x[101, :7] - x[100, :7], atol=1e-5)


@pytest.mark.parametrize("recursive", WAYS)
def test_no_forecast_reads_its_future(recursive):
    def forecaster(series, times):
        net = hours_net(series, split(times), 0, recursive, H=3, epochs=1)
        return WAYS[recursive](*net, times)

    assert find_leak(forecaster, SERIES, np.arange(500, 560, 12), cuts=2).ok


def test_the_loss_sees_no_hour_from_last_on():
    _, x, change = hours_examples(SERIES, split(np.arange(600, 640)), True)
    nets = []
    for bad in (500, 451):  # the last stretch begins at 405 … 452
        spoilt = change.clone()
        spoilt[bad:] = 9
        nets.append(
            [train_hours_ahead(x, c, 500, 0, H=3, epochs=8, skip=0) for c in (change, spoilt)]
        )
    same = [all(map(torch.equal, a.parameters(), b.parameters())) for a, b in nets]
    assert same == [True, False]


def test_a_net_without_weights_repeats_the_last_value():
    fold = split(np.arange(600, 640, 3))
    for recursive, forecast in WAYS.items():
        scaling, x, change = hours_examples(SERIES, fold, recursive)
        net = HoursAhead(11, 3, change.shape[1])
        torch.nn.init.zeros_(net.head.weight)
        torch.nn.init.zeros_(net.head.bias)
        found = forecast(net, scaling, x, fold.test)
        np.testing.assert_allclose(found, np.repeat(SERIES[fold.test, :1], 24, 1), atol=1e-4)
        net.head.bias.data[0] = 0.5  # of the first hour; of the temperature of every hour
        found = (forecast(net, scaling, x, fold.test) - SERIES[fold.test, :1]) / scaling.sd[0]
        want = 0.5 * LEADS if recursive else 0.5 * (LEADS == 1)
        np.testing.assert_allclose(found, np.tile(want, (len(fold.test), 1)), atol=1e-4)


def test_a_direct_forecast_is_what_the_net_says_at_its_hour():
    scaling, x, change = hours_examples(SERIES, split(np.arange(600, 640)), False)
    torch.manual_seed(0)
    net = HoursAhead(x.shape[1], 2, change.shape[1])
    (found,) = direct_forecasts(net, scaling, x, np.array([60]))
    with torch.no_grad():
        said = net(x[13:61, None])[-1, 0].double().numpy()
    wanted = scaling.mean[0] + scaling.sd[0] * (x[60, 0].item() + said)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)  # of some degrees, in float32


def test_recursion_reads_what_it_forecast():
    """The second hour is the first of a forecast issued an hour later, had it been right."""
    torch.manual_seed(0)
    fold = split(np.array([600]))
    scaling, x, _ = hours_examples(SERIES, fold, True)
    net = HoursAhead(11, 3, 7)
    first, second = recursive_forecasts(net, scaling, x, fold.test)[0, :2]
    with torch.no_grad():
        step = x[600, :7] + net(x[553:601, None])[-1, 0]
        seen = torch.cat([x[553:601], torch.cat([step, x[601, 7:]])[None]])[:, None]
        then = step + net(seen)[-1, 0]
    want = [scaling.undo(part.numpy())[0] for part in (step, then)]
    np.testing.assert_allclose([first, second], want, atol=1e-4)


@pytest.mark.parametrize("forecasts", [direct_forecasts, recursive_forecasts])
def test_a_time_without_48_hours_before_it_is_refused(forecasts):
    recursive = forecasts is recursive_forecasts
    scaling, x, change = hours_examples(SERIES, split(np.arange(600, 640)), recursive)
    net = HoursAhead(x.shape[1], 2, change.shape[1])
    for times in (np.array([47, 50]), np.arange(0)):
        assert forecasts(net, scaling, x, times).shape == (len(times), 24)
    with pytest.raises(ValueError, match="times must be at least 47, got 46"):
        forecasts(net, scaling, x, np.array([50, 46]))


def test_too_few_hours_are_refused():
    _, x, change = hours_examples(SERIES, split(np.arange(600, 640)), True)
    with pytest.raises(ValueError, match="at least 385 hours.* got 384"):
        train_hours_ahead(x, change, 384, 0)
