"""Waiting for the next deadline, and how much of the time could not be used for listening.

The process may be stopped (SIGSTOP, a suspended virtual machine), or busy with one thing for so long that switches
wait.  Both show as a green thread that wakes later than it meant to.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ryu.lib import hub

#: Seconds by which to be late is usual on a busy machine, and for which to sleep at the most: a stop is only noticed
#: when it ends later than that.
TOLERANCE, NAP = 0.25, 0.5


class Watch:
    """One green thread waits, others ring.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._bell = hub.Event()
        self._rung: float | None = None
        self._woke = clock()

    def ring(self) -> None:
        """The deadline may be another one now."""
        if self._rung is None:
            self._rung = self._clock()
        self._bell.set()

    def listened(self) -> None:
        """Note that input has been read up to now, so that this time does not count as a delay."""
        self._woke = self._clock()

    def wait(self, deadline: float | None) -> float:
        """Return at a deadline, when rung, or after ``NAP`` seconds.

        Returns:
            seconds in which nothing could be heard since the last time: those between two waits, and those by which
            this one returns too late; 0.0 if they are no more than usual.
        """
        begun = self._clock()
        busy = begun - self._woke
        patience = NAP if deadline is None else min(max(deadline - begun, 0.0), NAP)
        self._rung = None
        self._bell.clear()
        self._bell.wait(patience)
        self._woke = self._clock()
        due = begun + patience if self._rung is None else min(self._rung, begun + patience)
        missed = busy + max(self._woke - due, 0.0)
        return missed if missed > TOLERANCE else 0.0
