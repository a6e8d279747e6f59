"""Work for switches that one port requests, a little at a time; the rest waits in the port's own queue.

A switch carries out what it has been sent in order.  So requests are held back here, where ports can be distinguished:
a request of another port finds switches that are busy with a few VSIs, never with hundreds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vsi_id import VsiId

#: VSIs of one port that switches may be working on.
AT_ONCE = 2
#: Requests of one port that wait before its frames do; a frame can hold some more.
ROOM = 32
#: Seconds after which the first that waits goes on even if switches have not answered: one of them may hang.
MAX_WAIT = 0.5

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
        """True if a new request of a port has to wait."""
        return port in self._queues or self.is_worked_for(port)

    def is_worked_for(self, port: PortId) -> bool:
        """True if switches are working on as many VSIs of a port as they may."""
        return self._under_way(port) >= AT_ONCE

    def is_busy(self, port: PortId) -> bool:
        """True if so much of a port waits that nothing more should be read from it."""
        return len(self._queues.get(port, ())) >= ROOM

    def waits(self, port: PortId, vsi_id: VsiId) -> bool:
        """True if a request waits at a port that comes before others about its VSI."""
        return any(waiting == vsi_id for waiting, _ in self._queues.get(port, ()))

    def put(self, port: PortId, work: Work, now: float, ahead_of: VsiId | None = None) -> None:
        """Queue work; later requests of the port about the VSI ``ahead_of`` wait behind it."""
        if port not in self._queues:
            self._queues[port] = deque()
            self._latest[port] = now + MAX_WAIT
        self._queues[port].append((ahead_of, work))

    def take(self, now: float) -> Iterator[Work]:
        """Yield the work that may be done now; each is to be done before the next is taken."""
        for port in list(self._queues):
            queue = self._queues[port]
            while queue and (not self.is_worked_for(port) or now >= self._latest[port]):
                self._latest[port] = now + MAX_WAIT
                yield queue.popleft()[1]
            if not queue:
                del self._queues[port], self._latest[port]

    @property
    def deadline(self) -> float | None:
        """Time at which the next waiting work goes on even if switches have not answered."""
        return min(self._latest.values(), default=None)
