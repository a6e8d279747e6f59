"""Rate limit of reports: one per key and period; the others are counted."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class _Period:
    ends: float
    passed: int = 0
    held_back: int = 0


class RateLimit(Generic[K]):
    """Times are monotonic seconds.

    Args:
        period: seconds that are counted together.
        most: keys that are counted separately; further ones are held back and not counted.
    """

    def __init__(self, period: float = 1.0, most: int = 4096) -> None:
        self._period, self._most = period, most
        # In the order in which they end.
        self._periods: dict[K, _Period] = {}
        self._waiting = 0

    def passes(self, key: K, now: float, burst: int = 1) -> int | None:
        """The first ``burst`` of a period pass.

        Returns:
            how many were held back since the last that passed; None: this one is held back, too.
        """
        period, untold = self._periods.get(key), 0
        if period is not None and now >= period.ends:
            untold, period = self._drop(key), None
        if period is None:
            if len(self._periods) >= self._most:
                oldest = next(iter(self._periods))
                if now < self._periods[oldest].ends:
                    return None
                self._drop(oldest)
            period = self._periods[key] = _Period(now + self._period)
        if period.passed >= burst:
            self._waiting += not period.held_back
            period.held_back += 1
            return None
        period.passed += 1
        return untold

    def over(self, now: float) -> Iterator[tuple[K, int]]:
        """Yield the keys whose period is over and that held reports back, with their number."""
        while self._periods and now >= self._periods[key := next(iter(self._periods))].ends:
            if untold := self._drop(key):
                yield key, untold

    @property
    def deadline(self) -> float | None:
        """Time of the next call of :meth:`over`; None if nothing is held back."""
        return next(iter(self._periods.values())).ends if self._waiting else None

    def _drop(self, key: K) -> int:
        untold = self._periods.pop(key).held_back
        self._waiting -= bool(untold)
        return untold
