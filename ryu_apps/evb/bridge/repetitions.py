"""Requests that repeat what is in force: after a take-over they are answered before their switch has been compared.

What was granted is in a record, and a record is written when the switches have confirmed.  Nothing is sent to a switch.
"""

from __future__ import annotations

from ryu_apps.evb.protocol.vdp_bridge import VsiState
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.registry import Registry
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, Frame
from ryu_apps.evb.wire.vdp import Association, ManagerId, VdpMode, VdpPdu


class Repetitions:
    """The requests that stations have been granted, as the registry has them."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def are_all(self, port: PortId, data: bytes) -> bool:
        """Return True if a frame has requests, and each of them is what its VSI has been granted at the port."""
        pdu = _pdu(data)
        if pdu is None or pdu.malformed:
            return False
        asked = [association for association, _ in pdu.associations()]
        return bool(asked) and all(self._is_granted(port, pdu.manager_id, tlv) for tlv in asked)

    @staticmethod
    def asks(data: bytes) -> bool:
        """Return True if a frame has requests."""
        return _pdu(data) is not None

    def owners(self, data: bytes) -> set[int]:
        """Return the switches at which VSIs of the requests of a frame have their gates."""
        pdu = _pdu(data)
        asked = () if pdu is None else (self._registry.vsi(association.vsi_id) for association, _ in pdu.associations())
        return {vsi.owner.port.dpid for vsi in asked if vsi is not None and vsi.owner is not None}

    def _is_granted(self, port: PortId, manager_id: ManagerId, asked: Association) -> bool:
        vsi = self._registry.vsi(asked.vsi_id)
        attachment = vsi.attachments.get(port) if vsi is not None else None
        if attachment is None or attachment.machine.state is not VsiState.HELD:
            return False
        conversation, mode = attachment.conversation, attachment.machine.in_force
        if mode is VdpMode.ASSOCIATE and attachment.vsi.owner is not attachment:
            return False
        same = conversation.newest == asked and conversation.manager_id == manager_id
        return same and mode is asked.MODE


def _pdu(data: bytes) -> VdpPdu | None:
    """Return the VDP data unit of a frame with an ECP request; None: it is none, or cannot be read."""
    try:
        frame = Frame.decode(data)
        ecpdu = Ecpdu.decode(frame.payload) if frame.ethertype == ETHERTYPE_ECP else None
        return None if ecpdu is None or ecpdu.op is not EcpOp.REQUEST else VdpPdu.decode(ecpdu.payload)
    except WireError:
        return None
