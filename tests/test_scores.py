"""Intervals of success rates, and the paired test, against their definitions."""

import numpy as np
import pytest
from scipy.stats import binomtest

from companion.scores import mcnemar, wilson_interval


def test_wilson_interval_against_its_definition():
    for successes, runs in ((0, 10), (3, 10), (10, 10), (37, 90)):
        for p in wilson_interval(successes, runs):
            if 0 < p < 1:
                error = abs(successes / runs - p)
                assert error == pytest.approx(1.96 * np.sqrt(p * (1 - p) / runs))
    assert wilson_interval(0, 10) == pytest.approx((0, 0.2775), abs=1e-3)
    low, high = wilson_interval(10, 10)
    assert high == 1 and 0.72 < low < 0.73


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
