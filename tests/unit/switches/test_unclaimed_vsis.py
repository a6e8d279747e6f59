"""VSIs that have yet to claim their rules from a bridge that does not know them: they go on forwarding meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ryu_apps.evb.events.other import OperatorDeassociate
from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.wire.vdp import VdpMode
from tests.unit.pipeline.test_forwarding import send
from tests.unit.services.test_address_sets import reaches
from tests.unit.switches.test_lost_state import ALL, GRACE, claim_for, lose
from tests.unit.vcm.test_move import gate_ports
from tests.worlds.bridge import CLIENT, CLIENT_MAC, HV1, HV2, HV3, HV4, NMS, NMS_MAC, S1, S2, Vm, World
from tests.worlds.sets import DATABASE, WEB, SetWorld

VM, OTHER, FAR = Vm(7), Vm(8), Vm(9)
Leave = Callable[[World], object]

LEAVES: dict[str, Leave] = {
    "de-associated": lambda world: world.ask(HV1, VM, VdpMode.DEASSOCIATE),
    "moved": lambda world: [world.ask(HV4, VM, mode) for mode in (VdpMode.PREASSOCIATE, VdpMode.ASSOCIATE)],
    "recalled": lambda world: world.feed(OperatorDeassociate(VM.text)),
    "expired": lambda world: world.advance(world.engine.stations[HV1].evb.operational.keep_alive_timeout + 1.0),
}


@pytest.fixture
def world() -> World:
    """Two VSIs of one type at a switch, a third one at the other; the bridge knows none of them any more."""
    world = World()
    world.connect()
    for port, vm in ((HV1, VM), (HV2, OTHER), (HV3, FAR)):
        world.ask(port, vm, VdpMode.ASSOCIATE)
    lose(world)
    return world


def heard(world: World, vm: Vm) -> bool:
    """Frames pass between a VM at hv2 and both end systems."""
    there = [send(world, host, mac, vm.mac) == [(HV2, vm.mac)] for host, mac in ((NMS, NMS_MAC), (CLIENT, CLIENT_MAC))]
    back = [send(world, HV2, vm.mac, mac) == [(host, mac)] for host, mac in ((NMS, NMS_MAC), (CLIENT, CLIENT_MAC))]
    return all([*there, *back])


@pytest.mark.parametrize("leave", LEAVES.values(), ids=LEAVES)
def test_the_last_known_vsi_of_a_type_leaves_the_body_that_others_use(world: World, leave: Leave) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    leave(world)
    assert HV1 not in gate_ports(world) and heard(world, OTHER)


def test_a_request_that_is_withdrawn_while_its_body_is_staged_leaves_the_body_that_others_use(world: World) -> None:
    world.hold = {S1}
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    world.release()
    assert heard(world, OTHER)


def test_a_body_is_staged_in_full_for_the_next_vsi_of_the_type(world: World) -> None:
    for port in (HV1, HV2):
        world.ask(port, VM, VdpMode.ASSOCIATE)
        world.ask(port, VM, VdpMode.DEASSOCIATE)
    world.ask(HV2, OTHER, VdpMode.ASSOCIATE)
    claim_for(world, GRACE)
    assert gate_ports(world) == ALL and heard(world, OTHER)


def test_what_only_unclaimed_vsis_used_goes_with_them(world: World) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    world.advance(GRACE)
    assert gate_ports(world) == set()
    for dpid in (S1, S2):
        assert not world.rules(dpid, CookieKind.TYPE_BODY, CookieKind.VSI_BODY, CookieKind.GATE)
    assert world.engine.comparisons.drifted == 0
    world.advance(60.0)
    assert world.engine.comparisons.drifted == 0, "no audit has found anything"


def test_the_last_known_user_of_a_set_leaves_the_members_that_others_use() -> None:
    member, server, known = Vm(1, type=WEB), Vm(8, type=DATABASE), Vm(9, type=DATABASE)
    world = SetWorld()
    world.connect()
    for port, vm in ((HV3, member), (HV2, server), (HV1, known)):
        world.ask(port, vm, VdpMode.ASSOCIATE)
    lose(world)
    world.ask(HV3, member, VdpMode.ASSOCIATE)
    world.ask(HV1, known, VdpMode.ASSOCIATE)
    world.ask(HV1, known, VdpMode.DEASSOCIATE)
    assert reaches(world, HV3, member, server)
    world.ask(HV3, member, VdpMode.DEASSOCIATE)
    world.advance(GRACE)
    assert not world.rules(S1, CookieKind.GATE, CookieKind.VSI_BODY, CookieKind.TYPE_BODY)


# --- a switch that comes late ---------------------------------------------------------------------
def claim_here(world: World, seconds: float) -> None:
    """The stations of the first switch say what they use, each second."""
    for _ in range(int(seconds)):
        world.advance(1.0)
        for port, vm in ((HV1, VM), (HV2, OTHER)):
            world.ask(port, vm, VdpMode.ASSOCIATE)


def reached_far(world: World) -> bool:
    return send(world, NMS, NMS_MAC, FAR.mac) == [(HV3, FAR.mac)]


def test_ways_to_vsis_of_a_switch_that_comes_late_stay(world: World) -> None:
    world.disconnect(S2)
    claim_here(world, 2 * GRACE)
    assert not world.engine.recovery.in_grace(S1) and reached_far(world)
    world.restart_controller()
    world.disconnect(S2)
    world.advance(1.0)
    assert reached_far(world), "the time of the first switch is over, and that of the second is not"
    world.engine.comparisons.compare(S1, world.now)
    world.advance(1.0)
    assert reached_far(world)


def test_they_go_with_the_last_time_for_claims(world: World) -> None:
    before = world.snapshot()
    world.disconnect(S2)
    claim_here(world, 2 * GRACE)
    world.connect(S2)
    claim_here(world, GRACE)
    assert world.engine.recovery.over and not reached_far(world)
    assert len(world.rules(S1, CookieKind.GATE)) < sum(
        rule.cookie >> 44 & 0xF == CookieKind.GATE for rule in before[S1].values()
    )
    assert world.engine.comparisons.drifted == 0


def test_what_is_claimed_late_is_not_taken(world: World) -> None:
    world.disconnect(S2)
    claim_here(world, 2 * GRACE)
    world.connect(S2)
    for _ in range(int(GRACE)):
        world.advance(1.0)
        world.ask(HV3, FAR, VdpMode.ASSOCIATE)
        claim_here(world, 1.0)
    assert world.engine.recovery.over and reached_far(world)


def test_only_the_ways_stay(world: World) -> None:
    """Rules that a switch has of its own VSIs go when its time is over, even if that of the others is not."""
    world.disconnect(S2)
    world.advance(2 * GRACE)
    assert gate_ports(world) == {HV3} and reached_far(world)
    assert not world.rules(S1, CookieKind.TYPE_BODY, CookieKind.VSI_BODY)
    (alarm,) = [event.detail for event in world.happened if event.kind == "switch.unclaimed" and event.dpid == S1][-1:]
    assert alarm["rules"] == len(world.rules(S1, CookieKind.GATE))
