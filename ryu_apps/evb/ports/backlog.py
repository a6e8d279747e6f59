"""Work for switches that one port asks for, a little at a time; the rest waits in the port's own queue.

What a switch has been sent it carries out before it looks at anything else, so requests are held back here, where
ports can be told apart: a request of another port finds switches that are busy with a few VSIs, never with hundreds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from ryu_apps.evb.topology.fabric import PortId
from ryu_apps.evb.wire.vsi_id import VsiId

#: VSIs of one port that switches may be working on.
AT_ONCE = 2
#: Requests of one port that wait before its frames do; a frame can hold some more.
ROOM = 32
#: Seconds after which the first that waits goes on whatever switches have done: one of them may hang.
PATIENCE = 0.5

Work = Callable[[float], None]


class Backlog:
    """The queues of all ports; time is monotonic seconds.

    Args:
        under_way: the number of VSIs of a port that switches are working on.
    """

    def __init__(self, under_way: Callable[[PortId], int]) -> None:
        self._under_way = under_way
        self._queues: dict[PortId, deque[tuple[VsiId | None, Work]]] = {}
        self._latest: dict[PortId, float] = {}

    def is_full(self, port: PortId) -> bool:
        """Whether what a port asks for now has to wait."""
        return port in self._queues or self.is_worked_for(port)

    def is_worked_for(self, port: PortId) -> bool:
        """Whether switches are working on as many VSIs of a port as they may."""
        return self._under_way(port) >= AT_ONCE

    def is_busy(self, port: PortId) -> bool:
        """Whether so much of a port waits that nothing more should be read from it."""
        return len(self._queues.get(port, ())) >= ROOM

    def waits(self, port: PortId, vsi_id: VsiId) -> bool:
        """Whether a request waits at a port that comes before others about its VSI."""
        return any(one == vsi_id for one, _ in self._queues.get(port, ()))

    def put(self, port: PortId, work: Work, now: float, ahead_of: VsiId | None = None) -> None:
        """Do this when its turn comes, and what the port asks for about this VSI behind it."""
        if port not in self._queues:
            self._queues[port] = deque()
            self._latest[port] = now + PATIENCE
        self._queues[port].append((ahead_of, work))

    def take(self, now: float) -> Iterator[Work]:
        """What may be done now; each is to be done before the next is asked for."""
        for port in list(self._queues):
            queue = self._queues[port]
            while queue and (not self.is_worked_for(port) or now >= self._latest[port]):
                self._latest[port] = now + PATIENCE
                yield queue.popleft()[1]
            if not queue:
                del self._queues[port], self._latest[port]

    @property
    def deadline(self) -> float | None:
        """When something goes on whatever switches have done."""
        return min(self._latest.values(), default=None)
