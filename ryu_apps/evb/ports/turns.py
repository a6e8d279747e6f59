"""Frames of ports that wait to be served: round-robin over the ports, and none beyond its budget.

The cost of a frame depends on what it requests, so budgets are in requests (association TLVs), and those are counted
without decoding anything.  A request that changes switches counts for more, once that is known.  A port beyond its
budget waits; frames that arrive meanwhile are dropped unread when its queue is full.  A station that waits for
acknowledgements, as ECP requires, has one frame under way and never reaches the limit.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ryu_apps.evb.deadlines import DeadlineQueue
from ryu_apps.evb.events.switch import FrameReceived
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vdp import requests_in

#: Requests a second of one port, and how many at once.  Keep-alives of 300 VSIs at the shortest useful timers
#: (``rka`` 17) are 230 a second.
RATE, BURST = 1000, 256
#: Requests that a change of a switch counts as if the frame makes it at once; those that wait for others of their
#: port (``backlog``) are paced by the switches.  An association changes every switch of the fabric; two of them count,
#: since a large fabric would be slow otherwise.
CHANGE, COUNTED = 8, 2
#: Frames of one port that wait.
ROOM = 64


@dataclass(slots=True)
class _Port:
    """Waiting frames of one port, and its budget in requests at time ``at``; negative: overdrawn."""

    at: float
    budget: float = BURST
    frames: deque[FrameReceived] = field(default_factory=deque)

    def allow(self, now: float) -> None:
        self.budget = min(self.budget + (now - self.at) * RATE, BURST)
        self.at = now


class Turns:
    """Queues of all ports; time is monotonic seconds.

    Attributes:
        dropped: frames dropped since :meth:`take_dropped`, by port.
    """

    def __init__(self, is_busy: Callable[[PortId], bool] = lambda _: False) -> None:
        """
        Args:
            is_busy: True for a port with so many requests under way that its frames have to wait.
        """
        self._is_busy = is_busy
        self._held: list[PortId] = []
        self.dropped: Counter[PortId] = Counter()
        self._ports: dict[PortId, _Port] = {}
        self._ready: deque[PortId] = deque()
        self._paced: DeadlineQueue[PortId] = DeadlineQueue()

    def put(self, frame: FrameReceived, now: float) -> None:
        """Queue a frame, or drop it if the port's queue is full."""
        port = self._ports.get(frame.port)
        if port is None:
            port = self._ports[frame.port] = _Port(now)
        if len(port.frames) >= ROOM:
            self.dropped[frame.port] += 1
            return
        port.frames.append(frame)
        if len(port.frames) == 1:
            self._queue(frame.port, port, now)

    def take(self, now: float) -> tuple[FrameReceived, int] | None:
        """Return the next frame and the requests that it counts as; None: none may be served now."""
        for name in self._paced.due(now):
            self._ready.append(name)
        self._hold()
        if not self._ready:
            return None
        name = self._ready.popleft()
        port = self._ports[name]
        frame = port.frames.popleft()
        cost = requests_in(frame.data)
        port.allow(now)
        port.budget -= cost
        if port.frames:
            self._queue(name, port, now)
        return frame, cost

    def _hold(self) -> None:
        """Set ports aside whose frames have to wait for earlier requests of the same port."""
        waiting, self._held = self._held, []
        self._ready.extend(waiting)
        for _ in range(len(self._ready)):
            name = self._ready.popleft()
            (self._held if self._is_busy(name) else self._ready).append(name)

    def charge(self, name: PortId, requests: int, changes: int, now: float) -> int:
        """Charge a port for the changes of switches that a frame with some requests has caused.

        Returns:
            The requests that the changes count as.
        """
        port = self._ports[name]
        extra = CHANGE * min(changes, COUNTED * requests)
        port.budget -= extra
        if port.frames and port.budget <= 0 and name in self._ready:
            self._ready.remove(name)
            self._queue(name, port, now)
        return extra

    @property
    def waiting(self) -> frozenset[PortId]:
        """The ports that have waiting frames."""
        return frozenset(name for name, port in self._ports.items() if port.frames)

    def take_dropped(self) -> Counter[PortId]:
        """Return and reset the counts of dropped frames."""
        dropped, self.dropped = self.dropped, Counter()
        return dropped

    @property
    def ready(self) -> bool:
        """True if a frame may be served at once."""
        return bool(self._ready)

    @property
    def deadline(self) -> float | None:
        """Time at which a port that waits for its budget may be served again."""
        return self._paced.deadline

    def _queue(self, name: PortId, port: _Port, now: float) -> None:
        port.allow(now)
        if port.budget > 0:
            self._ready.append(name)
        else:
            self._paced.set(name, now + (1 - port.budget) / RATE)
