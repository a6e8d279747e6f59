"""Sections of evbridge.yaml about switches: their ports, stations, timers and vSwitches."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PlainValidator, WithJsonSchema

from ryu_apps.evb.config.values import (
    MAX_PORT,
    Exponent,
    GroupsWritten,
    IpAddressText,
    Limit,
    MacText,
    PortNo,
    RelayText,
    ShortName,
    Speed,
    StageOnText,
    StationText,
    TakeoverText,
    VlanId,
)
from ryu_apps.evb.policy.validate import NotifyDisplaced, NullVidText, Strict
from ryu_apps.evb.topology.interface import MAX_LINKS
from ryu_apps.evb.topology.vsi_ports import USUAL_NAMES, is_pattern, odd_template
from ryu_apps.evb.topology.vswitches import USUAL_PORTS

ProfileText = Literal["openvswitch", "openflow13"]
GateText = Literal["rules", "meter", "auto"]
BondModeText = Literal["active_backup", "lacp"]


def _interface_key(written: object) -> int | str:
    """A port number, or a pattern for names of VSI ports."""
    if isinstance(written, int) and not isinstance(written, bool):
        if not 1 <= written <= MAX_PORT:
            raise ValueError(f"a port number from 1 to {MAX_PORT} was expected")
        return written
    if not isinstance(written, str) or not is_pattern(written):
        raise ValueError("a port number, or a name of VSI ports such as tap*, was expected")
    return written


def _vsi_ports(written: object) -> str:
    if not isinstance(written, str) or not is_pattern(written):
        raise ValueError("a name of VSI ports such as tap* was expected")
    return written


def _port_names(written: object) -> str:
    if not isinstance(written, str):
        raise ValueError("a rule for names was expected, such as 'tap{vsi:11}'")
    if reason := odd_template(written):
        raise ValueError(reason)
    return written


InterfaceKey = Annotated[int | str, PlainValidator(_interface_key), WithJsonSchema({"type": ["integer", "string"]})]
VsiPortsText = Annotated[str, PlainValidator(_vsi_ports), WithJsonSchema({"type": "string"})]
PortNamesText = Annotated[str, PlainValidator(_port_names), WithJsonSchema({"type": "string"})]


class TimerValues(Strict):
    """Timers that a port proposes; absent ones are inherited."""

    r: Annotated[int, Field(ge=0, le=7)] | None = None
    rte: Exponent | None = None
    rwd: Exponent | None = None
    rka: Exponent | None = None


class TimerLimitValues(Strict):
    """Upper limits of a station's proposal; absent ones are inherited."""

    rte: Exponent | None = None
    rwd: Exponent | None = None
    rka: Exponent | None = None


class LinkSection(Strict):
    """The far end of a trunk."""

    dp: ShortName
    port: PortNo


class StationValues(Strict):
    """Attributes of the ports of all stations."""

    name: ShortName
    timers: TimerValues = TimerValues()
    timer_limits: TimerLimitValues = TimerLimitValues()
    station: StationText | None = None
    null_vid: NullVidText | None = None
    notify_displaced: NotifyDisplaced | None = None
    stage_on: StageOnText | None = None
    takeover: TakeoverText | None = None
    vsis: Limit = Field(default_factory=list)
    types: Limit = Field(default_factory=list)
    macs: Limit = Field(default_factory=list)


class StationSection(StationValues):
    """A port towards an EVB station (hypervisor)."""

    role: Literal["station"]
    native_vlan: VlanId | None = None
    tagged_vlans: list[VlanId] = Field(default_factory=list)
    reflective_relay: RelayText | None = None
    speed: Speed | None = None
    bond: Annotated[list[PortNo], Field(min_length=2, max_length=MAX_LINKS)] = Field(default_factory=list)
    bond_mode: BondModeText | None = None


class LocalStationSection(StationValues):
    """The port of a server's station at the server's own switch."""

    role: Literal["local_station"]
    port_names: PortNamesText = USUAL_NAMES


class VsiPortSection(Strict):
    """Ports of a server's switch that lead to one VM each."""

    role: Literal["vsi"]
    native_vlan: VlanId | None = None
    native_vlans: Annotated[list[VlanId], Field(max_length=4094)] = Field(default_factory=list)
    tagged_vlans: list[VlanId] = Field(default_factory=list)


class HostSection(Strict):
    """A port towards configured end systems."""

    name: ShortName
    role: Literal["host"]
    native_vlan: VlanId | None = None
    tagged_vlans: list[VlanId] = Field(default_factory=list)
    macs: list[MacText] = Field(default_factory=list)
    addresses: Annotated[list[IpAddressText], Field(max_length=1000)] = Field(default_factory=list)
    appliance: Literal["tcp_proxy"] | None = None


class PodPortSection(Strict):
    """A port towards other pods."""

    name: ShortName
    role: Literal["pod"]
    native_vlan: VlanId | None = None
    tagged_vlans: list[VlanId] = Field(default_factory=list)


class TrunkSection(Strict):
    """A port towards another switch."""

    name: ShortName
    role: Literal["trunk"]
    link: LinkSection
    speed: Speed | None = None


class MirrorPortSection(Strict):
    """A port towards an analyser, to which the frames of VSIs are copied."""

    name: ShortName
    role: Literal["mirror"]
    remote_vlan: VlanId | None = None


PortSection = (
    StationSection
    | LocalStationSection
    | VsiPortSection
    | HostSection
    | PodPortSection
    | TrunkSection
    | MirrorPortSection
)


class DatapathSection(Strict):
    """One switch."""

    dp_id: Annotated[int, Field(ge=1, le=(1 << 64) - 1)]
    max_rules: Annotated[int, Field(ge=1)] | None = None
    groups: GroupsWritten = Field(default_factory=dict)
    profile: ProfileText = "openvswitch"
    meters: bool = True
    gate: GateText = "rules"
    interfaces: dict[InterfaceKey, Annotated[PortSection, Field(discriminator="role")]]


class VswitchSection(Strict):
    """A virtual switch of one server, or of several."""

    members: Annotated[list[ShortName], Field(min_length=1, max_length=1000)]
    ports: VsiPortsText = USUAL_PORTS
    native_vlan: VlanId | None = None
    native_vlans: Annotated[list[VlanId], Field(max_length=4094)] = Field(default_factory=list)
    tagged_vlans: Annotated[list[VlanId], Field(max_length=4094)] = Field(default_factory=list)
    uplinks: Annotated[list[PortNo], Field(max_length=63)] = Field(default_factory=list)
    vsis: Limit = Field(default_factory=list)
    types: Limit = Field(default_factory=list)
    macs: Limit = Field(default_factory=list)
    max_vsis: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
