"""VLANs and addresses of appliances, which no VSI has but their instances."""

from __future__ import annotations

from collections.abc import Iterable

from ryu_apps.evb.model import Binding
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.services.appliance.schema import NAME, AppliancePolicy
from ryu_apps.evb.services.appliance.service import APPLIANCE
from ryu_apps.evb.topology.appliance_ports import parts_at_hosts
from ryu_apps.evb.topology.fabric import Fabric


def appliance_of(vsi_type: VsiType) -> AppliancePolicy | None:
    """Return the part of a type about appliances; None: it has none."""
    policy: AppliancePolicy | None = vsi_type.service(NAME)
    return policy


def instance_of(vsi_type: VsiType | None) -> str:
    """Return the appliance of which VSIs of a type are instances; empty: of none."""
    policy = None if vsi_type is None else appliance_of(vsi_type)
    return policy.instance_of if policy is not None else ""


def vid_of_others(vsi_type: VsiType, fabric: Fabric, vids: tuple[int, ...]) -> str | None:
    """Return the VLAN of an appliance in which a VSI that is none of its instances would be; None: there is none."""
    own = instance_of(vsi_type)
    for appliance in fabric.appliances:
        forbidden = appliance.own_vids if appliance.name != own else {appliance.passed}
        vid = next((vid for vid in vids if vid in forbidden), None)
        if vid is not None:
            return f"VLAN {vid} is that of appliance {appliance.name!r} alone"
        at_hosts = {vid for _, vid in parts_at_hosts(fabric, appliance)} & appliance.own_vids
        vid = next((vid for vid in vids if vid in at_hosts), None)
        if vid is not None:
            return f"VLAN {vid} is that of a leg of appliance {appliance.name!r} at a host port"
    return None


def unfit(fabric: Fabric, vsi_type: VsiType, dpid: int, bindings: Iterable[Binding]) -> str | None:
    """Return the reason for which a VSI cannot go on with the appliances of a configuration; None: it can."""
    found = tuple(bindings)
    vids = tuple(dict.fromkeys(binding.vid for binding in found))
    for vid, mac in found:
        name = fabric.router_of(vid, mac)
        if name is not None and name != instance_of(vsi_type):
            return f"its address in VID {vid} is that of a router of appliance {name!r}"
    if taken := vid_of_others(vsi_type, fabric, vids):
        return taken
    return APPLIANCE.missing_requirement(vsi_type, fabric, dpid, vids) if APPLIANCE.serves(vsi_type) else None
