"""Limits of vSwitches: VSIs that one may have, by their number, type, VSIID and addresses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.vsis import VsiNotPermitted
from ryu_apps.evb.model import Binding
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.vswitches import Vswitch, VswitchIndex
from ryu_apps.evb.vsi.admission import Admitted, Refusal
from ryu_apps.evb.vsi.registry import Attachment, Registry
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.evb.wire.vdp import VdpError


class BeyondLimits(NamedTuple):
    """A refusal, and the event that says which limit it is; None: a full vSwitch, of which the refusal says enough."""

    refusal: Refusal
    told: LogEvent | None = None


class VswitchLimits:
    """The limits, and the VSIs that count against them."""

    def __init__(self, fabric: Fabric, registry: Registry) -> None:
        self._index = VswitchIndex(fabric.vswitches)
        self._registry = registry

    def exceeded(self, attachment: Attachment, admitted: Admitted) -> BeyondLimits | None:
        """Return the limit that a request exceeds; None: it exceeds none, or its VLANs are those of no vSwitch."""
        bindings = admitted.placed.bindings
        found = self._index.of(attachment.port.dpid, _vids(bindings))
        if not found:
            return None
        if len(found) > 1:
            names = " and ".join(vswitch.name for vswitch in found)
            return BeyondLimits(Refusal(VdpError.INVALID_VID_GROUP_MAC, True, f"VLANs of vSwitches {names}"))
        (vswitch,) = found
        return _not_permitted(vswitch, attachment, admitted) or self._full(vswitch, attachment)

    def _full(self, vswitch: Vswitch, attachment: Attachment) -> BeyondLimits | None:
        if vswitch.max_vsis is None or self._vsis_beside(vswitch, attachment) < vswitch.max_vsis:
            return None
        reason = f"vSwitch {vswitch.name} has {vswitch.max_vsis} VSIs already"
        return BeyondLimits(Refusal(VdpError.INSUFFICIENT_RESOURCES, False, reason))

    def _vsis_beside(self, vswitch: Vswitch, attachment: Attachment) -> int:
        """Number of other VSIs of a vSwitch; one that moves from member to member counts once."""
        members, vids = frozenset(vswitch.members), frozenset(vswitch.vids)
        return len(
            {
                other.text
                for other in self._registry.attachments()
                if other.vsi is not attachment.vsi
                and other.port.dpid in members
                and not vids.isdisjoint(_vids(other.bindings))
            }
        )


def _not_permitted(vswitch: Vswitch, attachment: Attachment, admitted: Admitted) -> BeyondLimits | None:
    macs = [None if binding.mac is None else mac_to_text(binding.mac) for binding in admitted.placed.bindings]
    beyond = vswitch.limits.beyond(attachment.text, str(admitted.vsi_type.key), macs)
    if beyond is None:
        return None
    limit, value = beyond
    error = VdpError.INVALID_VID_GROUP_MAC if limit == "macs" else VdpError.OTHER_FAILURE
    refusal = Refusal(error, True, f"{value} is not among the {limit} of vSwitch {vswitch.name}")
    return BeyondLimits(refusal, attachment.log_event(VsiNotPermitted, limit, value))


def _vids(bindings: Iterable[Binding]) -> set[int]:
    return {binding.vid for binding in bindings}
