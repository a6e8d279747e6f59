"""A bound on claims that do not wait for the lease to lapse."""

from __future__ import annotations

#: Replacements at once, and seconds after which another one is permitted.
_MOST, _EVERY = 6, 60.0


class Replacements:
    """Leaders that were replaced without having given the lead up, as one member sees the lease change.

    Connections that a neighbour resets would otherwise replace one leader after the other.  All members see the same
    changes, so no record is needed.
    """

    def __init__(self) -> None:
        self._count = 0.0
        self._noted_at = 0.0

    def note(self, now: float) -> None:
        """Another leader was replaced."""
        self._count = min(self._left(now) + 1.0, _MOST)
        self._noted_at = now

    def too_many(self, now: float) -> bool:
        """Return True if the lease alone should decide when the next leader is replaced."""
        return self._left(now) > _MOST - 1

    def _left(self, now: float) -> float:
        return max(0.0, self._count - (now - self._noted_at) / _EVERY)
