"""Claims: Associates for a VSI from ports that are not its owner.

While a VSI is alive at its owner, another port gets it only by an Associate that was announced: by a Pre-Associate
there since the owner became its owner, or by the M bit.  A claim without that is refused, unless the owner is about
to expire: then it waits for that.  Decides nothing about switches and says nothing; ``associations`` asks and acts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from ryu_apps.evb.deadlines import DeadlineQueue
from ryu_apps.evb.protocol.vdp_bridge import VsiState
from ryu_apps.evb.topology.fabric import PortId
from ryu_apps.evb.vsi.registry import Attachment, Vsi
from ryu_apps.evb.wire.association import VdpMode
from ryu_apps.evb.wire.status import RequestStatus
from ryu_apps.evb.wire.vsi_id import VsiId

#: Quarrels that are remembered: a station may claim under as many IDs as it likes what lives elsewhere.
_MOST = 1000


class Waiting(NamedTuple):
    """A claim that waits for an owner to lose the VSI; ``attempt`` is that of the claimant's machine."""

    attempt: int
    owner: Attachment
    until: float


class Claims:
    """The claims of one bridge: those that wait, and the VSIs that are fought over."""

    def __init__(self, takes_any: Callable[[PortId], bool], up: Collection[int]) -> None:
        """
        Args:
            takes_any: whether a port may take over without an announcement, as its operator says.
            up: the datapath ids of the switches that can be heard.
        """
        self._takes_any = takes_any
        self._up = up
        self._away: dict[int, float] = {}
        self._waiting: dict[Vsi, dict[Attachment, Waiting]] = {}
        self._until: DeadlineQueue[Attachment] = DeadlineQueue()
        # By ID: a VSI that no port has as yet is forgotten with each claim that is refused.
        self._quarrels: dict[VsiId, PortId] = {}
        self._over: DeadlineQueue[VsiId] = DeadlineQueue()

    @property
    def deadlines(self) -> tuple[float | None, float | None]:
        """When a claim that waits is due, and when a quarrel may be over; monotonic seconds."""
        return self._until.deadline, self._over.deadline

    # --- switches ---
    def away(self, dpid: int, now: float) -> None:
        """A switch cannot be heard from now on."""
        self._away.setdefault(dpid, now)

    def back(self, dpid: int) -> None:
        """A switch can be heard again."""
        self._away.pop(dpid, None)

    def postpone(self, seconds: float) -> None:
        """Nothing could be heard for so long: owners expire later by that, and are lost later."""
        self._away = {dpid: since + seconds for dpid, since in self._away.items()}
        for waiting in self._waiting.values():
            for one, its in waiting.items():
                # Looked at when it was due before, it waits on: the owner's deadline has moved as well.
                waiting[one] = its._replace(until=its.until + seconds)

    # --- the rule ---
    def hindrance(self, attachment: Attachment, now: float) -> Attachment | None:
        """The attachment that has the VSI, or is being given it, and keeps it against the newest request here."""
        if attachment.machine.wanted is not VdpMode.ASSOCIATE or self._is_announced(attachment):
            return None
        owner = attachment.vsi.owner
        if owner is not None and owner is not attachment and owner.present and not self._is_lost(owner, now):
            return owner
        others = attachment.vsi.attachments.values()
        return next((one for one in others if one is not attachment and self._is_being_given(one)), None)

    def is_bare(self, attachment: Attachment) -> bool:
        """Whether the newest request claims a VSI without an announcement, and no port is known to have it."""
        claims = attachment.machine.wanted is VdpMode.ASSOCIATE and not self._is_announced(attachment)
        return claims and attachment.vsi.owner is None

    def gives_way(self, owner: Attachment, now: float) -> float | None:
        """When an owner of which nothing more is heard will have lost the VSI; None: that is not in sight."""
        gone = self._away.get(owner.port.dpid)
        if gone is not None:
            return max(now, gone + owner.machine.operational.keep_alive_timeout)
        return owner.machine.deadline

    def _is_announced(self, attachment: Attachment) -> bool:
        asked = attachment.newest
        assert asked is not None
        migrating = isinstance(asked.status, RequestStatus) and asked.status.migrating
        return attachment.announced or migrating or self._takes_any(attachment.port)

    def _is_lost(self, owner: Attachment, now: float) -> bool:
        """Its switch keeps the rules and its VSI does not expire; but whether it lives there cannot be known."""
        gone = self._away.get(owner.port.dpid)
        return gone is not None and now >= gone + owner.machine.operational.keep_alive_timeout

    def _is_being_given(self, one: Attachment) -> bool:
        machine = one.machine
        asks = machine.state is VsiState.DECIDING and machine.wanted is VdpMode.ASSOCIATE
        return asks and one not in self._waiting.get(one.vsi, ())

    # --- claims that wait ---
    def wait(self, attachment: Attachment, owner: Attachment, until: float) -> None:
        """Look at a claim again at some time, or when something happens to the VSI."""
        waiting = Waiting(attachment.machine.attempt, owner, until)
        self._waiting.setdefault(attachment.vsi, {})[attachment] = waiting
        self._until.set(attachment, until)

    def waits_for(self, vsi: Vsi) -> bool:
        """Whether any claim waits for a VSI."""
        return vsi in self._waiting

    def take(self, vsi: Vsi) -> list[tuple[Attachment, Waiting]]:
        """The claims for a VSI that still want it, oldest first; none of them waits any more."""
        waiting = self._waiting.pop(vsi, {})
        for one in waiting:
            self._until.set(one, None)
        return [(one, its) for one, its in waiting.items() if one.present and one.machine.awaits(its.attempt)]

    def due(self, now: float) -> Iterator[Vsi]:
        """The VSIs for which claims have waited long enough."""
        for one in self._until.due(now):
            yield one.vsi

    # --- quarrels ---
    def contest(self, claimant: Attachment, now: float) -> bool:
        """A claim has been refused; whether that is news."""
        vsi, port = claimant.vsi.vsi_id, claimant.port
        if vsi not in self._quarrels and len(self._quarrels) >= _MOST:
            return False
        self._over.set(vsi, now + claimant.machine.operational.keep_alive_timeout)
        news = self._quarrels.get(vsi) != port
        self._quarrels[vsi] = port
        return news

    def settle(self, vsi: VsiId) -> bool:
        """A VSI is where it should be; whether it was fought over."""
        self._over.set(vsi, None)
        return self._quarrels.pop(vsi, None) is not None

    def settled(self, now: float) -> Iterator[VsiId]:
        """VSIs that no other port has asked for, for some time."""
        for vsi in self._over.due(now):
            if self._quarrels.pop(vsi, None) is not None:
                yield vsi
