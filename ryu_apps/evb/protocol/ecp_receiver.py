"""Receiving half of an ECP endpoint (802.1Q clause 43): no states, only the last request."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ryu_apps.evb.protocol.ecp_events import Deliver, EcpCounters, EcpOutput, Transmit
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.wire.ecp import SUBTYPE_VDP, Ecpdu

MINIMUM_DUPLICATE_WINDOW = 0.5
"""Least seconds for which an equal sequence number is a repetition.  A busy machine may read a repetition a quarter of
a second after the original without a ``Missed`` event.  A De-Associate that is delivered twice is answered twice, and
the station takes the second answer for a refusal of its next request.  A restarted station needs longer than this for
the EVB agreement that precedes its first request."""


@dataclass(frozen=True, slots=True)
class _Last:
    sequence: int
    payload: bytes
    expires: float


class EcpReceiver:
    """Acknowledges every request and delivers those that do not repeat the last one."""

    __slots__ = ("_counters", "_last", "_window")

    def __init__(self, counters: EcpCounters, window: float) -> None:
        """
        Args:
            window: least seconds for which an equal number is a repetition.
        """
        self._counters = counters
        self._window = window
        self._last: _Last | None = None

    def postpone(self, seconds: float) -> None:
        """Extend the duplicate test by a period in which no frame could be received."""
        if self._last is not None:
            self._last = replace(self._last, expires=self._last.expires + seconds)

    def forget(self) -> None:
        """Deliver the next request whatever its number: the other end may have lost its state."""
        self._last = None

    def accept(self, request: Ecpdu, now: float, operational: Operational) -> list[EcpOutput]:
        """Process a request: acknowledge it, and deliver its payload unless it repeats the last one."""
        ack = Transmit(request.acknowledgement())
        if request.subtype != SUBTYPE_VDP:
            self._counters.malformed += 1
            return [ack]
        if self.repeats(request, now):
            self._counters.duplicates += 1
            return [ack]
        self._last = _Last(request.sequence, request.payload, now + self._lasts(operational))
        return [ack, Deliver(request.payload)]

    def _lasts(self, operational: Operational) -> float:
        """At least twice the time in which real retransmissions arrive."""
        return max(2 * operational.transmissions * operational.ack_timer, self._window)

    def repeats(self, request: Ecpdu, now: float) -> bool:
        """True if a request repeats the last one."""
        last = self._last
        return (
            last is not None
            and now < last.expires
            and (request.sequence, request.payload) == (last.sequence, last.payload)
        )
