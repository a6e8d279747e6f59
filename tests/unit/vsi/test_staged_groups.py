"""Multicast groups are on the switches when a Pre-Associate with reservation is answered; the flip alone opens them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv6Address

import pytest

from ryu_apps.evb.events.effect import Apply, Mode
from ryu_apps.evb.events.other import OperatorDeassociate, TimerExpired
from ryu_apps.evb.flow.actions import RegLoad
from ryu_apps.evb.flow.rule import RuleKey
from ryu_apps.evb.model import MulticastGroup, VsiTypeKey
from ryu_apps.evb.pipeline.multicast import MAX_TESTED_GATES
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.services.multicast.schema import MulticastPolicy
from ryu_apps.evb.simulation.switch import forward
from ryu_apps.evb.snooping.settings import Querying, Snooping
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.group_installer import SLICE
from ryu_apps.evb.wire.membership import group_mac
from ryu_apps.evb.wire.vdp import VdpError, VdpMode
from tests.worlds.bridge import HV1, HV2, HV3, HV4, NMS, S1, S2, Vm, World, two_switches
from tests.worlds.effort import calls
from tests.worlds.multicast import (
    CONFIGURED,
    FIXED,
    SIX,
    TYPES,
    G,
    H,
    S,
    T,
    join,
    leave,
    receivers,
    restart_changes_nothing,
    snooped_type,
    vm,
)

A, B = vm(1), vm(2)
#: Configures as many groups as it allows, of both versions of IP.
MANY = VsiTypeKey(13, 1)
MANY_GROUPS: tuple[MulticastGroup, ...] = (
    *(IPv4Address("239.2.0.0") + number for number in range(50)),
    *(IPv6Address("ff0e::100") + number for number in range(50)),
)
#: The same with a part of them, still too many for the rules of all to be computed at once.
FEWER, FEWER_GROUPS = VsiTypeKey(14, 1), MANY_GROUPS[30:70]
#: Calls of Python functions by which a group may lengthen an Associate before its answer.
CALLS_OF_A_GROUP = 6
versions = pytest.mark.parametrize("group", [G, SIX], ids=["IPv4", "IPv6"])


def without_hosts() -> Fabric:
    """Two switches without receivers of every group, so that no trunk carries a group that has no member behind it."""
    fabric = two_switches(Timers(rka=30))
    switches = {
        dpid: replace(switch, interfaces={number: port for number, port in switch.interfaces.items() if number != 3})
        for dpid, switch in fabric.switches.items()
    }
    return replace(fabric, switches=switches)


def many_world(fabric: Fabric | None = None) -> World:
    many = {MANY: MANY_GROUPS, FEWER: FEWER_GROUPS}
    policies = {key: snooped_type(key, MulticastPolicy(groups, max_groups=200)) for key, groups in many.items()}
    types = PolicySet({**TYPES, **policies})
    querying = Snooping(Querying(on=False))
    world = World(fabric=fabric or two_switches(Timers(rka=30)), policies=types, snooping=querying)
    world.connect()
    return world


@pytest.fixture
def world() -> World:
    world = many_world()
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    return world


def ask(world: World, port: PortId, guest: Vm, mode: VdpMode) -> None:
    """Send a request, and give the bridge the time that it takes for many groups."""
    world.ask(port, guest, mode)
    world.advance(0.001)


def named(world: World, dpid: int, group: MulticastGroup) -> list[RuleKey]:
    """The rules of a switch that name a group."""
    field = f"ipv{group.version}_dst", int(group), None
    return [key for key in world.rules(dpid) if field in key.match]


def flip(world: World, guest: Vm) -> list[Apply]:
    """The changes by which the gate of a staged VSI opens at HV3."""
    world.applied.clear()
    world.hold |= {S1, S2}
    world.ask(HV3, guest, VdpMode.ASSOCIATE)
    opening = list(world.held)
    world.release()
    return opening


def length(changes: list[Apply]) -> list[tuple[int, int]]:
    return [(change.dpid, len(change.change.add) + len(change.change.remove)) for change in changes]


# --- staged -----------------------------------------------------------------------------------------
@versions
def test_groups_are_on_every_switch_when_the_reservation_is_answered(world: World, group: MulticastGroup) -> None:
    join(world, HV1, A, group)
    world.hold |= {S2}
    world.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    assert HV3 not in world.sent
    world.release()
    assert world.answer(HV3).success
    tables = {dpid: {key.table for key in named(world, dpid, group)} for dpid in (S1, S2)}
    assert tables == {S1: {Table.GROUPS, Table.GROUP_PAGE}, S2: {Table.GROUPS, Table.GROUP_PAGE}}


@pytest.mark.parametrize("guest", [vm(1), vm(1, CONFIGURED), vm(1, MANY)], ids=["joined", "configured", "many"])
def test_a_flip_changes_as_many_rules_as_without_groups(guest: Vm) -> None:
    lengths = []
    for groups in (0, 12):
        world = many_world()
        # The type of the VM where it comes from has no groups of its own.
        world.ask(HV1, A, VdpMode.ASSOCIATE)
        for number in range(groups if guest.type != MANY else 0):
            join(world, HV1, A, G + number)
        ask(world, HV3, guest, VdpMode.PREASSOCIATE_RR)
        opening = flip(world, guest)
        assert {change.mode for change in opening} == {Mode.ATOMIC}
        assert not [rule for change in opening for rule in change.change.add if "_dst" in str(rule.match[-1].name)]
        lengths.append(length(opening))
    assert lengths[0] == lengths[1]
    assert receivers(world, MANY_GROUPS[7] if guest.type == MANY else G) == [0, 1]


def test_an_associate_without_a_reservation_stages_first() -> None:
    world = many_world()
    world.hold |= {S1, S2}
    world.ask(HV3, vm(1, MANY), VdpMode.ASSOCIATE)
    assert not [apply for apply in world.held if any(rule.table == Table.GROUP_GATE for rule in apply.change.add)]
    world.release()
    world.advance(0.001)
    assert world.answer(HV3).success
    assert receivers(world, MANY_GROUPS[0], port=NMS) == [0, 1]


# --- nothing before the flip -------------------------------------------------------------------------
@versions
def test_a_trunk_carries_nothing_for_a_staged_port(group: MulticastGroup) -> None:
    world = many_world(without_hosts())
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    world.ask(HV2, B, VdpMode.ASSOCIATE)
    join(world, HV1, A, group)
    world.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    assert crossings(world, group) == 0
    world.ask(HV3, A, VdpMode.ASSOCIATE)
    assert crossings(world, group) == 1
    world.ask(HV3, A, VdpMode.DEASSOCIATE)
    assert crossings(world, group) == 0


def crossings(world: World, group: MulticastGroup) -> int:
    """Number of copies of a datagram of B that s1 sends to s2."""
    version = group.version
    fields = {"eth_src": B.mac, "eth_dst": group_mac(group), "eth_type": 0x0800 if version == 4 else 0x86DD}
    fields |= {f"ipv{version}_src": int(B.address), f"ipv{version}_dst": int(group), "ip_proto": 17, "udp_dst": 1}
    sent = forward(world.tables[S1], {**fields, "in_port": HV2.port_no})
    return sum(arrival.port > 10 for arrival in sent)


def test_a_trunk_gets_one_copy_for_all_gates_behind_it() -> None:
    world = many_world(without_hosts())
    world.ask(HV2, B, VdpMode.ASSOCIATE)
    for number in range(10, 10 + MAX_TESTED_GATES):
        world.ask(HV3, vm(number, CONFIGURED), VdpMode.PREASSOCIATE_RR)
    assert crossings(world, FIXED) == 0
    for number in (10, 11, 12):
        world.ask(HV3, vm(number, CONFIGURED), VdpMode.ASSOCIATE)
    assert crossings(world, FIXED) == 1


def test_beyond_a_bound_of_gates_a_trunk_carries_a_group_in_any_case() -> None:
    world = many_world(without_hosts())
    world.ask(HV2, B, VdpMode.ASSOCIATE)
    for number in range(10, 11 + MAX_TESTED_GATES):
        world.ask(HV3, vm(number, CONFIGURED), VdpMode.PREASSOCIATE_RR)
    loads = [rule.apply for key, rule in world.rules(S1).items() if key in named(world, S1, FIXED)]
    assert sum(isinstance(action, RegLoad) for action in loads[0]) == 1
    assert crossings(world, FIXED) == 1
    assert receivers_at_s2(world) == 0
    world.ask(HV3, vm(10, CONFIGURED), VdpMode.DEASSOCIATE)
    assert crossings(world, FIXED) == 0


def receivers_at_s2(world: World) -> int:
    fields = {"eth_src": B.mac, "eth_dst": group_mac(FIXED), "eth_type": 0x0800, "ip_proto": 17, "udp_dst": 1}
    fields |= {"ipv4_src": int(B.address), "ipv4_dst": int(FIXED), "vlan_vid": 0x1000 | 100, "in_port": 11}
    return len(forward(world.tables[S2], fields))


# --- kept fresh -----------------------------------------------------------------------------------------
def test_what_the_source_joins_and_leaves_is_followed_where_the_vsi_is_staged(world: World) -> None:
    join(world, HV1, A, G)
    world.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    join(world, HV1, A, H, S)
    join(world, HV1, A, SIX)
    leave(world, HV1, A, G)
    world.advance(3.0)
    assert {bool(named(world, S2, group)) for group in (H, SIX)} == {True}
    assert [key for key in named(world, S2, G) if key.table == Table.GROUP_PAGE] == []
    assert not [change for change in flip(world, A) if any("ipv" in str(rule.match) for rule in change.change.add)]
    found = {group: receivers(world, group) for group in (G, SIX)}
    assert found == {G: [0], SIX: [0, 1]}
    assert (receivers(world, H, S), receivers(world, H, T)) == ([0, 1], [0])


def test_a_staging_that_is_refreshed_is_that_of_a_new_one(world: World) -> None:
    join(world, HV1, A, G)
    world.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    join(world, HV1, A, H)
    refreshed = world.snapshot()
    other = many_world()
    other.ask(HV1, A, VdpMode.ASSOCIATE)
    join(other, HV1, A, G)
    join(other, HV1, A, H)
    other.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    assert refreshed == other.snapshot()


# --- nothing is left behind ----------------------------------------------------------------------------------
@pytest.mark.parametrize("end", ["abort", "expiry", "operator"])
def test_a_staging_that_ends_leaves_nothing_and_hinders_no_other(end: str) -> None:
    fabric = two_switches(Timers(rwd=17, rka=17))
    world = many_world(fabric)
    empty = world.snapshot()
    ask(world, HV3, vm(1, MANY), VdpMode.PREASSOCIATE_RR)
    assert world.snapshot() != empty
    if end == "abort":
        ask(world, HV3, vm(1, MANY), VdpMode.DEASSOCIATE)
    elif end == "expiry":
        world.advance(60.0)
    else:
        world.restart_switch(S1)
        ask(world, HV3, vm(1, MANY), VdpMode.DEASSOCIATE)
    assert world.snapshot() == empty
    ask(world, HV4, vm(1, MANY), VdpMode.ASSOCIATE)
    assert receivers(world, MANY_GROUPS[1], port=NMS) == [0, 1]


def test_a_switch_that_refuses_the_groups_refuses_the_reservation(world: World) -> None:
    before = world.snapshot()
    world.refuse[S1, Mode.BULK] = "table full"
    world.ask(HV3, vm(2, CONFIGURED), VdpMode.PREASSOCIATE_RR)
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES
    assert world.snapshot() == before
    world.ask(HV3, vm(2, CONFIGURED), VdpMode.PREASSOCIATE_RR)
    assert world.answer(HV3).success


# --- restarts and absent switches ---------------------------------------------------------------------------
def test_a_restart_of_the_controller_changes_no_staged_rule(world: World) -> None:
    join(world, HV1, A, G, S)
    world.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    join(world, HV1, A, SIX)
    world.advance(1.0)
    restart_changes_nothing(world)
    leave(world, HV1, A, SIX)
    world.advance(3.0)
    assert [key for key in named(world, S2, SIX) if key.table == Table.GROUP_PAGE] == []


@pytest.mark.parametrize("dpid", [S1, S2])
def test_a_switch_that_lost_its_rules_gets_the_staged_groups_again(world: World, dpid: int) -> None:
    join(world, HV1, A, G)
    world.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    before = world.snapshot()
    world.restart_switch(dpid)
    world.advance(0.1)
    assert world.snapshot() == before
    world.ask(HV3, A, VdpMode.ASSOCIATE)
    assert receivers(world, G) == [0, 1]


def test_another_switch_that_is_away_does_not_hold_up_a_staging(world: World) -> None:
    join(world, HV1, A, G)
    world.hold.add(S1)
    world.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    assert HV3 not in world.sent
    world.disconnect(S1)
    assert world.answer(HV3).success
    world.hold.clear()
    world.connect(S1)
    world.ask(HV3, A, VdpMode.ASSOCIATE)
    assert receivers(world, G) == [0, 1]


def test_receivers_of_every_group_that_come_and_go_change_no_rule_of_a_group() -> None:
    world = many_world(without_hosts())
    ask(world, HV1, vm(1, MANY), VdpMode.ASSOCIATE)
    before = [(key, rule) for key, rule in world.rules(S1).items() if key.table == Table.GROUPS]
    world.ask(HV3, Vm(9), VdpMode.PREASSOCIATE_RR)
    changed = flip(world, Vm(9))
    assert max(len(change.change.add) for change in changed) < 10
    assert [(key, rule) for key, rule in world.rules(S1).items() if key.table == Table.GROUPS] == before


# --- many groups -----------------------------------------------------------------------------------------
def test_many_groups_are_computed_in_slices_between_which_others_are_served(world: World) -> None:
    world.applied.clear()
    world.ask(HV3, vm(2, MANY), VdpMode.PREASSOCIATE_RR)
    assert HV3 not in world.sent
    slices = []
    while HV3 not in world.sent:
        before = len(world.applied)
        deadline = world.engine.deadline
        assert deadline is not None and deadline <= world.now and world.engine.has_more
        world.feed(TimerExpired())
        slices.append(sum(len(apply.change.add) for apply in world.applied[before:]))
    assert slices and max(slices) <= 4 * SLICE
    assert world.answer(HV3).success


def test_the_groups_at_the_source_cost_nothing_before_the_answer_to_an_associate() -> None:
    efforts = []
    for kind in (MANY, FEWER):
        world = many_world()
        ask(world, HV1, vm(2, kind), VdpMode.ASSOCIATE)
        ask(world, HV3, vm(2, kind), VdpMode.PREASSOCIATE_RR)
        efforts.append(calls(partial(world.ask, HV3, vm(2, kind), VdpMode.ASSOCIATE)))
        assert world.answer(HV3).success
    # Some calls of each group are of its membership; its rules would be twice as many.
    assert efforts[0] - efforts[1] < CALLS_OF_A_GROUP * (len(MANY_GROUPS) - len(FEWER_GROUPS))


def test_the_answer_to_an_associate_goes_before_the_removal_of_the_groups_at_the_source(world: World) -> None:
    ask(world, HV1, vm(2, MANY), VdpMode.ASSOCIATE)
    ask(world, HV3, vm(2, MANY), VdpMode.PREASSOCIATE_RR)
    world.ask(HV3, vm(2, MANY), VdpMode.ASSOCIATE)
    assert world.answer(HV3).success
    copies = len(named(world, S1, MANY_GROUPS[0]))
    world.advance(0.001)
    assert (copies, len(named(world, S1, MANY_GROUPS[0]))) == (2, 1)


def test_vsi_with_many_groups_that_is_taken_off_two_ports_leaves_nothing() -> None:
    world, guest = many_world(), Vm(3, type=MANY)
    before = world.snapshot()
    ask(world, HV1, guest, VdpMode.ASSOCIATE)
    ask(world, HV3, guest, VdpMode.PREASSOCIATE_RR)
    world.feed(OperatorDeassociate(guest.text))
    world.advance(0.1)
    assert world.snapshot() == before and world.store == {}


def test_vsis_with_many_groups_that_expire_at_one_moment_leave_nothing() -> None:
    world, guests = many_world(two_switches()), [Vm(number, type=MANY) for number in (3, 4, 5)]
    before = world.snapshot()
    for guest in guests:
        ask(world, HV1, guest, VdpMode.ASSOCIATE)
    # A restart begins all times anew.
    world.restart_controller()
    world.advance(60.0)
    assert world.snapshot() == before and world.store == {}
