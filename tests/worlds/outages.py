"""A bridge that goes away, comes back, stands still, while real station machines send keep-alives on the same clock.

Each station is :class:`ryu_apps.station.station.Station`, which waits for answers as lldpad does: without one it drops
the VSI when its response wait is over.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from itertools import count

from ryu_apps.evb.events.effect import Effect, SendFrame
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.other import Missed
from ryu_apps.evb.events.switch import FrameReceived, FramesDropped
from ryu_apps.evb.protocol.table import earliest
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.ecp import Ecpdu
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, ETHERTYPE_LLDP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.lldp import Lldpdu, bridge_lldpdu
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.evb.wire.vsi_id import VsiId
from ryu_apps.station.station import (
    Advertise,
    LinkUp,
    NeighbourHeard,
    Received,
    Station,
    StationEvent,
    Tick,
    Transmit,
    VsiRequest,
)
from tests.worlds.bridge import BRISK, Vm, World

#: Seconds of a frame between a station and the bridge.
WIRE = 0.0005
_TTL = 120


class Outages:
    """A world whose stations live; ``now`` moves only by :meth:`run`, and by the outages themselves."""

    def __init__(self, homes: Mapping[PortId, list[Vm]]) -> None:
        self.world = World(unacknowledging=set(homes))
        self.homes = homes
        self.stations = {port: Station(BRISK, reflective_relay=True) for port in homes}
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._heard = True
        self._stopped: list[FrameReceived] | None = None
        self.world.observers.append(self._sent)
        self.world.connect()
        for port in homes:
            self._station(port, LinkUp())
        self.run(1.0)

    # --- stations ---
    def associate(self, port: PortId, vm: Vm) -> None:
        """Associate a VSI, without waiting for the answer."""
        self._station(port, VsiRequest(vm.tlv(VdpMode.ASSOCIATE), self.world.manager_id))

    @property
    def held(self) -> set[VsiId]:
        """VSIs that their stations have, and the bridge as well."""
        at_stations = {vsi.vsi_id for station in self.stations.values() for vsi in station.held}
        attachments = self.world.engine.registry.attachments()
        at_bridge = {attached.vsi.vsi_id for attached in attachments if attached.machine.in_force is VdpMode.ASSOCIATE}
        return at_stations & at_bridge

    # --- outages ---
    def lose_channel(self, seconds: float) -> None:
        """Both switches lose the controller, which runs."""
        self._heard = False
        for dpid in self.world.fabric.switches:
            self.world.disconnect(dpid)
        self.run(seconds)
        self._heard = True
        self.world.connect()

    def restart(self, seconds: float) -> None:
        """The controller is killed, and the switches are connected to the next one after so long."""
        self._heard, self._stopped = False, []
        self.run(seconds)
        self._heard, self._stopped = True, None
        self.world.restart_controller()

    def stop(self, seconds: float, room: int | None = None) -> None:
        """The controller does not run; what arrives waits for it, ``room`` frames of each port, all with None."""
        waiting = self._stopped = []
        self.run(seconds)
        self._resume(waiting, seconds, room)

    def stop_for_long(self, seconds: float, away: float) -> None:
        """The same, until the switches have given it up; they connect again so much later."""
        waiting = self._stopped = []
        self.run(seconds)
        self._heard = False
        self._resume(waiting, seconds)
        self.lose_channel(away)

    def _resume(self, waiting: list[FrameReceived], seconds: float, room: int | None = None) -> None:
        self._stopped = None
        self.world.feed(Missed(seconds))
        for port in self.stations:
            frames = [frame for frame in waiting if frame.port == port]
            kept = frames[:room]
            for frame in kept:
                self.world.feed(frame)
            if dropped := len(frames) - len(kept):
                self.world.feed(FramesDropped(port, dropped))

    # --- the clock ---
    def run(self, seconds: float) -> None:
        """Advance the clock, serving each deadline of stations and bridge at its time."""
        until = self.world.now + seconds
        while (due := self._due()) is not None and due <= until:
            self._advance(max(due, self.world.now))
            while self._agenda and self._agenda[0][0] <= self.world.now:
                heapq.heappop(self._agenda)[2]()
            for port, station in self.stations.items():
                if station.deadline is not None and station.deadline <= self.world.now:
                    self._station(port, Tick())
        self._advance(until)

    def _due(self) -> float | None:
        deadlines = [station.deadline for station in self.stations.values()]
        bridge = self.world.engine.deadline if self._stopped is None else None
        return earliest(self._agenda[0][0] if self._agenda else None, bridge, *deadlines)

    def _advance(self, until: float) -> None:
        if self._stopped is None:
            self.world.advance(until - self.world.now)
        else:
            self.world.now = until

    # --- frames ---
    def _sent(self, _: Event, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, SendFrame) and effect.port in self.stations and self._heard:
                self._later(lambda port=effect.port, data=effect.data: self._arrive(port, data))

    def _later(self, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.world.now + WIRE, next(self._order), action))

    def _arrive(self, port: PortId, data: bytes) -> None:
        frame = Frame.decode(data)
        if frame.ethertype == ETHERTYPE_LLDP:
            lldpdu = Lldpdu.decode(frame.payload)
            self._station(port, NeighbourHeard(lldpdu.evb, frame.src, lldpdu.ttl))
        else:
            self._station(port, Received(Ecpdu.decode(frame.payload)))

    def _station(self, port: PortId, event: StationEvent) -> None:
        source = 0x020000000000 | port.dpid << 8 | port.port_no
        for output in self.stations[port].feed(event, self.world.now):
            match output:
                case Advertise(evb):
                    self._to_bridge(port, source, ETHERTYPE_LLDP, bridge_lldpdu(source, "eth0", _TTL, evb).encode())
                case Transmit(ecpdu):
                    self._to_bridge(port, source, ETHERTYPE_ECP, ecpdu.encode())

    def _to_bridge(self, port: PortId, source: int, ethertype: int, payload: bytes) -> None:
        event = FrameReceived(port, Frame(NEAREST_CUSTOMER_BRIDGE, source, ethertype, payload).encode())
        self._later(lambda: self._at_bridge(event))

    def _at_bridge(self, event: FrameReceived) -> None:
        if self._stopped is not None:
            self._stopped += [event] if self._heard else []
        elif self._heard:
            self.world.feed(event)
