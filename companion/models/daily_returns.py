"""An LSTM that reads the last days' returns, and forecasts the next one or how much it varies.

One network learns from all series of an array (T, D). A forecast issued at time t is about t + 1.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from companion.forecast import fit_scaling, windows
from companion.models.volatility import past_of
from companion.types import Array

DAYS = 40  # that the network reads before each forecast


class DailyReturns(nn.Module):
    """An LSTM over windows of DAYS = 40 days, and one number from its last state.

    Called with (DAYS, N, 2), as `inputs` gives it; returns (N,), which is 0 before training.
    H: units.
    """

    def __init__(self, H: int) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(2, H), nn.Linear(H, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0][-1])[:, 0]


def squared_loss(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean squared error of forecasts (N,) of scaled returns y (N,): a scalar tensor."""
    return ((outputs - y) ** 2).mean()


def volatility_loss(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean of `companion.models.volatility.gaussian_loss`, on tensors: a scalar tensor.

    outputs: (N,), the logarithm of the standard deviation. y: (N,), scaled returns.
    """
    return (outputs + y**2 * torch.exp(-2 * outputs) / 2).mean()


LOSSES = {"return": squared_loss, "volatility": volatility_loss}


def inputs(scaled: Array, times: Array) -> torch.Tensor:
    """Windows of scaled returns and of their size, the series one after another.

    scaled: (T, D). times: (N,), the last day of each window, at least DAYS - 1 = 39.
    Returns a float32 tensor (DAYS, N·D, 2): all windows of the first series, then of the second.
    Raises ValueError for other times.
    """
    x = np.stack([scaled, np.abs(scaled)], -1)
    parts = [windows(x[:, k], times, DAYS) for k in range(scaled.shape[1])]
    return torch.from_numpy(np.concatenate(parts).astype(np.float32)).transpose(0, 1)


def train(
    x: torch.Tensor,
    y: torch.Tensor,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    seed: int,
    H: int = 8,
    epochs: int = 10,
    lr: float = 0.01,
) -> DailyReturns:
    """A `DailyReturns` trained with Adam on batches of 256 windows.

    x: (DAYS, N, 2), float32. y: (N,), float32, the scaled return after each window.
    loss: `squared_loss` or `volatility_loss`. seed: of the first weights and the order of the
    windows. H: units. epochs: passes over the windows. lr: Adam's learning rate.
    Returns the net.
    """
    torch.manual_seed(seed)
    net, order = DailyReturns(H), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    for _ in range(epochs):
        for part in torch.randperm(len(y), generator=order).split(256):
            optimizer.zero_grad()
            loss(net(x[:, part]), y[part]).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
    return net


class Forecaster:
    """A network fitted on the past of `returns`, and the scaling that goes with it.

    Called with returns (T, D) and times (M,), each at least DAYS - 1 = 39, it gives the forecasts
    issued at these times, float64 (M, D), in units of the returns.
    returns: (T, D). train_times: (N,), increasing, when the training examples are issued, each at
    least DAYS - 1. Only returns up to the last of these times and the one after are read.
    task: what is forecast of the next return, "return" itself or "volatility", its standard
    deviation. seed: as of `train`. settings: H, epochs and lr of `train`.
    Raises ValueError for another task or other times, and as
    `companion.models.volatility.past_of`.
    """

    def __init__(
        self, returns: Array, train_times: Array, task: str, seed: int, **settings: Any
    ) -> None:
        if task not in LOSSES:
            raise ValueError(f"task must be one of {list(LOSSES)}, got {task!r}")
        known = past_of(returns, train_times)
        self.task, self.scaling = task, fit_scaling(known)
        if task == "volatility":  # of mean zero, like the forecasts it is compared with
            sd = np.sqrt(np.mean(known**2, 0))
            self.scaling = self.scaling._replace(mean=0 * sd, sd=sd)
        scaled = self.scaling.apply(known)
        y = torch.from_numpy(scaled[train_times + 1].T.ravel().astype(np.float32))
        self.net = train(inputs(scaled, train_times), y, LOSSES[task], seed, **settings)

    @torch.no_grad()
    def __call__(self, returns: Array, times: Array) -> Array:
        """Forecasts (M, D) issued at `times`, each at least DAYS - 1, in units of the returns."""
        outputs = self.net(inputs(self.scaling.apply(returns), times))
        outputs = outputs.numpy().astype(np.float64).reshape(returns.shape[1], -1).T
        if self.task == "return":
            return self.scaling.undo(outputs)
        return np.exp(outputs) * self.scaling.sd
