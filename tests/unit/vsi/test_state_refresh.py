"""State that is staged is there for as long as the reservation is, and the figures say what is there."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from ryu_apps.evb.bridge.queries import BridgeQueries, ReservationHolder
from ryu_apps.evb.events.effect import Effect, ReadRules
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import OURS, CookieKind, Table
from ryu_apps.evb.policy.model import Acl, PolicySet, Trigger, VsiType
from ryu_apps.evb.services.firewall.schema import FirewallPolicy, Lifetimes
from ryu_apps.evb.services.load_balancer.schema import Balanced
from ryu_apps.evb.services.multicast.schema import MulticastPolicy
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.vsi.state_refresh import INTERVAL
from ryu_apps.evb.vsi.state_transfer import STAGED_IDLE
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds import learnt
from tests.worlds.bridge import HV1, HV3, HV4, S1, S2, Vm, World, open_type, two_switches

WALLED, CLIENT = VsiTypeKey(30, 1), VsiTypeKey(31, 1)
TABLES = {WALLED: Table.CONNECTIONS, CLIENT: Table.BALANCER_PINS}
IDLE, MOST = 60, 10
VM, OTHER = Vm(7, WALLED), Vm(8, WALLED)
services = pytest.mark.parametrize("vm", [VM, Vm(7, CLIENT)], ids=["firewall", "load balancer"])
#: Stations repeat their requests every two hours, and 4.4 hours of silence end a reservation.
KEEP_ALIVE, PATIENT = 7200.0, Timers(rka=30)


def types() -> PolicySet:
    firewall = FirewallPolicy(Acl(default=True), Acl(), MOST, Lifetimes(IDLE, 20, IDLE, IDLE))
    groups = MulticastPolicy(max_groups=4)
    walled: VsiType = replace(open_type(WALLED), services=(("firewall", firewall), ("multicast", groups)))
    client = replace(open_type(CLIENT), services=(("load_balancer", Balanced((), MOST, 10, IDLE, 20, IDLE)),))
    return PolicySet({key: replace(kind, trigger=Trigger.DUAL) for key, kind in ((WALLED, walled), (CLIENT, client))})


@pytest.fixture
def world() -> World:
    world = World(two_switches(PATIENT), policies=types(), quiet=True)
    world.connect()
    return world


def learn(world: World, vm: Vm, *ports: int) -> None:
    """The switch where a VM is active learns a connection for each of these TCP ports, with frames all the time."""
    learnt.learn(world, vm, *ports, idle=IDLE, table=TABLES[vm.type])


def end(world: World, port: int) -> None:
    """A connection ends at the source."""
    rules = world.tables[S1].rules
    world.tables[S1].rules = {key: rule for key, rule in rules.items() if ("tcp_src", port, None) not in key.match}


def ports(world: World, dpid: int) -> set[int]:
    state = world.rules(dpid, CookieKind.STATE)
    return {field.value for key in state for field in key.match if field.name == "tcp_src"}


def staged(world: World, vm: Vm = VM) -> ReservationHolder:
    """The reservation of a VM at HV3 in the figures."""
    found = [
        holder
        for reserved in BridgeQueries(world.engine).reservations(S2)
        for holder in reserved.holders
        if reserved.owner[0] == "vsi" and holder.vsi == vm.text
    ]
    assert len(found) == 1
    return found[0]


def reserve(world: World, vm: Vm, *connections: int) -> None:
    world.ask(HV1, vm, VdpMode.ASSOCIATE)
    learn(world, vm, *connections)
    world.ask(HV3, vm, VdpMode.PREASSOCIATE_RR)
    assert world.answer(HV3).success


def long_after(world: World, vm: Vm, source: bool = True) -> None:
    """Time passes, twice as much as staged rules last, and the stations repeat their requests."""
    assert KEEP_ALIVE >= 2 * STAGED_IDLE
    world.advance(KEEP_ALIVE)
    world.ask(HV3, vm, VdpMode.PREASSOCIATE_RR)
    if source:
        world.ask(HV1, vm, VdpMode.ASSOCIATE)


@services
def test_a_reservation_that_lasts_still_has_its_state(world: World, vm: Vm) -> None:
    reserve(world, vm, 1000, 1001)
    long_after(world, vm)
    assert ports(world, S2) == {1000, 1001}
    world.ask(HV3, vm, VdpMode.ASSOCIATE)
    assert {rule.idle_timeout for rule in world.rules(S2, CookieKind.STATE).values()} == {IDLE}
    assert ports(world, S2) == {1000, 1001}


@services
def test_what_was_refreshed_is_there_until_it_is_refreshed_again(world: World, vm: Vm) -> None:
    reserve(world, vm, 1000, 1001)
    for _ in range(6):
        # Every other time in the middle between two.
        world.advance(INTERVAL / 2)
        assert ports(world, S2) == {1000, 1001}
        assert {rule.idle_timeout for rule in world.rules(S2, CookieKind.STATE).values()} == {STAGED_IDLE}


@services
def test_what_the_source_learns_and_forgets_is_followed(world: World, vm: Vm) -> None:
    reserve(world, vm, 1000, 1001)
    learn(world, vm, 1002)
    end(world, 1000)
    world.advance(INTERVAL + 1)
    assert ports(world, S2) == {1001, 1002}
    holder = staged(world, vm)
    assert holder.staged is not None and sum(holder.staged.values()) == 2
    refreshed = [happened.detail for happened in world.happened if happened.kind == "state.refreshed"]
    assert [(detail["rules"], detail["added"], detail["ended"]) for detail in refreshed] == [(2, 1, 1)]
    world.advance(INTERVAL)
    assert len([happened for happened in world.happened if happened.kind == "state.refreshed"]) == 1


def test_state_whose_source_has_let_go_stays(world: World) -> None:
    reserve(world, VM, 1000)
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    long_after(world, VM, source=False)
    assert (ports(world, S1), ports(world, S2)) == (set(), {1000})
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    assert [rule.idle_timeout for rule in world.rules(S2, CookieKind.STATE).values()] == [IDLE]


def test_the_figures_say_when_the_state_was_read(world: World) -> None:
    reserve(world, VM, 1000)
    before = world.now
    holder = staged(world)
    assert (holder.staged, holder.refreshed) == ({"firewall": 1}, before)
    world.advance(INTERVAL + 1)
    refreshed = staged(world).refreshed
    assert refreshed is not None and refreshed >= before + INTERVAL
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    assert (staged(world).staged, staged(world).refreshed) == (None, None)


# --- absent and restarted switches, restarts of the controller ---------------------------------------------------
@pytest.mark.parametrize("source", [True, False])
def test_a_switch_that_has_lost_its_rules_gets_the_state_again(world: World, source: bool) -> None:
    reserve(world, VM, 1000)
    if not source:
        world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    world.restart_switch(S2)
    world.advance(1.0)
    assert ports(world, S2) == {1000}


def test_while_the_source_is_away_what_is_staged_stays(world: World) -> None:
    reserve(world, VM, 1000)
    world.disconnect(S1)
    world.advance(2 * STAGED_IDLE)
    assert ports(world, S2) == {1000}
    assert staged(world).staged == {"firewall": 1}


@pytest.mark.parametrize("source", [True, False])
def test_a_controller_that_is_restarted_finds_out_what_is_there(world: World, source: bool) -> None:
    reserve(world, VM, 1000, 1001)
    if not source:
        world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    world.restart_controller()
    world.advance(1.0)
    assert staged(world).staged == {"firewall": 2}
    long_after(world, VM, source)
    assert ports(world, S2) == {1000, 1001}
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    assert ports(world, S2) == {1000, 1001}


def test_state_that_ended_while_the_controller_was_away_is_no_longer_counted(world: World) -> None:
    reserve(world, VM, 1000)
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    table = world.tables[S2]
    table.rules = {key: rule for key, rule in table.rules.items() if key.table != Table.CONNECTIONS}
    world.restart_controller()
    world.advance(1.0)
    assert staged(world).staged == {}


# --- ends and bounds --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", ["abort", "expiry"])
def test_the_end_of_a_reservation_leaves_nothing(world: World, how: str) -> None:
    empty = world.rules(S2)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    before = world.rules(S2) if how == "abort" else empty
    learn(world, VM, 1000)
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    world.advance(INTERVAL)
    if how == "abort":
        world.ask(HV3, VM, VdpMode.DEASSOCIATE)
    else:
        world.advance(5 * STAGED_IDLE)
    world.advance(INTERVAL)
    assert world.rules(S2) == before


def test_no_more_is_staged_than_is_reserved_and_what_is_there_has_precedence(world: World) -> None:
    reserve(world, VM, *range(1000, 1004))
    room = 2 * MOST
    learn(world, VM, *range(2000, 2000 + room))
    world.advance(INTERVAL + 1)
    assert len(ports(world, S2)) == room
    assert set(range(1000, 1004)) <= ports(world, S2)


def test_one_reading_is_under_way_at_a_time(world: World) -> None:
    reserve(world, VM, 1000)
    reserve(world, OTHER, 1001)
    times: list[float] = []

    def observe(event: Event, effects: list[Effect]) -> None:
        times.extend(world.now for effect in effects if isinstance(effect, ReadRules) and effect.mask != OURS)

    world.observers.append(observe)
    world.restart_switch(S2)
    world.advance(4 * INTERVAL)
    assert len(times) >= 8
    assert all(later - earlier >= 0.9 for earlier, later in pairwise(times))


def test_a_second_reservation_of_the_same_vsi_is_kept_as_well(world: World) -> None:
    reserve(world, VM, 1000)
    world.ask(HV4, VM, VdpMode.PREASSOCIATE_RR)
    learn(world, VM, 1001)
    world.advance(INTERVAL + 5)
    indices = {rule.cookie for rule in world.rules(S2, CookieKind.STATE).values()}
    assert len(indices) == 2
    assert len(world.rules(S2, CookieKind.STATE)) == 4
