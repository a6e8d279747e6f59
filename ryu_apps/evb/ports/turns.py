"""Frames of ports that wait to be served: each port in its turn, and none beyond its budget.

What one frame costs depends on what it asks for, so budgets are in requests (association TLVs), and they are counted
without decoding anything.  One that makes switches change something counts for more, when that is known.  A port
beyond its budget waits; what it sends meanwhile is dropped unread when its queue is full.  A station that waits for
acknowledgements, as ECP wants it, has one frame under way and never meets that.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ryu_apps.evb.deadlines import DeadlineQueue
from ryu_apps.evb.events import FrameReceived
from ryu_apps.evb.topology.fabric import PortId
from ryu_apps.evb.wire.vdp import requests_in

#: Requests a second of one port, and how many at once.  Keep-alives of 300 VSIs at the shortest useful timers
#: (``rka`` 17) are 230 a second.
RATE, BURST = 1000, 256
#: What a change of a switch that a frame makes at once counts as, in requests; those that wait for others of their
#: port (``backlog``) are paced by the switches.  An association changes every switch of the fabric; two of them count,
#: lest a large fabric be a slow one.
CHANGE, COUNTED = 8, 2
#: Frames of one port that wait.
ROOM = 64


@dataclass(slots=True)
class _Port:
    """Frames that wait, and what the port may still ask for at ``at``; negative: it has had more than that."""

    at: float
    budget: float = BURST
    frames: deque[FrameReceived] = field(default_factory=deque)

    def allow(self, now: float) -> None:
        self.budget = min(self.budget + (now - self.at) * RATE, BURST)
        self.at = now


class Turns:
    """All ports; time is monotonic seconds.

    Attributes:
        dropped: frames dropped since :meth:`take_dropped`, by port.
    """

    def __init__(self, is_busy: Callable[[PortId], bool] = lambda _: False) -> None:
        """
        Args:
            is_busy: whether a port has asked for so much that what it sends now waits.
        """
        self._is_busy = is_busy
        self._held: list[PortId] = []
        self.dropped: Counter[PortId] = Counter()
        self._ports: dict[PortId, _Port] = {}
        self._ready: deque[PortId] = deque()
        self._paced: DeadlineQueue[PortId] = DeadlineQueue()

    def put(self, frame: FrameReceived, now: float) -> None:
        """A frame came in."""
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
        """The next frame, and how many requests it counts as; None: none may be served now."""
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
        """Set ports aside whose frames wait for others of theirs, until they need not."""
        waiting, self._held = self._held, []
        self._ready.extend(waiting)
        for _ in range(len(self._ready)):
            name = self._ready.popleft()
            (self._held if self._is_busy(name) else self._ready).append(name)

    def charge(self, name: PortId, requests: int, changes: int, now: float) -> int:
        """A frame of a port, with so many requests, has made switches change something so many times.

        Returns:
            what that counts as.
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
        """The ports of which frames wait."""
        return frozenset(name for name, port in self._ports.items() if port.frames)

    def take_dropped(self) -> Counter[PortId]:
        """What has been dropped since the last time."""
        dropped, self.dropped = self.dropped, Counter()
        return dropped

    @property
    def ready(self) -> bool:
        """Whether a frame may be served at once."""
        return bool(self._ready)

    @property
    def deadline(self) -> float | None:
        """When a port that waits for its budget may be served again."""
        return self._paced.deadline

    def _queue(self, name: PortId, port: _Port, now: float) -> None:
        port.allow(now)
        if port.budget > 0:
            self._ready.append(name)
        else:
            self._paced.set(name, now + (1 - port.budget) / RATE)
