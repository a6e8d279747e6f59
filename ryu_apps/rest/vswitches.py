"""vSwitches: members, limits, VSIs, and their traffic as that of one switch."""

from __future__ import annotations

from collections.abc import Mapping

from ryu_apps.evb.bridge.vswitch_queries import MemberStatus, VswitchStatus, VswitchVsi
from ryu_apps.evb.model import Phase
from ryu_apps.rest.bridge import Bridge, JsonValue, RestError
from ryu_apps.rest.text import dpid_text, port_json


def vswitches(bridge: Bridge, now: float, after: str = "") -> list[JsonValue]:
    """All vSwitches, by name."""
    found = bridge.queries.vswitches.all()
    return [_vswitch_json(status) for status in found if status.vswitch.name > after]


def vswitch(bridge: Bridge, now: float, vswitch: str) -> JsonValue:
    """One vSwitch, with its VSIs.

    Raises:
        RestError: 404, there is none of that name.
    """
    status = bridge.queries.vswitches.named(vswitch)
    if status is None:
        raise RestError(404, f"no vSwitch {vswitch}")
    found = bridge.queries.vswitches.vsis(status.vswitch)
    return _vswitch_json(status) | {"vsis": [_vsi_json(bridge, vsi) for vsi in found]}


def _vswitch_json(status: VswitchStatus) -> JsonValue:
    vswitch = status.vswitch
    return {
        "name": vswitch.name,
        "kind": "distributed" if vswitch.is_distributed else "single",
        "ports": vswitch.ports,
        "native_vlans": list(vswitch.native_vlans),
        "tagged_vlans": list(vswitch.tagged_vlans),
        "limits": {name: list(patterns) for name, patterns in vswitch.limits._asdict().items()},
        "max_vsis": vswitch.max_vsis,
        "members": [_member_json(member) for member in status.members],
        "phases": _phases_json(status.phases),
        "counted": status.counted,
        **{
            direction.name.lower(): {
                name: {"packets": packets, "octets": octets} for name, (packets, octets) in frames._asdict().items()
            }
            for direction, frames in status.totals.items()
        },
    }


def _member_json(member: MemberStatus) -> JsonValue:
    return {
        "name": member.switch.name,
        "dpid": dpid_text(member.switch.dpid),
        "ready": member.ready,
        "uplinks": [
            {"port": port_no, "link": None if up is None else "up" if up else "down"}
            for port_no, up in member.uplinks.items()
        ],
        "phases": _phases_json(member.phases),
    }


def _phases_json(phases: Mapping[Phase, int]) -> JsonValue:
    return {phase.value: phases.get(phase, 0) for phase in Phase if phase is not Phase.NONE}


def _vsi_json(bridge: Bridge, vsi: VswitchVsi) -> JsonValue:
    return {
        "vsi": vsi.vsi,
        "vm": vsi.name,
        **port_json(bridge.queries.fabric, vsi.port),
        "vsi_port": vsi.vsi_port,
        "phase": vsi.phase.value,
        "active": vsi.active,
    }
