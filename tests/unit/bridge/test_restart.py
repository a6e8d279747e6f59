"""A controller that dies: what was granted is still in force, what was not answered did not happen."""

from __future__ import annotations

from dataclasses import replace

import msgpack
import pytest

from ryu_apps.evb.pipeline.tables import CookieKind, parse_cookie
from ryu_apps.evb.vsi.records.attachment import AttachmentRecord, RecordError
from ryu_apps.evb.wire.vdp import RequestStatus, VdpError, VdpMode
from tests.unit.vcm.test_move import gate_ports
from tests.worlds.bridge import HV1, HV2, HV3, S1, S2, Vm, World

VM, OTHER = Vm(7), Vm(8)


@pytest.fixture
def world() -> World:
    world = World()
    world.connect()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV2, OTHER, VdpMode.ASSOCIATE)
    return world


def test_what_was_in_force_is_in_force_again_with_the_same_rules(world: World) -> None:
    before = world.snapshot()
    world.restart_controller()
    assert world.snapshot() == before
    assert gate_ports(world) == {HV1, HV2}


def test_keep_alive_after_a_restart_is_only_a_keep_alive(world: World) -> None:
    world.restart_controller()
    world.applied.clear()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV1).success and world.applied == []


def test_reservation_survives_and_can_be_used(world: World) -> None:
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    world.restart_controller()
    world.ask(HV3, VM, VdpMode.ASSOCIATE, migrating=True)
    assert world.answer(HV3).success
    assert gate_ports(world) == {HV3, HV2}


def test_stations_that_do_not_come_back_expire(world: World) -> None:
    world.restart_controller()
    world.advance(3.0)
    empty = World()
    empty.connect()
    world.advance(60.0)
    assert world.snapshot() == empty.snapshot()
    assert world.store == {}


@pytest.mark.parametrize("confirmed", [(), (S1,), (S2,)])
def test_flip_that_was_not_answered_goes_on(world: World, confirmed: tuple[int, ...]) -> None:
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    world.hold.update({S1, S2} - set(confirmed))
    world.ask(HV3, VM, VdpMode.ASSOCIATE, migrating=True)
    answers = len(world.sent[HV3])
    world.hold.clear()
    world.restart_controller()
    assert gate_ports(world) == {HV3, HV2}
    assert [tlv.MODE for tlv in world.sent[HV3][answers:]] == [VdpMode.ASSOCIATE] and world.answer(HV3).success


def test_flip_that_was_not_recorded_did_not_happen(world: World) -> None:
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    before = world.snapshot()
    world.store_delays = True
    world.ask(HV3, VM, VdpMode.ASSOCIATE, migrating=True)
    world.store_delays = False
    world.restart_controller()
    assert gate_ports(world) == {HV1, HV2}
    assert {dpid: rules.keys() for dpid, rules in world.snapshot().items()} == {
        dpid: rules.keys() for dpid, rules in before.items()
    }


def test_source_is_told_after_the_restart_if_it_was_not_before(world: World) -> None:
    world.ask(HV3, VM, VdpMode.ASSOCIATE, migrating=True)
    moved = dict(world.store)
    world.restart_controller()
    assert gate_ports(world) == {HV3, HV2}
    left = [key for key in moved if key.endswith(str(HV1))]
    assert left == []


def test_unanswered_staging_leaves_nothing_after_a_restart(world: World) -> None:
    before = world.snapshot()
    world.hold.add(S2)
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    (staging,) = {apply.dpid for apply in world.held}
    for apply in world.held:
        world.tables[staging].apply(apply.change)
    world.hold.clear()
    world.restart_controller()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV2, OTHER, VdpMode.ASSOCIATE)
    for _ in range(20):
        world.advance(1.0)
        world.ask(HV1, VM, VdpMode.ASSOCIATE)
        world.ask(HV2, OTHER, VdpMode.ASSOCIATE)
    assert world.snapshot() == before


def test_full_disk_refuses_new_promises_and_keeps_what_is_in_force(world: World) -> None:
    world.store_failure = "disk full"
    gates = {dpid: world.rules(dpid, CookieKind.GATE) for dpid in world.tables}
    for mode in (VdpMode.PREASSOCIATE, VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE):
        world.ask(HV3, VM, mode, migrating=True)
        assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES
    assert {dpid: world.rules(dpid, CookieKind.GATE) for dpid in world.tables} == gates
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV1).success
    assert any(happened.kind == "store.failed" for happened in world.happened)


@pytest.mark.parametrize("mode", [VdpMode.PREASSOCIATE, VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE])
def test_nothing_is_granted_before_it_is_saved(world: World, mode: VdpMode) -> None:
    world.store_delays = True
    assert world.ask(HV3, VM, mode, migrating=True) == []
    world.store_answers()
    assert world.answer(HV3).success and len(world.sent[HV3]) == 1


def test_store_that_takes_too_long_is_answered_for_and_nothing_comes_back_to_life(world: World) -> None:
    world.store_delays = True
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    for _ in range(2):
        world.advance(0.7)
        world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES
    world.store_answers()
    assert not any(str(HV3) in key for key in world.store)


def test_keep_alives_are_never_written(world: World) -> None:
    saved = dict(world.store)
    world.store_failure = "would be noticed"
    for _ in range(10):
        world.advance(1.0)
        world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV1).success and world.store == saved


def test_damaged_record_is_left_out_and_its_vsi_comes_back_with_a_keep_alive(world: World) -> None:
    damaged = next(key for key in world.store if VM.text in key)
    world.store[damaged] = world.store[damaged][:-3]
    world.restart_controller()
    assert world.engine.registry.named(VM.text) is None
    assert HV1 in gate_ports(world)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV1).success and gate_ports(world) == {HV1, HV2}


def test_changed_policy_is_staged_anew_by_the_next_keep_alive(world: World) -> None:
    import dataclasses

    from ryu_apps.evb.policy.model import PolicySet

    changed = {key: dataclasses.replace(vsi_type, digest="changed") for key, vsi_type in world.policies.types.items()}
    world.policies = PolicySet(changed)
    world.restart_controller()
    assert gate_ports(world) == {HV1, HV2}
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV1).success and gate_ports(world) == {HV1, HV2}


def test_records_of_another_schema_are_refused() -> None:
    with pytest.raises(RecordError):
        AttachmentRecord.decode(b"\x91\x63")


def test_left_station_is_told_by_a_deassociate(world: World) -> None:
    world.hold.add(S1)
    world.ask(HV3, VM, VdpMode.ASSOCIATE, migrating=True)
    world.release()
    told = world.sent[HV1][-1]
    assert told.MODE is VdpMode.DEASSOCIATE and isinstance(told.status, RequestStatus)


def test_gate_that_nobody_has_claimed_yet_goes_when_its_vsi_is_active_elsewhere(world: World) -> None:
    world.restart_controller(remembering=False)
    assert gate_ports(world) == {HV1, HV2}
    world.ask(HV3, VM, VdpMode.ASSOCIATE, migrating=True)
    assert world.answer(HV3).success
    assert gate_ports(world) == {HV3, HV2}


def test_switch_that_returns_with_the_gate_of_a_vsi_that_has_moved_loses_it(world: World) -> None:
    world.restart_controller(remembering=False)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.disconnect(S1)
    world.ask(HV3, VM, VdpMode.ASSOCIATE, migrating=True)
    world.connect(S1)
    assert gate_ports(world) == {HV3, HV2}


def test_unclaimed_gates_of_others_stay(world: World) -> None:
    world.restart_controller(remembering=False)
    before = world.rules(S1, CookieKind.GATE)
    third = Vm(9)
    world.ask(HV3, third, VdpMode.ASSOCIATE)
    assert before.items() <= world.rules(S1, CookieKind.GATE).items()


def test_index_of_a_record_that_would_not_go_stands_for_nobody_else_in_the_next_life(world: World) -> None:
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    world.restart_controller()
    world.store_failure = "disk full"
    world.ask(HV3, VM, VdpMode.PREASSOCIATE)
    world.store_failure = None
    world.ask(HV3, Vm(9), VdpMode.PREASSOCIATE_RR)
    world.restart_controller()
    bodies = [parse_cookie(rule.cookie) for rule in world.rules(S2, CookieKind.VSI_BODY).values()]
    assert len({(body.owner, body.generation) for body in bodies if body}) == len(
        {body.owner for body in bodies if body}
    )


def test_two_records_never_share_an_index(world: World) -> None:
    twin = next(key for key in world.store if key.endswith(str(HV1)))
    record = AttachmentRecord.decode(world.store[twin])
    world.store["vsi/twin"] = replace(record, port=HV2).encode()
    world.restart_controller()
    left_out = [happened for happened in world.happened if happened.kind == "vsi.not_restored"]
    assert "stands for another program" in str(left_out[0].detail["reason"])


def test_records_of_the_first_schema_are_taken_up_and_written_anew(world: World) -> None:
    world.advance(0.5)
    for key, data in world.store.items():
        schema, *fields, services = msgpack.unpackb(data)
        assert (schema, services) == (2, {"services": {}})
        world.store[key] = msgpack.packb([1, *fields])
    before = world.snapshot()
    world.restart_controller()
    assert world.snapshot() == before and gate_ports(world) == {HV1, HV2}
    world.ask(HV3, VM, VdpMode.ASSOCIATE, migrating=True)
    assert gate_ports(world) == {HV3, HV2}
    moved = next(data for key, data in world.store.items() if key.startswith("vsi/") and key.endswith(str(HV3)))
    assert msgpack.unpackb(moved)[0] == 2
