"""The engine of a bridge that reads its policies: it serves LLDP and ECP, and changes nothing at any switch.

It knows neither VSI types nor VSIs.  So it can neither grant nor refuse a request, nor tell which rules of a switch are
in use.  It has no component that could write a rule, read one or compose a VDP answer.  Requests are acknowledged, as
ECP asks for, and kept for the engine that takes its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ryu_apps.evb.bridge.bond_links import BondLinks
from ryu_apps.evb.bridge.chores import Agenda
from ryu_apps.evb.bridge.fencing import Fencing
from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.events.effect import Effect, SendFrame
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.other import Missed, TimerExpired
from ryu_apps.evb.events.switch import (
    ChannelUp,
    FrameReceived,
    PortChanged,
    RoleLost,
    RoleRefused,
    RoleShown,
    SwitchDown,
    SwitchUp,
)
from ryu_apps.evb.generation import Life
from ryu_apps.evb.pipeline.bonds import controller_group
from ryu_apps.evb.ports.bridge_port import bridge_mac
from ryu_apps.evb.ports.holding_port import HoldingPort
from ryu_apps.evb.ports.outputs import PortOutput
from ryu_apps.evb.record_kinds import STATION, by_kind
from ryu_apps.evb.switches.bringup import MAX_EARLY_FRAMES
from ryu_apps.evb.tokens import TokenTable
from ryu_apps.evb.topology.evb_settings import ReflectiveRelay
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.topology.port_id import PortId


class StartingEngine:
    """Stations and roles of a fabric, until the policies have been read.

    Attributes:
        fencing: roles at the switches; the next engine goes on with them.
        frames: with requests that were acknowledged, in the order in which they came, by datapath id.
    """

    def __init__(self, fabric: Fabric, records: Mapping[str, bytes], life: Life) -> None:
        """
        Args:
            records: as saved before the bridge was restarted; those of known stations count.
            life: generation under which it is MASTER of the switches.
        """
        self._effects = EffectSink()
        self._agenda: Agenda = Agenda()
        self._fabric = fabric
        self._known = by_kind(records)[STATION]
        self._bonds = BondLinks(fabric)
        self._links: dict[int, dict[int, bool]] = {}
        self._stations: dict[PortId, HoldingPort] = {}
        self.frames: dict[int, list[FrameReceived]] = {}
        self.fencing = Fencing(life, self._away, TokenTable(), self._effects, self._agenda)

    def _station(self, port: PortId, relays: bool) -> HoldingPort:
        interface = self._fabric.interface(port)
        assert interface is not None
        group = controller_group(interface)
        if not relays:
            # What a station requests newly is not in the switch, and is not put there now.
            interface = replace(interface, reflective_relay=ReflectiveRelay.NEVER)
        station = HoldingPort(port, interface, bridge_mac(port), groups=self._fabric.has_groups(port), group=group)
        if mac := self._known.get(STATION.key(port)):
            station.remember(int.from_bytes(mac))
        return station

    @property
    def deadline(self) -> float | None:
        """Time at which to feed :class:`TimerExpired`, monotonic seconds; None: no timer runs."""
        return self._agenda.deadline

    def feed(self, event: Event, now: float) -> list[Effect]:
        """Take one event, return what is to be done about it, in order; others than these change nothing."""
        self._effects.now = now
        match event:
            case FrameReceived():
                self._frame(event, now)
            case PortChanged():
                self._changed(event, now)
            case ChannelUp(dpid):
                self.fencing.up(dpid, now)
            case RoleShown() | RoleRefused() | RoleLost():
                self.fencing.role(event, now)
            case SwitchUp(dpid):
                if self.fencing.serves(dpid):
                    self._up(event, now)
            case SwitchDown(dpid):
                self.fencing.down(dpid)
                self._away(dpid, now)
            case Missed(seconds):
                self._postpone(seconds)
            case TimerExpired():
                self._expired(now)
        return self._effects.take()

    # --- switches ---
    def _up(self, event: SwitchUp, now: float) -> None:
        """Begin with the stations of a switch; which rules it holds is not looked at.

        A station is served from its first frame on, which proves that the switch passes such frames on.  One without
        rules does not: a station that had heard LLDP sent its request in vain, and ECP gives up after few repetitions.
        """
        dpid = event.dpid
        self._away(dpid, now)
        self._links[dpid] = {
            port_no: self._bonds.is_up(PortId(dpid, port_no), up, port_no in event.live)
            for port_no, up in event.ports.items()
        }
        self.frames[dpid] = []
        for port in self._fabric.ports(Role.STATION):
            if port.dpid == dpid:
                self._stations[port] = self._station(port, port.port_no in event.relaying)

    def _away(self, dpid: int, now: float) -> None:
        """A switch is gone, or belongs to another bridge: so do the requests that have come by it."""
        self.frames.pop(dpid, None)
        self._links.pop(dpid, None)
        for port in [port for port in self._stations if port.dpid == dpid]:
            station = self._stations.pop(port)
            self._process(station, station.unheard(now))
            self._agenda.set(port, None)

    # --- stations ---
    def _frame(self, event: FrameReceived, now: float) -> None:
        station = self._stations.get(event.port)
        if station is None or len(self.frames[event.port.dpid]) >= MAX_EARLY_FRAMES:
            # Beyond the bound nothing is acknowledged, so that the station repeats it.
            return
        if not station.up:
            # A proof that the link is up: Open vSwitch reports a port in another network namespace as down.
            self._changed(PortChanged(event.port, True), now)
            self._begin(station, now)
        before = station.received
        self._process(station, station.frame(event.data, now))
        if station.received > before:
            self.frames[event.port.dpid].append(event)

    def _changed(self, event: PortChanged, now: float) -> None:
        link = event.port
        if link.dpid not in self._links:
            return
        self._links[link.dpid][link.port_no] = self._bonds.is_up(link, event.up, event.live)
        station = self._stations.get(self._bonds.port_of(link))
        if station is not None and station.up and not self._is_up(station):
            self._process(station, station.link(False, now))

    def _begin(self, station: HoldingPort, now: float) -> None:
        if self._is_up(station):
            self._process(station, station.link(True, now))

    def _is_up(self, station: HoldingPort) -> bool:
        return bool(station.interface.is_up(self._links[station.port.dpid]))

    def _process(self, station: HoldingPort, outputs: list[PortOutput]) -> None:
        """Carry out what the protocols of a port lead to; the next engine learns the rest by itself, and writes it."""
        for output in outputs:
            if isinstance(output, SendFrame | LogEvent):
                self._effects.put(output)
        self._agenda.set(station.port, station.deadline)

    # --- time ---
    def _postpone(self, seconds: float) -> None:
        for port, station in self._stations.items():
            station.postpone(seconds)
            self._agenda.set(port, station.deadline)

    def _expired(self, now: float) -> None:
        for item in list(self._agenda.due(now)):
            if isinstance(item, PortId):
                self._process(self._stations[item], self._stations[item].tick(now))
            else:
                self.fencing.tick(item[1], now)
