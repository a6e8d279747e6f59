"""Medians with intervals from order statistics: the ranks are those of the binomial distribution."""

from __future__ import annotations

import random

import pytest

from ryu_apps.testbed.sweep.intervals import median_interval
from ryu_apps.testbed.sweep.summary import interval_text

#: Number of values -> ranks of the two ends of an interval of 95 %, from published tables (Conover, Gibbons).
RANKS = {6: (1, 6), 8: (1, 8), 9: (2, 8), 10: (2, 9), 15: (4, 12), 20: (6, 15), 25: (8, 18), 50: (18, 33)}


@pytest.mark.parametrize("number", RANKS)
def test_the_ends_have_the_ranks_of_the_tables(number: int) -> None:
    values = list(range(1, number + 1))
    random.Random(number).shuffle(values)
    found = median_interval(values)
    assert (found.low, found.high) == RANKS[number]
    assert found.coverage >= 0.95
    assert found.median == (number + 1) / 2


@pytest.mark.parametrize("number", range(1, 6))
def test_five_values_have_no_interval_of_95_percent(number: int) -> None:
    found = median_interval(list(range(number)))
    assert (found.low, found.high, found.coverage, found.count) == (None, None, 0.0, number)


def test_the_coverage_is_the_exact_one() -> None:
    assert median_interval(range(6)).coverage == 1 - 2 / 64
    assert median_interval(range(9)).coverage == 1 - 2 * (1 + 9) / 512


def test_a_large_sample_is_no_problem() -> None:
    found = median_interval(range(5000))
    assert found.low is not None and found.high is not None
    # The normal approximation: the median and 1.96 times half the square root of the number.
    assert (found.low, found.high) == pytest.approx((2500 - 69.3, 2500 + 69.3), abs=2)


def test_an_interval_covers_the_median_as_often_as_it_says() -> None:
    draws = random.Random(5)
    covered = 0
    for _ in range(2000):
        found = median_interval([draws.expovariate(1.0) for _ in range(10)])
        assert found.low is not None and found.high is not None
        covered += found.low <= 0.6931 <= found.high
    assert covered / 2000 == pytest.approx(median_interval(range(10)).coverage, abs=0.02)


def test_text_has_the_interval_or_says_that_there_is_none() -> None:
    assert interval_text(median_interval([float(value) for value in range(10)])) == "4.5 [1, 8]"
    assert interval_text(median_interval([1.23456])) == "1.23 [-]"
    assert interval_text(median_interval([12345.6])) == "12346 [-]"
    assert interval_text(None) == "-"
