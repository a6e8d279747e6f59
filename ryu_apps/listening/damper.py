"""Rate-limited log lines and alarms for faults that unauthenticated peers can cause at will."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

from ryu_apps.rate_limit import RateLimit

#: Seconds in which one subject is reported once; an alarm counts as over after twice that.
INTERVAL = 60.0
#: Subjects that are counted separately; further ones are not reported.
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
        self._bursts: RateLimit[Hashable] = RateLimit(INTERVAL, _MOST)

    def happened(self, subject: Hashable, dpid: int | None = None, **detail: object) -> None:
        """It has happened to a subject."""
        untold = self._bursts.passes(subject, self._clock())
        if untold is not None:
            self._tell(self._kind, dpid, {**detail, "times": untold + 1})
