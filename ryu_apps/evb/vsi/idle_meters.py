"""Rate limits of VSIs that have left a switch: deleted some seconds after the rules that named them.

Open vSwitch uses cached flows for a while after it has confirmed a change, and a cached flow whose meter is missing
passes everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ryu_apps.evb.deadlines import DeadlineQueue

#: Seconds from the removal of the rules; Open vSwitch looks at its cached flows twice a second.
LINGER = 2.0


class IdleMeters:
    """Meters of all switches that no rule names any more; a meter is ``(datapath id, meter id)``.

    Attributes:
        new: those that have no timer yet; :meth:`planned` starts it.
    """

    def __init__(self) -> None:
        self._agenda: DeadlineQueue[tuple[int, int]] = DeadlineQueue()
        self._idle: set[tuple[int, int]] = set()
        self.new: set[tuple[int, int]] = set()

    @property
    def deadline(self) -> float | None:
        """Time at which to call :meth:`due`, monotonic seconds; None: there are none."""
        return self._agenda.deadline

    def retire(self, dpid: int, meters: Iterable[int]) -> None:
        """Note meters whose rules are being removed."""
        self.new |= {(dpid, meter_id) for meter_id in meters}

    def reuse(self, dpid: int, meters: Iterable[int]) -> None:
        """Note meters that are written anew."""
        for meter in {(dpid, meter_id) for meter_id in meters} & (self._idle | self.new):
            self._idle.discard(meter)
            self.new.discard(meter)
            self._agenda.set(meter, None)

    def kept(self, dpid: int) -> frozenset[int]:
        """Return the meters of a switch that stay for now."""
        return frozenset(meter_id for where, meter_id in self._idle | self.new if where == dpid)

    def planned(self, now: float) -> None:
        """Start the timers of new ones: the removal of their rules has just been sent."""
        for meter in self.new:
            self._agenda.set(meter, now + LINGER)
        self._idle |= self.new
        self.new.clear()

    def due(self, now: float) -> Iterator[tuple[int, int]]:
        """Return the meters that may be deleted now."""
        for meter in list(self._agenda.due(now)):
            self._idle.discard(meter)
            yield meter
