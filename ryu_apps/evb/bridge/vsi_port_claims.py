"""Claims on VSI ports: the name of the port behind which the VM of a request is, and who has it already."""

from __future__ import annotations

from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.vsi_ports import UNNAMED, name_of_port
from ryu_apps.evb.vsi.admission import Refusal
from ryu_apps.evb.vsi.registry import Attachment, Registry
from ryu_apps.evb.wire.vdp import VdpError, VdpMode


def claimed_vsi_port(fabric: Fabric, registry: Registry, attachment: Attachment) -> str | Refusal:
    """Return the name of the VSI port for the newest request of an attachment; empty: behind the station's own port.

    The station's word has precedence over the rule of the configuration.  The port need not be there yet, and before
    the Associate it need not be known: then it is :data:`UNNAMED`.
    """
    interface, switch = fabric.interface(attachment.port), fabric.switches[attachment.port.dpid]
    asked = attachment.conversation.newest
    assert interface is not None and asked is not None
    if interface.port_names is None:
        return ""
    if attachment.conversation.port_name == UNNAMED:
        if attachment.machine.wanted is VdpMode.ASSOCIATE:
            return Refusal(VdpError.OTHER_FAILURE, False, "the station has not named the VSI port")
        return UNNAMED
    mac = next((entry.mac for entry in asked.filter_info.entries if entry.mac is not None), None)
    name = attachment.conversation.port_name or name_of_port(interface.port_names, attachment.text, mac)
    if name is None:
        return Refusal(VdpError.OTHER_FAILURE, False, f"no VSI port by the rule {interface.port_names}")
    if switch.vsi_port(name) is None:
        return Refusal(VdpError.OTHER_FAILURE, False, f"{name} is no VSI port of {switch.name}")
    for holder in registry.attachments_behind(attachment.port.dpid, name):
        if holder.vsi is not attachment.vsi and holder.present:
            return Refusal(VdpError.OTHER_FAILURE, False, f"VSI port {name} belongs to {holder.text}")
    return name
