"""Group memberships move with the VM; they survive aborts, expiry and restarts."""

from __future__ import annotations

import pytest

from ryu_apps.evb.events.effect import Mode, Save
from ryu_apps.evb.model import MulticastGroup
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.snooping.settings import Querying, Snooping
from ryu_apps.evb.snooping.timers import MembershipTimers
from ryu_apps.evb.vsi.reservation import RULES
from ryu_apps.evb.wire import igmp, mld
from ryu_apps.evb.wire.group_record import RecordType
from ryu_apps.evb.wire.igmp import Query3
from ryu_apps.evb.wire.mld import Query2
from ryu_apps.evb.wire.vdp import VdpError, VdpMode
from tests.worlds.bridge import HV1, HV2, HV3, NMS, NMS_MAC, OPEN, S1, S2, VLAN, Vm, World
from tests.worlds.multicast import (
    CONFIGURED,
    FIXED,
    NARROW,
    SIX,
    Arrival,
    G,
    H,
    S,
    T,
    join,
    leave,
    multicast_world,
    queries,
    receivers,
    restart_changes_nothing,
    say,
    stream,
    tell,
    vm,
)

A, B = vm(1), vm(2)
versions = pytest.mark.parametrize("group", [G, SIX], ids=["IPv4", "IPv6"])


@pytest.fixture
def world() -> World:
    world = multicast_world()
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    world.ask(HV2, B, VdpMode.ASSOCIATE)
    return world


def groups(world: World, guest: Vm) -> set[MulticastGroup]:
    vsi = world.engine.registry.named(guest.text)
    assert vsi is not None
    return {group for _, group in vsi.listener.memberships}


# --- the move ---------------------------------------------------------------------------------------
@versions
def test_a_staged_vm_receives_nothing_and_an_associated_one_at_once(world: World, group: MulticastGroup) -> None:
    join(world, HV1, A, group)
    world.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    assert HV3 not in {arrival.port for arrival in stream_from_nms(world, group)}
    assert receivers(world, group) == [0, 1]
    world.ask(HV3, A, VdpMode.ASSOCIATE)
    assert [arrival.port for arrival in stream_from_nms(world, group) if arrival.dst == A.mac] == [HV3]
    assert receivers(world, group) == [0, 1]


def stream_from_nms(world: World, group: MulticastGroup) -> list[Arrival]:
    return stream(world, NMS, NMS_MAC, group)


def test_sources_go_along(world: World) -> None:
    join(world, HV1, A, G, S)
    world.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    world.ask(HV3, A, VdpMode.ASSOCIATE)
    assert receivers(world, G, S) == [0, 1]
    assert receivers(world, G, T) == [0]


def test_what_is_joined_between_staging_and_associate_goes_along(world: World) -> None:
    world.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    join(world, HV1, A, G)
    world.ask(HV3, A, VdpMode.ASSOCIATE)
    assert receivers(world, G) == [0, 1]


def test_a_source_that_lets_go_first_leaves_the_membership_to_its_successor(world: World) -> None:
    join(world, HV1, A, G)
    world.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    world.ask(HV1, A, VdpMode.DEASSOCIATE)
    assert receivers(world, G) == [0]
    world.ask(HV3, A, VdpMode.ASSOCIATE)
    assert receivers(world, G) == [0, 1]


def test_the_source_keeps_nothing_once_its_last_member_is_gone(world: World) -> None:
    join(world, HV1, A, G)
    world.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    world.ask(HV3, A, VdpMode.ASSOCIATE)
    copies = [rule.table for rule in world.rules(S1).values() if ("ipv4_dst", int(G), None) in rule.match]
    assert copies == [Table.GROUPS]  # to the trunk
    world.ask(HV3, A, VdpMode.DEASSOCIATE)
    world.ask(HV2, B, VdpMode.DEASSOCIATE)
    assert world.snapshot() == multicast_world().snapshot()


def test_an_aborted_move_changes_nothing(world: World) -> None:
    join(world, HV1, A, G)
    before = world.snapshot()
    world.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    world.ask(HV3, A, VdpMode.DEASSOCIATE)
    assert world.snapshot() == before
    assert receivers(world, G) == [0, 1]


def test_a_refused_flip_leaves_the_membership_where_it_was(world: World) -> None:
    join(world, HV1, A, G)
    world.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    world.refuse[S2, Mode.ATOMIC] = "table full"
    world.ask(HV3, A, VdpMode.ASSOCIATE)
    assert not world.answer(HV3).success
    assert [arrival.port for arrival in stream_from_nms(world, G) if arrival.dst == A.mac] == [HV1]


def test_ping_pong_leaves_no_trace(world: World) -> None:
    join(world, HV1, A, G)
    tell(world, HV1, A, RecordType.BLOCK, G, S)
    before = {dpid: {key.match for key in rules} for dpid, rules in world.snapshot().items()}
    counts = {dpid: len(rules) for dpid, rules in world.snapshot().items()}
    for port in (HV3, HV1) * 10:
        world.ask(port, A, VdpMode.PREASSOCIATE_RR)
        world.ask(port, A, VdpMode.ASSOCIATE)
    assert {dpid: len(rules) for dpid, rules in world.snapshot().items()} == counts
    assert before
    assert receivers(world, G, S) == [0]
    assert receivers(world, G) == [0, 1]


def test_configured_groups_come_with_the_type(world: World) -> None:
    other = Vm(1, CONFIGURED)
    world.ask(HV3, other, VdpMode.PREASSOCIATE_RR)
    assert receivers(world, FIXED) == [0]
    world.ask(HV3, other, VdpMode.ASSOCIATE)
    assert receivers(world, FIXED) == [0, 1]


@pytest.mark.parametrize("mode", [VdpMode.PREASSOCIATE, VdpMode.PREASSOCIATE_RR], ids=["probe", "reservation"])
def test_a_type_with_too_little_room_refuses_the_groups(world: World, mode: VdpMode) -> None:
    join(world, HV1, A, G)
    join(world, HV1, A, H)
    world.ask(HV3, Vm(1, NARROW), mode)
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES
    assert receivers(world, G) == [0, 1]


def test_a_switch_without_room_for_the_groups_refuses_them() -> None:
    world = multicast_world()
    world.engine.ledger.limit(S2, {RULES: 100})
    world.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES
    world.engine.ledger.limit(S2, {RULES: 1000})
    world.ask(HV3, B, VdpMode.PREASSOCIATE_RR)
    assert world.answer(HV3).success


# --- asking the one port ---------------------------------------------------------------------------------
def test_after_a_move_the_vm_alone_is_asked_in_the_form_it_speaks(world: World) -> None:
    join(world, HV1, A, G)
    join(world, HV1, A, H, version=2)
    join(world, HV1, A, SIX, version=2)
    join(world, HV2, B, G)
    world.advance(60.0)
    world.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    queries(world)
    world.ask(HV3, A, VdpMode.ASSOCIATE)
    world.advance(0.0)
    asked = queries(world)
    assert {(port, dst) for port, dst, _ in asked} == {(HV3, A.mac)}
    specific = [query for _, _, query in asked if int(query.group)]
    assert specific == [
        Query3(G, max_response_code=10),
        igmp.IgmpV1V2(igmp.IgmpType.QUERY, H, 10),
        mld.MldV1(mld.MldType.QUERY, SIX, 1000),
    ]
    general = [query for _, _, query in asked if not int(query.group)]
    assert general == [Query3(max_response_code=10), Query2(max_response_code=1000)]


def test_what_a_moved_vm_does_not_confirm_is_left(world: World) -> None:
    join(world, HV1, A, G)
    join(world, HV1, A, H)
    world.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    world.ask(HV3, A, VdpMode.ASSOCIATE)
    world.advance(0.5)
    tell(world, HV3, A, RecordType.IS_EXCLUDE, G)
    world.advance(10.0)
    assert groups(world, A) == {G}
    assert (receivers(world, G), receivers(world, H)) == ([0, 1], [0])


def test_a_moved_vm_that_says_nothing_keeps_everything(world: World) -> None:
    join(world, HV1, A, G)
    world.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    world.ask(HV3, A, VdpMode.ASSOCIATE)
    world.advance(3600.0)
    assert receivers(world, G) == [0, 1]


# --- queriers ---------------------------------------------------------------------------------------
def test_without_a_querier_a_membership_lasts_and_nobody_is_asked(world: World) -> None:
    join(world, HV1, A, G)
    world.advance(10.0)
    queries(world)
    world.advance(7200.0)
    assert queries(world) == []
    assert receivers(world, G) == [0, 1]


def test_the_querier_asks_vms_that_are_snooped_and_hosts_and_silence_expires() -> None:
    world = multicast_world(Snooping())
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    world.ask(HV2, Vm(9, OPEN), VdpMode.ASSOCIATE)
    join(world, HV1, A, G)
    world.advance(20.0)
    queries(world)
    world.advance(30.0)
    ports = [(port, dst) for port, dst, _ in queries(world)]
    assert ports.count((HV1, A.mac)) == 2  # IGMP and MLD
    assert {port.port_no for port, _ in ports} == {HV1.port_no, NMS.port_no}
    world.advance(200.0)
    tell(world, HV1, A, RecordType.IS_EXCLUDE, G)
    world.advance(200.0)
    assert receivers(world, G) == [0, 1, 9]
    world.advance(70.0)
    assert receivers(world, G) == [0, 9]


def test_a_router_silences_the_querier_and_makes_memberships_age() -> None:
    world = multicast_world(Snooping())
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    join(world, HV1, A, G)
    say(world, NMS, NMS_MAC, Query3())
    world.advance(3.0)
    queries(world)
    world.advance(200.0)
    assert {type(query) for _, _, query in queries(world)} == {Query2}
    say(world, NMS, NMS_MAC, Query3())
    world.advance(55.0)
    assert receivers(world, G) == [0, 1]
    world.advance(10.0)
    assert receivers(world, G) == [0]


def test_a_vlan_may_be_an_exception() -> None:
    quick = Querying(timers=MembershipTimers(query_interval=10.0))
    world = multicast_world(Snooping(Querying(on=False), {VLAN: quick}))
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    world.advance(5.0)
    queries(world)
    world.advance(20.0)
    assert len([query for port, _, query in queries(world) if port == HV1 and isinstance(query, Query3)]) == 2


def test_silence_during_a_move_means_nothing() -> None:
    world = multicast_world(Snooping())
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    join(world, HV1, A, G)
    world.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    world.advance(1000.0)
    assert receivers(world, G) == [0, 1]


# --- what outlives the controller -------------------------------------------------------------------------
def test_a_restart_loses_no_membership_and_changes_no_rule(world: World) -> None:
    join(world, HV1, A, G, S)
    join(world, HV1, A, SIX)
    world.advance(1.0)
    restart_changes_nothing(world)
    assert receivers(world, G, S) == [0, 1]
    assert receivers(world, SIX) == [0, 1]


def test_a_leave_that_nobody_heard_is_found_out_after_the_restart(world: World) -> None:
    join(world, HV1, A, G)
    join(world, HV1, A, H)
    world.advance(1.0)
    world.restart_controller()
    world.advance(0.1)
    tell(world, HV1, A, RecordType.IS_EXCLUDE, H)
    world.advance(5.0)
    assert groups(world, A) == {H}


def test_a_restart_while_the_vm_is_nowhere_remembers_what_was_staged(world: World) -> None:
    join(world, HV1, A, G)
    world.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    world.ask(HV1, A, VdpMode.DEASSOCIATE)
    world.restart_controller()
    world.ask(HV3, A, VdpMode.ASSOCIATE)
    assert receivers(world, G) == [0, 1]


def test_what_was_left_before_a_restart_does_not_come_back_from_the_staged_record(world: World) -> None:
    join(world, HV1, A, G)
    world.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    leave(world, HV1, A, G)
    world.advance(3.0)
    world.restart_controller()
    assert (groups(world, A), receivers(world, G)) == (set(), [0])


def test_joins_are_recorded_no_more_often_than_five_times_a_second(world: World) -> None:
    # The marks of gates that are open have gone.
    world.advance(0.5)
    saves: list[Save] = []
    save = world._save
    world._save = lambda effect: (saves.append(effect), save(effect))[1]  # type: ignore[method-assign]
    for number in range(16):
        join(world, HV1, A, G + number)
    world.advance(1.0)
    assert 1 <= len(saves) <= 2
    assert len(groups(world, A)) == 16
    world.restart_controller()
    assert len(groups(world, A)) == 16


def test_a_store_that_refuses_is_asked_again(world: World) -> None:
    world.store_failure = "disk full"
    join(world, HV1, A, G)
    world.advance(1.0)
    world.store_failure = None
    world.advance(10.0)
    world.restart_controller()
    assert groups(world, A) == {G}


def test_a_switch_that_was_away_catches_up(world: World) -> None:
    world.disconnect(S1)
    world.ask(HV3, vm(3), VdpMode.ASSOCIATE)
    join(world, HV3, vm(3), G)
    world.connect(S1)
    world.advance(0.1)
    assert receivers(world, G, port=NMS) == [0, 3]
