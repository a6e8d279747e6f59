"""Gates that open by a meter: the rules that are staged, the numbers of meters, and what passes when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from ryu_apps.evb.bridge.queries import BridgeQueries
from ryu_apps.evb.event_catalogue.switches import GatesUnproven
from ryu_apps.evb.event_catalogue.vsis import VdpRefused
from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.events.switch import SwitchCapacity
from ryu_apps.evb.flow.actions import Action, Clone, FinTimeout, Learn, OutputGroup, Resubmit
from ryu_apps.evb.flow.rule import Bucket, Rule
from ryu_apps.evb.model import Binding, GateMeter, VsiBinding
from ryu_apps.evb.pipeline.metered_gate import gate_meter_id, metered_gate, opened, shut, stops
from ryu_apps.evb.pipeline.notation import rule_text
from ryu_apps.evb.pipeline.tables import CookieKind, Table
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.services.body import SECTIONS, body_of_type, body_of_vsi
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import GateMode, Profile
from ryu_apps.evb.vsi.gate_meters import REST, GateMeters
from ryu_apps.evb.vsi.reservation import METERS
from ryu_apps.evb.wire.vdp import VdpError, VdpMode
from ryu_apps.sources import read_sources
from tests.property.test_bridge_model import FABRIC as WITH_BOND_AND_BALANCER
from tests.property.test_bridge_model import TYPES
from tests.worlds.bridge import (
    CLIENT,
    CLIENT_MAC,
    HV1,
    HV2,
    HV3,
    OPEN_2,
    S1,
    S2,
    Vm,
    World,
    two_switches,
    with_gates,
)

VM = Vm(7)
SHIPPED = sorted((Path(__file__).parents[3] / "policies").rglob("*.yaml"))
BINDING = VsiBinding(7, 1, (Binding(100, VM.mac),), gate_meter=GateMeter(3, both=True))


def metered(**settings: object) -> World:
    world = World(with_gates(two_switches(), GateMode.METER), **settings)  # type: ignore[arg-type]
    world.connect()
    return world


@pytest.fixture
def world() -> World:
    return metered()


def passes(world: World, port: PortId = HV1, vm: Vm = VM, *, to_vm: bool = False, group: bool = False) -> bool:
    """True if a frame from the VM at a port reaches the client, or one to it the port."""
    source, destination = (CLIENT_MAC, vm.mac) if to_vm else (vm.mac, CLIENT_MAC)
    destination = 0xFFFFFFFFFFFF if group else destination
    frame = {"eth_src": source, "eth_dst": destination, "eth_type": 0x88B5, "vlan_vid": 0}
    ports = [copy.port for copy in world.carry(CLIENT if to_vm else port, frame)]
    return (port if to_vm else CLIENT) in ports


def numbers(world: World, dpid: int = S1) -> set[int]:
    """Numbers of the meters through which rules of a switch lead."""
    rules = world.tables[dpid].rules.values()
    return {rule.meter - gate_meter_id(0) for rule in rules if rule.table == Table.GATE_METER and rule.meter}


# --- rules ----------------------------------------------------------------------------------------
def test_compiled_rules() -> None:
    interface = two_switches().switches[S1].interfaces[HV1.port_no]
    rules = metered_gate(interface, BINDING, epoch=5)
    assert list(map(rule_text, rules)) == COMPILED


FROM = "in_port=1,eth_src=52:54:00:00:00:07,eth_dst=00:00:00:00:00:00/01:00:00:00:00:00,vlan_vid=0x1064"
TO = "eth_dst=52:54:00:00:00:07,vlan_vid=0x1064"
#: Twice more than by the meter of the rule itself.
METERED = ",".join(["resubmit(,GATE_METER)"] * 2)
COMPILED = [
    "table=GATE_METER priority=1 cookie=0xeb47300007000001 metadata=0x70000/0xfffff0000 actions=meter:805306371",
    (
        f"table=INGRESS priority=110 cookie=0xeb47300007000001 {FROM} actions=meter:805306371,"
        f"set_field:0x100005000070000->metadata,load:0x1->reg11[5],{METERED},write_metadata:0x100005000070000/0xffffffffffffffff,goto:GUARD"
    ),
    (
        f"table=FORWARD priority=110 cookie=0xeb47300007000001 {TO} actions=meter:805306371,"
        f"set_field:0x200005000070001->metadata,load:0x1->reg11[5],{METERED},write_metadata:0x200005000070001/0xffffffffffffffff,goto:ACL_TO"
    ),
]


def test_a_limit_of_what_the_vm_sends_is_behind_the_gate_and_a_default_priority_is_written() -> None:
    interface = two_switches().switches[S1].interfaces[HV1.port_no]
    binding = replace(BINDING, priorities=((BINDING.bindings[0], 5),), gate_meter=GateMeter(3, both=False))
    rules = list(metered_gate(interface, binding, epoch=5, policer=99))
    gate = gate_meter_id(3)
    assert {rule.table: rule.meter for rule in rules if rule.meter} == {
        Table.GATE_METER: gate,
        Table.INGRESS: gate,
        97: 99,
    }
    ingress = [rule for rule in rules if rule.table == Table.INGRESS]
    assert [rule.apply[-1 - number] for number, rule in enumerate(ingress)] == [Resubmit(97)] * 2
    assert len(rules) == 4, "no rule for frames to the VM"


def test_no_frame_behind_a_meter_reaches_what_learns_or_what_was_learnt() -> None:
    """Along every rule of a switch with a bond, a load balancer and all services, group buckets included."""
    fabric = with_gates(WITH_BOND_AND_BALANCER, GateMode.METER)
    world = World(fabric, policies=TYPES)
    world.connect()
    rules = [*world.engine.wanted.base(S1).add, *stops(), *_bodies()]
    halts = {rule.table for rule in stops() if len(rule.match) == 1}
    by_table: dict[int, list[Rule]] = {}
    for rule in rules:
        by_table.setdefault(rule.table, []).append(rule)
    buckets = {group.group_id: group.buckets for group in world.engine.wanted(S1).groups}
    left, seen = [int(Table.GUARD), int(Table.ACL_TO), int(Table.BALANCE_TO)], set[int]()
    while left:
        table = left.pop()
        if table in halts or table in seen:
            continue
        seen.add(table)
        for rule in by_table.get(table, []):
            # Fragments end in ACL_FROM and ACL_TO.
            if not any(field.name == "ip_frag" for field in rule.match):
                assert not any(isinstance(action, Learn | FinTimeout) for action in rule.apply), rule_text(rule)
                assert not rule.idle_timeout
                left += _onward(rule, buckets)
    assert {Table.ACL_FROM, Table.FORWARD, Table.ACL_TO, Table.OUTPUT, Table.BOND} <= seen
    assert seen.isdisjoint({Table.CONNECTIONS, Table.PROXY_PINS, Table.BALANCER_PINS, Table.FRAGMENTS})
    for stop in stops():
        others = [rule for rule in by_table.get(stop.table, []) if rule.priority >= stop.priority]
        assert set(others) <= set(stops())


def _bodies() -> Iterable[Rule]:
    shipped, _ = read_sources(SHIPPED)
    policies, diagnostics = load_policies(shipped, SECTIONS)
    assert policies is not None, diagnostics
    binding = replace(BINDING, addresses=(IPv4Address("10.0.0.1"),))
    for vsi_type in (*policies.types.values(), *TYPES.types.values()):
        yield from body_of_type(vsi_type, 5)
        yield from body_of_vsi(vsi_type, binding)


def _onward(rule: Rule, buckets: dict[int, tuple[Bucket, ...]]) -> Iterable[int]:
    yield from [] if rule.goto is None else [rule.goto]
    yield from _looked_up(rule.apply, buckets)


def _looked_up(actions: Iterable[Action], buckets: dict[int, tuple[Bucket, ...]]) -> Iterable[int]:
    for action in actions:
        if isinstance(action, Resubmit | Clone):
            yield action.table
        elif isinstance(action, OutputGroup):
            for bucket in buckets.get(action.group_id, ()):
                yield from _looked_up(bucket.actions, buckets)


# --- what passes ----------------------------------------------------------------------------------
def test_a_staged_gate_leads_to_a_shut_meter(world: World) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    assert numbers(world) == {1}
    assert world.tables[S1].meters[gate_meter_id(1)] == shut(1)
    assert not passes(world) and not passes(world, to_vm=True) and not passes(world, group=True)
    # Nothing but the meter is in the way of a unicast frame.
    world.tables[S1].meters[gate_meter_id(1)] = opened(1)
    assert passes(world) and not passes(world, group=True)


def test_an_associate_opens_meter_and_rules(world: World) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.applied.clear()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    changes = {apply.dpid: apply.change for apply in world.applied}
    assert changes[S1].opened == (opened(1),) and not changes[S2].opened
    assert not any(change.meters for change in changes.values())
    assert passes(world) and passes(world, group=True)


def test_a_flip_changes_the_rules_that_it_changes_without_a_meter(world: World) -> None:
    plain = World()
    plain.connect()
    for either in (world, plain):
        either.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
        either.applied.clear()
        either.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert [replace(apply.change, opened=()) for apply in world.applied] == [apply.change for apply in plain.applied]


def test_a_move_shuts_the_meter_of_the_source_before_its_rules_go(world: World) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    world.applied.clear()
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    source = next(apply.change for apply in world.applied if apply.dpid == S1)
    assert source.meters == (shut(1),) and source.remove
    assert not passes(world) and passes(world, HV3)


def test_a_suspended_vm_is_not_let_in_by_the_meter(world: World) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.ASSOCIATE, suspended=True)
    assert world.tables[S1].meters[gate_meter_id(1)] == shut(1)
    assert not passes(world)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.tables[S1].meters[gate_meter_id(1)] == opened(1)


def test_a_refused_associate_leaves_the_meter_shut(world: World) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.refuse[S1, Mode.ATOMIC] = "refused"
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV1).error is VdpError.INSUFFICIENT_RESOURCES
    world.advance(1.0)
    assert world.tables[S1].meters[gate_meter_id(1)] == shut(1)
    assert not passes(world)


# --- restarts -------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", [VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE])
def test_a_restart_changes_nothing(world: World, mode: VdpMode) -> None:
    world.ask(HV1, VM, mode)
    before, meters = world.snapshot(), dict(world.tables[S1].meters)
    world.applied.clear()
    world.restart_controller()
    assert not any(apply.change.add or apply.change.remove or apply.change.meters for apply in world.applied)
    assert (world.snapshot(), world.tables[S1].meters) == (before, meters)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert passes(world)


def test_a_meter_that_is_open_in_vain_is_shut_when_its_switch_is_compared(world: World) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    # As if the controller had died while an Associate was refused; and of a VSI that has gone.
    world.tables[S1].meters |= {gate_meter_id(number): opened(number) for number in (1, 9)}
    world.restart_controller()
    assert world.tables[S1].meters[gate_meter_id(1)] == shut(1)
    assert world.tables[S1].meters[gate_meter_id(9)] == shut(9)


def test_without_the_setting_a_restart_removes_the_rules_and_keeps_the_meter(world: World) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.fabric = two_switches()
    world.restart_controller()
    assert numbers(world) == set()
    assert world.tables[S1].meters[gate_meter_id(1)] == shut(1)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert passes(world)


# --- gates that open by rules alone ---------------------------------------------------------------
def test_a_second_program_at_a_port_has_no_meter(world: World) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, Vm(7, type=OPEN_2), VdpMode.ASSOCIATE)
    assert numbers(world) == set(), "the first one is gone"
    assert passes(world)


def test_of_two_places_at_one_switch_one_has_the_rule_for_frames_to_the_vm(world: World) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.ask(HV2, VM, VdpMode.PREASSOCIATE_RR)
    assert numbers(world) == {1, 2}
    body = world.rules(S1, CookieKind.VSI_BODY)
    assert sum(key.table == Table.FORWARD for key in body) == 1
    assert sum(key.table == Table.INGRESS for key in body) == 2


# --- numbers --------------------------------------------------------------------------------------
def stage(world: World, vm: Vm) -> None:
    world.ask(HV1, vm, VdpMode.PREASSOCIATE_RR)


def gone(world: World, vm: Vm) -> None:
    world.ask(HV1, vm, VdpMode.DEASSOCIATE)


def rest(world: World, vm: Vm) -> None:
    # Stations repeat themselves meanwhile; there are none here.
    world.advance(REST + 0.1)


def a_moment(world: World, vm: Vm) -> None:
    world.advance(1.0)


def reconnect(world: World, vm: Vm) -> None:
    world.disconnect(S1)
    world.connect(S1)


def restart(world: World, vm: Vm) -> None:
    world.restart_controller()


@pytest.mark.parametrize(
    ("steps", "number"),
    [
        ([], 1),
        ([stage], 2),
        ([stage, gone], 2),
        ([stage, gone, a_moment], 2),
        ([stage, gone, rest], 1),
        ([stage, gone, a_moment, reconnect, a_moment], 2),
        ([stage, gone, reconnect, rest], 1),
        ([stage, gone, restart], 2),
        ([stage, gone, restart, rest], 1),
        ([stage, restart], 2),
    ],
    ids=lambda steps: ", ".join(step.__name__ for step in steps) if isinstance(steps, list) else "",
)
def test_a_number_is_used_again_when_it_has_rested(world: World, steps: list[object], number: int) -> None:
    for step in steps:
        step(world, Vm(1))  # type: ignore[operator]
    before = numbers(world)
    stage(world, Vm(2))
    assert numbers(world) - before == {number}


def test_a_number_does_not_rest_while_its_switch_is_away(world: World) -> None:
    stage(world, Vm(1))
    world.disconnect(S1)
    gone(world, Vm(1))
    world.advance(REST + 5)
    world.connect(S1)
    before = numbers(world)
    stage(world, Vm(2))
    assert numbers(world) - before == {2}


def test_a_request_without_room_for_a_meter_is_refused_and_takes_no_number() -> None:
    base = metered().engine.wanted.budgeted(S1)[METERS]
    world = metered(capacity=SwitchCapacity(meters=base + 2))
    stage(world, Vm(1))
    stage(world, Vm(2))
    stage(world, Vm(3))
    assert world.answer(HV1).error is VdpError.INSUFFICIENT_RESOURCES
    assert "budget of meters" in [event.reason for event in world.happened if isinstance(event, VdpRefused)][-1]
    assert world.engine.ledger.used(S1, METERS) == 2
    assert numbers(world) == {1, 2}
    gone(world, Vm(1))
    world.advance(REST + 0.1)
    stage(world, Vm(3))
    assert world.answer(HV1).success


# --- gates of switches that prove their meters ----------------------------------------------------
def automatic() -> World:
    return World(with_gates(two_switches(), GateMode.AUTO))


def test_a_switch_that_has_proven_its_meters_has_them_used() -> None:
    world = automatic()
    world.connect()
    stage(world, VM)
    assert numbers(world) == {1}
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert passes(world)


def test_a_switch_that_has_not_opens_its_gates_by_rules_and_that_is_told() -> None:
    world = automatic()
    world.unproven[S1] = "a frame has passed"
    world.connect()
    stage(world, VM)
    assert numbers(world) == set()
    assert [(event.dpid, event.reason) for event in world.happened if isinstance(event, GatesUnproven)] == [
        (S1, "a frame has passed")
    ]
    gates = {status.switch.dpid: status.gate for status in BridgeQueries(world.engine).switches()}
    assert gates == {S1: GateMode.RULES, S2: GateMode.METER}
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert passes(world)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_staged_gate_loses_its_meter_when_the_proof_fails_the_next_time(restarts: bool) -> None:
    world = automatic()
    world.connect()
    stage(world, VM)
    world.unproven[S1] = "a frame has passed"
    if restarts:
        world.restart_controller()
    else:
        world.disconnect(S1)
        world.connect(S1)
    assert numbers(world) == set()
    assert not passes(world)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert passes(world)


def test_only_such_a_switch_is_asked_for_a_proof() -> None:
    fabric = two_switches()
    fabric.switches[S1] = replace(fabric.switches[S1], gate=GateMode.AUTO)
    fabric.switches[S2] = replace(fabric.switches[S2], gate=GateMode.METER)
    assert GateMeters(fabric).to_prove == {S1}
    plain = {dpid: switch.with_profile(Profile.OPENFLOW13) for dpid, switch in fabric.switches.items()}
    assert GateMeters(replace(fabric, switches=plain)).to_prove == set()
