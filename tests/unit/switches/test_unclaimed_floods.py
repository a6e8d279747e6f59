"""Broadcasts to VSIs that have yet to claim their rules from a bridge that does not know them."""

from __future__ import annotations

import pytest

from ryu_apps.evb.pipeline.tables import CookieKind, Table
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.late_switches import PATIENCE
from ryu_apps.evb.wire.vdp import VdpMode
from tests.unit.pipeline.test_forwarding import send
from tests.unit.switches.test_lost_state import GRACE, claim_for, lose
from tests.worlds.bridge import CLIENT, HV1, HV2, HV3, HV4, NMS, NMS_MAC, S1, S2, Vm, World

VM, OTHER, FAR = Vm(7), Vm(8), Vm(9)
EVERYBODY = (1 << 48) - 1
HOMES = {HV1: VM, HV2: OTHER, HV3: FAR}


@pytest.fixture
def world() -> World:
    """Two VSIs at a switch, a third one at the other; the bridge knows none of them any more."""
    world = World()
    world.connect()
    for port, vm in HOMES.items():
        world.ask(port, vm, VdpMode.ASSOCIATE)
    lose(world)
    return world


def copies(world: World) -> list[tuple[PortId, int]]:
    """Ports at which the copies of a broadcast of an end system come out, without those to the other end system."""
    arrived = send(world, NMS, NMS_MAC, EVERYBODY)
    return sorted(copy for copy in arrived if copy[0] != CLIENT)


def expected(homes: dict[PortId, Vm]) -> list[tuple[PortId, int]]:
    return sorted((port, vm.mac) for port, vm in homes.items())


def move(world: World, vm: Vm, port: PortId) -> None:
    for mode in (VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE):
        world.ask(port, vm, mode)


def test_a_switch_that_is_taken_over_is_sent_no_rule(world: World) -> None:
    before = world.snapshot()
    world.applied.clear()
    world.restart_controller()
    assert world.snapshot() == before and not [rule for apply in world.applied for rule in apply.change.add]


def test_all_get_one_copy_before_they_have_claimed_their_rules_and_while_they_do(world: World) -> None:
    assert copies(world) == expected(HOMES)
    for port, vm in HOMES.items():
        world.ask(port, vm, VdpMode.ASSOCIATE)
        assert copies(world) == expected(HOMES)
    claim_for(world, GRACE)
    assert copies(world) == expected(HOMES)


@pytest.mark.parametrize("target", [HV2, HV4])
def test_a_copy_goes_with_a_vsi_that_claims_its_rules_at_another_port(world: World, target: PortId) -> None:
    move(world, VM, target)
    assert copies(world) == sorted([(target, VM.mac), (HV2, OTHER.mac), (HV3, FAR.mac)])


def test_a_prepared_change_follows_what_has_changed_meanwhile(world: World) -> None:
    world.ask(HV4, VM, VdpMode.PREASSOCIATE_RR)
    world.advance(0.5)
    move(world, OTHER, HV4)
    world.ask(HV4, VM, VdpMode.ASSOCIATE)
    assert copies(world) == sorted([(HV4, VM.mac), (HV4, OTHER.mac), (HV3, FAR.mac)])


def test_a_vsi_that_is_staged_only_gets_its_copy_where_it_is(world: World) -> None:
    world.ask(HV4, VM, VdpMode.PREASSOCIATE_RR)
    assert copies(world) == expected(HOMES)


def test_a_vsi_that_has_left_gets_no_copy_after_a_comparison(world: World) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.disconnect(S1)
    # Until the switch is given up.
    for _ in range(round(PATIENCE) + 1):
        world.advance(1.0)
        world.ask(HV3, FAR, VdpMode.ASSOCIATE)
    world.ask(HV4, VM, VdpMode.PREASSOCIATE)
    world.ask(HV4, VM, VdpMode.ASSOCIATE)
    world.ask(HV4, VM, VdpMode.DEASSOCIATE)
    world.connect(S1)
    assert copies(world) == expected({HV2: OTHER, HV3: FAR})


def test_a_comparison_and_a_restart_leave_the_copies_as_they_are(world: World) -> None:
    move(world, VM, HV4)
    here = sorted([(HV4, VM.mac), (HV2, OTHER.mac), (HV3, FAR.mac)])
    for dpid in (S1, S2):
        world.engine.comparisons.compare(dpid, world.now)
    world.advance(0.1)
    assert copies(world) == here
    world.restart_controller()
    assert copies(world) == here


def test_nothing_is_left_when_the_time_is_over(world: World) -> None:
    claimed = World()
    claimed.connect()
    empty = {dpid: len(rules) for dpid, rules in claimed.snapshot().items()}
    world.advance(GRACE)
    assert copies(world) == []
    assert {dpid: len(rules) for dpid, rules in world.snapshot().items()} == empty
    assert not world.rules(S1, CookieKind.GATE) and world.engine.comparisons.drifted == 0
    world.advance(60.0)
    assert world.engine.comparisons.drifted == 0, "no audit has found anything"


def test_two_pages_stay_two_pages() -> None:
    world = World()
    world.connect()
    crowd = [Vm(number) for number in range(20, 60)]
    for vm in crowd:
        world.ask(HV1, vm, VdpMode.ASSOCIATE)
    pages = {key for key, rule in world.tables[S1].rules.items() if rule.table == Table.FLOOD_PAGE}
    lose(world)
    world.ask(HV1, crowd[-1], VdpMode.ASSOCIATE)
    assert {key for key, rule in world.tables[S1].rules.items() if rule.table == Table.FLOOD_PAGE} == pages
    assert copies(world) == sorted((HV1, vm.mac) for vm in crowd)
