"""Summary of the bridge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from typing_extensions import TypedDict

from ryu_apps.evb.alarms import Alarm
from ryu_apps.evb.bridge.queries import BridgeQueries, FencingStatus, LinkStatus, SwitchStatus
from ryu_apps.evb.generation import text
from ryu_apps.evb.model import Phase
from ryu_apps.evb.switches.mastership import MastershipState
from ryu_apps.evb.topology.interface import Interface
from ryu_apps.listening.descriptors import DESCRIPTORS
from ryu_apps.rest.bridge import Bridge
from ryu_apps.rest.cluster import ClusterJson, cluster_json
from ryu_apps.rest.pods import PodJson, pod_json
from ryu_apps.rest.text import dpid_text
from ryu_apps.version import VERSION


class FencingJson(TypedDict):
    """This bridge among those that connect to the same switches."""

    generation: str
    superseded: bool
    newest: str | None


class AlarmJson(TypedDict):
    """An alarm that is raised."""

    kind: str
    severity: str
    words: str
    since: float
    age: float
    count: int
    dpid: str | None
    port: str | None
    vsi: str | None
    detail: dict[str, object]


class BondLinkJson(TypedDict):
    """A link of a bond."""

    port_no: int
    up: bool | None


class BondJson(TypedDict):
    """The links of a port that is a bond."""

    mode: str
    links: list[BondLinkJson]


class SwitchPortJson(TypedDict):
    """A configured port of a switch."""

    port_no: int
    name: str
    role: str
    up: bool | None
    bond: BondJson | None


class VsiPortStateJson(TypedDict):
    """A port of a switch that is a VM's own."""

    name: str
    port_no: int
    up: bool | None
    dropped: int


class SwitchJson(TypedDict):
    """A configured switch."""

    dpid: str
    name: str
    readiness: str
    mastership: str
    gate: str
    fragments: Literal["hidden", "shown"]
    ports: list[SwitchPortJson]
    vsi_ports: list[VsiPortStateJson]
    rules: int
    budget: int | None
    used: int


class LinkJson(TypedDict):
    """A link between two switches."""

    ports: list[str]
    up: bool
    heard: list[str | None]
    miswired: bool
    in_tree: bool


class VsiNumbersJson(TypedDict):
    """Numbers of VSIs."""

    total: int
    phases: dict[str, int]


class StationNumbersJson(TypedDict):
    """Numbers of stations."""

    configured: int
    agreed: int


class ServerJson(TypedDict):
    """Connections of a listening socket."""

    waiting: int
    most: int
    turned_away: int


class DescriptorsJson(TypedDict):
    """File descriptors of the process."""

    limit: int
    in_use: int
    servers: dict[str, ServerJson]


class StatusJson(TypedDict):
    """Summary of the bridge."""

    version: str
    uptime: float
    fencing: FencingJson
    cluster: ClusterJson | None
    pod: PodJson | None
    alarms: list[AlarmJson]
    switches: list[SwitchJson]
    links: list[LinkJson]
    vsis: VsiNumbersJson
    stations: StationNumbersJson
    dropped: dict[str, int]
    descriptors: DescriptorsJson


def status(bridge: Bridge, now: float) -> StatusJson:
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


def _fencing_json(status: FencingStatus) -> FencingJson:
    return {
        "generation": text(status.generation),
        "superseded": status.superseded,
        "newest": None if status.newest is None else text(status.newest),
    }


def _readiness(status: SwitchStatus, standby: bool) -> str:
    left = status.mastership in (MastershipState.LEARNING, MastershipState.ASIDE)
    return status.readiness or (("standby" if standby else "superseded") if left else "disconnected")


def _descriptors() -> DescriptorsJson:
    servers: dict[str, ServerJson] = {
        server.name: {"waiting": server.waiting, "most": server.most, "turned_away": server.turned_away}
        for server in DESCRIPTORS.servers
    }
    return {"limit": DESCRIPTORS.limit, "in_use": DESCRIPTORS.in_use(), "servers": servers}


def _alarm_json(bridge: Bridge, alarm: Alarm, now: float) -> AlarmJson:
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


def _link_json(link: LinkStatus) -> LinkJson:
    return {
        "ports": [str(port) for port in link.ports],
        "up": link.up,
        "heard": [None if port is None else str(port) for port in link.heard],
        "miswired": link.miswired,
        "in_tree": link.in_tree,
    }


def _port_json(interface: Interface, links: Mapping[int, bool]) -> SwitchPortJson:
    return {
        "port_no": interface.port_no,
        "name": interface.name,
        "role": interface.role_text,
        "up": interface.is_up(links),
        "bond": _bond_json(interface, links) if interface.bond else None,
    }


def _bond_json(interface: Interface, links: Mapping[int, bool]) -> BondJson:
    return {
        "mode": interface.bond_mode.value,
        "links": [{"port_no": link, "up": links.get(link)} for link in interface.links],
    }


def _switch_json(status: SwitchStatus, rules: int, standby: bool) -> SwitchJson:
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
