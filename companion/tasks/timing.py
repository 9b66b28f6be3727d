"""Timing: measure the delays of spikes, generate spikes, generate a periodic function.

Source: Gers, Schraudolph and Schmidhuber (2002). Definitions and limits were checked in lecture
notes on the paper; only the continual task with F = 10 and delays (0, 1) or (0, 1, 2) in its own
words. There a training stream ends at the first wrong prediction or after 100 spikes (periods),
and a network is tested on 1000.
"""

from collections.abc import Sequence

import numpy as np

from companion.tasks.batch import Batch, check_at_least, until_end, within
from companion.types import Array


def measure_delays(
    rng: np.random.Generator, B: int, F: int = 10, delays: Sequence[int] = (0, 1), spikes: int = 1
) -> Batch:
    """Say at each spike by how many steps it came later than F steps after the spike before.

    F: steps between two spikes without a delay. delays: whole numbers of at least 0, from which the
    delay I(n) of spike n is drawn. spikes: how many a sequence has; 1 is the NMSD task of the
    source, more are its continual task, MSD (measuring spike delays).
    Raises ValueError for other delays.

    D = K = 1. Spike n comes at step T(n) = T(n-1) + F + I(n), with steps counted from 1 and
    T(0) = 0. Input: 1 at a spike, else 0. Target, at spikes only: I(n).
    Source: Gers, Schraudolph and Schmidhuber (2002).
    """
    times, delay, steps = _spikes(rng, B, F, delays, spikes)
    xs = np.zeros((steps, B, 1), np.float32)
    targets = np.zeros_like(xs)
    rows = np.arange(B)
    xs[times - 1, rows, 0] = 1
    targets[times - 1, rows, 0] = delay
    return Batch(xs, targets, xs[..., 0] == 1)


def generate_spikes(
    rng: np.random.Generator, B: int, F: int = 10, delays: Sequence[int] = (0, 1), spikes: int = 1
) -> Batch:
    """The reverse, GTS (generating timed spikes): spike at the times T(n) of `measure_delays`.

    The arguments are those of `measure_delays`. D = K = 1. Target, at every step: 1 at a spike,
    else 0. Input: the delay I(n) throughout the interval that ends with spike n; this form of the
    input is our reading of the paper.
    Source: Gers, Schraudolph and Schmidhuber (2002).
    """
    times, delay, steps = _spikes(rng, B, F, delays, spikes)
    targets = np.zeros((steps, B, 1), np.float32)
    xs = np.zeros_like(targets)
    targets[times - 1, np.arange(B), 0] = 1
    t = np.arange(1, steps + 1)[:, None]
    start = np.zeros(B, int)
    for end, value in zip(times, delay, strict=True):
        xs[..., 0] += np.where((t > start) & (t <= end), value, 0)
        start = end
    return Batch(xs, targets, until_end(times[-1]))


def periodic(shape: str, F: int = 10, periods: int = 10) -> Batch:
    """PFG: generate a periodic function from nothing. B = 1, and the only input is 0.

    shape: "cosine", "triangle" or "rectangle"; values are between 0 and 1. F: steps a period, at
    least 2; the source uses 10 and 25. periods: how many.
    Returns a `Batch` of F · periods steps, D = K = 1, with a target at each.
    Raises ValueError for another shape.
    Source: Gers, Schraudolph and Schmidhuber (2002).
    """
    check_at_least(2, F=F)
    check_at_least(1, periods=periods)
    t = np.arange(F * periods)
    phase = t % F / F
    shapes = {
        "cosine": (1 - np.cos(2 * np.pi * phase)) / 2,
        "triangle": np.where(phase > 0.5, 2 - 2 * phase, 2 * phase),
        "rectangle": np.where(phase > 0.5, 1, 0),
    }
    if shape not in shapes:
        raise ValueError(f"shape must be one of {sorted(shapes)}, got {shape!r}")
    targets = shapes[shape].astype(np.float32)[:, None, None]
    return Batch(np.zeros_like(targets), targets, np.ones((len(t), 1), bool))


def spikes_solved(outputs: Array, batch: Batch) -> Array:
    """All absolute errors below 0.49, measured or generated spikes: bool (B,)."""
    return within(outputs, batch, 0.49)


def periodic_solved(outputs: Array, batch: Batch) -> Array:
    """All absolute errors below 0.3: bool (B,)."""
    return within(outputs, batch, 0.3)


def _spikes(rng, B, F, delays, spikes):
    """Times T(n) and delays I(n), both (spikes, B), and the number of steps to the last one."""
    check_at_least(1, B=B, F=F, spikes=spikes)
    delays = np.asarray(delays)
    if delays.ndim != 1 or delays.size == 0 or delays.dtype.kind not in "iu" or delays.min() < 0:
        raise ValueError(f"delays must be whole numbers of at least 0, got {delays.tolist()}")
    delay = rng.choice(delays, size=(spikes, B))
    times = np.cumsum(F + delay, axis=0)
    return times, delay, int(times.max())
