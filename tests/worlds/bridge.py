"""A bridge on a fake clock: the real engine, simulated switches and hand-made stations.

Two switches joined by two links; hv1, hv2 and the NMS on s1, hv3, hv4 and a client on s2.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.switches import SwitchRefusedRules
from ryu_apps.evb.events.effect import (
    GATE_LANE,
    Apply,
    Effect,
    EndRead,
    FetchType,
    Mode,
    ReadMeters,
    ReadRules,
    Save,
    SendFrame,
)
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.other import NotSaved, Saved, TimerExpired, TypeFetched
from ryu_apps.evb.events.switch import (
    Confirmed,
    FrameReceived,
    MetersRead,
    PortChanged,
    Rejected,
    RulesRead,
    SwitchAltered,
    SwitchCapacity,
    SwitchDown,
    SwitchRead,
    SwitchUp,
)
from ryu_apps.evb.flow.actions import CONTROLLER, ClearInPort, OutputGroup
from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.flow.match import REGISTERS, VLAN_PRESENT
from ryu_apps.evb.flow.rule import Group, MeterCount, Rule, RuleKey
from ryu_apps.evb.flow.shown import DecodedRules
from ryu_apps.evb.generation import Life
from ryu_apps.evb.model import Retention, VsiTypeKey
from ryu_apps.evb.pipeline.tables import OURS, TAGGED_GROUP, CookieKind, of_kind
from ryu_apps.evb.policy.model import Acl, AclRule, PolicySet, StageOn, VsiType
from ryu_apps.evb.policy.offer import Offer
from ryu_apps.evb.record_kinds import kind_of
from ryu_apps.evb.simulation.switch import passage
from ryu_apps.evb.snooping.settings import USUAL, Snooping
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import GateMode, Profile, Switch
from ryu_apps.evb.vsi.flapping import MOVES, WITHIN
from ryu_apps.evb.vsi_types.managers import ALL_LOCAL, VsiManagers
from ryu_apps.evb.wire.cisco import L3Address
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.filter_info import FilterInfo, MacVid
from ryu_apps.evb.wire.port_name import PortName
from ryu_apps.evb.wire.vdp import ASSOCIATIONS, Association, ManagerId, RequestStatus, ResponseStatus, VdpMode, VdpPdu
from ryu_apps.evb.wire.vsi_id import VsiId

Address = IPv4Address | IPv6Address

#: Most links that a frame crosses; more of them are a loop.
_MAX_LINKS = 50
#: ECP numbers between two starts of the controller: a station takes the number of the last ECPDU for a repetition.
_NUMBERS = 4096
#: Fields that a frame has only inside a switch.
_PIPELINE = {"in_port", "metadata", *REGISTERS}

S1, S2 = 1, 2
HV1, HV2, NMS = PortId(S1, 1), PortId(S1, 2), PortId(S1, 3)
HV3, HV4, CLIENT = PortId(S2, 1), PortId(S2, 2), PortId(S2, 3)
NMS_MAC, CLIENT_MAC = 0x020000000F01, 0x020000000F02
VLAN = 100

#: Types that let everything pass; the second version differs only in its epoch.
OPEN = VsiTypeKey(1, 1)
OPEN_2 = VsiTypeKey(1, 2)
#: A type that is staged at a plain Pre-Associate.
EAGER = VsiTypeKey(2, 1)


def open_type(key: VsiTypeKey, stage_on: StageOn | None = None) -> VsiType:
    """A VSI type that lets everything pass."""
    everything = Acl((AclRule(True, ()),), default=False)
    return VsiType(key, f"open-{key}", everything, everything, stage_on=stage_on, digest=str(key))


POLICIES = PolicySet({OPEN: open_type(OPEN), OPEN_2: open_type(OPEN_2), EAGER: open_type(EAGER, StageOn.PREASSOCIATE)})


#: Short timers, so that they expire soon in a test.
BRISK = Timers(rwd=17, rka=17)
#: Seconds between moves of a VSI that is not damped, and that no timer ends.
SELDOM = WITHIN / (MOVES - 2)


def two_switches(timers: Timers = BRISK, max_rules: int | None = None) -> Fabric:
    """Two switches joined by two links, each with two stations and a host."""

    def switch(dpid: int, name: str, stations: tuple[str, str], host: str, mac: int) -> Switch:
        peer = S2 if dpid == S1 else S1
        ports = [
            *(
                Interface(number, station, Role.STATION, native_vlan=VLAN, timers=timers)
                for number, station in enumerate(stations, start=1)
            ),
            Interface(3, host, Role.HOST, native_vlan=VLAN, macs=(mac,)),
            *(Interface(number, f"s{peer}", Role.TRUNK, peer=PortId(peer, number)) for number in (11, 12)),
        ]
        return Switch(dpid, name, {port.port_no: port for port in ports}, max_rules)

    return Fabric(
        {
            S1: switch(S1, "s1", ("hv1", "hv2"), "nms", NMS_MAC),
            S2: switch(S2, "s2", ("hv3", "hv4"), "client", CLIENT_MAC),
        }
    )


def islands(fabric: Fabric) -> Fabric:
    """The same switches without a trunk."""

    def edge(switch: Switch) -> dict[int, Interface]:
        return {number: port for number, port in switch.interfaces.items() if port.role is not Role.TRUNK}

    switches = {dpid: replace(switch, interfaces=edge(switch)) for dpid, switch in fabric.switches.items()}
    return replace(fabric, switches=switches)


def with_vlans(fabric: Fabric, *vids: int) -> Fabric:
    """The same fabric, whose stations may use further VLANs, tagged."""

    def stations(switch: Switch) -> dict[int, Interface]:
        return {
            number: replace(interface, tagged_vlans=vids) if interface.role is Role.STATION else interface
            for number, interface in switch.interfaces.items()
        }

    switches = {dpid: replace(switch, interfaces=stations(switch)) for dpid, switch in fabric.switches.items()}
    return replace(fabric, switches=switches)


def without_extensions(fabric: Fabric, *dpids: int, metered: bool = True) -> Fabric:
    """The same fabric, some of whose switches have OpenFlow 1.3 alone."""
    switches = {
        dpid: switch.with_profile(Profile.OPENFLOW13, metered) if dpid in dpids else switch
        for dpid, switch in fabric.switches.items()
    }
    return replace(fabric, switches=switches)


def with_gates(fabric: Fabric, mode: GateMode) -> Fabric:
    """The same fabric, whose gates open in this way."""
    switches = {dpid: replace(switch, gate=mode) for dpid, switch in fabric.switches.items()}
    return replace(fabric, switches=switches)


@dataclass(slots=True)
class Vm:
    """One VM, with the values that its stations put into requests."""

    number: int
    type: VsiTypeKey = OPEN
    vid: int = VLAN

    @property
    def vsi_id(self) -> VsiId:
        return VsiId.from_text(f"52540000-0000-4000-8000-{self.number:012x}")

    @property
    def mac(self) -> int:
        return 0x525400000000 | self.number

    @property
    def address(self) -> IPv4Address:
        return IPv4Address("10.0.100.0") + self.number

    @property
    def text(self) -> str:
        return str(self.vsi_id)

    def tlv(self, mode: VdpMode, **status: bool) -> Association:
        """Its association TLV."""
        info = FilterInfo.of(MacVid(vid=self.vid, mac=self.mac))
        return ASSOCIATIONS[mode](RequestStatus(**status), *self.type, self.vsi_id, info)


@dataclass(slots=True)
class Gauge:
    """State of a meter of a simulated switch; ``born`` is the time at which it was added."""

    born: float
    packets: int = 0
    octets: int = 0


class Delivered(NamedTuple):
    """A frame, or a copy of one, that has left the fabric by an edge port."""

    port: PortId
    fields: dict[str, int]
    octets: int


@dataclass
class World:
    """The engine and its environment; ``now`` moves only by :meth:`advance`.

    Attributes:
        hold: datapaths that confirm nothing until ``release``.
        silent_meters: datapaths that do not answer reads of meters.
        slow_reads: datapaths whose reads in portions are answered by :meth:`read_on`.
        crowded: datapaths whose tables have so many rules that what need not be shown is left out.
        gauges: the meters of each switch.
        unacknowledging: ports whose stations acknowledge nothing.
        cut: both ports of each link that is down.
        plugged: miswired ports, and the ports at their other ends.
        refuse: datapaths that reject the next change of a mode, with the reason.
        store: saved records; with a ``store_failure`` nothing is saved any more, and with
            ``store_delays`` nothing is answered until :meth:`store_answers`.
        fetching: fetches of VSI types that are not answered yet, oldest first.
        sent: decoded answers of the bridge, per port, oldest first.
        frames: all frames that the bridge has sent.
        announced: frames sent out of HOST ports, oldest first.
        foreseen: number of frames so far ahead of which changes were sent.
        observers: called with each event and its effects, before the effects are carried out.
        exceeded: meters whose rate is exceeded, per datapath.
        capacity: of every switch.
        quiet: no frame meets the rules that the bridge writes, so those with an idle timeout end.
        alone: there are no other pods.
        express: changes of gates are sent ahead of the Associates that lead to them.
        unproven: reasons for which gates must not open by meters, per datapath.
        dies_after: number of effects after which the controller dies and carries out no more; None: it does not.
        life: of the engine; a switch here asks nobody for a role, :mod:`tests.worlds.fenced` has those that do.
    """

    fabric: Fabric = field(default_factory=two_switches)
    policies: PolicySet = POLICIES
    snooping: Snooping = USUAL
    now: float = 1000.0
    hold: set[int] = field(default_factory=set)
    silent_meters: set[int] = field(default_factory=set)
    slow_reads: set[int] = field(default_factory=set)
    crowded: set[int] = field(default_factory=set)
    unacknowledging: set[PortId] = field(default_factory=set)
    cut: set[PortId] = field(default_factory=set)
    plugged: dict[PortId, PortId] = field(default_factory=dict)
    refuse: dict[tuple[int, Mode], str] = field(default_factory=dict)
    store: dict[str, bytes] = field(default_factory=dict)
    store_failure: str | None = None
    store_delays: bool = False
    manager_id: ManagerId = ManagerId(b"mgr1" + bytes(12))
    managers: VsiManagers = ALL_LOCAL
    forward_in_flight: int = 0
    statistics_retention: Retention = Retention()
    observers: list[Callable[[Event, list[Effect]], None]] = field(default_factory=list)
    exceeded: dict[int, set[int]] = field(default_factory=dict)
    capacity: SwitchCapacity = SwitchCapacity()
    quiet: bool = False
    alone: bool = True
    express: bool = True
    unproven: dict[int, str] = field(default_factory=dict)
    dies_after: int | None = None
    life: Life = Life(1, True, {})

    def __post_init__(self) -> None:
        self._first_sequence = 1
        self.foreseen = 0
        self.engine = self._new_engine(None)
        self.tables = {dpid: FlowTable() for dpid in self.fabric.switches}
        self.gauges: dict[int, dict[int, Gauge]] = {dpid: {} for dpid in self.fabric.switches}
        self.sent: dict[PortId, list[Association]] = {}
        self.frames: list[SendFrame] = []
        self.announced: list[SendFrame] = []
        self.happened: list[LogEvent] = []
        self.applied: list[Apply] = []
        self.held: list[Apply] = []
        self.fetching: list[FetchType] = []
        self.reads: dict[int, RulesRead | SwitchRead] = {}
        self._ends: dict[tuple[int, RuleKey], tuple[float, Rule]] = {}
        self._unsaved: list[Save] = []
        self._sequence: dict[PortId, int] = {}
        self._inbox: deque[Event] = deque()
        self._feeding = False

    # --- switches ---
    def connect(self, *dpids: int) -> None:
        """Connect switches (none named: all); links that are not cut are up."""
        for dpid in dpids or self.fabric.switches:
            ports = {link: PortId(dpid, link) not in self.cut for link in self._ends_at(dpid)}
            table = self.tables[dpid]
            relaying = frozenset(port for port in ports if _relays(table.groups.get(TAGGED_GROUP + port)))
            live = frozenset(port for port, up in ports.items() if up)
            meters, names = frozenset(table.meters), self.names_at(dpid)
            up = SwitchUp(dpid, ports, self.capacity, meters, relaying, live=live, names=names)
            self.feed(replace(up, unproven=self.unproven.get(dpid)))

    def restart_switch(self, dpid: int) -> None:
        """Empty a switch and connect it again."""
        self.disconnect(dpid)
        self.tables[dpid], self.gauges[dpid] = FlowTable(), {}
        self.connect(dpid)

    def delete_objects(
        self, dpid: int, rules: Container[RuleKey] | None = None, groups: Iterable[int] = (), meters: Iterable[int] = ()
    ) -> None:
        """Delete rules (None: all), groups and meters in a switch, and the rules that refer to them.

        The switch reports the alteration if it is connected.
        """
        table, no_groups, no_meters = self.tables[dpid], set(groups), set(meters)
        table.groups = {group_id: group for group_id, group in table.groups.items() if group_id not in no_groups}
        table.meters = {meter_id: meter for meter_id, meter in table.meters.items() if meter_id not in no_meters}
        self.gauges[dpid] = {
            meter_id: gauge for meter_id, gauge in self.gauges[dpid].items() if meter_id in table.meters
        }

        def stays(key: RuleKey, rule: Rule) -> bool:
            named = rules is None or key in rules
            return not named and rule.meter not in no_meters and no_groups.isdisjoint(_groups(rule))

        table.rules = {key: rule for key, rule in table.rules.items() if stays(key, rule)}
        self.alter(dpid)

    def alter(self, dpid: int, certain: bool = True) -> None:
        """Report an alteration of a connected switch."""
        if dpid in self.engine.bringup.switches:
            self.feed(SwitchAltered(dpid, frozenset(self.tables[dpid].meters), certain))

    def carry(
        self, port: PortId, frame: Mapping[str, int], octets: int = 60, times: int = 1, links: int = 0
    ) -> list[Delivered]:
        """Carry a frame, some times over, through the fabric; returns the copies of one of them at edge ports.

        ``octets`` are counted without the tag; ``links`` is the number of links crossed so far.
        """
        gauges = self.gauges[port.dpid]
        alive = [link for link in self._ends_at(port.dpid) if PortId(port.dpid, link) not in self.cut]
        fields, exceeded = {**frame, "in_port": port.port_no}, self.exceeded.get(port.dpid, ())
        emitted, metered = passage(self.tables[port.dpid], fields, alive, exceeded)
        for meter_id, tagged in metered:
            if meter_id in gauges:
                gauges[meter_id].packets += times
                gauges[meter_id].octets += times * (octets + 4 * tagged)
        out: list[Delivered] = []
        for arrival in emitted:
            if arrival.port == CONTROLLER:
                continue
            fields = {name: value for name, value in arrival.fields.items() if name not in _PIPELINE}
            interface = self._ends_at(port.dpid)[arrival.port]
            if interface.peer is not None:
                assert links < _MAX_LINKS, "the frame is in a loop"
                if interface.peer not in self.cut:
                    out += self.carry(interface.peer, fields, octets, times, links + 1)
            else:
                tagged = bool(fields["vlan_vid"] & VLAN_PRESENT)
                out.append(Delivered(PortId(port.dpid, arrival.port), fields, octets + 4 * tagged))
        return out

    def names_at(self, dpid: int) -> dict[int, str]:
        """Names of ports that a switch shows, by number."""
        return {}

    def _ends_at(self, dpid: int) -> dict[int, Interface]:
        """All ports of a switch, those of bonds among them, and their interfaces."""
        interfaces = self.fabric.switches[dpid].interfaces.values()
        return {link: interface for interface in interfaces for link in interface.links}

    def disconnect(self, dpid: int) -> None:
        """Disconnect a switch; changes that it has not confirmed are rejected afterwards."""
        lost: list[Apply | RulesRead | SwitchRead] = [apply for apply in self.held if apply.dpid == dpid]
        lost += [answer for answer in self.reads.values() if answer.dpid == dpid]
        self.reads = {token: answer for token, answer in self.reads.items() if answer.dpid != dpid}
        self.held = [apply for apply in self.held if apply.dpid != dpid]
        self.feed(SwitchDown(dpid))
        for asked in lost:
            self.feed(Rejected(dpid, asked.token, "switch disconnected"))

    def restart_controller(self, remembering: bool = True, *connecting: int) -> None:
        """Start a new engine, with or without the saved records; the switches keep their rules and connect again.

        Args:
            connecting: those that connect at once; none named: all.
        """
        self.held.clear()
        self.reads.clear()
        self._unsaved.clear()
        self.fetching.clear()
        self.dies_after = None
        records = dict(self.store) if remembering else None
        self._first_sequence = (self._first_sequence + _NUMBERS) % 0x10000
        self.engine = self._new_engine(records)
        self.connect(*connecting)
        self.advance(0.001)

    def _new_engine(self, records: dict[str, bytes] | None) -> Engine:
        return Engine(
            self.fabric,
            self.policies,
            records,
            self.now,
            self._first_sequence,
            snooping=self.snooping,
            managers=self.managers,
            forward_in_flight=self.forward_in_flight,
            statistics_retention=self.statistics_retention,
            life=self.life,
            alone=self.alone,
        )

    def read_on(self, count: int) -> None:
        """Show the next rules of the oldest slow read, at most ``count``, as they were when it was asked for.

        A whole switch is shown in one go.
        """
        token, answer = next(iter(self.reads.items()))
        if isinstance(answer, SwitchRead):
            del self.reads[token]
            self.feed(answer)
            return
        rest = answer.rules[count:]
        if rest:
            self.reads[token] = replace(answer, rules=rest)
        else:
            del self.reads[token]
        self.feed(replace(answer, rules=answer.rules[:count], more=bool(rest)))

    def release(self) -> None:
        """Apply the changes of held switches, in order."""
        self.hold.clear()
        while self.held:
            self._apply(self.held.pop(0))

    def rules(self, dpid: int, *kinds: CookieKind) -> dict[RuleKey, Rule]:
        """Return the rules of a switch, of some kinds or all."""
        rules = self.tables[dpid].rules
        if not kinds:
            return dict(rules)
        # Models ask this after each step; a mask is compared in a tenth of the time in which a cookie is taken apart.
        mask, wanted = of_kind(kinds[0]).mask, {of_kind(kind).cookie for kind in kinds}
        return {key: rule for key, rule in rules.items() if rule.cookie & mask in wanted}

    def snapshot(self) -> dict[int, dict[RuleKey, Rule]]:
        """All rules of all switches."""
        return {dpid: dict(table.rules) for dpid, table in self.tables.items()}

    # --- VSI managers ---
    def answer_fetch(self, offer: Offer) -> None:
        """Answer the oldest fetch."""
        self.feed(TypeFetched(self.fetching.pop(0).token, offer))

    # --- links ---
    def link(self, port: PortId, up: bool) -> None:
        """Cut or restore a link between two switches; connected switches report it."""
        interface = self.fabric.interface(port)
        assert interface is not None and interface.peer is not None
        for end in (port, interface.peer):
            (self.cut.discard if up else self.cut.add)(end)
            if end.dpid in self.engine.bringup.switches:
                self.feed(PortChanged(end, up))

    # --- time ---
    def advance(self, seconds: float) -> None:
        """Advance the clock, serving each deadline at its time."""
        until = self.now + seconds
        while (deadline := self.engine.deadline) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self._end_rules()
            self.feed(TimerExpired())
        self.now = until
        self._end_rules()

    def _end_rules(self) -> None:
        """Remove rules whose time is over."""
        for (dpid, key), (end, rule) in list(self._ends.items()):
            if end <= self.now:
                del self._ends[dpid, key]
                if self.tables[dpid].rules.get(key) is rule:
                    del self.tables[dpid].rules[key]

    # --- stations ---
    def ask(self, port: PortId, vm: Vm, mode: VdpMode, **status: bool) -> list[Association]:
        """Send a request from the station at a port; returns all answers at the port.

        The clock advances first, so that the channel to the station is free again.
        """
        self.advance(0.01)
        self.send(port, vm.tlv(mode, **status), vm.address)
        return self.sent.get(port, [])

    def send(
        self,
        port: PortId,
        tlv: Association,
        address: Address | None = None,
        *others: Address,
        port_name: str | None = None,
    ) -> None:
        """Send an ECPDU with one association TLV, the VM's addresses and its port, from the station at a port."""
        addresses = others if address is None else (address, *others)
        self._sequence[port] = self._sequence.get(port, 0) % 0xFFFF + 1
        extra = [L3Address(tlv.vsi_id, extra_address).encode() for extra_address in addresses]
        extra += [PortName(port_name).encode()] if port_name is not None else []
        pdu = VdpPdu(self.manager_id, (tlv, *extra))
        ecpdu = Ecpdu(EcpOp.REQUEST, 1, self._sequence[port], pdu.encode())
        self.feed(FrameReceived(port, self._frame(port, ecpdu)))

    def answer(self, port: PortId) -> ResponseStatus:
        """The status of the newest answer at a port."""
        status = self.sent[port][-1].status
        assert isinstance(status, ResponseStatus)
        return status

    # --- the loop ---
    def feed(self, event: Event) -> None:
        """Feed the engine and carry out its effects; events that they cause are queued."""
        self._inbox.append(event)
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._inbox:
                event = self._inbox.popleft()
                effects = self._fed(event)
                for observe in self.observers:
                    observe(event, effects)
                for effect in effects:
                    if self._is_dead():
                        self._inbox.clear()
                        break
                    self._perform(effect)
        finally:
            # After an observer has found a mistake: a model that is torn down would wait for its deadlines for ever.
            self._feeding = False

    def _is_dead(self) -> bool:
        """Count an effect that is due; True: the controller is dead before it."""
        if self.dies_after is None:
            return False
        self.dies_after -= 1
        return self.dies_after < 0

    def _fed(self, event: Event) -> list[Effect]:
        """Feed the engine; what it sends ahead of a frame has to be all that the frame changes at those gates."""
        ahead: list[Effect] = []
        if self.express and isinstance(self.engine, Engine) and isinstance(event, FrameReceived):
            ahead = self.engine.ahead(event, self.now)
        behind = self.engine.feed(event, self.now)
        # Not by ``has_rest``: tests count calls.
        if isinstance(self.engine, Engine) and self.engine.lifecycle.open_gates.new:
            behind += self.engine.rest(self.now)
        self.foreseen += bool(ahead)
        sent = {effect.dpid for effect in ahead if isinstance(effect, Apply)}
        for effect in behind if sent else ():
            assert not (isinstance(effect, Apply) and effect.lane == GATE_LANE and effect.dpid in sent), effect
            assert not isinstance(effect, SwitchRefusedRules), effect
        return [*ahead, *behind]

    def _perform(self, effect: Effect) -> None:
        match effect:
            case SendFrame(port, data) if (peer := self._peer(port)) is not None:
                if port not in self.cut and peer.dpid in self.engine.bringup.switches:
                    self.feed(FrameReceived(peer, data))
            case SendFrame(port) if not self._is_station(port):
                self.frames.append(effect)
                self.announced.append(effect)
            case SendFrame(port, data):
                self.frames.append(effect)
                self._emitted(port, data)
            case Apply():
                self.applied.append(effect)
                # A switch carries out its messages in their order.
                if effect.dpid in self.hold or any(apply.dpid == effect.dpid for apply in self.held):
                    self.held.append(effect)
                else:
                    self._apply(effect)
            case ReadRules():
                held = self.tables[effect.dpid].rules.values()
                shown = tuple(rule for rule in held if _asked_for(rule, effect))
                if effect.dpid in self.crowded:
                    shown = _without_expected(shown, effect)
                answer = self._read(effect, shown)
                if effect.dpid in self.slow_reads and (effect.lane is not None or effect.mask == OURS):
                    self.reads[effect.token] = answer
                else:
                    self.feed(answer)
            case EndRead(token=token):
                self.reads.pop(token, None)
            case ReadMeters(dpid, token, meters):
                if dpid not in self.silent_meters:
                    self.feed(MetersRead(dpid, token, tuple(self._meter_counts(dpid, meters))))
            case Save():
                self._save(effect)
            case FetchType():
                self.fetching.append(effect)
            case LogEvent():
                self.happened.append(effect)

    def _read(self, asked: ReadRules, shown: tuple[Rule, ...]) -> RulesRead | SwitchRead:
        if asked.mask == OURS:
            meters = tuple(self.tables[asked.dpid].meters.values())
            return SwitchRead(asked.dpid, asked.token, DecodedRules(shown), meters)
        omitted = asked.most is not None and len(shown) > asked.most
        return RulesRead(asked.dpid, asked.token, () if omitted else shown, omitted=omitted)

    def _is_station(self, port: PortId) -> bool:
        interface = self._ends_at(port.dpid).get(port.port_no)
        return interface is not None and interface.role is Role.STATION

    def _peer(self, port: PortId) -> PortId | None:
        """Return the port at the other end of a link to another switch."""
        interface = self.fabric.interface(port)
        return self.plugged.get(port, interface.peer) if interface is not None else None

    def store_answers(self) -> None:
        """End the delay of the store: everything is written in order, and then each answer is given twice."""
        self.store_delays = False
        late, self._unsaved = self._unsaved, []
        answers = [self._write(save) for save in late]
        for answer in (*answers, *answers):
            self.feed(answer)

    def _save(self, save: Save) -> None:
        if self.store_delays:
            self._unsaved.append(save)
        else:
            self.feed(self._write(save))

    def _write(self, save: Save) -> Saved | NotSaved:
        if self.store_failure is not None:
            return NotSaved(save.token, self.store_failure)
        for key, record in save.changes.items():
            assert kind_of(key) is not None, f"no kind of record: {key}"
            if record is None:
                self.store.pop(key, None)
            else:
                self.store[key] = record
        return Saved(save.token)

    def _apply(self, apply: Apply) -> None:
        reason = self.refuse.pop((apply.dpid, apply.mode), None)
        if reason is not None:
            # They are sent ahead of the bundle.
            self.tables[apply.dpid].meters.update((meter.meter_id, meter) for meter in apply.change.opened)
            self.feed(Rejected(apply.dpid, apply.token, reason))
            return
        table, gauges = self.tables[apply.dpid], self.gauges[apply.dpid]
        table.apply(apply.change)
        written = [*apply.change.add, *(rule for block in apply.change.blocks for rule in block)]
        for rule in written:
            if ends := rule.hard_timeout or (self.quiet and rule.idle_timeout):
                self._ends[apply.dpid, rule.key] = self.now + ends, rule
        gauges.update((meter.meter_id, Gauge(self.now)) for meter in apply.change.meters)
        for meter_id in table.meters:
            gauges.setdefault(meter_id, Gauge(self.now))
        self.gauges[apply.dpid] = {meter_id: gauge for meter_id, gauge in gauges.items() if meter_id in table.meters}
        if apply.token:
            self.feed(Confirmed(apply.dpid, apply.token))

    def _meter_counts(self, dpid: int, meters: tuple[int, ...]) -> Iterator[MeterCount]:
        users = Counter(rule.meter for rule in self.tables[dpid].rules.values())
        for meter_id, gauge in self.gauges[dpid].items():
            if not meters or meter_id in meters:
                age = self.now - gauge.born
                yield MeterCount(meter_id, users[meter_id], gauge.packets, gauge.octets, age)

    def _emitted(self, port: PortId, data: bytes) -> None:
        frame = Frame.decode(data)
        if frame.ethertype != ETHERTYPE_ECP:
            return
        ecpdu = Ecpdu.decode(frame.payload)
        if ecpdu.op is not EcpOp.REQUEST:
            return
        pdu = VdpPdu.decode(ecpdu.payload)
        self.sent.setdefault(port, []).extend(association for association, _ in pdu.associations())
        if port not in self.unacknowledging:
            self.feed(FrameReceived(port, self._frame(port, ecpdu.acknowledgement())))

    @staticmethod
    def _frame(port: PortId, ecpdu: Ecpdu) -> bytes:
        station = 0x020000000000 | port.dpid << 8 | port.port_no
        return Frame(NEAREST_CUSTOMER_BRIDGE, station, ETHERTYPE_ECP, ecpdu.encode()).encode()


def world_with_vms(homes: dict[PortId, Vm]) -> World:
    """World of two connected switches, with a VM associated at each of some ports."""
    world = World()
    world.connect()
    for port, vm in homes.items():
        world.ask(port, vm, VdpMode.ASSOCIATE)
    return world


def _asked_for(rule: Rule, asked: ReadRules) -> bool:
    of_table = asked.table is None or rule.table == asked.table
    return of_table and asked.mask.covers(rule.cookie) and set(asked.match) <= set(rule.match)


def _without_expected(rules: tuple[Rule, ...], asked: ReadRules) -> tuple[Rule, ...]:
    """A reading of a switch whose tables have many rules."""
    spare = [rule for rule in rules if asked.left_out is not None and asked.left_out.covers(rule.cookie)]
    expected = all(rule.cookie in asked.expected for rule in spare)
    return tuple(rule for rule in rules if rule not in spare) if expected else rules


def _groups(rule: Rule) -> set[int]:
    """Groups that a rule refers to."""
    return {action.group_id for action in rule.apply if isinstance(action, OutputGroup)}


def _relays(group: Group | None) -> bool:
    """True if frames may leave by their ingress port."""
    return group is not None and ClearInPort() in group.buckets[0].actions
