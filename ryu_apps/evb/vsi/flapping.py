"""Damping of VSIs whose gate changes its port again and again: two stations that fight over one of them.

Each of their Associates is announced, so each is granted, and the VM has a network at neither.  No VM migrates so
often, so the port that has the VSI then keeps it for a while.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from ryu_apps.evb.topology.fabric import PortId
from ryu_apps.evb.wire.vsi_id import VsiId

#: So many moves within so many seconds are too many, and no port gets the VSI for so many seconds more.
MOVES, WITHIN, HELD = 16, 10, 10
#: VSIs whose moves are remembered.
_MOST = 1000


@dataclass(slots=True)
class _Moves:
    """The port of a VSI, the times of its last moves, and until when it is damped; monotonic seconds."""

    port: PortId
    times: deque[float] = field(default_factory=lambda: deque(maxlen=MOVES))
    damped: float = 0.0


class Flapping:
    """The moves of all VSIs."""

    def __init__(self) -> None:
        self._moves: OrderedDict[VsiId, _Moves] = OrderedDict()

    def moved(self, vsi: VsiId, port: PortId, now: float) -> bool:
        """Note that the gate of a VSI is open at a port; returns True if it is damped from now on."""
        found = self._moves.setdefault(vsi, _Moves(port))
        self._moves.move_to_end(vsi)
        if len(self._moves) > _MOST:
            self._moves.popitem(last=False)
        if found.port == port:
            return False
        found.port = port
        found.times.append(now)
        if len(found.times) < MOVES or found.times[0] < now - WITHIN:
            return False
        found.times.clear()
        found.damped = now + HELD
        return True

    def is_damped(self, vsi: VsiId, port: PortId, now: float) -> bool:
        """Return True if a port does not get a VSI now, because it moves too often; the port that has it keeps it."""
        found = self._moves.get(vsi)
        return found is not None and found.port != port and now < found.damped
