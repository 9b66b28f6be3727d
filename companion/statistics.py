"""How sure a success rate is that was counted over a few runs."""

import numpy as np


def wilson_interval(successes, runs, z=1.96):
    """Interval of a success rate, counted as `successes` of `runs`: (low, high).

    z: half-width in standard deviations; 1.96 is 95 %. Unlike rate ± z·sd it stays within 0 … 1
    and is not of width 0 when all runs, or none, succeed. Source: Wilson (1927).
    Raises ValueError unless 0 <= successes <= runs and runs is at least 1.
    """
    if not (runs >= 1 and 0 <= successes <= runs):
        raise ValueError(f"successes must be in 0 … {runs} and runs at least 1, got {successes}")
    rate = successes / runs
    center = (rate + z * z / (2 * runs)) / (1 + z * z / runs)
    half = z * np.sqrt(rate * (1 - rate) / runs + (z / (2 * runs)) ** 2) / (1 + z * z / runs)
    return max(0.0, float(center - half)), min(1.0, float(center + half))
