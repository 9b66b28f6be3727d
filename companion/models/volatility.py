"""How much a return will vary: forecasts of its standard deviation that need no network.

Returns have mean zero here, which for daily returns is near enough. All are arrays (T, D), one
column a series. A forecast issued at time t is about t + 1. Needs SciPy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.signal import lfilter

from companion.forecast import Split
from companion.types import Array

BURN_IN = 20  # steps of a filter whose forecasts are not used in fitting it
LEAST = 0.05  # of the past standard deviation: no forecast is smaller


def gaussian_loss(returns: Array, sd: Array | float) -> Array:
    """Minus the logarithm of the normal density, without its constant: log sd + r² / (2 sd²).

    On average it is smallest for the true standard deviation.
    returns, sd: of one shape, or of two that broadcast.
    Returns the loss of each return, of that shape.
    Raises ValueError unless sd > 0 everywhere.
    """
    if not np.all(np.greater(sd, 0)):
        raise ValueError(f"sd must be above 0 everywhere, got {np.min(sd)}")
    return np.log(sd) + returns**2 / (2 * sd**2)


def ewma(returns: Array, decay: float, start: float = 1.0) -> Array:
    """The root of a running mean of squared returns, v = decay · v + (1 - decay) · r².

    returns: (T,) or (T, D). decay: between 0 and 1. start: v before the first step, a variance.
    Returns an array of the same shape; row t is the forecast issued at t, a standard deviation.
    Source: J.P. Morgan's RiskMetrics (1996), where decay is 0.94.
    """
    return np.sqrt(_filtered((1 - decay) * returns**2, decay, start))


def ewma_forecasts(returns: Array, split: Split) -> Array:
    """`ewma` with the decay that had the smallest loss on the past, one for all series.

    Decays of 0.85, 0.86 … 0.99 are tried.
    returns: (T, D). split: a `companion.forecast.Split`; what is known is as `past_of` has it.
    Returns forecasts (M, D), issued at the times of `split.test`, in units of the returns.
    Raises ValueError as `past_of`.
    """
    known, sd = _scaled(returns, split)
    decays = np.arange(0.85, 0.995, 0.01)
    losses = [gaussian_loss(known[BURN_IN + 1 :], ewma(known, d)[BURN_IN:-1]) for d in decays]
    best = decays[int(np.argmin([loss.mean() for loss in losses]))]
    return ewma(returns / sd, best)[split.test] * sd


def har_inputs(returns: Array, times: Array, days: Sequence[int] = (1, 5, 22, 40)) -> Array:
    """Mean absolute return over the last day, week, month and two months, and falls alone.

    returns: (T, D). times: (N,), each at least max(days) - 1. days: over how many of the latest
    days a mean is taken, each number one column. The falls, max(-r, 0), are averaged over the
    first two of `days`.
    Returns (N, D, 6) for four days: one column for each of `days`, then the two of the falls.
    Raises ValueError for times before the first `max(days)` returns are known.
    Source: Corsi (2009), there of realised volatility and over 1, 5 and 22 days.
    """
    if np.min(times) < max(days) - 1:
        raise ValueError(f"times must be {max(days) - 1} or later, got {np.min(times)}")

    def mean(values, n):
        sums = np.cumsum(np.concatenate([np.zeros_like(values[:1]), values]), 0)
        return (sums[times + 1] - sums[times + 1 - n]) / n

    falls = np.maximum(-returns, 0)
    columns = [mean(np.abs(returns), n) for n in days] + [mean(falls, n) for n in days[:2]]
    return np.stack(columns, -1)


def har_forecasts(returns: Array, split: Split) -> Array:
    """A linear regression of the next absolute return on `har_inputs`, one for all series.

    Its forecasts are multiplied by one number, so that on the past (r / forecast)² is 1 on
    average. Arguments, result and errors as of `ewma_forecasts`; and ValueError as `har_inputs`,
    which needs training times of at least 39.
    """
    known, sd = _scaled(returns, split)
    x, y = har_inputs(known, split.train), known[split.train + 1]
    x = np.concatenate([x, np.ones_like(x[..., :1])], -1)
    weights = np.linalg.lstsq(x.reshape(-1, x.shape[-1]), np.abs(y).ravel(), rcond=None)[0]
    factor = np.sqrt(np.mean(y**2 / np.maximum(x @ weights, LEAST) ** 2))
    x = har_inputs(returns / sd, split.test)
    return np.maximum(x @ weights[:-1] + weights[-1], LEAST) * factor * sd


def garch(returns: Array, theta: Sequence[float] | Array) -> Array:
    """The root of v = w + b · v + (a + c · [r < 0]) · r²; [r < 0] is 1 for a fall, else 0.

    returns: (T,) or (T, D), of a variance of about 1, since v is 1 before the first step.
    theta: (w, a, b, c), none negative.
    Returns an array of the same shape; row t is the forecast issued at t, a standard deviation.
    Source: Bollerslev (1986); with c, Glosten, Jagannathan and Runkle (1993).
    """
    w, a, b, c = theta
    return np.sqrt(_filtered(w + (a + c * (returns < 0)) * returns**2, b, 1.0))


def garch_forecasts(returns: Array, split: Split) -> Array:
    """`garch` with the parameters of smallest loss on the past, one set for all series.

    Arguments, result and errors as of `ewma_forecasts`; and RuntimeError if the search for the
    smallest loss does not end.
    """
    known, sd = _scaled(returns, split)

    def loss(logs):
        w, a, b, c = np.exp(logs)
        if a + b + c / 2 >= 1:  # the variance would grow without bound
            return np.inf
        forecasts = garch(known, (w, a, b, c))
        return gaussian_loss(known[BURN_IN + 1 :], forecasts[BURN_IN:-1]).mean()

    start = np.log([0.02, 0.04, 0.9, 0.05])
    best = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 800})
    if not best.success:
        raise RuntimeError(f"GARCH has found no smallest loss: {best.message}")
    return garch(returns / sd, np.exp(best.x))[split.test] * sd


def past_of(returns: ArrayLike, train_times: Array) -> Array:
    """All that is known when a model is fitted: returns up to that after the last training time.

    returns: (T, D). train_times: (N,), increasing, when the examples are issued, each about the
    next return.
    Returns the first train_times[-1] + 2 rows.
    Raises ValueError for another shape, times whose next return is not there, fewer than 22 known
    returns, NaN or inf among them, or a series of zeros.
    """
    returns = np.asarray(returns)
    if returns.ndim != 2:
        raise ValueError(f"returns must have shape (T, D), got {returns.shape}")
    if not len(train_times):
        raise ValueError("train_times must hold at least one time, got none")
    last = train_times[-1] + 1
    if not BURN_IN + 1 <= last < len(returns):
        raise ValueError(
            f"the last training time must be in {BURN_IN} … {len(returns) - 2}, got {last - 1}"
        )
    known = returns[: last + 1]
    if not np.isfinite(known).all() or not np.any(known, axis=0).all():
        raise ValueError("known returns must be finite, and in no series all zero")
    return known


def _scaled(returns, split):
    """What is known when the split's model is fitted, in units of its own past; and these, (D,)."""
    known = past_of(returns, split.train)
    sd = np.sqrt(np.mean(known**2, 0))
    return known / sd, sd


def _filtered(inputs, factor, start):
    """v_t = factor · v_{t-1} + inputs_t from v = start on, along the first axis."""
    state = np.full((1, *inputs.shape[1:]), factor * start)
    return lfilter([1.0], [1.0, -factor], inputs, axis=0, zi=state)[0]
