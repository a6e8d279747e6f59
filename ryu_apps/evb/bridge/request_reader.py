"""Reading of requests into the conversation about a VSI: the VSI type and addresses, and if they are new."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.ports.bridge_port import BridgePort
from ryu_apps.evb.ports.outputs import AssociationReceived
from ryu_apps.evb.protocol.vdp_bridge import Request, VsiState
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.vsi_ports import UNNAMED
from ryu_apps.evb.vsi.conversation import Meaning
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.vsi_types.database import TypeDatabase
from ryu_apps.evb.wire import cisco, port_name
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.port_name import PortName
from ryu_apps.evb.wire.vdp import Association, OrganizationalTlv, VdpMode, identity_of

#: Addresses of one VM that its station may give; the newest count.
MAX_ADDRESSES = 64
#: Modes that announce a VSI.
_ANNOUNCEMENTS = (VdpMode.PREASSOCIATE, VdpMode.PREASSOCIATE_RR)


class RequestReader:
    """Reader of the requests of all station ports."""

    def __init__(self, stations: Mapping[PortId, BridgePort], types: TypeDatabase) -> None:
        self._stations = stations
        self._types = types

    def read(self, attachment: Attachment, received: AssociationReceived) -> Request:
        """Note a request in the conversation of its VSI; returns the event for the VDP machine."""
        asked, conversation = received.association, attachment.conversation
        conversation.manager_id = received.manager_id
        conversation.requests[asked.MODE] = asked
        if asked.MODE in _ANNOUNCEMENTS:
            conversation.announced, conversation.announced_to = True, -1
        if asked.MODE is VdpMode.DEASSOCIATE:
            return Request(asked.MODE)
        before = conversation.asked
        conversation.newest, conversation.organizational = asked, received.organizational
        conversation.asked = self._meaning(attachment, asked, received.organizational)
        changed = before is not None and conversation.asked != before
        if changed:
            conversation.filled = None
        return Request(asked.MODE, changed, conversation.is_apart)

    def _meaning(
        self, attachment: Attachment, asked: Association, organizational: tuple[OrganizationalTlv, ...]
    ) -> Meaning:
        """Return what a request asks for, so that a repetition is recognized also with the values of the answer."""
        conversation = attachment.conversation
        owner = attachment.vsi.owner
        if owner is not None and owner is not attachment:
            conversation.inherited = owner.addresses
        for tlv in self._organizational(attachment.port, organizational):
            if isinstance(tlv, cisco.L3Address) and tlv.address not in conversation.told:
                conversation.told = (*conversation.told, tlv.address)[-MAX_ADDRESSES:]
            elif isinstance(tlv, cisco.VmName):
                conversation.name = tlv.name
            elif isinstance(tlv, PortName):
                # An empty name takes no name back.
                conversation.port_name = tlv.name or conversation.port_name or UNNAMED
        key = VsiTypeKey(asked.type_id, asked.version)
        origin = self._types.origin(conversation.manager_id, key)
        identity = identity_of(conversation.manager_id, asked)
        filter_info = conversation.repeated(asked.filter_info)
        return Meaning(origin, key, filter_info, conversation.claimed, identity, conversation.port_name)

    def _organizational(
        self, port: PortId, tlvs: tuple[OrganizationalTlv, ...]
    ) -> Iterator[cisco.VmName | cisco.L3Address | PortName | None]:
        """Yield the decoded TLVs of organizations; they are optional, so a malformed one is counted and left out."""
        for tlv in tlvs:
            try:
                yield cisco.decode(tlv) or port_name.decode(tlv)
            except WireError:
                self._stations[port].counters["malformed"] += 1


def ends_attachment(attachment: Attachment, received: AssociationReceived) -> bool:
    """True if a De-Associate ends what the station has at this port, not only a second VSI of that VSIID."""
    newest, standing = attachment.conversation.identity, attachment.conversation.granted.identity
    let_go = identity_of(received.manager_id, received.association)
    if let_go != newest:
        return newest is None
    deciding = attachment.machine.state is VsiState.DECIDING
    changes = standing is not None and standing != let_go
    return not (deciding and changes and attachment.machine.in_force is VdpMode.ASSOCIATE)
