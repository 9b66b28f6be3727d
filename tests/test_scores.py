"""Intervals of success rates, and the paired test, against their definitions."""

import numpy as np
import pytest
from scipy.stats import binomtest

from companion.scores import mcnemar, wilson_interval


@pytest.mark.parametrize("successes, runs", [(0, 1), (1, 1), (0, 10), (3, 10), (10, 10), (37, 90)])
def test_wilson_interval_against_its_definition(successes, runs):
    rate = successes / runs
    for z in (0.5, 1.96):
        low, high = wilson_interval(successes, runs, z)
        # Its ends are z standard deviations from the rate, unless they are 0 or 1.
        for p in (low, high):
            assert abs(rate - p) == pytest.approx(z * np.sqrt(p * (1 - p) / runs))
        assert low < high and (low > 0) == (rate > 0) and (high < 1) == (rate < 1)
    assert wilson_interval(successes, runs) == (low, high)


def test_wilson_interval_of_none_of_ten():
    assert wilson_interval(0, 10) == pytest.approx((0, 0.2775), abs=1e-3)


@pytest.mark.parametrize("successes, runs", [(0, 0), (-0.5, 10), (11, 10)])
def test_wilson_interval_refuses_what_is_no_rate(successes, runs):
    with pytest.raises(ValueError, match=f"got {successes}"):
        wilson_interval(successes, runs)


@pytest.mark.parametrize("b, c", [(0, 1), (5, 0), (7, 2), (4, 4), (10, 1)])
def test_mcnemar_is_the_sign_test_of_the_seeds_that_differ(b, c):
    first = [True] * b + [False] * c + [True, False]
    second = [False] * b + [True] * c + [True, False]
    assert mcnemar(first, second) == pytest.approx(binomtest(b, b + c).pvalue)
    assert mcnemar(second, first) == pytest.approx(mcnemar(first, second))


def test_mcnemar_looks_at_pairs_and_not_at_totals():
    assert mcnemar([True, False] * 10, [False, True] * 10) == 1
    assert mcnemar([True] * 5, [True] * 5) == 1


@pytest.mark.parametrize("first, second", [([], []), ([1, 0], [1]), (True, False)])
def test_mcnemar_refuses_lists_that_are_no_pairs(first, second):
    with pytest.raises(ValueError, match="one outcome a seed"):
        mcnemar(first, second)
