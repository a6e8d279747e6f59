"""Damping of VSIs that ports take from each other again and again: two stations that fight over one of them.

Each of their Associates is announced, so each is granted, and the VM has a network at neither.  No VM migrates so
often, so the port that has the VSI then keeps it for a while.  A port that gets a VSI which no other has any more takes
nothing: a VM that is stopped and started elsewhere is no fight, however often.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from ryu_apps.evb.wire.vsi_id import VsiId

#: So often taken within so many seconds is too often, and no port gets the VSI for so many seconds more.
MOVES, WITHIN, HELD = 16, 10, 10
#: VSIs that are remembered.
_MOST = 1000


@dataclass(slots=True)
class _Moves:
    """The times at which a VSI was taken last, and until when it is damped; monotonic seconds."""

    times: deque[float] = field(default_factory=lambda: deque(maxlen=MOVES))
    damped: float = 0.0


class Flapping:
    """The moves of all VSIs."""

    def __init__(self) -> None:
        self._moves: OrderedDict[VsiId, _Moves] = OrderedDict()

    def taken(self, vsi: VsiId, now: float) -> bool:
        """Note that a port has taken a VSI from another; returns True if it is damped from now on."""
        found = self._moves.setdefault(vsi, _Moves())
        self._moves.move_to_end(vsi)
        if len(self._moves) > _MOST:
            self._moves.popitem(last=False)
        found.times.append(now)
        if len(found.times) < MOVES or found.times[0] < now - WITHIN:
            return False
        found.times.clear()
        found.damped = now + HELD
        return True

    def is_damped(self, vsi: VsiId, now: float) -> bool:
        """Return True if no port takes a VSI from another now, because that has happened too often."""
        found = self._moves.get(vsi)
        return found is not None and now < found.damped
