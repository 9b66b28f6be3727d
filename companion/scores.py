"""How sure a success rate is, and whether two methods differ, over a few runs."""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import ArrayLike


def wilson_interval(successes: float, runs: float, z: float = 1.96) -> tuple[float, float]:
    """Interval of a success rate, counted as `successes` of `runs`: (low, high).

    Unlike rate ± z·sd it stays within 0 … 1 and is not of width 0 when all runs, or none, succeed.

    z: half-width in standard deviations; 1.96 is for an interval of 95 %.
    Raises ValueError unless 0 <= successes <= runs and runs is at least 1.
    Source: Wilson (1927).
    """
    if not (runs >= 1 and 0 <= successes <= runs):
        raise ValueError(f"successes must be in 0 … {runs} and runs at least 1, got {successes}")
    rate = successes / runs
    center = (rate + z * z / (2 * runs)) / (1 + z * z / runs)
    half = z * np.sqrt(rate * (1 - rate) / runs + (z / (2 * runs)) ** 2) / (1 + z * z / runs)
    return max(0.0, float(center - half)), min(1.0, float(center + half))


def mcnemar(first: ArrayLike, second: ArrayLike) -> float:
    """Probability of a difference at least this large by chance, for two methods on the same seeds.

    Only seeds on which one succeeded and the other failed say anything: where the first alone
    succeeded on b seeds and the second alone on c, the exact two-sided test asks how often heads
    and tails of b + c throws of a coin differ by as much as b and c do.

    first, second: whether each method succeeded, seed by seed in one order.
    Returns p in (0, 1]; 1 where no seed separates them.
    Raises ValueError for lists of different length, or without an outcome.
    Source: McNemar (1947), exact form.
    """
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    if first.shape != second.shape or first.ndim != 1 or not first.size:
        raise ValueError(
            "first and second must be lists of one outcome a seed, of one length, "
            f"got shapes {first.shape} and {second.shape}"
        )
    b, c = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    tail = sum(comb(b + c, k) for k in range(max(b, c), b + c + 1))
    return min(1.0, 2 * tail / 2 ** (b + c))
