"""Bandwidth of VSIs: limits that are staged, follow the VM, and cost no other VM a frame."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.event_catalogue.switches import RulesDrifted
from ryu_apps.evb.flow.rule import Meter, MeterUnit
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import CookieKind, Table, policer_id
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.services.bandwidth.schema import BandwidthLimit, BandwidthPolicy
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.switches.audit import INTERVAL
from ryu_apps.evb.vsi.idle_meters import LINGER
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import CLIENT, CLIENT_MAC, HV1, HV2, HV3, NMS, NMS_MAC, S1, S2, Vm
from tests.worlds.counting import BROADCAST, udp
from tests.worlds.limited import BOTH, FROM, RECEIVING, SENDING, TO, LimitedWorld

VM, NEIGHBOUR = Vm(7, type=BOTH), Vm(8, type=BOTH)
LIMITS = [(2000, 200, MeterUnit.KILOBITS), (3000, 300, MeterUnit.KILOBITS)]


@pytest.fixture
def world() -> LimitedWorld:
    world = LimitedWorld()
    world.connect()
    return world


def load(bandwidth: str) -> tuple[BandwidthPolicy | None, list[str]]:
    head = "version: 1\nvsi_type: {type_id: 9, version: 1, name: some}\n"
    policies, found = load_policies([("some.yaml", f"{head}bandwidth: {bandwidth}\n")], SECTIONS)
    types = [] if policies is None else list(policies.types.values())
    return (types[0].service("bandwidth") if types else None), [str(mistake) for mistake in found]


def rates(limits: list[Meter]) -> list[tuple[int, int, MeterUnit]]:
    return [(meter.rate, meter.burst, meter.unit) for meter in limits]


def from_vm(vm: Vm, destination: int = NMS_MAC) -> dict[str, int]:
    return udp(vm.mac, destination, src_ip=int(vm.address))


# --- the section of a policy file -----------------------------------------------------------------
def test_a_section_is_read_with_its_defaults() -> None:
    assert load("{from_vm: {rate: 50000}, to_vm: {minimum: 7}}") == (
        BandwidthPolicy(BandwidthLimit(50000, 5000), BandwidthLimit(minimum=7)),
        [],
    )
    assert load("{from_vm: {rate: 10}}")[0] == BandwidthPolicy(BandwidthLimit(10, 1000), BandwidthLimit())


@pytest.mark.parametrize(
    ("section", "place", "reason"),
    [
        ("{}", "3:12", "from_vm or to_vm was expected"),
        ("{to_vm: {}}", "3:20", "a rate or a minimum was expected"),
        ("{to_vm: {minimum: 5, burst: 100}}", "3:20", "burst needs rate"),
        ("{to_vm: {rate: 5, minimum: 6}}", "3:20", "the minimum of 6 is above the rate of 5"),
        ("{to_vm: {rate: 0}}", "3:27", "greater than or equal to 1"),
        ("{to_vm: {rate: 5, burst: 12}}", "3:37", "greater than or equal to 13"),
        ("{to_vm: {rate: fast}}", "3:27", "integer"),
        ("{to_vm: {rte: 5}}", "3:21", "unknown key 'rte' (did you mean 'rate'?)"),
        ("{ingress: {rate: 5}}", "3:13", "unknown key 'ingress'"),
    ],
)
def test_mistakes_have_their_place_and_reason(section: str, place: str, reason: str) -> None:
    policy, (mistake, *_) = load(section)
    assert policy is None and f"some.yaml:{place}" in mistake and reason in mistake


# --- staging --------------------------------------------------------------------------------------
def test_the_meters_are_staged_with_the_body_and_limit_nothing_before_the_gate_opens(world: LimitedWorld) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    assert rates(world.limits(S1)) == LIMITS and world.limits(S2) == []
    assert world.carry(HV1, from_vm(VM)) == []
    assert not any(gauge.packets for gauge in world.gauges[S1].values())


def test_a_station_is_not_answered_before_the_meters_are_confirmed(world: LimitedWorld) -> None:
    world.hold.add(S1)
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    assert HV1 not in world.sent
    world.release()
    assert not world.answer(HV1).error


# --- limits ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("vm", [VM, Vm(7, type=SENDING)])
def test_what_a_vm_sends_beyond_its_rate_is_dropped(world: LimitedWorld, vm: Vm) -> None:
    world.ask(HV1, vm, VdpMode.ASSOCIATE)
    for destination in (NMS_MAC, CLIENT_MAC, BROADCAST):
        assert world.carry(HV1, from_vm(vm, destination))
    world.exhaust(S1, vm, FROM)
    for destination in (NMS_MAC, CLIENT_MAC, BROADCAST):
        assert world.carry(HV1, from_vm(vm, destination)) == []
    assert [copy.port for copy in world.carry(NMS, udp(NMS_MAC, vm.mac))] == [HV1]


@pytest.mark.parametrize("vm", [VM, Vm(7, type=RECEIVING)])
def test_what_is_sent_to_a_vm_beyond_its_rate_is_dropped(world: LimitedWorld, vm: Vm) -> None:
    world.ask(HV1, vm, VdpMode.ASSOCIATE)
    assert [copy.port for copy in world.carry(CLIENT, udp(CLIENT_MAC, vm.mac))] == [HV1]
    world.exhaust(S1, vm, TO)
    assert world.carry(CLIENT, udp(CLIENT_MAC, vm.mac)) == []
    assert world.carry(NMS, udp(NMS_MAC, vm.mac)) == []
    assert world.carry(HV1, from_vm(vm))


def test_a_vm_at_its_limit_costs_others_no_copy_of_a_broadcast(world: LimitedWorld) -> None:
    """The copies of a page are one list of actions; the VM at its limit is the first in it, and the last."""
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV2, NEIGHBOUR, VdpMode.ASSOCIATE)
    for limited, other in ((VM, HV2), (NEIGHBOUR, HV1)):
        world.exceeded.clear()
        world.exhaust(S1, limited, TO)
        assert {copy.port for copy in world.carry(CLIENT, udp(CLIENT_MAC, BROADCAST))} == {NMS, other}


def test_statistics_count_what_passes(world: LimitedWorld) -> None:
    vm = Vm(7, type=RECEIVING)
    world.ask(HV1, vm, VdpMode.ASSOCIATE)
    counted = [rule.meter for rule in world.tables[S1].rules.values() if rule.table == Table.COUNTED_TO]
    world.carry(NMS, udp(NMS_MAC, vm.mac), times=3)
    world.exhaust(S1, vm, TO)
    world.carry(NMS, udp(NMS_MAC, vm.mac), times=4)
    assert [world.gauges[S1][meter].packets for meter in counted if meter is not None] == [3]


def test_all_addresses_of_a_vsi_share_its_limit(world: LimitedWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    gate = [rule for rule in world.tables[S1].rules.values() if rule.table == Table.INGRESS and rule.meter is not None]
    assert {rule.meter for rule in gate} == {policer_id(FROM, world.index(VM))}


def test_frames_that_get_a_default_priority_are_limited_too() -> None:
    text = "version: 1\nvsi_type: {type_id: 9, version: 1, name: some}\nbandwidth: {from_vm: {rate: 5}}\n"
    policies, found = load_policies(
        [("some.yaml", f"{text}network: {{pcp: 5}}\nfrom_vm: {{default: allow}}\n")], SECTIONS
    )
    assert policies is not None, found
    world, vm = LimitedWorld(policies=policies), Vm(7, type=VsiTypeKey(9, 1))
    world.connect()
    world.ask(HV1, vm, VdpMode.ASSOCIATE)
    gate = [rule for rule in world.tables[S1].rules.values() if rule.table == Table.INGRESS and rule.metadata]
    assert [rule.meter for rule in gate if rule.cookie >> 44 & 0xF == CookieKind.GATE] == [
        policer_id(FROM, world.index(vm))
    ] * 2


# --- moves ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("target", [HV2, HV3])
def test_a_vm_that_moves_has_one_limit_in_force_at_each_instant(world: LimitedWorld, target: object) -> None:
    """The limit of the source ends with its gate; at the destination there is no way around its own."""
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    source = policer_id(FROM, world.index(VM))
    world.ask(target, VM, VdpMode.PREASSOCIATE_RR)  # type: ignore[arg-type]
    users = [rule.meter for table in world.tables.values() for rule in table.rules.values() if rule.table == 10]
    assert {meter for meter in users if meter is not None} == {source}
    world.ask(target, VM, VdpMode.ASSOCIATE)  # type: ignore[arg-type]
    users = [rule.meter for table in world.tables.values() for rule in table.rules.values() if rule.table == 10]
    assert {meter for meter in users if meter is not None} == {policer_id(FROM, world.index(VM))} != {source}


def test_a_limit_follows_the_vm_and_leaves_the_source(world: LimitedWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    assert rates(world.limits(S2)) == LIMITS
    assert rates(world.limits(S1)) == LIMITS, "a cached flow may use them yet"
    world.advance(LINGER + 0.1)
    assert world.limits(S1) == [] and rates(world.limits(S2)) == LIMITS


def test_an_aborted_move_leaves_no_meter(world: LimitedWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    world.ask(HV3, VM, VdpMode.DEASSOCIATE)
    world.advance(LINGER + 0.1)
    assert world.limits(S2) == [] and rates(world.limits(S1)) == LIMITS


def test_a_vm_that_comes_back_at_once_keeps_its_meter(world: LimitedWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.advance(LINGER + 0.1)
    assert [meter.meter_id for meter in world.limits(S1)] == [
        policer_id(direction, world.index(VM)) for direction in (FROM, TO)
    ]


# --- faults ---------------------------------------------------------------------------------------
def meters(world: LimitedWorld) -> dict[int, Meter]:
    return dict(world.tables[S1].meters)


def test_a_meter_that_was_deleted_is_back_with_the_rules_that_name_it(world: LimitedWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    before, rules = meters(world), world.snapshot()
    world.delete_objects(S1, rules=(), meters=[meter.meter_id for meter in world.limits(S1)])
    world.advance(1.5)
    assert meters(world) == before and world.snapshot() == rules


@pytest.mark.parametrize("wrong", [{"rate": 9}, {"burst": 9}, {"unit": MeterUnit.PACKETS}])
def test_an_audit_corrects_a_meter_that_was_altered(world: LimitedWorld, wrong: dict[str, object]) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    before = meters(world)
    altered = world.limits(S1)[0]
    world.tables[S1].meters[altered.meter_id] = replace(altered, **wrong)  # type: ignore[arg-type]
    for _ in range(int(INTERVAL) + 1):
        world.advance(1.0)
        world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert meters(world) == before
    assert [event.restored for event in world.happened if isinstance(event, RulesDrifted)] == [1]


def test_an_audit_removes_a_meter_without_a_vsi(world: LimitedWorld) -> None:
    stray = Meter(policer_id(TO, 77), 1, 13, MeterUnit.KILOBITS)
    world.tables[S1].meters[stray.meter_id] = stray
    world.advance(INTERVAL + 1)
    assert world.limits(S1) == []


def test_a_restart_of_the_controller_leaves_the_meters_as_they_are(world: LimitedWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.carry(HV1, from_vm(VM), times=5)
    world.restart_controller()
    assert rates(world.limits(S1)) == LIMITS
    assert world.gauges[S1][policer_id(FROM, world.index(VM))].packets == 5, "written anew it would begin at 0"
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    world.advance(LINGER + 0.1)
    assert world.limits(S1) == []


def test_a_restart_of_the_switch_brings_the_meters_back(world: LimitedWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.restart_switch(S1)
    assert rates(world.limits(S1)) == LIMITS
    assert [copy.port for copy in world.carry(HV1, from_vm(VM))] == [NMS]


def test_another_rate_is_another_type_and_takes_the_place_of_the_old_one(world: LimitedWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    slower = Vm(7, type=SENDING)
    world.ask(HV1, slower, VdpMode.ASSOCIATE)
    world.advance(LINGER + 0.1)
    assert rates(world.limits(S1)) == [(2000, 1000, MeterUnit.KILOBITS)]
    assert VsiTypeKey(*slower.type) == SENDING
