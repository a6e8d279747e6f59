"""Anything that can happen to a bridge, in any order, against the list of what must never break."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.vsis import UnsolicitedDeassociate, VdpRequested, VsiActive, VsiGone
from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.events.other import BackendJudged, OperatorDeassociate
from ryu_apps.evb.events.switch import PortChanged, SwitchCapacity
from ryu_apps.evb.flow.actions import Learn, SetField
from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.flow.rule import Rule, RuleKey
from ryu_apps.evb.model import Phase, VsiTypeKey
from ryu_apps.evb.pipeline.load_balancers import group_id
from ryu_apps.evb.pipeline.metered_gate import gate_number, opened, shut
from ryu_apps.evb.pipeline.tables import CookieKind, Table, metadata, parse_cookie
from ryu_apps.evb.policy.model import Acl, PolicySet, Trigger, VsiType
from ryu_apps.evb.services.bandwidth.schema import BandwidthLimit, BandwidthPolicy
from ryu_apps.evb.services.body import multicast_of
from ryu_apps.evb.services.firewall.schema import FirewallPolicy, Lifetimes
from ryu_apps.evb.services.load_balancer.schema import Balanced
from ryu_apps.evb.services.multicast.schema import MulticastPolicy
from ryu_apps.evb.simulation.learning import learn
from ryu_apps.evb.switches.repairs import PAUSE
from ryu_apps.evb.topology.balancer import Backend, LoadBalancer, TransportProtocol
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import GateMode
from ryu_apps.evb.vsi import state_refresh
from ryu_apps.evb.vsi.reservation import METERS, ResourceKind, SwitchResource
from ryu_apps.evb.wire.vdp import ResponseStatus, VdpMode
from ryu_apps.southbound.encode import flow_add, group_add
from ryu_apps.southbound.wall import check
from tests.worlds.bridge import (
    EAGER,
    HV1,
    HV2,
    HV3,
    HV4,
    OPEN_2,
    POLICIES,
    S1,
    S2,
    VLAN,
    Vm,
    World,
    open_type,
    two_switches,
    with_gates,
    without_extensions,
)
from tests.worlds.draws import drawn
from tests.worlds.limited import SPEEDS
from tests.worlds.order import EffectOrder
from tests.worlds.prepared_flips import FlipComparison
from tests.worlds.sets import BATCH, DATABASE, members
from tests.worlds.sets import POLICIES as SETS
from tests.worlds.sets import SECOND as SAME_SET
from tests.worlds.sets import WEB as LABELLED

PORTS = st.sampled_from([HV1, HV2, HV3, HV4])
#: hv1 has two links, which fail and return in turn.
SECOND = PortId(S1, 21)
SWITCHES = st.sampled_from([S1, S2])
#: Firewalls with room for much and for little, whose state goes early and late; one VM has had both.
WALLED, LATE, TIGHT = VsiTypeKey(40, 1), VsiTypeKey(41, 1), VsiTypeKey(40, 2)
MEETING = [Vm(4, type=WALLED), Vm(4, type=TIGHT), Vm(5, type=LATE)]
#: A VM that is a back end of a load balancer, or is not: it is for its type to say.
BACKEND = VsiTypeKey(42, 1)
SERVING = [Vm(6, type=BACKEND), Vm(6)]
#: A VM with rate limits and minimum rates, of which two types differ.
LIMITED, SLOWER = VsiTypeKey(43, 1), VsiTypeKey(43, 2)
LIMITS = [Vm(9, type=LIMITED), Vm(9, type=SLOWER)]
#: A VM that receives groups, of which two types configure more and fewer.
RECEIVING, FEWER = VsiTypeKey(44, 1), VsiTypeKey(44, 2)
RECEIVERS = [Vm(10, type=RECEIVING), Vm(10, type=FEWER)]
#: A VM that is in a set or is not, and VMs whose rules name the set.
SELECTED = [
    Vm(13, type=LABELLED),
    Vm(13, type=BATCH),
    Vm(13),
    Vm(11, type=DATABASE),
    Vm(12, type=SAME_SET),
    Vm(12, type=LABELLED),
]
USERS = (DATABASE, SAME_SET)
OTHERS = [*MEETING, *SERVING, *LIMITS, *RECEIVERS, *SELECTED]
VMS = st.sampled_from([Vm(1), Vm(2), Vm(2, type=OPEN_2), Vm(3, type=EAGER), *OTHERS])
MODES = st.sampled_from(list(VdpMode))


def walled(key: VsiTypeKey, most: int, trigger: Trigger = Trigger.DUAL) -> VsiType:
    firewall = FirewallPolicy(Acl(default=True), Acl(), most, Lifetimes(60, 20, 60, 60))
    return replace(open_type(key), services=(("firewall", firewall),), trigger=trigger)


def serving(key: VsiTypeKey) -> VsiType:
    balanced = Balanced(("web",), 4, 10, 60, 20, 60)
    return replace(open_type(key), services=(("load_balancer", balanced),))


def limited(key: VsiTypeKey, rate: int) -> VsiType:
    limit = BandwidthLimit(rate, rate, rate)
    return replace(open_type(key), services=(("bandwidth", BandwidthPolicy(limit, limit)),))


def receiving(key: VsiTypeKey, groups: int) -> VsiType:
    multicast = MulticastPolicy(tuple(IPv4Address("239.1.0.0") + number for number in range(groups)), max_groups=30)
    return replace(open_type(key), services=(("multicast", multicast),))


TYPES = PolicySet(
    {
        **POLICIES.types,
        **SETS.types,
        WALLED: walled(WALLED, 8),
        TIGHT: walled(TIGHT, 1),
        LATE: walled(LATE, 8, Trigger.SINGLE),
        BACKEND: serving(BACKEND),
        LIMITED: limited(LIMITED, 900),
        SLOWER: limited(SLOWER, 400),
        RECEIVING: receiving(RECEIVING, 20),
        FEWER: receiving(FEWER, 2),
    }
)


_WEB = IPv4Address("10.0.100.200")
_ONE = Backend("one", SERVING[0].mac, (SERVING[0].address,), 80)
WEB = LoadBalancer(1, "web", VLAN, 0x0200000064C8, (_WEB,), TransportProtocol.TCP, 80, (_ONE,))


def bonded() -> Fabric:
    fabric = two_switches()
    ports = fabric.switches[S1].interfaces
    ports[HV1.port_no] = replace(ports[HV1.port_no], bond=(HV1.port_no, SECOND.port_no))
    return replace(fabric, balancers=(WEB,))


FABRIC = bonded()


ALL_SPEEDS = {**SPEEDS, SECOND.port_no: SPEEDS[HV1.port_no]}


def pristine(fabric: Fabric) -> dict[int, FlowTable]:
    world = World(fabric, policies=TYPES)
    world.connect()
    return world.tables


EMPTY = pristine(FABRIC)


class Owners:
    """Owners of VSIs according to events; a port takes one over only after an announcement.

    Lenient by the moments in which a gate is on its way: what counts is the Pre-Associate (or M bit) that came after
    the request by which the present owner became the owner.
    """

    def __init__(self) -> None:
        self._clock = 0
        self._read = 0
        self._announced: dict[tuple[str, PortId], int] = {}
        self._requested: dict[tuple[str, PortId], int] = {}
        self._since: dict[str, tuple[PortId, int]] = {}

    def asked(self, port: PortId, vsi: str, mode: VdpMode, migrating: bool) -> None:
        self._clock += 1
        if mode is not VdpMode.DEASSOCIATE and (mode is not VdpMode.ASSOCIATE or migrating):
            self._announced[vsi, port] = self._clock
        if mode is VdpMode.ASSOCIATE:
            self._requested[vsi, port] = self._clock

    def follow(self, happened: list[LogEvent]) -> None:
        for event in happened[self._read :]:
            if event.vsi is None or event.port is None:
                continue
            port, since = self._since.get(event.vsi, (event.port, -1))
            if isinstance(event, VsiActive):
                takes = port != event.port
                assert not takes or self._announced.get((event.vsi, event.port), -1) >= since, (event, port)
                stays = not takes and since >= 0
                self._since[event.vsi] = event.port, since if stays else self._requested[event.vsi, event.port]
            elif port == event.port and (isinstance(event, _ENDS) or _gives_up(event)):
                self._since.pop(event.vsi, None)
        self._read = len(happened)


#: What ends an owner's being it; a De-Associate or Pre-Associate of its own station does too.
_ENDS = (UnsolicitedDeassociate, VsiGone)


def _gives_up(event: LogEvent) -> bool:
    return isinstance(event, VdpRequested) and event.mode is not VdpMode.ASSOCIATE


class BridgeModel(RuleBasedStateMachine):
    """Stations ask, switches dawdle, refuse and vanish, the controller dies, time passes."""

    FABRIC, EMPTY = FABRIC, EMPTY

    def __init__(self) -> None:
        super().__init__()
        capacity = SwitchCapacity(speeds=ALL_SPEEDS)
        self.world = World(self.FABRIC, policies=TYPES, forward_in_flight=2, capacity=capacity)
        # Refreshing at intervals of the length of this model's time.
        self._interval, state_refresh.INTERVAL = state_refresh.INTERVAL, 1.0
        self.order = EffectOrder()
        self.world.observers.append(self.order.observe)
        self.flips = FlipComparison(self.world)
        self.world.connect()
        self.away: set[int] = set()
        self.flaps = Counter[PortId]()
        self.owners = Owners()

    @rule(port=PORTS, vm=VMS, mode=MODES, migrating=st.sampled_from([False, False, True]))
    def ask(self, port: PortId, vm: Vm, mode: VdpMode, migrating: bool) -> None:
        self.owners.asked(port, vm.text, mode, migrating)
        self.world.ask(port, vm, mode, migrating=migrating)

    @rule(dpid=SWITCHES, port=st.integers(1, 5))
    def somebody_connects(self, dpid: int, port: int) -> None:
        """Every VM of a switch whose gate is open begins a connection, controller or not."""
        table = self.world.tables[dpid]
        open_for = {
            owner.owner
            for key, entry in self.world.rules(dpid, CookieKind.GATE).items()
            if key.table == Table.INGRESS and (owner := parse_cookie(entry.cookie))
        }
        for entry in tuple(self.world.rules(dpid, CookieKind.VSI_BODY).values()):
            owner = parse_cookie(entry.cookie)
            frame = {"tcp_src": port, "tcp_dst": 80, "udp_src": port, "udp_dst": 80, "ipv4_src": 1, "ipv4_dst": 2}
            if owner is not None and owner.owner in open_for:
                for action in entry.apply:
                    if isinstance(action, Learn):
                        learn(action, table.rules, frame)

    @rule(dpid=SWITCHES)
    def connections_end(self, dpid: int) -> None:
        table = self.world.tables[dpid]
        table.rules = {key: rule for key, rule in table.rules.items() if not _is_state(rule.cookie)}

    @rule(port=PORTS, vm=VMS)
    def suspend(self, port: PortId, vm: Vm) -> None:
        self.owners.asked(port, vm.text, VdpMode.ASSOCIATE, False)
        self.world.ask(port, vm, VdpMode.ASSOCIATE, suspended=True)

    @rule(dpid=SWITCHES)
    def dawdle(self, dpid: int) -> None:
        self.world.hold.add(dpid)

    @rule()
    def catch_up(self) -> None:
        self.world.release()

    @rule(dpid=SWITCHES, mode=st.sampled_from([Mode.STAGE, Mode.ATOMIC]))
    def refuse_next(self, dpid: int, mode: Mode) -> None:
        self.world.refuse[dpid, mode] = "refused"

    @rule(dpid=SWITCHES)
    def vanish(self, dpid: int) -> None:
        self.away.add(dpid)
        self.world.disconnect(dpid)

    @rule(dpid=SWITCHES)
    def lose_everything(self, dpid: int) -> None:
        self.away.add(dpid)
        self.world.disconnect(dpid)
        self.world.tables[dpid] = FlowTable()

    @rule(dpid=SWITCHES, what=st.sampled_from(["rules", "a rule", "groups", "meters"]), which=st.integers(0, 9999))
    def somebody_deletes(self, dpid: int, what: str, which: int) -> None:
        """Behind our back, as anybody with a shell can."""
        table = self.world.tables[dpid]
        if what == "a rule" and not self._dawdles(dpid) and table.rules:
            self.world.delete_objects(dpid, {list(table.rules)[which % len(table.rules)]})
        elif what in ("groups", "meters"):
            self.world.delete_objects(dpid, set(), **{what: list(getattr(table, what))})
        else:
            self.world.delete_objects(dpid)
        # Who has just deleted something has to wait until that is looked at again.
        self.world.advance(PAUSE)

    def _dawdles(self, dpid: int) -> bool:
        return dpid in self.world.hold or dpid in self.away

    @precondition(lambda self: self.away)
    @rule()
    def return_(self) -> None:
        self.world.connect(*self.away)
        self.away.clear()

    @rule()
    def controller_dies(self) -> None:
        self.away.clear()
        self.world.hold.clear()
        self.order.restart(self.world.store)
        self.world.restart_controller()

    @rule(port=PORTS, vm=VMS, mode=MODES, effects=st.integers(0, 30))
    def controller_dies_meanwhile(self, port: PortId, vm: Vm, mode: VdpMode, effects: int) -> None:
        """Behind any effect of a request, or of what it waits for: the next life keeps what was answered, no more."""
        self.owners.asked(port, vm.text, mode, True)
        answers = len(self.world.ask(port, vm, VdpMode.PREASSOCIATE_RR))
        self.world.advance(0.01)
        self.world.dies_after = effects
        self.world.send(port, vm.tlv(mode, migrating=True), vm.address)
        self.world.release()
        self.world.store_answers()
        given = [answer for answer in self.world.sent.get(port, ())[answers:] if answer.vsi_id == vm.vsi_id]
        away = set(self.away)
        self.controller_dies()
        if given and mode is VdpMode.ASSOCIATE and given[-1].MODE is mode and not away:
            vsi = self.world.engine.registry.named(vm.text)
            owner = vsi.owner.port if vsi is not None and vsi.owner is not None else None
            status = given[-1].status
            assert isinstance(status, ResponseStatus)
            assert (owner == port) is (status.success or status.keep), (owner, status)

    @rule(refuses=st.booleans())
    def disk(self, refuses: bool) -> None:
        self.world.store_failure = "disk full" if refuses else None

    @rule()
    def store_delays(self) -> None:
        self.world.store_delays = True

    @rule()
    def store_answers(self) -> None:
        self.world.store_answers()

    @rule(port=PORTS, up=st.booleans())
    def link(self, port: PortId, up: bool) -> None:
        self.flaps[port] += 1
        end = SECOND if port == HV1 and self.flaps[port] % 3 == 0 else port
        self.world.feed(PortChanged(end, up))

    @rule(vm=VMS)
    def operator(self, vm: Vm) -> None:
        self.world.feed(OperatorDeassociate(vm.text))

    @rule(up=st.booleans())
    def health_check(self, up: bool) -> None:
        self.world.feed(BackendJudged("web", "one", up))

    @rule(seconds=st.sampled_from([0.05, 0.7, 1.4, 3.0]))
    def wait(self, seconds: float) -> None:
        self.world.advance(seconds)

    @invariant()
    def a_vsi_is_active_on_at_most_one_port(self) -> None:
        if self.world.held:
            return
        places: dict[int, set[PortId]] = {}
        for dpid in set(self.world.tables) - self.away:
            for key in self.world.rules(dpid, CookieKind.GATE):
                if key.table == Table.INGRESS:
                    fields = {field.name: field.value for field in key.match}
                    places.setdefault(fields["eth_src"], set()).add(PortId(dpid, fields["in_port"]))
        assert all(len(ports) == 1 for ports in places.values()), places

    @invariant()
    def a_flip_that_is_prepared_is_the_one_that_is_due(self) -> None:
        self.flips.compare_prepared()

    @invariant()
    def a_stale_port_never_becomes_owner(self) -> None:
        self.owners.follow(self.world.happened)

    @invariant()
    def a_gate_leads_to_a_body(self) -> None:
        for dpid, table in self.world.tables.items():
            bodies = {
                owner.owner
                for owner in map(parse_cookie, _cookies(table))
                if owner and owner.kind is CookieKind.VSI_BODY
            }
            for key, entry in self.world.rules(dpid, CookieKind.GATE).items():
                owner = parse_cookie(entry.cookie)
                assert owner is not None
                assert key.table != Table.INGRESS or owner.owner in bodies

    @invariant()
    def groups_pass_the_gate_of_an_active_program_alone(self) -> None:
        if self.world.held:
            return
        for dpid in set(self.world.tables) - self.away:
            gates = self.world.rules(dpid, CookieKind.GATE).values()
            passing = {entry.cookie for entry in gates if entry.table == Table.GROUP_GATE}
            assert passing <= {entry.cookie for entry in gates if entry.table == Table.FORWARD}

    @invariant()
    def groups_are_there_when_a_reservation_is_granted(self) -> None:
        """On its own switch: each group with a copy to the program, whatever else is under way."""
        for attachment in self.world.engine.registry.attachments():
            program, dpid = attachment.holding.program, attachment.port.dpid
            granted = program is not None and program.phase in (Phase.STAGED, Phase.ACTIVE)
            if program is None or not granted or not self.world.engine.bringup.ready(dpid) or dpid in self.away:
                continue
            multicast = multicast_of(program.vsi_type, program.binding.bindings)
            index = SetField("metadata", metadata(vsi=program.binding.vsi_index))
            pages = [rule for rule in self.world.rules(dpid).values() if rule.table == Table.GROUP_PAGE]
            groups = {_named(rule.key, "ipv4_dst") for rule in pages if index in rule.apply}
            assert groups == {int(group) for group in (multicast.groups if multicast else ())}

    @invariant()
    def a_vm_has_one_detour_and_it_does_not_lead_away_from_it(self) -> None:
        if self.world.held:
            return
        places: dict[int, list[int]] = {}
        for dpid in set(self.world.tables) - self.away:
            here = {mac for key in self.world.rules(dpid, CookieKind.GATE) if (mac := _named(key, "eth_src"))}
            for key in self.world.rules(dpid, CookieKind.DETOUR):
                mac = _named(key, "eth_dst")
                assert mac not in here
                places.setdefault(mac, []).append(dpid)
        assert all(len(dpids) == 1 for dpids in places.values()), places

    @invariant()
    def a_limit_is_in_force_wherever_a_rule_names_it(self) -> None:
        if self.world.held:
            return
        for dpid in set(self.world.tables) - self.away:
            table = self.world.tables[dpid]
            named = {entry.meter for entry in table.rules.values() if entry.meter is not None}
            assert named <= table.meters.keys()
            if self.world.engine.bringup.ready(dpid):
                wanted = {meter for meter in self.world.engine.wanted(dpid).meters if meter.meter_id in named}
                assert wanted <= set(table.meters.values())

    @invariant()
    def members_of_sets_are_the_addresses_of_active_vsis(self) -> None:
        """At each switch whose programs name the set, and at no other."""
        if self.world.held:
            return
        engine = self.world.engine
        active = {
            (binding, str(address))
            for vsi in engine.registry
            if vsi.gate_program is not None and vsi.gate_program.vsi_type.key in (LABELLED, BATCH)
            for binding in vsi.gate_program.binding.bindings
            for address in vsi.gate_program.binding.addresses
        }
        for dpid in set(self.world.tables) - self.away:
            if engine.bringup.ready(dpid) and not engine.bringup.switches[dpid].unclaimed:
                assert members(self.world, dpid) == (active if self._names_the_set(dpid) else set())

    def _names_the_set(self, dpid: int) -> bool:
        epochs = {self.world.engine.epochs.number(TYPES.types[key]) for key in USERS}
        bodies = map(parse_cookie, _cookies(self.world.tables[dpid]))
        return any(body and body.kind is CookieKind.TYPE_BODY and body.owner in epochs for body in bodies)

    @invariant()
    def room_is_reserved_for_all_members(self) -> None:
        ledger, resource = self.world.engine.ledger, SwitchResource(ResourceKind.TABLE, Table.MEMBERS)
        for dpid in set(self.world.tables) - self.away:
            if not self.world.held and self.world.engine.bringup.ready(dpid):
                assert len(members(self.world, dpid)) <= ledger.used(dpid, resource)

    @invariant()
    def a_minimum_is_reserved_once(self) -> None:
        """Ports have room for one of the two types: no sum of what one VM reserves at several places is refused."""
        for dpid in self.world.tables:
            for port in self.world.engine.ledger.bandwidth.ports(dpid):
                assert port.sent in (0, 400, 900) and port.received in (0, 400, 900)

    @invariant()
    def rules_are_counted_as_they_are_composed(self) -> None:
        wanted = self.world.engine.wanted
        counts = wanted.counts()
        assert all(counts[dpid] == len(wanted(dpid).rules) for dpid in self.world.tables)

    @invariant()
    def an_index_has_one_generation_in_a_switch(self) -> None:
        for table in self.world.tables.values():
            seen: dict[int, int] = {}
            for owner in map(parse_cookie, _cookies(table)):
                if owner and owner.kind is CookieKind.VSI_BODY:
                    assert seen.setdefault(owner.owner, owner.generation) == owner.generation

    @invariant()
    def state_is_of_a_body(self) -> None:
        """Learnt state belongs to a program, or to one whose successor has not read it yet."""
        left = {vsi.left.program.binding.vsi_index for vsi in self.world.engine.registry if vsi.left is not None}
        if self.world.held:
            return
        for dpid in set(self.world.tables) - self.away:
            bodies = {rule.cookie & _OWNER for rule in self.world.rules(dpid, CookieKind.VSI_BODY).values()}
            for learnt in self.world.rules(dpid, CookieKind.STATE).values():
                owner = parse_cookie(learnt.cookie)
                assert owner is not None
                assert learnt.cookie & _OWNER in bodies or owner.owner in left

    @invariant()
    def who_is_in_rotation_is_active_and_well(self) -> None:
        """On every switch: exactly while a gate is open by a type that says so."""
        if self.world.held:
            return
        vsi = self.world.engine.registry.named(SERVING[0].text)
        program = vsi.gate_program if vsi is not None and vsi.owner is not None else None
        serves = program is not None and program.vsi_type.key == BACKEND
        well = self.world.engine.pools.members["web"]["one"].up
        for dpid in set(self.world.tables) - self.away:
            buckets = self.world.tables[dpid].groups[group_id(WEB, 4)].buckets
            assert len(buckets) == (serves and well)

    def teardown(self) -> None:
        """In the end everybody falls silent, and nothing may be left."""
        state_refresh.INTERVAL = self._interval
        world = self.world
        world.store_failure = None
        world.refuse.clear()
        world.store_answers()
        world.release()
        world.connect(*self.away)
        for port in (HV1, HV2, HV3, HV4):
            world.feed(PortChanged(port, True))
        if world.fabric.balancers:
            world.feed(BackendJudged("web", "one", up=True))
        world.advance(60.0)
        assert len(world.engine.registry) == 0
        assert world.store == {}
        for dpid, table in world.tables.items():
            assert table.rules == self.EMPTY[dpid].rules
            assert table.groups == self.EMPTY[dpid].groups
            # Meters of reports stay: they are few, and used again.
            meters = {meter_id: meter for meter_id, meter in table.meters.items() if meter_id not in _OF_REPORTS}
            # So do those of gates, shut.
            gates = {meter_id: number for meter_id in meters if (number := gate_number(meter_id)) is not None}
            assert meters == self.EMPTY[dpid].meters | {meter_id: shut(number) for meter_id, number in gates.items()}
            used = {resource: amount.used for resource, amount in world.engine.ledger.amounts(dpid).items()}
            assert used.pop(METERS, 0) <= world.engine.lifecycle.installer.gate_meters.size(dpid)
            assert not any(used.values())
            assert not any(port.sent or port.received for port in world.engine.ledger.bandwidth.ports(dpid))


class PlainBridgeModel(BridgeModel):
    """The same where a switch has OpenFlow 1.3 alone, and so no load balancer."""

    FABRIC = without_extensions(two_switches(), S1)
    EMPTY = pristine(FABRIC)

    def health_check(self, up: bool) -> None:
        """No rule here: there is no back end."""

    def who_is_in_rotation_is_active_and_well(self) -> None:
        """No invariant here."""

    @invariant()
    def it_holds_no_extension(self) -> None:
        table = self.world.tables[S1]
        for octets in (*map(flow_add, table.rules.values()), *map(group_add, table.groups.values())):
            check(octets)


_OF_REPORTS = range(0x10000, 0x11000)
#: Owner and generation in a cookie.
_OWNER = (1 << 44) - 1


def _named(key: RuleKey, field: str) -> int:
    return next((tested.value for tested in key.match if tested.name == field), 0)


def _is_state(cookie: int) -> bool:
    owner = parse_cookie(cookie)
    return owner is not None and owner.kind is CookieKind.STATE


def _cookies(table: FlowTable) -> set[int]:
    return {entry.cookie for entry in table.rules.values()}


@pytest.mark.parametrize("past_is_known", [False, True])
def test_connections_that_begin_while_a_body_is_taken_out_leave_no_state(past_is_known: bool) -> None:
    """Once drawn: what was learnt after the switch had been read and before its body was gone stayed for ever."""
    model, vm = BridgeModel(), MEETING[0]
    if past_is_known:
        model.controller_dies()
    model.suspend(HV1, vm)
    model.somebody_connects(S1, 1)
    model.vanish(S1)
    model.operator(vm)
    model.dawdle(S1)
    model.return_()
    model.somebody_connects(S1, 2)
    model.catch_up()
    model.state_is_of_a_body()
    model.teardown()


@pytest.mark.parametrize("ends", [False, True])
def test_departure_that_is_acknowledged_after_its_vsi_has_ended_leaves_no_record(ends: bool) -> None:
    """Once drawn: the record of a port that a VSI had left stayed in the store when no port had the VSI any more."""
    model, vm = BridgeModel(), SERVING[0]
    model.ask(HV2, vm, VdpMode.ASSOCIATE, False)
    model.link(HV2, False)
    model.ask(HV3, vm, VdpMode.ASSOCIATE, True)
    if ends:
        model.ask(HV3, vm, VdpMode.DEASSOCIATE, False)
    model.teardown()


@pytest.mark.parametrize("newer_ends", [False, True])
@pytest.mark.parametrize("restarts", [False, True])
def test_vsi_of_two_types_leaves_no_record_of_the_older_one(restarts: bool, newer_ends: bool) -> None:
    """Once drawn: the record of what a station has by another type stayed when it ended the VSI itself."""
    model = BridgeModel()
    model.suspend(HV4, SERVING[1])
    model.suspend(HV4, SERVING[0])
    if restarts:
        model.controller_dies()
    if newer_ends:
        model.ask(HV4, SERVING[0], VdpMode.DEASSOCIATE, False)
    model.teardown()


def test_vsi_that_goes_back_to_preassociate_and_is_taken_off_keeps_its_body_until_its_gate_is_shut() -> None:
    """Once drawn: nothing waited for the gate that a Pre-Associate shuts."""
    model, vm = BridgeModel(), SERVING[0]
    model.suspend(HV3, vm)
    model.dawdle(S2)
    model.ask(HV3, vm, VdpMode.PREASSOCIATE, False)
    model.operator(vm)
    model.teardown()


def test_associate_that_is_given_up_keeps_its_body_until_its_gate_is_shut_again() -> None:
    """Once drawn: nothing waited for the gate that is taken back while a switch has not confirmed it yet."""
    model, vm = BridgeModel(), SERVING[0]
    model.ask(HV2, Vm(1), VdpMode.ASSOCIATE, False)
    model.wait(3.0)
    model.controller_dies()
    model.dawdle(S2)
    model.ask(HV2, vm, VdpMode.ASSOCIATE, True)
    model.wait(3.0)
    model.teardown()


class MeteredBridgeModel(BridgeModel):
    """The same with switches whose gates open by meters."""

    FABRIC = with_gates(FABRIC, GateMode.METER)
    EMPTY = pristine(FABRIC)

    @invariant()
    def a_meter_is_open_where_a_gate_is(self) -> None:
        if self.world.held:
            return
        for dpid in set(self.world.tables) - self.away:
            table, gates = self.world.tables[dpid], self.world.rules(dpid, CookieKind.GATE)
            let_in = {_owner(entry) for key, entry in gates.items() if key.table == Table.INGRESS}
            led = {_owner(entry): entry.meter for entry in table.rules.values() if entry.table == Table.GATE_METER}
            assert len(set(led.values())) == len(led)
            for owner, meter_id in led.items():
                assert meter_id is not None
                number = gate_number(meter_id)
                assert number is not None
                assert table.meters[meter_id] == (opened(number) if owner in let_in else shut(number))
                assert all(named.meter != meter_id for named in _outside(table, owner))


def _owner(entry: Rule) -> int:
    owner = parse_cookie(entry.cookie)
    assert owner is not None
    return owner.owner


def _outside(table: FlowTable, owner: int) -> list[Rule]:
    return [entry for entry in table.rules.values() if entry.meter is not None and _owner(entry) != owner]


TestBridgeModel = BridgeModel.TestCase
TestBridgeModel.settings = drawn(25, steps=40)
TestMeteredBridgeModel = MeteredBridgeModel.TestCase
TestMeteredBridgeModel.settings = drawn(25, steps=40)
TestPlainBridgeModel = PlainBridgeModel.TestCase
TestPlainBridgeModel.settings = drawn(15, steps=40)


@pytest.mark.soak
class TestBridgeModelForLong(BridgeModel.TestCase):
    """The same for some minutes."""

    settings = settings(max_examples=10_000, stateful_step_count=80)
