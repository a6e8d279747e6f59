"""The bridge at a glance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from ryu_apps.evb.alarms import Alarm
from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.model import Phase
from ryu_apps.evb.topology.fabric import Fabric, PortId, Role, Switch
from ryu_apps.listening.descriptors import DESCRIPTORS
from ryu_apps.rest.bridge import Bridge, JsonValue
from ryu_apps.rest.text import dpid_text


def _version() -> str:
    try:
        return version("evbridge")
    except PackageNotFoundError:
        return "not installed"


VERSION = _version()


def status(bridge: Bridge, now: float) -> JsonValue:
    """Version, uptime in seconds, alarms, switches, how many VSIs and stations are in which state, and connections."""
    engine = bridge.engine
    stations = engine.stations.values()
    rules = engine.wanted.counts()
    dropped = sum((station.counters for station in stations), Counter[str]())
    return {
        "version": VERSION,
        "uptime": now - bridge.started,
        "alarms": [_alarm_json(bridge, one, now) for one in sorted(bridge.alarms, key=lambda one: one.since)],
        "switches": [
            _switch_json(engine, switch, rules[dpid]) for dpid, switch in sorted(engine.fabric.switches.items())
        ],
        "links": [_link_json(engine, port, peer) for port, peer in _links(engine.fabric)],
        "vsis": {"total": len(engine.registry), "phases": phases(engine)},
        "stations": {"configured": len(stations), "agreed": sum(one.station is not None for one in stations)},
        "dropped": dict(dropped),
        "descriptors": _descriptors(),
    }


def _descriptors() -> JsonValue:
    servers: JsonValue = {
        one.name: {"waiting": one.waiting, "most": one.most, "turned_away": one.turned_away}
        for one in DESCRIPTORS.servers
    }
    return {"limit": DESCRIPTORS.limit, "in_use": DESCRIPTORS.in_use(), "servers": servers}


def _alarm_json(bridge: Bridge, one: Alarm, now: float) -> JsonValue:
    return {
        "kind": one.row.kind,
        "severity": one.row.severity.value,
        "words": one.row.words,
        "since": one.since + bridge.wall_offset,
        "age": now - one.since,
        "count": one.count,
        "dpid": None if one.dpid is None else dpid_text(one.dpid),
        "port": None if one.port is None else str(one.port),
        "vsi": one.vsi,
        "detail": one.detail,
    }


def phases(engine: Engine) -> dict[str, int]:
    """How many attachments are in each phase; a VSI that moves has two."""
    found = Counter(attachment.phase for attachment in engine.registry.attachments())
    return {phase.value: found[phase] for phase in Phase}


def _links(fabric: Fabric) -> Iterator[tuple[PortId, PortId]]:
    """Both ends of each link between switches."""
    for port in fabric.ports(Role.TRUNK):
        interface = fabric.interface(port)
        if interface is not None and interface.peer is not None and port < interface.peer:
            yield port, interface.peer


def _link_json(engine: Engine, port: PortId, peer: PortId) -> JsonValue:
    return {
        "ports": [str(port), str(peer)],
        "up": engine.rewiring.down.isdisjoint((port, peer)),
        "heard": [_heard(engine, one) for one in (port, peer)],
        "miswired": not engine.neighbours.miswired.isdisjoint((port, peer)),
        "in_tree": frozenset((port.dpid, peer.dpid)) in engine.wiring.routes.tree,
    }


def _heard(engine: Engine, port: PortId) -> str | None:
    """Whom a port has heard by LLDP."""
    heard = engine.neighbours.heard.get(port)
    return None if heard is None or heard.peer is None else str(heard.peer)


def _switch_json(engine: Engine, switch: Switch, rules: int) -> JsonValue:
    state = engine.bringup.switches.get(switch.dpid)
    links = state.ports if state else {}
    return {
        "dpid": dpid_text(switch.dpid),
        "name": switch.name,
        "readiness": state.readiness.value if state else "disconnected",
        "fragments": "hidden" if switch.dpid in engine.fragments.hidden else "shown",
        "ports": [
            {"port_no": number, "name": one.name, "role": one.role.value, "up": links.get(number)}
            for number, one in sorted(switch.interfaces.items())
        ],
        "rules": rules,
        "budget": engine.ledger.budget(switch.dpid),
        "used": engine.ledger.used(switch.dpid),
    }
