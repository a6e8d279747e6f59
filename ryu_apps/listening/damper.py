"""What strangers may cause any number of times, told now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

#: Seconds in which one subject is told of once; an alarm counts as over after twice that.
INTERVAL = 60.0
#: Subjects that are told apart; further ones are not told of.
_MOST = 64

#: Takes a dotted kind, a datapath id (None: of no switch) and details.
Tell = Callable[[str, int | None, dict[str, object]], None]


class Damper:
    """Events of one kind, by whom they concern.

    Args:
        kind: of the events.
        tell: takes them; ``times`` says how often it happened since the last one of that subject.
        clock: monotonic seconds.
    """

    def __init__(self, kind: str, tell: Tell, clock: Callable[[], float] = time.monotonic) -> None:
        self._kind = kind
        self._tell = tell
        self._clock = clock
        self._told: dict[Hashable, float] = {}
        self._since: dict[Hashable, int] = {}

    def happened(self, subject: Hashable, dpid: int | None = None, **detail: object) -> None:
        """It has happened to a subject."""
        now = self._clock()
        self._forget(now)
        if subject in self._told:
            self._since[subject] = self._since.get(subject, 0) + 1
        elif len(self._told) < _MOST:
            self._told[subject] = now
            self._tell(self._kind, dpid, {**detail, "times": self._since.pop(subject, 0) + 1})

    def _forget(self, now: float) -> None:
        # In the order in which they were told of.
        while self._told and now - self._told[oldest := next(iter(self._told))] >= INTERVAL:
            del self._told[oldest]
        if len(self._since) > _MOST:
            self._since.clear()
