"""REST takes its turn behind stations: one slice of one answer between two looks at the sockets of switches."""

from __future__ import annotations

from eventlet.semaphore import Semaphore
from ryu.lib import hub


class RestTurns:
    """All requests together; each calls :meth:`pause` before every slice that it builds."""

    def __init__(self) -> None:
        self._turn = Semaphore(1)

    def pause(self, seconds: float) -> None:
        """Wait for so long; 0: until everything else, and one slice of each other request before, has had its turn."""
        if seconds:
            hub.sleep(seconds)
            return
        with self._turn:
            hub.sleep(0)
