"""Median with a confidence interval from order statistics, which assumes no distribution.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

#: Probability with which an interval has to cover the median, at least.
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class MedianInterval:
    """Median of a sample, and an interval that covers the median of its distribution.

    Attributes:
        count: of the sample.
        low, high: two values of the sample; None: too few values for such an interval.
        coverage: probability, at least :data:`CONFIDENCE`; 0 without an interval.
    """

    count: int
    median: float
    low: float | None = None
    high: float | None = None
    coverage: float = 0.0


def median_interval(sample: Sequence[float], confidence: float = CONFIDENCE) -> MedianInterval:
    """Median and interval of independent values, at least one.

    Of n values in order, those of rank k and n + 1 - k enclose the median unless fewer than k values are on one side of
    it: that has the binomial probability 2 P(B(n, 1/2) < k).  The largest k that keeps the confidence is taken.  Five
    values or fewer have none at 95 %.
    """
    ordered = sorted(sample)
    n = len(ordered)
    rank, outside, exactly = 0, 0, 1
    # Outcomes of n tosses with fewer than `rank` heads, and with exactly as many: whole numbers, which never underflow.
    while rank < n // 2 and 2 * (outside + exactly) / 2**n <= 1 - confidence:
        outside += exactly
        exactly = exactly * (n - rank) // (rank + 1)
        rank += 1
    if rank == 0:
        return MedianInterval(n, median(ordered))
    return MedianInterval(n, median(ordered), ordered[rank - 1], ordered[n - rank], 1 - 2 * outside / 2**n)
