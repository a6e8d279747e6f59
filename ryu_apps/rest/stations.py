"""The station ports: who is behind each, what was agreed on, and what went wrong."""

from __future__ import annotations

from dataclasses import asdict

from ryu_apps.evb.ports.bridge_port import BridgePort
from ryu_apps.evb.protocol.evb import EvbState
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.switches.bringup import SwitchState
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.rest.bridge import Bridge, JsonValue
from ryu_apps.rest.text import port_json


def stations(bridge: Bridge, now: float) -> list[JsonValue]:
    """All station ports, in the order of their switches and numbers."""
    return [_station_json(bridge, one) for _, one in sorted(bridge.engine.stations.items())]


def _station_json(bridge: Bridge, one: BridgePort) -> JsonValue:
    switch = bridge.engine.bringup.switches.get(one.port.dpid)
    up = switch.ports.get(one.port.port_no) if switch else None
    return {
        **port_json(bridge.engine.fabric, one.port),
        "link": None if up is None else "up" if up else "down",
        "evb": _evb_text(one, switch),
        "station": None if one.station is None else mac_to_text(one.station),
        "timers": _timers_json(one.evb.operational),
        "reflective_relay": one.relay,
        "groups": one.evb.agreed.groups if one.evb.agreed else False,
        "ecp": asdict(one.ecp.counters),
        "dropped": dict(one.counters),
    }


def _evb_text(one: BridgePort, switch: SwitchState | None) -> str:
    """The state of the EVB agreement, or why there can be none: before its switch is ready a port is not heard."""
    if one.evb.state is not EvbState.DOWN:
        return one.evb.state.value
    if switch is None:
        return "switch disconnected"
    return "switch not ready" if switch.ports.get(one.port.port_no) else EvbState.DOWN.value


def _timers_json(timers: Operational) -> JsonValue:
    """The agreed numbers and the seconds that follow from them."""
    return {
        "r": timers.r,
        "rte": timers.rte,
        "rwd": timers.rwd,
        "rka": timers.rka,
        "transmissions": timers.transmissions,
        "ack_timer": timers.ack_timer,
        "resource_wait_delay": timers.resource_wait_delay,
        "response_wait": timers.response_wait,
        "reinit_keep_alive": timers.reinit_keep_alive,
        "keep_alive_timeout": timers.keep_alive_timeout,
    }
