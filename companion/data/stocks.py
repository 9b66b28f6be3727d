"""Thirteen years of daily prices of three companies."""

import io
from importlib.resources import files
from typing import NamedTuple

import numpy as np

from companion.data.card import Card, sha256

FILE = "stocks.npz"


class Stocks(NamedTuple):
    """What `load_stocks` returns: T trading days and D companies.

    dates: (T,), datetime64[D]. names: the D tickers. prices: (T, D), adjusted closing prices in
    dollars, float64. volumes: (T, D), shares traded, as they were counted on the day, int64.
    train, valid, test: slices of the days, one after another.
    """

    dates: np.ndarray
    names: list[str]
    prices: np.ndarray
    volumes: np.ndarray
    train: slice
    valid: slice
    test: slice
    card: Card


def load_stocks() -> Stocks:
    """Adjusted closing prices of IBM, Apple and Microsoft on 3,270 days, March 2000 to March 2013.

    A closing price is adjusted by a factor for all splits and dividends that came after its day,
    those after 2013 included. So a price knows of its future, by a factor that is the same from
    one such event to the next; the ratio of a day's price to that of the day before does not.
    Days of `train` end with 2005, those of `valid` are 2006 and 2007, `test` begins with 2008.
    Returns `dates` (T,), datetime64[D]; `names`, a list of the D tickers; `prices` (T, D), float64,
    in dollars; `volumes` (T, D), int64, shares traded as they were counted on the day; `train`,
    `valid` and `test`, slices of the T days; and a `card`.
    Source: Quandl WIKI Prices, by way of bokeh_sampledata.
    """
    content = files("companion.data").joinpath(FILE).read_bytes()
    with np.load(io.BytesIO(content)) as arrays:
        dates = arrays["days"].astype("datetime64[D]")
        names, prices = arrays["names"].tolist(), arrays["prices"].astype(np.float64)
        volumes = arrays["volumes"].astype(np.int64)
    first, second = np.searchsorted(dates, np.array(["2006-01-01", "2008-01-01"], "datetime64[D]"))
    card = Card(
        name="Stocks",
        what="daily adjusted closing prices and volumes of IBM, AAPL, MSFT",
        source="Quandl WIKI Prices, as in bokeh_sampledata 2026.1",
        licence="public domain, as the source declared",
        size=f"{len(dates):,} trading days, {dates[0]} to {dates[-1]}",
        split=f"{first:,} train, {second - first} valid (2006-07), {len(dates) - second:,} test",
        checksum=sha256(content),
    )
    parts = slice(0, int(first)), slice(int(first), int(second)), slice(int(second), len(dates))
    return Stocks(dates, names, prices, volumes, *parts, card)
