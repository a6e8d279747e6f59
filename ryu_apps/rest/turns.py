"""Scheduling of REST behind stations: one slice of one answer between two polls of the switches' sockets."""

from __future__ import annotations

from eventlet.semaphore import Semaphore
from ryu.lib import hub


class RestTurns:
    """The turns of all requests; each request calls :meth:`pause` before every slice that it builds."""

    def __init__(self) -> None:
        self._turn = Semaphore(1)

    def pause(self, seconds: float) -> None:
        """Wait for some seconds; 0: until all other green threads, and one slice of each earlier request, have run."""
        if seconds:
            hub.sleep(seconds)
            return
        with self._turn:
            hub.sleep(0)
