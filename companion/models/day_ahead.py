"""Electricity demand of the day ahead: what is known at midnight, and an LSTM that reads it.

A forecast of day d is issued when day d - 1 ends. It may read the demand and the temperature of
the days before d, and the calendar of all days. Arrays are those of `companion.data.load_demand`,
(days, 48); days are counted from 0 = 1 January 2014.
"""

from typing import Any

import numpy as np
import torch
from torch import nn

from companion.data.demand import STEPS
from companion.forecast import Split, fit_scaling
from companion.types import Array

LEVELS = (0.1, 0.5, 0.9)
FIRST = 8  # the first day for whose inputs enough days lie before it
_WEDNESDAY = 2  # the first day of 2014, Monday being 0


def reference_days(workday: Array, days: Array) -> Array:
    """For each day, an earlier one of the same kind, workday or not, whose demand to repeat.

    It is the day before if that is of the same kind, else the same day a week before if that is,
    else the latest earlier day of the kind.
    workday: bool (days,), False on weekends and holidays. days: (N,), numbers of days, each at
    least 7.
    Returns their reference days, whole numbers (N,).
    Raises ValueError for a day below 7, or one with no day of its kind before it.
    """
    if np.min(days) < 7:
        raise ValueError(f"days must be at least 7, got {np.min(days)}")
    found = []
    for d in days:
        order = [d - 1, d - 7, *range(d - 2, -1, -1)]
        same = [k for k in order if workday[k] == workday[d]]
        if not same:
            raise ValueError(f"day {d} must have a day of its kind before it, got none")
        found.append(same[0])
    return np.array(found)


def flat_inputs(
    demand: Array, temperature: Array, workday: Array, days: Array, ahead: Array | None = None
) -> Array:
    """One row a day, for a linear model: three earlier days, yesterday's weather, the calendar.

    The three are yesterday, a week before and the reference day, with all 48 values of their
    demand. Of a temperature there is one value in two hours, and by how much it is below 16 °C
    and above 20 °C, since both cold and heat raise the demand.
    demand, temperature: (days, 48), in GW and °C, not scaled. workday: bool (days,). days: (N,),
    the days to forecast, each at least 7. ahead: (days, 48), a temperature in °C that is taken as
    known for the day itself, or None.
    Returns (N, 191), or (N, 227) with `ahead`.
    Raises ValueError as `reference_days`.
    """
    reference = reference_days(workday, days)
    parts = [demand[days - 1], demand[days - 7], demand[reference]]
    weather = [temperature[days - 1]] if ahead is None else [temperature[days - 1], ahead[days]]
    for t in weather:
        parts += [t[:, ::4], np.maximum(16 - t[:, ::4], 0), np.maximum(t[:, ::4] - 20, 0)]
    kinds = [workday[days], workday[days - 1], workday[days - 7]]
    kinds = np.stack([*kinds, workday[days] & workday[days - 1]], 1)
    parts += [kinds.astype(float), np.eye(7)[_weekday(days)]]
    return np.concatenate(parts, 1)


def table_inputs(
    demand: Array, temperature: Array, workday: Array, days: Array, ahead: Array | None = None
) -> Array:
    """One row a half hour, for trees: what was measured at this time, and facts of whole days.

    At this time: demand of yesterday, of a week before and of the reference day, and yesterday's
    temperature. Of whole days: whether the day itself, yesterday and the day a week before are
    workdays; the day of the week, 0 for Monday; yesterday's last demand; the three days' mean
    demands; yesterday's last, mean, lowest and highest temperature. The last column is the number
    of the half hour. With `ahead`, also the temperature of the day itself, at this time, and its
    lowest and highest.
    Arguments and errors as of `flat_inputs`.
    Returns (N, 48, 17), or (N, 48, 20) with `ahead`.
    """
    reference = reference_days(workday, days)
    y, t = demand[days - 1], temperature[days - 1]
    columns = [y, demand[days - 7], demand[reference], t]
    daily = [workday[days], workday[days - 1], workday[days - 7], _weekday(days), y[:, -1]]
    daily += [demand[k].mean(1) for k in (days - 1, days - 7, reference)]
    daily += [t[:, -1], t.mean(1), t.min(1), t.max(1)]
    if ahead is not None:
        columns.append(ahead[days])
        daily += [ahead[days].min(1), ahead[days].max(1)]
    columns += [np.repeat(np.asarray(column)[:, None], STEPS, 1) for column in daily]
    columns.append(np.tile(np.arange(STEPS), (len(days), 1)))
    return np.stack(columns, 2)


def step_inputs(
    demand: Array, temperature: Array, workday: Array, days: Array, ahead: Array | None = None
) -> Array:
    """Two days, half hour by half hour, for a recurrent network: yesterday, then the day ahead.

    The columns, in order: demand, which is 0 on the day ahead; demand of the reference day, and
    of a week before; temperature, on the day ahead that of yesterday at the same time, or
    `ahead`; workday; 1 where demand is known, else 0; time of day as sine and cosine of one and
    of two turns a day; seven for the day of the week, from Monday, one of them 1.
    demand, temperature: (days, 48), scaled. workday: bool (days,). days: (N,), the days to
    forecast, each at least 8. ahead: (days, 48), a temperature that is taken as known for the day
    ahead, scaled like the other, or None.
    Returns (96, N, 17), time first.
    Raises ValueError as `reference_days`, which is asked for yesterday, too.
    """
    halves = []
    for day, known in ((days - 1, 1.0), (days, 0.0)):
        clock = 2 * np.pi * (np.arange(STEPS) + 0.5) / STEPS
        wave = np.stack([np.sin(clock), np.cos(clock), np.sin(2 * clock), np.cos(2 * clock)], 1)
        weather = temperature[days - 1] if known or ahead is None else ahead[days]
        columns = [
            demand[days - 1] * known,
            demand[reference_days(workday, day)],
            demand[day - 7],
            weather,
            np.repeat(workday[day][:, None], STEPS, 1),
            np.full((len(days), STEPS), known),
        ]
        parts = [np.stack(columns, 2), np.tile(wave, (len(days), 1, 1))]
        parts.append(np.repeat(np.eye(7)[_weekday(day)][:, None], STEPS, 1))
        halves.append(np.concatenate(parts, 2))
    return np.concatenate(halves, 1).transpose(1, 0, 2)


class DayAhead(nn.Module):
    """An LSTM that reads yesterday and then the calendar of the day ahead.

    Called with (96, N, D), as `step_inputs` gives it with D = 17; returns (48, N, 3), at each half
    hour of the second day the quantiles of the levels 0.1, 0.5 and 0.9, not sorted.
    D: inputs of a step. H: units.
    """

    def __init__(self, D: int, H: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(D, H)
        self.head = nn.Linear(H, len(LEVELS))
        with torch.no_grad():  # forget bias 1
            self.lstm.get_parameter("bias_ih_l0")[H : 2 * H] = 1
            self.lstm.get_parameter("bias_hh_l0")[H : 2 * H] = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0][-STEPS:])


def pinball_loss(quantiles: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean pinball loss over the levels 0.1, 0.5 and 0.9: `companion.forecast.pinball` on tensors.

    quantiles: (..., 3). targets: (...).
    Returns a scalar tensor, the mean over all numbers.
    """
    levels = torch.tensor(LEVELS, dtype=quantiles.dtype)
    over = targets[..., None] - quantiles
    return torch.maximum(levels * over, (levels - 1) * over).mean()


def train_day_ahead(
    x: torch.Tensor, y: torch.Tensor, seed: int, H: int = 32, epochs: int = 40, lr: float = 0.01
) -> DayAhead:
    """A `DayAhead` trained with Adam on batches of up to 16 days.

    x: (96, N, D), float32. y: (48, N), float32. seed: of the first weights and the order of the
    days. H: units. epochs: passes over the days. lr: the highest learning rate, to which it rises
    in the first tenth of the training, and then falls.
    Returns the net, in evaluation mode.
    """
    torch.manual_seed(seed)
    net, rng, B = DayAhead(x.shape[-1], H), np.random.default_rng(seed), 16
    updates = -(-x.shape[1] // B)
    optimizer = torch.optim.Adam(net.parameters())
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, updates * epochs, pct_start=0.1)
    for _ in range(epochs):
        for part in np.array_split(rng.permutation(x.shape[1]), updates):
            loss = pinball_loss(net(x[:, part]), y[:, part])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            rate.step()
    return net.eval()


def lstm_examples(
    series: Array, workday: Array, split: Split, future: bool = False
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, float]:
    """What the net trains on and what it forecasts from, scaled on what is known.

    Scaling is fitted on the days up to the last target of training.
    series: (days, 96), demand in GW and temperature in °C side by side. workday: bool (days,).
    split: a `companion.forecast.Split`, whose times are the days at whose end a forecast of the
    next day is issued, each at least 7. future: whether the temperature of the day ahead is read,
    which nobody knows.
    Returns x (96, N, 17) to train on; y (48, N), the scaled deviations from the reference day; x
    to forecast from, (96, M, 17), all three float32 tensors; and how many GW one unit of y is.
    Raises ValueError as `reference_days`.
    """
    known = series[: split.train[-1] + 2]
    scalings = [fit_scaling(part.ravel()) for part in (known[:, :STEPS], known[:, STEPS:])]
    demand, temperature = (
        scaling.apply(series[:, at : at + STEPS])
        for at, scaling in zip((0, STEPS), scalings, strict=True)
    )
    ahead = temperature if future else None
    train, test = split.train + 1, split.test + 1
    y = demand[train] - demand[reference_days(workday, train)]
    arrays = [step_inputs(demand, temperature, workday, days, ahead) for days in (train, test)]
    x, new, y = (torch.from_numpy(a.astype(np.float32)) for a in (*arrays, y.T))
    return x, y, new, float(scalings[0].sd)


def lstm_forecasts(
    series: Array, workday: Array, split: Split, seed: int, future: bool = False, **settings: Any
) -> tuple[Array, DayAhead]:
    """Quantiles of the demand of the days after split.test, and the net that gives them.

    series, workday, split, future: as of `lstm_examples`. seed: as of `train_day_ahead`.
    settings: H, epochs and lr of `train_day_ahead`.
    Returns float64 (M, 48, 3), in GW, of the levels 0.1, 0.5 and 0.9, sorted, and the trained
    `DayAhead`.
    Raises ValueError as `reference_days`.
    """
    x, y, new, unit = lstm_examples(series, workday, split, future)
    net = train_day_ahead(x, y, seed, **settings)
    with torch.no_grad():
        q = net(new).numpy().transpose(1, 0, 2)
    base = series[reference_days(workday, split.test + 1), :STEPS, None]
    return base + np.sort(q, 2).astype(np.float64) * unit, net


def _weekday(days):
    """0 for Monday … 6 for Sunday."""
    return (np.asarray(days) + _WEDNESDAY) % 7
