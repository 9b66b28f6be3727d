"""Temperature of the next 24 hours: an LSTM that gives them at once, or one hour after another.

Arrays are those of `companion.data.load_weather`: a row an hour, and the columns are its seven
variables, temperature first. Hours are counted from its first, 1 January 2013, 6:00 UTC.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from companion.forecast import Scaling, Split, fit_scaling, targets
from companion.nn import LSTM
from companion.types import Array

LEADS = np.arange(1, 25)  # hours ahead
WINDOW = 48  # hours that are read
_FIRST = 6  # hour of the day, UTC, of row 0


def clock(hours: ArrayLike) -> Array:
    """Time of day and of year, each as sine and cosine, known ahead for any hour.

    hours: (...), counted from the first of `load_weather`.
    Returns float64 (..., 4): sine and cosine of the day, then of the year.
    """
    day = 2 * np.pi * (np.asarray(hours) + _FIRST) / 24
    year = 2 * np.pi * (np.asarray(hours) + _FIRST) / 8760
    return np.stack([np.sin(day), np.cos(day), np.sin(year), np.cos(year)], -1)


class HoursAhead(nn.Module):
    """An LSTM with a linear readout at every hour.

    Called with x (T, B, D); returns (T, B, K), of scaled changes once it is trained.
    D: inputs of an hour, the clock included. H: units. K: outputs.
    """

    def __init__(self, D: int, H: int, K: int) -> None:
        super().__init__()
        self.lstm = LSTM(D, H, forget_bias=1.0)
        self.head = nn.Linear(H, K)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0])


def hours_examples(
    series: Array, split: Split, recursive: bool
) -> tuple[Scaling, torch.Tensor, torch.Tensor]:
    """Inputs and targets of every hour, scaled by what is known when `split.test` begins.

    series: (T, D), temperature first. split: a `companion.forecast.Split`, made with ahead = 24.
    recursive: if true, the target of an hour is the change of every variable until the next one;
    if false, the change of the temperature until each of the next 24.
    Returns the `Scaling`; x (T, D + 4), the scaled variables and behind them the `clock`; and the
    scaled changes, (T - 1, D) if recursive, else (T - 24, 24). x and changes are float32 tensors.
    """
    scaling = fit_scaling(series[: split.test[0] + 1])
    z = scaling.apply(series)
    if recursive:
        change = z[1:] - z[:-1]
    else:
        hours = np.arange(len(z) - LEADS[-1])
        change = targets(z[:, 0], hours, LEADS) - z[hours, :1]
    x = np.hstack([z, clock(np.arange(len(z)))])
    x, change = (torch.from_numpy(part.astype(np.float32)) for part in (x, change))
    return scaling, x, change


def train_hours_ahead(
    x: torch.Tensor,
    change: torch.Tensor,
    last: int,
    seed: int,
    H: int = 32,
    epochs: int = 30,
    lr: float = 0.01,
    noise: float = 0.3,
    skip: int = 24,
) -> HoursAhead:
    """A `HoursAhead`, trained with Adam on stretches of 48 hours, about 16 of them a batch.

    x, change: of `hours_examples`. last: how many hours to train on, from the first, at least 385
    and at most the rows of change. seed: of weights, order and noise. H: units. epochs: passes
    over the hours. lr: the highest learning rate, to which it rises in the first tenth of the
    training, and then falls. noise: standard deviation of what is added to all inputs but the
    clock, in scaled units. skip: hours at the beginning of a stretch that the loss leaves out,
    since the network has seen too little by then.
    Returns the net, in evaluation mode.
    Raises ValueError for a last below 385, which would not fill a batch.
    """
    updates = round(last / WINDOW / 16)
    if updates < 1:
        raise ValueError(f"last must be at least 385 hours, so that there is a batch, got {last}")
    torch.manual_seed(seed)
    rng, D = np.random.default_rng(seed), x.shape[1]
    net = HoursAhead(D, H, change.shape[1])
    adam = torch.optim.Adam(net.parameters())
    rate = torch.optim.lr_scheduler.OneCycleLR(adam, lr, updates * epochs, pct_start=0.1)
    noisy = noise * (torch.arange(D) < D - 4)
    for _ in range(epochs):
        starts = np.arange(rng.integers(WINDOW), last - WINDOW + 1, WINDOW)
        for part in np.array_split(rng.permutation(starts), updates):
            at = part + np.arange(WINDOW)[:, None]  # (48, B)
            seen = x[at] + noisy * torch.randn(x[at].shape)
            loss = (net(seen) - change[at])[skip:].square().mean()
            adam.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            adam.step()
            rate.step()
    return net.eval()


def hours_net(
    series: Array, split: Split, seed: int, recursive: bool = False, **settings: Any
) -> tuple[HoursAhead, Scaling, torch.Tensor]:
    """The net of one fold, trained, with its scaling and its inputs.

    series, split, recursive: as of `hours_examples`. seed: as of `train_hours_ahead`.
    settings: H, epochs, lr and noise of `train_hours_ahead`.
    Returns the net, the `Scaling`, and x (T, D + 4), a float32 tensor: what `direct_forecasts`
    reads, or for a recursive net `recursive_forecasts`.
    Raises ValueError as `train_hours_ahead`.
    """
    scaling, x, change = hours_examples(series, split, recursive)
    last = int(split.test[0]) if recursive else int(split.train[-1]) + 1
    skip = WINDOW // 4 if recursive else WINDOW // 2 - 1
    return train_hours_ahead(x, change, last, seed, skip=skip, **settings), scaling, x


def _window(times):
    """The hours that are read, (48, N): up to each of the times."""
    if (times < WINDOW - 1).any():  # a negative index would read the end of the series
        raise ValueError(f"times must be at least {WINDOW - 1}, got {times.min()}")
    return times + np.arange(1 - WINDOW, 1)[:, None]


@torch.no_grad()
def direct_forecasts(net: HoursAhead, scaling: Scaling, x: torch.Tensor, times: Array) -> Array:
    """Temperatures of the next 24 hours, all at once.

    net, scaling, x: as of `hours_net`, not recursive. times: (N,), when forecasts are issued,
    each at least 47, since 48 hours are read.
    Returns float64 (N, 24), in °C, from one hour ahead to 24.
    Raises ValueError for an earlier time.
    """
    change = net(x[_window(times)])[-1].numpy()
    now = x[times, :1].numpy() + change.astype(np.float64)
    return now * scaling.sd[0] + scaling.mean[0]


@torch.no_grad()
def recursive_forecasts(net: HoursAhead, scaling: Scaling, x: torch.Tensor, times: Array) -> Array:
    """Temperatures of the next 24 hours, each forecast being read as if it had been measured.

    net, scaling, x: as of `hours_net` with recursive=True. times: (N,), when forecasts are
    issued, each at least 47, since 48 hours are read.
    Returns (N, 24), in °C, from one hour ahead to 24.
    Raises ValueError for an earlier time.
    """
    D = x.shape[1] - 4
    now, found = x[times, :D], []
    hs, state = net.lstm(x[_window(times)])
    for k in LEADS:
        now = now + net.head(hs[-1])
        found.append(scaling.undo(now.numpy())[:, 0])
        ahead = torch.from_numpy(clock(times + k).astype(np.float32))
        hs, state = net.lstm(torch.hstack([now, ahead])[None], state)
    return np.stack(found, 1)
