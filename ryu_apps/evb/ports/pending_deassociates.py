"""De-Associates that have to reach a station even if a link flap or its silence has lost them.

A VSI that waits for an answer when the link fails never asks again: the station would keep what the bridge has ended.
"""

from __future__ import annotations

from ryu_apps.evb.wire.vdp import (
    Association,
    Identity,
    MalformedAssociation,
    ManagerId,
    RequestStatus,
    VdpMode,
    identity_of,
)
from ryu_apps.evb.wire.vsi_id import VsiId

#: Seconds after link up in which a station repeats what it still holds; what it lost is ended after that.
DEASSOCIATE_DELAY = 3.0
#: De-Associates that are kept for one port; a station that acknowledges nothing must not make the bridge keep more.
MAX_PENDING_DEASSOCIATES = 4096


class PendingDeassociates:
    """De-Associates for one station, by VSI and identity.

    Attributes:
        pending: those that are kept.
        due: time at which to send them, monotonic seconds; None: the station is not heard, or there are none.
    """

    def __init__(self) -> None:
        self.pending: dict[tuple[VsiId, Identity], tuple[ManagerId, Association]] = {}
        self.due: float | None = None

    def keep(self, manager_id: ManagerId, tlv: Association | MalformedAssociation) -> None:
        """Keep a De-Associate, or an answer that ends the VSI; any other answer is not kept."""
        room = len(self.pending) < MAX_PENDING_DEASSOCIATES
        if room and isinstance(tlv, Association) and ends_the_vsi(tlv):
            self.pending[_addressee(manager_id, tlv)] = manager_id, tlv.unsolicited_deassociate()

    def cancel(self, manager_id: ManagerId, tlv: Association) -> None:
        """Remove the De-Associate of a VSI: the station has it, or its request is a new one."""
        self.pending.pop(_addressee(manager_id, tlv), None)

    def link(self, up: bool, now: float) -> None:
        """Schedule them for a link that has gone up; of one that is down they wait."""
        self.due = now + DEASSOCIATE_DELAY if up and self.pending else None

    def heard(self, up: bool, now: float) -> None:
        """Schedule them: the station sends frames again."""
        if self.pending and self.due is None and up:
            self.due = now + DEASSOCIATE_DELAY

    def take(self, now: float) -> list[tuple[ManagerId, Association]]:
        """Remove and return those that are due."""
        if self.due is None or now < self.due:
            return []
        self.due = None
        pending, self.pending = self.pending, {}
        return list(pending.values())


def ends_the_vsi(tlv: Association) -> bool:
    """True for a De-Associate, solicited or not, and for a refusal that keeps nothing."""
    if tlv.MODE is VdpMode.DEASSOCIATE or isinstance(tlv.status, RequestStatus):
        return tlv.MODE is VdpMode.DEASSOCIATE
    return not tlv.status.success and not tlv.status.keep


def _addressee(manager_id: ManagerId, tlv: Association) -> tuple[VsiId, Identity]:
    return tlv.vsi_id, identity_of(manager_id, tlv)
