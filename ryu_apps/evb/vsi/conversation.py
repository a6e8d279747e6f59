"""The conversation with a station about one VSI: what it has requested, what that means, and what it was granted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.wire.filter_info import FilterInfo
from ryu_apps.evb.wire.ip import IpAddress
from ryu_apps.evb.wire.vdp import Association, Identity, ManagerId, OrganizationalTlv, VdpMode, identity_of


class Meaning(NamedTuple):
    """Meaning of a request; one of equal meaning is a repetition.

    Attributes:
        origin: of the VSI type, as :meth:`TypeDatabase.origin` returns it.
        key: the VSI type.
        filter_info: the filter as it was requested first.
        addresses: IP addresses of the VM.
        identity: the VSI as the station distinguishes it.
        port_name: VSI port that the station has named; empty: none.
    """

    origin: str
    key: VsiTypeKey
    filter_info: FilterInfo
    addresses: tuple[IpAddress, ...]
    identity: Identity
    port_name: str = ""


class Standing(NamedTuple):
    """A request that has been granted.

    Attributes:
        asked: what ``newest`` means; None: nothing has been granted.
        filled: the filter info as answered (null VIDs and priorities filled in).
        newest, manager_id: the request, and the manager of its VSI type.
        told: addresses of the VM from its station.
        port_name: VSI port from its station.
    """

    asked: Meaning | None = None
    filled: FilterInfo | None = None
    newest: Association | None = None
    manager_id: ManagerId = ManagerId()
    told: tuple[IpAddress, ...] = ()
    port_name: str = ""

    @property
    def identity(self) -> Identity | None:
        """The VSI in force as the station distinguishes it; None: there is none."""
        return None if self.newest is None else identity_of(self.manager_id, self.newest)


@dataclass(eq=False, slots=True)
class Conversation:
    """Requests of a station about a VSI at its port, and the answers; written by ``bridge``.

    Attributes:
        manager_id: the VSI manager of the newest request.
        requests: the newest request TLV of each mode, for the answer.
        newest: the newest request, other than De-Associate.
        organizational: the TLVs of organizations that came with it; None: that is not known.
        asked: what ``newest`` means.
        granted: the request in force, to return to if a change is refused.
        told: addresses of the VM from this station.
        inherited: those from the VSI's last station; they count until this one gives any.
        announced: the station has sent a Pre-Associate since the VSI's present owner became its owner.
        filled: the filter info as answered (null VIDs and priorities filled in); None: it is not decided.
        keeps_null_vids: the station is answered the filter as it requested it.
        name: the VM's name, if the station gave it.
        suspended: the newest request says that the VM does not run there.
        left: the VSI moved away before the controller was restarted; the station has yet to be informed.
        port_name: VSI port that the station has named; empty: none.
        announced_to: generation of the VSI's owner among pods when it was staged here, 0: it had none; -1: not known.
    """

    manager_id: ManagerId
    requests: dict[VdpMode, Association] = field(default_factory=dict)
    newest: Association | None = None
    organizational: tuple[OrganizationalTlv, ...] | None = None
    asked: Meaning | None = None
    granted: Standing = Standing()
    told: tuple[IpAddress, ...] = ()
    inherited: tuple[IpAddress, ...] = ()
    announced: bool = False
    filled: FilterInfo | None = None
    keeps_null_vids: bool = False
    name: str | None = None
    suspended: bool = False
    left: bool = False
    port_name: str = ""
    announced_to: int = -1

    @property
    def claimed(self) -> tuple[IpAddress, ...]:
        """The addresses that the station requests for the VM."""
        return self.told or self.inherited

    @property
    def identity(self) -> Identity | None:
        """The VSI of the newest request as the station distinguishes it; None: it has only sent De-Associates."""
        return None if self.newest is None else identity_of(self.manager_id, self.newest)

    @property
    def is_apart(self) -> bool:
        """True if the station takes its newest request for another VSI than what is in force."""
        standing, newest = self.granted.identity, self.identity
        return standing is not None and newest is not None and standing != newest

    def repeated(self, filter_info: FilterInfo) -> FilterInfo:
        """Return the filter that a request repeats, as it was requested first; a new one as it is.

        A station repeats a filter with the VIDs and priorities of the answer, or of its request.
        """
        for asked, filled in ((self.asked, self.filled), (self.granted.asked, self.granted.filled)):
            if asked is not None:
                first = asked.filter_info
                if first.covers(filter_info) and filter_info.covers(filled or first):
                    return first
        return filter_info

    @property
    def asking(self) -> Standing:
        """The newest request, as it stands when it is granted."""
        return Standing(self.asked, self.filled, self.newest, self.manager_id, self.told, self.port_name)

    def stand(self) -> None:
        """Note that the newest request has been granted."""
        self.granted = self.asking

    def fall_back(self) -> None:
        """Return to the request that was granted before the newest, which has been refused."""
        self.asked, self.filled, self.newest, self.manager_id, self.told, self.port_name = self.granted
        self.organizational = None
        if self.newest is not None:
            self.requests[self.newest.MODE] = self.newest
