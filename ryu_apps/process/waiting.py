"""Waiting for the next deadline, and how much of the time could not be used for listening.

The process may be stopped (SIGSTOP, a suspended virtual machine), or busy with one thing for so long that switches
wait.  Both show as a green thread that wakes later than it meant to.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from eventlet import hubs
from ryu.lib import hub

#: Seconds by which to be late is usual on a busy machine, and for which to sleep at the most: a stop is only noticed
#: when it ends later than that.
TOLERANCE, NAP = 0.25, 0.5
#: Seconds until one who waits is woken for a new deadline.
SOON = 0.004


def _schedule(seconds: float, action: Callable[[], None]) -> object:
    return hubs.get_hub().schedule_call_global(seconds, action)


class Watch:
    """One green thread waits, others ring; any may ask how much time could not be used for listening.

    Args:
        clock: monotonic seconds.
        schedule: does something in some seconds.
        notice: takes the seconds by which each wait has ended too late.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        schedule: Callable[[float, Callable[[], None]], object] = _schedule,
        notice: Callable[[float], None] = lambda late: None,
    ) -> None:
        self._clock = clock
        self._schedule = schedule
        self._notice = notice
        self._rings_soon = self._waits = False
        self._bell = hub.Event()
        self._expected = clock()
        self._busy = 0.0

    def ring(self) -> None:
        """The deadline may be another one now."""
        self._expected = min(self._expected, self._clock())
        self._bell.set()

    def ring_soon(self) -> None:
        """The deadline may be another one now, but it is not due before :data:`SOON` seconds.

        Most requests are answered by then, and the green thread that waits takes no time from them.  One that does not
        wait will look at the deadline before it does.
        """
        if self._waits and not self._rings_soon:
            self._rings_soon = True
            self._expected = min(self._expected, self._clock() + SOON)
            self._schedule(SOON, self._ring_now)

    def _ring_now(self) -> None:
        self._rings_soon = False
        self._bell.set()

    def listened(self) -> None:
        """Note that input has been read up to now, so that this time does not count as a delay."""
        self._busy, self._expected = 0.0, self._clock()

    def missed(self) -> float:
        """Return the seconds in which nothing could be heard since the last call; 0.0 if they are no more than usual.

        To be called before whatever sets timers: after a stop the hub may run readers before the thread that waits.
        """
        now = self._clock()
        missed = self._busy + max(now - self._expected, 0.0)
        self._busy, self._expected = 0.0, max(self._expected, now)
        return missed if missed > TOLERANCE else 0.0

    def wait(self, deadline: float | None) -> float:
        """Return at a deadline, when rung, or after ``NAP`` seconds.

        Returns:
            seconds in which nothing could be heard, as :meth:`missed`: those between two waits, and those by which
            this one returns too late.
        """
        begun = self._clock()
        patience = NAP if deadline is None else min(max(deadline - begun, 0.0), NAP)
        self._busy, self._expected = max(begun - self._expected, 0.0), begun + patience
        self._bell.clear()
        self._waits = True
        try:
            self._bell.wait(patience)
        finally:
            self._waits = False
        self._notice(max(self._clock() - self._expected, 0.0))
        return self.missed()
