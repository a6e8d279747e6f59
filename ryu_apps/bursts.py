"""What may happen any number of times is written down a few times a second, and then counted."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

#: Seconds that are counted together, and keys that are told apart.
PERIOD, MAX_KEYS = 1.0, 4096


@dataclass(slots=True)
class _Second:
    begun: float
    passed: int = 0
    held_back: int = 0


class Bursts(Generic[K]):
    """Times are monotonic seconds."""

    def __init__(self) -> None:
        self._seconds: dict[K, _Second] = {}
        self._waiting = 0

    def passes(self, key: K, burst: int, now: float) -> bool:
        """Whether to write this one down: the first ``burst`` of a second are; others are counted."""
        second = self._seconds.get(key)
        if second is None and len(self._seconds) >= MAX_KEYS:
            return False
        if second is None:
            second = self._seconds[key] = _Second(now)
        if second.passed >= burst:
            self._waiting += not second.held_back
            second.held_back += 1
            return False
        second.passed += 1
        return True

    def over(self, now: float) -> Iterator[tuple[K, int]]:
        """The keys whose second is over, and how many were held back in it, if any were."""
        # In the order in which they began.
        while self._seconds:
            key, second = next(iter(self._seconds.items()))
            if now < second.begun + PERIOD:
                break
            del self._seconds[key]
            if second.held_back:
                self._waiting -= 1
                yield key, second.held_back

    @property
    def deadline(self) -> float | None:
        """When to ask :meth:`over` again; None: nothing is held back."""
        return next(iter(self._seconds.values())).begun + PERIOD if self._waiting else None
