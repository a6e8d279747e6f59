"""Takeovers: Associates for a VSI from ports that are not its owner.

While a VSI is alive at its owner, another port gets it only by an Associate that was announced: by a Pre-Associate
there since the owner became its owner, or by the M bit.  A port may be configured to need a reservation, or nothing.
An Associate without that is refused, unless the owner is about to expire: then it waits for the expiry.  The module
decides nothing about switches and emits nothing; ``bridge.requests`` queries it and acts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from ryu_apps.evb.deadlines import DeadlineQueue
from ryu_apps.evb.protocol.vdp_bridge import VsiState
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.station_treatment import Takeover
from ryu_apps.evb.vsi.registry import Attachment, Vsi
from ryu_apps.evb.wire.association import VdpMode
from ryu_apps.evb.wire.status import RequestStatus
from ryu_apps.evb.wire.vsi_id import VsiId

#: Contested VSIs that are kept: a station may send any number of VSI IDs for addresses of VSIs elsewhere.
_MAX_CONTESTED = 1000


class WaitingTakeover(NamedTuple):
    """An Associate that waits for the owner to expire; ``attempt`` is that of the requesting machine."""

    attempt: int
    owner: Attachment
    until: float


class Takeovers:
    """Takeovers of one bridge: Associates that wait, and contested VSIs."""

    def __init__(self, condition: Callable[[PortId], Takeover], up: Collection[int]) -> None:
        """
        Args:
            condition: that of a port (configured).
            up: datapath ids of the connected switches.
        """
        self._condition = condition
        self._up = up
        self._away: dict[int, float] = {}
        self._waiting: dict[Vsi, dict[Attachment, WaitingTakeover]] = {}
        self._until: DeadlineQueue[Attachment] = DeadlineQueue()
        # By ID: the registry drops a VSI that no port has with each Associate that is refused.
        self._contested: dict[VsiId, PortId] = {}
        self._over: DeadlineQueue[VsiId] = DeadlineQueue()

    @property
    def deadlines(self) -> tuple[float | None, float | None]:
        """Times at which a waiting Associate is due, and at which a contest may be over; monotonic seconds."""
        return self._until.deadline, self._over.deadline

    # --- switches ---
    def away(self, dpid: int, now: float) -> None:
        """Record that a switch has disconnected."""
        self._away.setdefault(dpid, now)

    def back(self, dpid: int) -> None:
        """Record that a switch has connected again."""
        self._away.pop(dpid, None)

    def postpone(self, seconds: float) -> None:
        """Extend all deadlines by a time in which no station could be heard: owners expire later by that."""
        self._away = {dpid: since + seconds for dpid, since in self._away.items()}
        for waiting in self._waiting.values():
            for attachment, takeover in waiting.items():
                # If it were decided at the old time, it would only wait again: the owner's deadline has moved as well.
                waiting[attachment] = takeover._replace(until=takeover.until + seconds)

    # --- the rule ---
    def blocking_owner(self, attachment: Attachment, now: float) -> Attachment | None:
        """The attachment that has the VSI, or is being granted it, and blocks the newest request; None: it is free."""
        if attachment.machine.wanted is not VdpMode.ASSOCIATE or self.is_announced(attachment):
            return None
        owner = attachment.vsi.owner
        if owner is not None and owner is not attachment and owner.present and not self._is_lost(owner, now):
            return owner
        others = attachment.vsi.attachments.values()
        return next((other for other in others if other is not attachment and self._is_being_granted(other)), None)

    def is_unannounced(self, attachment: Attachment) -> bool:
        """True for an Associate without an announcement, of a VSI that no port is known to have."""
        associates = attachment.machine.wanted is VdpMode.ASSOCIATE and not self.is_announced(attachment)
        return associates and attachment.vsi.owner is None

    def expiry_of(self, owner: Attachment, now: float) -> float | None:
        """Time at which an owner that sends nothing more will have expired; None: it has no deadline."""
        gone = self._away.get(owner.port.dpid)
        if gone is not None:
            return max(now, gone + owner.machine.operational.keep_alive_timeout)
        return owner.machine.deadline

    def needs_no_announcement(self, attachment: Attachment) -> bool:
        """True for an Associate with the M bit, or from a port that may take any VSI."""
        asked, condition = attachment.conversation.newest, self._condition(attachment.port)
        assert asked is not None
        migrating = isinstance(asked.status, RequestStatus) and asked.status.migrating
        return condition is Takeover.ANY or (migrating and condition is not Takeover.RESERVED)

    def is_announced(self, attachment: Attachment) -> bool:
        """True for an Associate that may take a VSI from its owner."""
        if self._condition(attachment.port) is Takeover.RESERVED:
            return attachment.conversation.announced and _has_reservation(attachment)
        return attachment.conversation.announced or self.needs_no_announcement(attachment)

    def _is_lost(self, owner: Attachment, now: float) -> bool:
        """True for an owner whose switch is away for longer than a keep-alive timeout.

        The switch keeps the rules and the VSI does not expire, but its station cannot be heard.
        """
        gone = self._away.get(owner.port.dpid)
        return gone is not None and now >= gone + owner.machine.operational.keep_alive_timeout

    def _is_being_granted(self, attachment: Attachment) -> bool:
        machine = attachment.machine
        asks = machine.state is VsiState.DECIDING and machine.wanted is VdpMode.ASSOCIATE
        return asks and attachment not in self._waiting.get(attachment.vsi, ())

    # --- Associates that wait ---
    def wait(self, attachment: Attachment, owner: Attachment, until: float) -> None:
        """Let an Associate wait until a time, or until the VSI changes."""
        waiting = WaitingTakeover(attachment.machine.attempt, owner, until)
        self._waiting.setdefault(attachment.vsi, {})[attachment] = waiting
        self._until.set(attachment, until)

    def waits_for(self, vsi: Vsi) -> bool:
        """True if an Associate waits for a VSI."""
        return vsi in self._waiting

    def take(self, vsi: Vsi) -> list[tuple[Attachment, WaitingTakeover]]:
        """Remove and return the Associates that wait for a VSI and are still valid, oldest first."""
        waiting = self._waiting.pop(vsi, {})
        for attachment in waiting:
            self._until.set(attachment, None)
        return [waits for waits in waiting.items() if waits[0].present and waits[0].machine.awaits(waits[1].attempt)]

    def due(self, now: float) -> Iterator[Vsi]:
        """Yield the VSIs for which an Associate has waited until its time."""
        for attachment in self._until.due(now):
            yield attachment.vsi

    # --- contested VSIs ---
    def contest(self, refused: Attachment, now: float) -> bool:
        """Record a refused Associate; returns True if it is the first from this port."""
        vsi, port = refused.vsi.vsi_id, refused.port
        if vsi not in self._contested and len(self._contested) >= _MAX_CONTESTED:
            return False
        self._over.set(vsi, now + refused.machine.operational.keep_alive_timeout)
        is_new = self._contested.get(vsi) != port
        self._contested[vsi] = port
        return is_new

    def settle(self, vsi: VsiId) -> bool:
        """End the contest for a VSI; returns True if there was one."""
        self._over.set(vsi, None)
        return self._contested.pop(vsi, None) is not None

    def settled(self, now: float) -> Iterator[VsiId]:
        """Yield the contested VSIs that no other port has requested for a keep-alive timeout."""
        for vsi in self._over.due(now):
            if self._contested.pop(vsi, None) is not None:
                yield vsi


def _has_reservation(attachment: Attachment) -> bool:
    """True if a Pre-Associate that stages was granted there, and is in force."""
    granted = attachment.machine.in_force
    return granted not in (None, VdpMode.ASSOCIATE) and attachment.holding.program is not None
