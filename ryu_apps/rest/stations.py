"""The station ports: the station at each, the agreed values, and counters of errors."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict

from ryu_apps.evb.bridge.queries import StationStatus
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.rest.bridge import Bridge
from ryu_apps.rest.text import PortJson, port_json


class TimersJson(TypedDict):
    """The agreed numbers and the seconds that follow from them."""

    r: int
    rte: int
    rwd: int
    rka: int
    transmissions: int
    ack_timer: float
    resource_wait_delay: float
    response_wait: float
    reinit_keep_alive: float
    keep_alive_timeout: float


class StationJson(PortJson):
    """A station port: its station, and what was agreed with it."""

    link: Literal["up", "down"] | None
    evb: str
    station: str | None
    timers: TimersJson
    reflective_relay: bool
    groups: bool
    ecp: dict[str, int]
    dropped: dict[str, int]


def stations(
    bridge: Bridge,
    now: float,
    port: PortId | None = None,
    switch: int | None = None,
    after: PortId | None = None,
) -> list[StationJson]:
    """All station ports, in the order of their switches and numbers."""
    found = sorted(bridge.queries.stations(), key=lambda station: station.port)
    return [
        _station_json(bridge.queries.fabric, station)
        for station in found
        if (after is None or station.port > after)
        and port in (None, station.port)
        and switch in (None, station.port.dpid)
    ]


def _station_json(fabric: Fabric, station: StationStatus) -> StationJson:
    return {
        **port_json(fabric, station.port),
        "link": None if station.link_up is None else "up" if station.link_up else "down",
        "evb": station.evb,
        "station": None if station.station is None else mac_to_text(station.station),
        "timers": _timers_json(station.timers),
        "reflective_relay": station.reflective_relay,
        "groups": station.groups,
        "ecp": dict(station.ecp),
        "dropped": dict(station.dropped),
    }


def _timers_json(timers: Operational) -> TimersJson:
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
