"""The weather at JFK: units, gaps, and that a gap is filled with what came before it."""

import numpy as np
import pytest

from companion.data import load_weather
from companion.data.weather import _carried_on

DATA = load_weather()


def test_the_hours_are_whole_and_the_units_those_of_the_book():
    assert DATA.values.shape == DATA.missing.shape == (8730, 7)
    kinds = dict(zip(DATA.names, DATA.units, strict=True))
    assert kinds["temperature"] == kinds["dew point"] == "°C" and kinds["pressure"] == "hPa"
    assert (np.diff(DATA.time) == np.timedelta64(1, "h")).all()
    assert not np.isnan(DATA.values).any()
    temperature, dew = DATA.values[:, 0], DATA.values[:, 1]
    assert -15 < temperature.min() and 35 < temperature.max() < 40  # °C
    assert (dew < temperature + 0.01).all()
    assert 980 < DATA.values[:, 5].min() and DATA.values[:, 5].max() < 1050  # hPa
    # First row of the table: 39.02 °F, wind of 12.66 miles an hour from 260°.
    np.testing.assert_allclose(temperature[0], 3.9, atol=1e-6)
    wind = DATA.values[0, 3:5]
    assert np.hypot(*wind) == pytest.approx(12.65858 * 0.44704, rel=1e-6)
    assert np.degrees(np.arctan2(*wind)) == pytest.approx(80, abs=1e-4)  # where it goes


def test_warmest_in_the_early_afternoon():
    """The hours are UTC: New York's noon is 17:00."""
    hour = DATA.time.astype(int) % 24
    mean = [DATA.values[hour == k, 0].mean() for k in range(24)]
    assert np.argmax(mean) in (17, 18, 19, 20) and np.argmin(mean) in (8, 9, 10, 11)


def test_gaps_hold_the_latest_value():
    assert DATA.missing.all(1).sum() == 24
    assert DATA.missing.sum(0).tolist() == [25, 25, 25, 75, 75, 855, 24]
    rows, columns = np.nonzero(DATA.missing)
    np.testing.assert_array_equal(DATA.values[rows, columns], DATA.values[rows - 1, columns])


def test_what_comes_after_changes_nothing_before():
    measured = np.arange(70.0).reshape(10, 7)
    measured[3:6, 5] = np.nan
    measured[4, 0] += 50  # an error of the instrument
    values, missing = _carried_on(measured)
    assert values[3:6, 5].tolist() == [measured[2, 5]] * 3
    assert values[4, 0] == measured[3, 0] and missing[4, :3].all() and not missing[5, 0]
    changed = measured.copy()
    changed[6:] *= 2
    np.testing.assert_array_equal(_carried_on(changed)[0][:6], values[:6])
