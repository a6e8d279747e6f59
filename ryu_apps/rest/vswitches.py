"""vSwitches: members, limits, VSIs, and their traffic as that of one switch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from typing_extensions import TypedDict

from ryu_apps.evb.bridge.statistics_queries import CountedFrames
from ryu_apps.evb.bridge.vswitch_queries import MemberStatus, VswitchStatus, VswitchVsi
from ryu_apps.evb.model import Phase
from ryu_apps.evb.pipeline.tables import Direction
from ryu_apps.rest.bridge import Bridge, RestError
from ryu_apps.rest.statistics import CountJson, count_json
from ryu_apps.rest.text import PortJson, dpid_text, port_json


class FramesJson(TypedDict):
    """Frames in one direction: passed, refused by access control lists, dropped by guards."""

    passed: CountJson
    refused: CountJson
    guarded: CountJson


class UplinkJson(TypedDict):
    """A trunk of a member."""

    port: int
    link: Literal["up", "down"] | None


class VswitchMemberJson(TypedDict):
    """A switch that is a member of a vSwitch."""

    name: str
    dpid: str
    ready: bool
    uplinks: list[UplinkJson]
    phases: dict[str, int]


class VswitchVsiJson(PortJson):
    """A VSI at a member of a vSwitch."""

    vsi: str
    vm: str | None
    vsi_port: str | None
    phase: str
    active: bool


class VswitchJson(TypedDict):
    """A vSwitch: members, limits, and the traffic of its VSIs."""

    name: str
    kind: Literal["distributed", "single"]
    ports: str
    native_vlans: list[int]
    tagged_vlans: list[int]
    limits: dict[str, list[str]]
    max_vsis: int | None
    members: list[VswitchMemberJson]
    phases: dict[str, int]
    counted: int
    from_vm: FramesJson
    to_vm: FramesJson


class VswitchAndVsisJson(VswitchJson):
    """A vSwitch with its VSIs."""

    vsis: list[VswitchVsiJson]


def vswitches(bridge: Bridge, now: float, after: str = "") -> list[VswitchJson]:
    """All vSwitches, by name."""
    found = bridge.queries.vswitches.all()
    return [_vswitch_json(status) for status in found if status.vswitch.name > after]


def vswitch(bridge: Bridge, now: float, vswitch: str) -> VswitchAndVsisJson:
    """One vSwitch, with its VSIs.

    Raises:
        RestError: 404, there is none of that name.
    """
    status = bridge.queries.vswitches.named(vswitch)
    if status is None:
        raise RestError(404, f"no vSwitch {vswitch}")
    found = bridge.queries.vswitches.vsis(status.vswitch)
    return {**_vswitch_json(status), "vsis": [_vsi_json(bridge, vsi) for vsi in found]}


def _vswitch_json(status: VswitchStatus) -> VswitchJson:
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
        "from_vm": _frames_json(status.totals[Direction.FROM_VM]),
        "to_vm": _frames_json(status.totals[Direction.TO_VM]),
    }


def _frames_json(frames: CountedFrames) -> FramesJson:
    return {
        "passed": count_json(frames.passed),
        "refused": count_json(frames.refused),
        "guarded": count_json(frames.guarded),
    }


def _member_json(member: MemberStatus) -> VswitchMemberJson:
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


def _phases_json(phases: Mapping[Phase, int]) -> dict[str, int]:
    return {phase.value: phases.get(phase, 0) for phase in Phase if phase is not Phase.NONE}


def _vsi_json(bridge: Bridge, vsi: VswitchVsi) -> VswitchVsiJson:
    return {
        "vsi": vsi.vsi,
        "vm": vsi.name,
        **port_json(bridge.queries.fabric, vsi.port),
        "vsi_port": vsi.vsi_port,
        "phase": vsi.phase.value,
        "active": vsi.active,
    }
