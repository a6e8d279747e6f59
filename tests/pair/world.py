"""A station and a bridge port on one link, under a clock that only tests advance.

The bridge consists of the product's state machines without the engine; by default it grants every request after
``decision_delay`` seconds.  Frames cross the link as octets.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random

from ryu_apps.evb.protocol import ecp, evb, vdp_bridge
from ryu_apps.evb.protocol.ecp import EcpEndpoint
from ryu_apps.evb.protocol.evb import EvbBridgePort
from ryu_apps.evb.protocol.outbox import Outbox
from ryu_apps.evb.protocol.table import earliest
from ryu_apps.evb.protocol.vdp_bridge import VdpBridge
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.evb_tlv import EvbTlv
from ryu_apps.evb.wire.filter_info import FilterInfo, MacVid
from ryu_apps.evb.wire.vdp import Associate, Association, ManagerId, OrganizationalTlv, RequestStatus, VdpMode, VdpPdu
from ryu_apps.evb.wire.vsi_id import VsiId, VsiIdFormat
from ryu_apps.station import station
from ryu_apps.station.station import Station

STATION_MAC, BRIDGE_MAC = 0x5254000000A1, 0x5254000000B1
LLDP_TTL = 120
WIRE_DELAY = 50e-6
DEFAULT_MANAGER = ManagerId()
TIMERS = Timers(r=3, rte=10, rwd=17, rka=17)


def vsi(number: int, kind: type[Association] = Associate, vid: int = 100, type_id: int = 5) -> Association:
    """Build a request for one VSI."""
    vsi_id = VsiId(VsiIdFormat.UUID, (0x1122334455667788 << 64 | number).to_bytes(16))
    return kind(RequestStatus(), type_id, 1, vsi_id, FilterInfo.of(MacVid(vid=vid, mac=0x525400000000 | number)))


@dataclass
class LinkFaults:
    """Faults of the link: probabilities 0..1, delay in seconds; frames overtake each other only with ``reorder``."""

    loss: float = 0.0
    duplication: float = 0.0
    delay: float = 0.0
    reorder: bool = False


@dataclass
class Record:
    """State of one VSI at the bridge."""

    machine: VdpBridge
    manager_id: ManagerId
    request: Association
    """The request that is being decided or in force."""
    organizational: tuple[OrganizationalTlv, ...] = ()
    granted: tuple[OrganizationalTlv, ...] = ()


@dataclass
class BridgePort:
    """One port of a bridge, which decides requests by calling :attr:`decision`."""

    world: World
    timers: Timers = TIMERS
    decision: Callable[[Association], vdp_bridge.Granted | vdp_bridge.Denied] = lambda _: vdp_bridge.Granted()
    decision_delay: float = 0.0
    records: dict[VsiId, Record] = field(default_factory=dict)
    decided: Counter[tuple[VsiId, VdpMode]] = field(default_factory=Counter)
    announced: list[tuple[float, VsiId]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.evb = EvbBridgePort(self.timers)
        self.ecp = EcpEndpoint(self.evb.operational)
        self.outbox = Outbox()

    @property
    def deadline(self) -> float | None:
        machines = (record.machine.deadline for record in self.records.values())
        return earliest(self.evb.deadline, self.ecp.deadline, *machines)

    @property
    def in_force(self) -> dict[VsiId, VdpMode]:
        held = {key: record.machine.in_force for key, record in self.records.items()}
        return {key: mode for key, mode in held.items() if mode is not None}

    def link(self, up: bool) -> None:
        self._evb(evb.LinkUp() if up else evb.LinkDown())

    def heard(self, frame: EvbTlv | Ecpdu) -> None:
        if isinstance(frame, EvbTlv):
            self._evb(evb.NeighbourHeard(frame, STATION_MAC, LLDP_TTL))
        else:
            self._ecp(ecp.Received(frame))

    def tick(self) -> None:
        self._evb(evb.Tick())
        self._ecp(ecp.Tick())
        for key in list(self.records):
            self.tell(key, vdp_bridge.Tick())

    def tell(self, key: VsiId, event: vdp_bridge.VdpEvent) -> None:
        """Feed the machine of a VSI and carry out its outputs."""
        record = self.records.get(key)
        if record is None:
            return
        for output in record.machine.feed(event, self.world.now):
            self._carry_out(key, record, output)
        self._flush()

    def _evb(self, event: evb.EvbEvent) -> None:
        for output in self.evb.feed(event, self.world.now):
            match output:
                case evb.Advertise(tlv):
                    self.world.to_station(tlv)
                case evb.Agreed(operational=operational):
                    self._ecp(ecp.Reconfigure(operational))
                    for record in self.records.values():
                        record.machine.operational = operational
                case evb.AgreementLost():
                    self.outbox.clear()
                    self._ecp(ecp.Reset())

    def _ecp(self, event: ecp.EcpEvent) -> None:
        for output in self.ecp.feed(event, self.world.now):
            match output:
                case ecp.Transmit(ecpdu):
                    self.world.to_station(ecpdu)
                case ecp.Deliver(payload):
                    self._request(VdpPdu.decode(payload))
        self._flush()

    def _request(self, pdu: VdpPdu) -> None:
        for request, organizational in pdu.associations():
            key, told = request.vsi_id, tuple(organizational)
            record = self.records.setdefault(key, Record(VdpBridge(self.evb.operational), pdu.manager_id, request))
            changed = request.filter_info not in (record.request.filter_info, self._filled(record.request))
            changed |= record.granted not in ((), told)
            record.organizational = told
            record.request = request.as_mode(VdpMode.ASSOCIATE, request.status)
            self.tell(key, vdp_bridge.Request(request.MODE, changed))

    def _carry_out(self, key: VsiId, record: Record, output: vdp_bridge.VdpOutput) -> None:
        request = record.request
        match output:
            case vdp_bridge.Decide(mode, attempt):
                self.decided[key, mode] += 1
                decision = self.decision(request)
                if isinstance(decision, vdp_bridge.Granted):
                    record.granted = record.organizational
                self._later(key, self._numbered(decision, attempt))
            case vdp_bridge.Respond(mode, status):
                answer = request.as_mode(mode, status, self._filled(request) if status.success else None)
                self.outbox.add(record.manager_id, answer)
            case vdp_bridge.Announce():
                self.announced.append((self.world.now, key))
                self.outbox.add(record.manager_id, request.unsolicited_deassociate())
            case vdp_bridge.ReleaseVsi():
                self._later(key, vdp_bridge.Released())
            case vdp_bridge.Forget():
                del self.records[key]

    def _numbered(self, decision: vdp_bridge.VdpEvent, attempt: int) -> vdp_bridge.VdpEvent:
        if isinstance(decision, vdp_bridge.Denied):
            return vdp_bridge.Denied(decision.error, decision.hard, attempt)
        return vdp_bridge.Granted(attempt)

    def _later(self, key: VsiId, event: vdp_bridge.VdpEvent) -> None:
        self.world.at(self.world.now + self.decision_delay, lambda: self.tell(key, event))

    def _flush(self) -> None:
        for output in self.outbox.flush(self.ecp, self.world.now):
            if isinstance(output, ecp.Transmit):
                self.world.to_station(output.ecpdu)

    @staticmethod
    def _filled(request: Association) -> FilterInfo:
        """Replace null VIDs by 77."""
        entries = request.filter_info.entries
        return FilterInfo.of(*(MacVid(vid=entry.vid or 77, mac=entry.mac or 0) for entry in entries))


class World:
    """A station, a bridge port, a link and a clock."""

    def __init__(self, seed: int = 0, timers: Timers = TIMERS) -> None:
        self.now = 0.0
        self.faults = LinkFaults()
        self.timers = timers
        self.station = Station(timers)
        self.bridge = BridgePort(self, timers)
        self.notices: list[station.Notice] = []
        self.log: list[tuple[float, str, EvbTlv | Ecpdu]] = []
        self.up = False
        self._random = Random(seed)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._arrival = {"station": 0.0, "bridge": 0.0}
        self._epoch = 0

    # --- actions of tests ---
    def plug(self) -> World:
        """Bring the link up and reach the EVB agreement."""
        self.up = True
        self.bridge.link(up=True)
        self._station(station.LinkUp())
        self.run(0.01)
        return self

    def unplug(self) -> None:
        """Take the link down; frames on the wire are lost."""
        self.up = False
        self._epoch += 1
        self.bridge.link(up=False)
        self._station(station.LinkDown())

    def ask(self, request: Association, manager_id: ManagerId = DEFAULT_MANAGER) -> None:
        """Send a request of the hypervisor."""
        self._station(station.VsiRequest(request, manager_id))

    def restart_station(self) -> None:
        """Kill and start the station: no shutdown LLDPDU, no link event, no state kept.

        The bridge's LLDPDU comes before the station sends its own, so that the bridge sees no change.
        """
        tlv = next(frame for _, what, frame in reversed(self.log) if what == "at station" and isinstance(frame, EvbTlv))
        self.station = Station(self.timers)
        self.station.feed(station.LinkUp(), self.now)
        self._receive(tlv, "station")

    def at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (when, next(self._order), action))

    def run(self, seconds: float) -> None:
        """Advance the clock, serving each deadline at its time."""
        end = self.now + seconds
        while (upcoming := self._upcoming()) is not None and upcoming <= end:
            self.now = max(self.now, upcoming)
            self._turn()
        self.now = end

    # --- observations of tests ---
    @property
    def held(self) -> dict[VsiId, VdpMode]:
        """VSIs and modes that the station holds."""
        return {association.vsi_id: association.MODE for association in self.station.held}

    def outcomes(self, request: Association) -> list[station.RequestOutcome]:
        return [notice.outcome for notice in self.notices if notice.association.vsi_id == request.vsi_id]

    def requests(self, to: str) -> list[tuple[float, Ecpdu]]:
        """Return the ECPDUs sent to one side, without acknowledgements."""
        return [
            (when, frame)
            for when, what, frame in self.log
            if what == f"sent to {to}" and isinstance(frame, Ecpdu) and frame.op is EcpOp.REQUEST
        ]

    def gaps(self) -> list[float]:
        """Return the times from the first acknowledgement of each of the bridge's ECPDUs to the next ECPDU."""
        found: list[float] = []
        ended: float | None = None
        current: int | None = None
        for when, what, frame in self.log:
            if isinstance(frame, EvbTlv):
                continue
            if what == "sent to station" and frame.op is EcpOp.REQUEST and frame.sequence != current:
                found += [] if ended is None else [when - ended]
                current, ended = frame.sequence, None
            elif what == "at bridge" and frame.op is EcpOp.ACK and frame.sequence == current and ended is None:
                ended = when
        return found

    # --- the link ---
    def to_station(self, frame: EvbTlv | Ecpdu) -> None:
        self._send(frame, "station")

    def _send(self, frame: EvbTlv | Ecpdu, to: str) -> None:
        self.log.append((self.now, f"sent to {to}", frame))
        if not self.up:
            return
        copies = (self._random.random() >= self.faults.loss) + (self._random.random() < self.faults.duplication)
        for _ in range(copies):
            self.at(self._arrival_time(to), self._carriage(frame, to))

    def _arrival_time(self, to: str) -> float:
        when = self.now + WIRE_DELAY + self._random.random() * self.faults.delay
        if not self.faults.reorder:
            when = max(when, self._arrival[to])
            self._arrival[to] = when
        return when

    def _carriage(self, frame: EvbTlv | Ecpdu, to: str) -> Callable[[], None]:
        octets, kind, epoch = frame.encode(), type(frame), self._epoch

        def arrive() -> None:
            if self.up and epoch == self._epoch:
                self._receive(kind.decode(octets), to)

        return arrive

    def _receive(self, frame: EvbTlv | Ecpdu, to: str) -> None:
        self.log.append((self.now, f"at {to}", frame))
        if to == "bridge":
            self.bridge.heard(frame)
        elif isinstance(frame, EvbTlv):
            self._station(station.NeighbourHeard(frame, BRIDGE_MAC, LLDP_TTL))
        else:
            self._station(station.Received(frame))

    # --- the two ends ---
    def _station(self, event: station.StationEvent) -> None:
        for output in self.station.feed(event, self.now):
            match output:
                case station.Advertise(tlv):
                    self._send(tlv, "bridge")
                case station.Transmit(ecpdu):
                    self._send(ecpdu, "bridge")
                case station.Notice():
                    self.notices.append(output)

    def _upcoming(self) -> float | None:
        agenda = self._agenda[0][0] if self._agenda else None
        return earliest(agenda, self.station.deadline, self.bridge.deadline)

    def _turn(self) -> None:
        while self._agenda and self._agenda[0][0] <= self.now:
            heapq.heappop(self._agenda)[2]()
        if self.bridge.deadline is not None and self.bridge.deadline <= self.now:
            self.bridge.tick()
        if self.station.deadline is not None and self.station.deadline <= self.now:
            self._station(station.Tick())
