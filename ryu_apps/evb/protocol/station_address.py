"""Source address from which station protocols are accepted at a port.

It is the station's address during an agreement and for some seconds after.  A station and its guests share an
uplink, and only their addresses distinguish them.  When an agreement ends because the channel to the switch or
the link is lost, the station is most probably still present; a guest whose LLDPDU arrives first must not
replace it.
"""

from __future__ import annotations

__all__ = ["StationAddress"]

CHANNEL_PATIENCE = 121.0
"""Seconds for which a station's address is reserved after its switch has reconnected: LLDP's usual time to live."""

LINK_PATIENCE = 3.0
"""The same after its link is up again: a station sends LLDPDUs at once at link up, and a new station repeats them."""


class StationAddress:
    """Address of the station of one port.

    Attributes:
        known: address of the present or last station, 48 bits; None without one.
        deadline: time to call :meth:`tick`, monotonic seconds; None if no timer runs.
    """

    __slots__ = ("_agreed", "_patience", "_plugged", "deadline", "known")

    def __init__(self) -> None:
        self.known: int | None = None
        self.deadline: float | None = None
        self._agreed = False
        self._plugged = True
        self._patience = CHANNEL_PATIENCE

    @property
    def expected(self) -> int | None:
        """The only accepted address, None if all are accepted."""
        return self.known if self._plugged else None

    def agreed(self, station: int) -> None:
        """Record the address of an agreement."""
        self.known, self._agreed, self._plugged, self.deadline = station, True, True, None

    def gone(self) -> None:
        """Clear the address: the station has shut down or aged out."""
        self.known, self._agreed, self.deadline = None, False, None

    def down(self, channel: bool) -> None:
        """End the agreement, keep the address: no frame of the port can be received.

        Args:
            channel: the channel to the switch is lost; the link may be up.
        """
        self._agreed, self.deadline = False, None
        self._plugged = self._plugged and channel
        self._patience = CHANNEL_PATIENCE if self._plugged else LINK_PATIENCE

    def up(self, now: float) -> None:
        """Start the timer after which other addresses are accepted: frames can be received again."""
        self._plugged = True
        if self.known is not None and not self._agreed:
            self.deadline = now + self._patience

    def postpone(self, seconds: float) -> None:
        """Extend the timer by a period in which no frame could be received."""
        if self.deadline is not None:
            self.deadline += seconds

    def tick(self, now: float) -> None:
        """Clear the address if the timer has expired."""
        if self.deadline is not None and self.deadline <= now:
            self.gone()
