"""Rate-limited log lines and alarms for faults that unauthenticated peers can cause at will."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.rate_limit import RateLimit

#: Seconds in which one subject is reported once; an alarm counts as over after twice that.
INTERVAL = 60.0
#: Subjects that are counted separately; further ones are not reported.
_MOST = 64

E = TypeVar("E", bound=LogEvent)
#: Takes an event.
Tell = Callable[[LogEvent], None]


class Damper(Generic[E]):
    """Events of one class, by the object that they are about.

    Args:
        tell: takes them.
        clock: monotonic seconds.
    """

    def __init__(self, tell: Callable[[E], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._bursts: RateLimit[Hashable] = RateLimit(INTERVAL, _MOST)

    def happened(self, subject: Hashable, made: Callable[[int], E]) -> None:
        """It has happened to a subject.

        Args:
            made: makes the event of the number of times since the last event about the subject.
        """
        untold = self._bursts.passes(subject, self._clock())
        if untold is not None:
            self._tell(made(untold + 1))
