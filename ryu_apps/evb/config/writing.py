"""A :class:`BridgeConfig` to the text of evbridge.yaml."""

from __future__ import annotations

from typing import Any

from ryu_apps.evb.config.appliances import appliance_lines
from ryu_apps.evb.config.balancers import balancer_lines
from ryu_apps.evb.config.bridge_config import BridgeConfig
from ryu_apps.evb.config.cluster import cluster_lines
from ryu_apps.evb.config.groups import groups_line, local_groups
from ryu_apps.evb.config.managers import manager_lines
from ryu_apps.evb.config.pods import pod_lines
from ryu_apps.evb.config.rest import rest_lines
from ryu_apps.evb.config.schema import FORWARD_IN_FLIGHT, STATISTICS_INTERVAL
from ryu_apps.evb.config.store import store_lines
from ryu_apps.evb.config.text import flow_list, flow_map, quoted
from ryu_apps.evb.config.vswitches import vswitch_lines
from ryu_apps.evb.model import Retention
from ryu_apps.evb.policy.validate import notice_text
from ryu_apps.evb.snooping.settings import USUAL, Querying, Snooping
from ryu_apps.evb.topology.evb_settings import ReflectiveRelay, TimerLimits, Timers
from ryu_apps.evb.topology.fabric import Converge
from ryu_apps.evb.topology.interface import BondMode, Interface, Role
from ryu_apps.evb.topology.station_treatment import StationKind, Takeover
from ryu_apps.evb.topology.switch import GateMode
from ryu_apps.evb.topology.vsi_ports import USUAL_NAMES, VsiPortPattern
from ryu_apps.evb.wire.mac import mac_to_text

_QUERIER_NAMES = (
    "robustness",
    "query_interval",
    "query_response_interval",
    "last_member_query_interval",
    "last_member_query_count",
)
_TIMER_NAMES = ("r", "rte", "rwd", "rka")


def dump_config(config: BridgeConfig) -> str:
    """The text from which :func:`ryu_apps.evb.config.reading.load_config` reads the same configuration."""
    switches = config.fabric.switches
    names = {dpid: switch.name for dpid, switch in switches.items()}
    lines = ["version: 1", f"policies: [{', '.join(quoted(path) for path in config.policies)}]"]
    if config.state_dir is not None:
        lines.append(f"state_dir: {quoted(config.state_dir)}")
    lines += _multicast_lines(config.multicast)
    if config.statistics_interval != STATISTICS_INTERVAL:
        lines.append(f"statistics_interval: {config.statistics_interval}")
    if config.statistics_retention != Retention():
        lines.append(f"statistics_retention: {flow_map(config.statistics_retention._asdict())}")
    if config.forward_in_flight != FORWARD_IN_FLIGHT:
        lines.append(f"forward_in_flight: {config.forward_in_flight}")
    if config.fabric.converge is not Converge.SWITCH:
        lines.append(f"converge: {config.fabric.converge.value}")
    if config.openflow_reader != "evbridge":
        lines.append(f"openflow_reader: {config.openflow_reader}")
    lines += rest_lines(config.rest)
    lines += store_lines(config.store)
    lines += cluster_lines(config.cluster)
    lines += pod_lines(config.pod)
    if config.fabric.groups:
        lines.append(f"groups: {groups_line(config.fabric.groups)}")
    lines += balancer_lines(config.fabric.balancers)
    lines += appliance_lines(config.fabric.appliances)
    lines += manager_lines(config.vsi_managers)
    lines += vswitch_lines(config.fabric)
    members = {dpid for vswitch in config.fabric.vswitches for dpid in vswitch.members}
    lines.append("dps:" if switches else "dps: {}")
    for switch in switches.values():
        lines += [f"  {quoted(switch.name)}:", f"    dp_id: {switch.dpid:#x}"]
        if switch.max_rules is not None:
            lines.append(f"    max_rules: {switch.max_rules}")
        if switch.translation:
            lines.append(f"    groups: {groups_line(local_groups(config.fabric, switch))}")
        if not switch.extended:
            lines.append(f"    profile: {switch.profile.value}")
        if not switch.metered:
            lines.append("    meters: false")
        if switch.gate is not GateMode.RULES:
            lines.append(f"    gate: {switch.gate.value}")
        lines.append("    interfaces:" if switch.interfaces else "    interfaces: {}")
        lines += [
            f"      {interface.port_no}: {flow_map(_written(interface, names))}"
            for interface in switch.interfaces.values()
        ]
        own = () if switch.dpid in members else switch.vsi_ports
        lines += [f"      {quoted(ports.names)}: {flow_map(_vsi_ports_written(ports))}" for ports in own]
    return "\n".join(lines) + "\n"


def _multicast_lines(config: Snooping) -> list[str]:
    """The settings that differ from the defaults."""
    parts = _querier_written(config.usual, USUAL.usual)
    vlans = {vid: flow_map(_querier_written(querying, config.usual)) for vid, querying in config.vlans.items()}
    if vlans:
        parts["vlans"] = flow_map({str(vid): text for vid, text in vlans.items()})
    return [f"multicast: {flow_map(parts)}"] if parts else []


def _querier_written(querying: Querying, usual: Querying) -> dict[str, Any]:
    parts: dict[str, Any] = {} if querying.on == usual.on else {"querier": str(querying.on).lower()}
    values = {name: getattr(querying.timers, name) for name in _QUERIER_NAMES}
    return parts | {name: int(value) for name, value in values.items() if value != getattr(usual.timers, name)}


def _written(interface: Interface, names: dict[int, str]) -> dict[str, Any]:
    """An interface as in the file, without values equal to the defaults."""
    default = Timers()
    timers = {name: getattr(interface.timers, name) for name in _TIMER_NAMES}
    limits = {name: getattr(interface.timer_limits, name) for name in _TIMER_NAMES[1:]}
    peer = interface.peer
    parts = {
        "name": quoted(interface.name),
        "role": interface.role_text,
        "native_vlan": interface.native_vlan,
        "tagged_vlans": _list([str(vid) for vid in interface.tagged_vlans]),
        "macs": _list([quoted(text) for text in (*map(mac_to_text, interface.macs), *interface.limits.macs)]),
        "addresses": _list([quoted(str(address)) for address in interface.addresses]),
        "appliance": interface.appliance,
        "link": flow_map({"dp": quoted(names[peer.dpid]), "port": peer.port_no}) if peer else None,
        "timers": flow_map(timers) if interface.timers != default else None,
        "timer_limits": flow_map(limits) if interface.timer_limits != TimerLimits() else None,
        "station": interface.station.value if interface.station is not StationKind.EVB else None,
        **_treatment_written(interface),
        "takeover": interface.takeover.value if interface.takeover is not Takeover.ANNOUNCED else None,
        "vsis": _list([quoted(pattern) for pattern in interface.limits.vsis]),
        "types": _list([quoted(pattern) for pattern in interface.limits.types]),
        "reflective_relay": _relay_written(interface),
        "speed": interface.speed,
        "bond": _list([str(link) for link in interface.bond]),
        "bond_mode": interface.bond_mode.value if interface.bond_mode is not BondMode.ACTIVE_BACKUP else None,
        "remote_vlan": interface.remote_vlan,
        "port_names": quoted(interface.port_names) if interface.port_names not in (None, USUAL_NAMES) else None,
    }
    return {key: value for key, value in parts.items() if value is not None}


def _vsi_ports_written(ports: VsiPortPattern) -> dict[str, Any]:
    parts = {
        "role": Role.VSI.value,
        "native_vlan": None if ports.native_vlans else ports.native_vlan,
        "native_vlans": _list([str(vid) for vid in ports.native_vlans]),
        "tagged_vlans": _list([str(vid) for vid in ports.tagged_vlans]),
    }
    return {key: value for key, value in parts.items() if value is not None}


def _relay_written(interface: Interface) -> str | None:
    """The setting of a port, if it differs from the only one or the usual one of its switch."""
    usual = ReflectiveRelay.AGREED if interface.extended and not interface.is_local else ReflectiveRelay.NEVER
    return None if interface.reflective_relay is usual else interface.reflective_relay.value


def _treatment_written(interface: Interface) -> dict[str, Any]:
    """Attributes of a station port that differ from the preset of its kind."""
    parts: dict[str, Any] = {}
    if interface.keep_null_vids is not None:
        parts["null_vid"] = "keep" if interface.keep_null_vids else "fill"
    if interface.notify_displaced is not None:
        parts["notify_displaced"] = notice_text(interface.notify_displaced)
    if interface.stage_on_preassociate is not None:
        parts["stage_on"] = "preassociate" if interface.stage_on_preassociate else "preassociate_rr"
    return parts


def _list(parts: list[str]) -> str | None:
    return flow_list(parts) if parts else None
