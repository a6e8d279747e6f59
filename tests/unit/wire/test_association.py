"""Behaviour of the bridge for one VSI at one port, against simulated switches."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.wire.filter_info import FilterInfo, MacVid
from ryu_apps.evb.wire.vdp import PreAssociate, RequestStatus, VdpError, VdpMode
from tests.worlds.bridge import EAGER, HV1, HV2, HV3, NMS_MAC, OPEN_2, S1, S2, Vm, World, two_switches

BODY = (CookieKind.TYPE_BODY, CookieKind.VSI_BODY)
VM = Vm(7)


@pytest.fixture
def world() -> World:
    world = World()
    world.connect()
    return world


def test_preassociate_is_granted_and_changes_no_switch(world: World) -> None:
    before = world.snapshot()
    world.ask(HV1, VM, VdpMode.PREASSOCIATE)
    assert world.answer(HV1).success
    assert world.snapshot() == before


def test_reservation_stages_a_body_without_a_gate(world: World) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    assert world.answer(HV1).success
    assert world.rules(S1, CookieKind.TYPE_BODY) and world.rules(S1, CookieKind.VSI_BODY)
    assert not world.rules(S1, CookieKind.GATE)
    assert not world.rules(S2, *BODY, CookieKind.GATE)


def test_reservation_is_answered_only_when_the_switch_has_confirmed(world: World) -> None:
    world.hold.add(S1)
    assert world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR) == []
    world.release()
    assert world.answer(HV1).success


def test_body_is_read_back_before_it_counts(world: World) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    assert {apply.mode for apply in world.applied if apply.change.blocks} == {Mode.STAGE}


def test_associate_opens_the_gate_on_every_switch_and_adds_nothing_else(world: World) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    before = world.snapshot()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV1).success
    for dpid in (S1, S2):
        after = world.tables[dpid].rules
        added = [key for key, rule in after.items() if before[dpid].get(key) != rule]
        assert all(key in world.rules(dpid, CookieKind.GATE, CookieKind.MEMBERSHIP) for key in added)
        assert world.rules(dpid, CookieKind.GATE)


def test_associate_is_one_atomic_change_a_switch(world: World) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.applied.clear()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert sorted((apply.dpid, apply.mode) for apply in world.applied) == [(S1, Mode.ATOMIC), (S2, Mode.ATOMIC)]


@pytest.mark.parametrize("slow", [S1, S2])
def test_associate_is_answered_only_when_all_switches_have_confirmed(world: World, slow: int) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.hold.add(slow)
    answers = len(world.ask(HV1, VM, VdpMode.ASSOCIATE))
    assert answers == 1
    world.release()
    assert world.answer(HV1).success and len(world.sent[HV1]) == 2


def test_associate_alone_ends_in_the_same_state(world: World) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    other = World()
    other.connect()
    other.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert other.answer(HV1).success
    assert other.snapshot() == world.snapshot()


def test_a_thousand_keep_alives_change_no_switch(world: World) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.applied.clear()
    for _ in range(1000):
        world.advance(1.3)
        world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.applied == []
    assert world.answer(HV1).success


def test_deassociate_leaves_the_tables_as_they_were(world: World) -> None:
    before = world.snapshot()
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    assert world.answer(HV1).success
    assert world.snapshot() == before
    assert len(world.engine.registry) == 0


def test_deassociate_is_answered_when_the_rules_are_gone(world: World) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.hold.add(S1)
    assert len(world.ask(HV1, VM, VdpMode.DEASSOCIATE)) == 1
    world.release()
    assert len(world.sent[HV1]) == 2 and world.sent[HV1][-1].MODE is VdpMode.DEASSOCIATE


def test_deassociate_of_an_unknown_vsi_succeeds(world: World) -> None:
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    assert world.answer(HV1).success


@pytest.mark.parametrize("mode", [VdpMode.PREASSOCIATE, VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE])
def test_silence_ends_a_vsi_at_the_computed_time_and_not_before(world: World, mode: VdpMode) -> None:
    before = world.snapshot()
    world.ask(HV1, VM, mode)
    timeout = world.engine.stations[HV1].evb.operational.keep_alive_timeout
    world.advance(timeout - 0.001)
    assert world.engine.registry.named(VM.text) is not None
    world.advance(0.002)
    assert world.engine.registry.named(VM.text) is None
    assert world.snapshot() == before
    farewell = world.sent[HV1][-1]
    assert farewell.MODE is VdpMode.DEASSOCIATE and isinstance(farewell.status, RequestStatus)


def test_unknown_type_is_refused_for_good(world: World) -> None:
    world.ask(HV1, Vm(7, type=VsiTypeKey(99, 1)), VdpMode.PREASSOCIATE)
    status = world.answer(HV1)
    assert (status.error, status.hard, status.keep) == (VdpError.OTHER_FAILURE, True, False)
    assert len(world.engine.registry) == 0


def test_address_of_another_vsi_is_refused(world: World) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    thief = Vm(8).tlv(VdpMode.ASSOCIATE)
    info = FilterInfo.of(MacVid(vid=VM.vid, mac=VM.mac))
    world.send(HV2, type(thief)(RequestStatus(), 1, 1, Vm(8).vsi_id, info))
    assert world.answer(HV2).error is VdpError.INVALID_VID_GROUP_MAC


def test_unspecified_vlan_is_filled_in_and_stays(world: World) -> None:
    nobody = Vm(7, vid=0)
    for mode in (VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE):
        world.ask(HV1, nobody, mode)
        assert world.answer(HV1).success
        assert world.sent[HV1][-1].filter_info.entries[0].vid == 100
    world.applied.clear()
    world.ask(HV1, Vm(7, vid=100), VdpMode.ASSOCIATE)
    assert world.answer(HV1).success and world.applied == []


def test_spent_budget_refuses_before_anything_is_written() -> None:
    world = World(fabric=two_switches(max_rules=3))
    world.connect()
    before = world.snapshot()
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    assert world.answer(HV1).error is VdpError.INSUFFICIENT_RESOURCES
    assert world.snapshot() == before
    assert world.engine.ledger.used(S1) == 0


def test_released_promises_can_be_made_again(world: World) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    assert world.engine.ledger.used(S1) > 0
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    assert world.engine.ledger.used(S1) == 0


def test_rejected_body_answers_insufficient_resources_and_leaves_nothing(world: World) -> None:
    before = world.snapshot()
    world.refuse[S1, Mode.STAGE] = "table full"
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    assert world.answer(HV1).error is VdpError.INSUFFICIENT_RESOURCES
    assert world.snapshot() == before
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    assert world.answer(HV1).success


@pytest.mark.parametrize("where", [S1, S2])
def test_rejected_gate_answers_insufficient_resources_and_leaves_nothing(world: World, where: int) -> None:
    before = world.snapshot()
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.refuse[where, Mode.ATOMIC] = "bundle failed"
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV1).error is VdpError.INSUFFICIENT_RESOURCES
    assert world.snapshot() == before


def test_switch_that_takes_too_long_is_answered_for_and_nothing_comes_back_to_life(world: World) -> None:
    before = world.snapshot()
    world.hold.add(S1)
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.advance(world.engine.stations[HV1].evb.operational.resource_wait_delay + 0.01)
    assert world.answer(HV1).error is VdpError.INSUFFICIENT_RESOURCES
    world.release()
    assert world.snapshot() == before
    assert len(world.engine.registry) == 0


def test_second_vsi_of_a_type_costs_a_handful_of_rules(world: World) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    shared = len(world.rules(S1, CookieKind.TYPE_BODY))
    first = len(world.tables[S1].rules)
    world.ask(HV2, Vm(8), VdpMode.PREASSOCIATE_RR)
    assert len(world.rules(S1, CookieKind.TYPE_BODY)) == shared
    assert len(world.tables[S1].rules) - first <= 16


def test_shared_body_stays_until_its_last_user_leaves(world: World) -> None:
    before = world.snapshot()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV2, Vm(8), VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    assert world.rules(S1, CookieKind.TYPE_BODY)
    world.ask(HV2, Vm(8), VdpMode.DEASSOCIATE)
    assert world.snapshot() == before


def test_types_that_ask_for_it_are_staged_at_a_plain_preassociate(world: World) -> None:
    world.ask(HV1, Vm(7, type=EAGER), VdpMode.PREASSOCIATE)
    assert world.rules(S1, CookieKind.VSI_BODY) and not world.rules(S1, CookieKind.GATE)


def test_changed_type_is_staged_beside_the_old_one_and_flipped(world: World) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.hold.add(S1)
    world.ask(HV1, Vm(7, type=OPEN_2), VdpMode.ASSOCIATE)
    assert len({rule.cookie for rule in world.rules(S1, CookieKind.GATE).values()}) == 1
    world.release()
    assert world.answer(HV1).success
    assert len({rule.cookie for rule in world.rules(S1, CookieKind.VSI_BODY).values()}) == 1
    assert len({rule.cookie for rule in world.rules(S1, CookieKind.TYPE_BODY).values()}) == 1


def test_old_type_of_a_station_that_keeps_both_alive_is_ended_there(world: World) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, Vm(7, type=OPEN_2), VdpMode.ASSOCIATE)
    world.applied.clear()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.sent[HV1][-1].MODE is VdpMode.DEASSOCIATE and world.sent[HV1][-1].version == 1
    assert world.applied == []


def test_refused_change_of_a_live_vsi_keeps_the_old_state(world: World) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    before = world.snapshot()
    world.refuse[S1, Mode.STAGE] = "no"
    world.ask(HV1, Vm(7, type=OPEN_2), VdpMode.ASSOCIATE)
    status = world.answer(HV1)
    assert status.keep and status.error is VdpError.INSUFFICIENT_RESOURCES
    assert world.snapshot() == before


def test_request_from_a_port_that_is_not_ready_waits_for_the_switch() -> None:
    world = World()
    world.connect(S2)
    world.hold.add(S1)
    world.connect(S1)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert HV1 not in world.sent
    world.release()
    assert world.answer(HV1).success


def test_malformed_request_is_counted_and_answered_invalid_format(world: World) -> None:
    tlv = VM.tlv(VdpMode.PREASSOCIATE)
    assert isinstance(tlv, PreAssociate)
    world.ask(HV3, VM, VdpMode.PREASSOCIATE)
    assert world.engine.stations[HV3].counters["malformed"] == 0


def test_ports_that_ask_for_it_are_staged_at_a_plain_preassociate() -> None:
    fabric = two_switches()
    interfaces = fabric.switches[S1].interfaces
    interfaces[HV1.port_no] = replace(interfaces[HV1.port_no], stage_on_preassociate=True)
    world = World(fabric=fabric)
    world.connect()
    world.ask(HV2, Vm(8), VdpMode.PREASSOCIATE)
    assert not world.rules(S1, CookieKind.VSI_BODY)
    world.ask(HV1, VM, VdpMode.PREASSOCIATE)
    assert world.rules(S1, CookieKind.VSI_BODY) and not world.rules(S1, CookieKind.GATE)


@pytest.mark.parametrize(
    "entry",
    [MacVid(vid=100, mac=NMS_MAC), MacVid(vid=4095, mac=VM.mac), MacVid(vid=100, mac=0x01005E000001), MacVid(100, 0)],
    ids=["of a configured host", "reserved VID", "group address", "no address"],
)
def test_addresses_that_no_vsi_may_have_are_refused(world: World, entry: MacVid) -> None:
    world.send(HV1, PreAssociate(RequestStatus(), 1, 1, VM.vsi_id, FilterInfo.of(entry)))
    assert world.answer(HV1).error is VdpError.INVALID_VID_GROUP_MAC
