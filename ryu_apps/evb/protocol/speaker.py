"""Which address may speak EVB at a port: the station's while one is agreed with, and for a while after it was.

Behind one uplink are a station and its guests, and a bridge tells them apart by their addresses alone.  When
what was agreed on is lost with the channel to the switch or with the link, the station is still there, most
probably; a guest that is quicker than its next LLDPDU must not take its place.
"""

from __future__ import annotations

__all__ = ["Speaker"]

CHANNEL_PATIENCE = 121.0
"""Seconds that a station has to say so again once its switch can be heard again: LLDP's usual time to live."""

LINK_PATIENCE = 3.0
"""The same once its link is up again: in that time a station says who it is, and another one has more to come."""


class Speaker:
    """The station of one port, as far as its address is known.

    Attributes:
        known: address that is heard before all others, 48 bits; None: of no station.
        deadline: when to call :meth:`tick`, monotonic seconds.
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
        """The only address that may speak; None: others may too."""
        return self.known if self._plugged else None

    def agreed(self, station: int) -> None:
        """A station has said that it is one."""
        self.known, self._agreed, self._plugged, self.deadline = station, True, True, None

    def gone(self) -> None:
        """The station has said good-bye, or has fallen silent."""
        self.known, self._agreed, self.deadline = None, False, None

    def down(self, channel: bool) -> None:
        """The port cannot be heard.

        Args:
            channel: since the channel to its switch is lost; the link is not known to be.
        """
        self._agreed, self.deadline = False, None
        self._plugged = self._plugged and channel
        self._patience = CHANNEL_PATIENCE if self._plugged else LINK_PATIENCE

    def up(self, now: float) -> None:
        """The port can be heard; the station that was there has a while to speak before others may."""
        self._plugged = True
        if self.known is not None and not self._agreed:
            self.deadline = now + self._patience

    def postpone(self, seconds: float) -> None:
        """For so long the port could not be heard."""
        if self.deadline is not None:
            self.deadline += seconds

    def tick(self, now: float) -> None:
        """The station that was there has not spoken."""
        if self.deadline is not None and self.deadline <= now:
            self.gone()
