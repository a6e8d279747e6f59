"""Summary of the bridge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ryu_apps.evb.alarms import Alarm
from ryu_apps.evb.bridge.queries import BridgeQueries, FencingStatus, LinkStatus, SwitchStatus
from ryu_apps.evb.generation import text
from ryu_apps.evb.model import Phase
from ryu_apps.evb.switches.mastership import MastershipState
from ryu_apps.evb.topology.fabric import Interface
from ryu_apps.listening.descriptors import DESCRIPTORS
from ryu_apps.rest.bridge import Bridge, JsonValue
from ryu_apps.rest.cluster import cluster_json
from ryu_apps.rest.pods import pod_json
from ryu_apps.rest.text import dpid_text
from ryu_apps.version import VERSION


def status(bridge: Bridge, now: float) -> JsonValue:
    """Version, uptime in seconds, alarms, switches, numbers of VSIs and stations by state, and connections."""
    queries = bridge.queries
    stations = queries.stations()
    rules = queries.desired_rules()
    dropped = sum((station.dropped for station in stations), Counter[str]())
    switches = sorted(queries.switches(), key=lambda status: status.switch.dpid)
    return {
        "version": VERSION,
        "uptime": now - bridge.started,
        "fencing": _fencing_json(queries.fencing),
        "cluster": cluster_json(bridge.cluster(now)),
        "pod": pod_json(bridge.pods.status() if bridge.pods is not None else None),
        "alarms": [_alarm_json(bridge, alarm, now) for alarm in sorted(bridge.alarms, key=lambda alarm: alarm.since)],
        "switches": [_switch_json(status, rules[status.switch.dpid], queries.fencing.standby) for status in switches],
        "links": [_link_json(link) for link in queries.links()],
        "vsis": {"total": len(queries.vsis), "phases": _phases(queries)},
        "stations": {
            "configured": len(stations),
            "agreed": sum(station.station is not None for station in stations),
        },
        "dropped": dict(dropped),
        "descriptors": _descriptors(),
    }


def _fencing_json(status: FencingStatus) -> JsonValue:
    return {
        "generation": text(status.generation),
        "superseded": status.superseded,
        "newest": None if status.newest is None else text(status.newest),
    }


def _readiness(status: SwitchStatus, standby: bool) -> str:
    left = status.mastership in (MastershipState.LEARNING, MastershipState.ASIDE)
    return status.readiness or (("standby" if standby else "superseded") if left else "disconnected")


def _descriptors() -> JsonValue:
    servers: JsonValue = {
        server.name: {"waiting": server.waiting, "most": server.most, "turned_away": server.turned_away}
        for server in DESCRIPTORS.servers
    }
    return {"limit": DESCRIPTORS.limit, "in_use": DESCRIPTORS.in_use(), "servers": servers}


def _alarm_json(bridge: Bridge, alarm: Alarm, now: float) -> JsonValue:
    return {
        "kind": alarm.row.kind,
        "severity": alarm.row.severity.value,
        "words": alarm.row.words,
        "since": alarm.since + bridge.wall_offset,
        "age": now - alarm.since,
        "count": alarm.count,
        "dpid": None if alarm.dpid is None else dpid_text(alarm.dpid),
        "port": None if alarm.port is None else str(alarm.port),
        "vsi": alarm.vsi,
        "detail": alarm.cause.detail,
    }


def _phases(queries: BridgeQueries) -> dict[str, int]:
    """Number of attachments in each phase; a VSI that moves has two."""
    found = Counter[Phase]()
    for (_dpid, phase), attachments in queries.phases().items():
        found[phase] += attachments
    return {phase.value: found[phase] for phase in Phase}


def _link_json(link: LinkStatus) -> JsonValue:
    return {
        "ports": [str(port) for port in link.ports],
        "up": link.up,
        "heard": [None if port is None else str(port) for port in link.heard],
        "miswired": link.miswired,
        "in_tree": link.in_tree,
    }


def _port_json(interface: Interface, links: Mapping[int, bool]) -> JsonValue:
    return {
        "port_no": interface.port_no,
        "name": interface.name,
        "role": interface.role_text,
        "up": interface.is_up(links),
        "bond": _bond_json(interface, links) if interface.bond else None,
    }


def _bond_json(interface: Interface, links: Mapping[int, bool]) -> JsonValue:
    return {
        "mode": interface.bond_mode.value,
        "links": [{"port_no": link, "up": links.get(link)} for link in interface.links],
    }


def _switch_json(status: SwitchStatus, rules: int, standby: bool) -> JsonValue:
    switch = status.switch
    return {
        "dpid": dpid_text(switch.dpid),
        "name": switch.name,
        "readiness": _readiness(status, standby),
        "mastership": status.mastership.value,
        "gate": status.gate.value,
        "fragments": "hidden" if status.fragments_hidden else "shown",
        "ports": [_port_json(interface, status.links) for _, interface in sorted(switch.interfaces.items())],
        "vsi_ports": [
            {
                "name": port.name,
                "port_no": port.port_no,
                "up": status.links.get(port.port_no),
                "dropped": status.foreign.get(port.name, 0),
            }
            for port in status.vsi_ports
        ],
        "rules": rules,
        "budget": status.budget,
        "used": status.used,
    }
