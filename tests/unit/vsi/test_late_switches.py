"""A switch that is away and may have the gate of a VSI: it is opened elsewhere when that is back, or given up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ryu_apps.evb.events.effect import Hasten, Mode
from ryu_apps.evb.events.other import Missed, OperatorDeassociate
from ryu_apps.evb.flow.rule import RuleKey
from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import GateMode
from ryu_apps.evb.vsi.late_switches import PATIENCE
from ryu_apps.evb.wire.vdp import VdpError, VdpMode
from tests.worlds.bridge import (
    BRISK,
    CLIENT_MAC,
    HV1,
    HV2,
    HV3,
    HV4,
    NMS_MAC,
    S1,
    S2,
    Vm,
    World,
    two_switches,
    with_gates,
    without_extensions,
)

VM = Vm(7)
A, D, RR = VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE, VdpMode.PREASSOCIATE_RR


def usual() -> Fabric:
    return two_switches(Timers())


FABRICS: dict[str, Callable[[], Fabric]] = {
    "extended": usual,
    "gates by meters": lambda: with_gates(usual(), GateMode.METER),
    "openflow13": lambda: without_extensions(usual(), S1, S2),
}


@pytest.fixture(params=FABRICS)
def world(request: pytest.FixtureRequest) -> World:
    world = World(FABRICS[request.param]())
    world.connect()
    world.ask(HV1, VM, A)
    for target in (HV3, HV4):
        world.ask(target, VM, RR)
    assert gates(world) == {HV1}
    return world


def gates(world: World) -> set[PortId]:
    """Ports from which the frames of the VM get to an end system at the same switch."""
    return {port for port in (HV1, HV3, HV4) if _passes(world, port)}


def _passes(world: World, port: PortId) -> bool:
    frame = {"eth_src": VM.mac, "eth_dst": NMS_MAC if port.dpid == S1 else CLIENT_MAC, "vlan_vid": 0}
    return bool(world.carry(port, frame))


def told(world: World, port: PortId) -> bool:
    """True if the newest answer at a port grants an Associate."""
    newest = world.sent[port][-1]
    return newest.MODE is A and world.answer(port).success


def happened(world: World, kind: str) -> list[PortId | None]:
    return [event.port for event in world.happened if event.kind == kind]


# --- not connected yet ---
def test_associate_waits_for_the_switch_that_has_not_connected_since_a_start(world: World) -> None:
    world.restart_controller(True, S2)
    hastened: list[int] = []
    world.observers.append(lambda _, effects: hastened.extend(e.dpid for e in effects if isinstance(e, Hasten)))
    world.ask(HV3, VM, A)
    world.advance(PATIENCE - 1)
    assert gates(world) == {HV1} and not told(world, HV3) and happened(world, "vsi.waits") == [HV3]
    world.connect(S1)
    assert gates(world) == {HV3} and told(world, HV3)
    # A request waits for its comparison, and no gate was left open.
    assert hastened == [S1] and happened(world, "vsi.gate_left") == []


def test_associate_waits_for_a_comparison_however_long_it_takes(world: World) -> None:
    world.restart_controller(True, S2)
    world.ask(HV3, VM, A)
    world.slow_reads.add(S1)
    world.connect(S1)
    world.advance(PATIENCE + 1)
    assert gates(world) == {HV1} and not told(world, HV3)
    world.read_on(1)
    assert gates(world) == {HV3} and told(world, HV3)


def test_associate_goes_on_without_a_switch_that_does_not_come_back(world: World) -> None:
    world.restart_controller(True, S2)
    world.ask(HV3, VM, A)
    world.advance(PATIENCE)
    assert gates(world) == {HV1, HV3} and told(world, HV3)
    assert happened(world, "vsi.gate_left") == [HV1]
    world.connect(S1)
    assert gates(world) == {HV3}
    # The comparison has ended the doubt: no move waits for the switch any more.
    world.disconnect(S1)
    world.ask(HV4, VM, RR)
    world.ask(HV4, VM, A)
    assert gates(world) == {HV4} and told(world, HV4)


def test_a_move_to_a_third_switch_waits_for_the_one_that_was_given_up_and_is_back(world: World) -> None:
    world.disconnect(S1)
    world.advance(PATIENCE)
    world.ask(HV3, VM, A)
    assert told(world, HV3)
    world.ask(HV3, VM, D)
    world.slow_reads.add(S1)
    world.connect(S1)
    world.ask(HV4, VM, A)
    assert gates(world) == {HV1} and not told(world, HV4)
    world.read_on(1)
    assert gates(world) == {HV4} and told(world, HV4)


def test_a_switch_that_was_lost_is_waited_for(world: World) -> None:
    world.disconnect(S1)
    world.ask(HV3, VM, A)
    world.advance(PATIENCE - 1)
    assert gates(world) == {HV1} and not told(world, HV3)
    world.connect(S1)
    assert gates(world) == {HV3} and told(world, HV3)


def test_a_time_in_which_no_switch_could_be_heard_does_not_count(world: World) -> None:
    world.disconnect(S1)
    world.ask(HV3, VM, A)
    world.advance(PATIENCE - 1)
    world.feed(Missed(5.0))
    world.advance(5.0)
    assert gates(world) == {HV1}
    world.advance(1.0)
    assert told(world, HV3)


def test_a_station_that_waits_for_less_is_refused_and_nothing_is_left() -> None:
    world = World(two_switches(BRISK))
    world.connect()
    world.ask(HV1, VM, A)
    world.ask(HV3, VM, RR)
    before = world.rules(S2, CookieKind.GATE)
    world.disconnect(S1)
    world.ask(HV3, VM, A)
    world.advance(2.0)
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES
    assert gates(world) == {HV1} and world.rules(S2, CookieKind.GATE) == before
    # What has waited for the switch is over.
    world.advance(PATIENCE)
    assert gates(world) == {HV1}


def test_a_switch_that_has_no_gate_of_the_vsi_is_not_waited_for(world: World) -> None:
    world.disconnect(S1)
    other = replace(VM, number=8)
    world.ask(HV3, other, A)
    assert told(world, HV3)


# --- lost in between ---
def test_gate_that_a_lost_switch_was_to_shut_delays_the_answer(world: World) -> None:
    world.hold.add(S1)
    world.ask(HV3, VM, A)
    world.disconnect(S1)
    assert not told(world, HV3)
    world.hold.clear()
    world.connect(S1)
    assert gates(world) == {HV3} and told(world, HV3)


def test_answer_is_not_delayed_for_longer_than_the_switch_is_waited_for(world: World) -> None:
    world.hold.add(S1)
    world.ask(HV3, VM, A)
    world.disconnect(S1)
    world.advance(PATIENCE - 1)
    assert not told(world, HV3)
    world.advance(1.0)
    assert told(world, HV3)


def test_a_newer_associate_waits_for_the_switch_that_an_older_one_has_asked_to_shut(world: World) -> None:
    world.hold.add(S1)
    world.ask(HV3, VM, A)
    # All that the second move changes at the first switch would be done.
    world.ask(HV4, VM, A)
    assert not told(world, HV4) and HV1 in gates(world)
    world.release()
    assert gates(world) == {HV4} and told(world, HV4)


def test_a_newer_associate_waits_for_the_lost_switch_that_an_older_one_has_asked_to_shut(world: World) -> None:
    world.hold.add(S1)
    world.ask(HV3, VM, A)
    world.disconnect(S1)
    world.ask(HV4, VM, A)
    assert not told(world, HV4)
    world.hold.clear()
    world.connect(S1)
    assert gates(world) == {HV4} and told(world, HV4)


@pytest.mark.parametrize("lost", ["before", "behind"])
def test_a_vsi_that_has_ended_at_a_lost_switch_is_not_opened_elsewhere(world: World, lost: str) -> None:
    if lost == "before":
        world.disconnect(S1)
        world.feed(OperatorDeassociate(VM.text))
    else:
        world.hold.add(S1)
        world.ask(HV1, VM, D)
        world.disconnect(S1)
        world.hold.clear()
    world.ask(HV3, VM, RR)
    world.ask(HV3, VM, A)
    assert gates(world) == {HV1} and not told(world, HV3)
    world.connect(S1)
    assert gates(world) == {HV3} and told(world, HV3)


@pytest.mark.parametrize("refuses", [False, True])
def test_associate_whose_own_switch_is_compared_is_answered_behind_the_gate(refuses: bool) -> None:
    world, first, second = World(), Vm(1), Vm(2)
    world.connect()
    world.ask(HV2, second, VdpMode.ASSOCIATE)
    world.hold, world.slow_reads = {S1}, {S1}
    if refuses:
        # Ahead of the body, which the switch confirms while it is compared.
        world.refuse[S1, Mode.ATOMIC] = "full"
        world.ask(HV2, second, VdpMode.DEASSOCIATE)
    world.ask(HV1, first, VdpMode.ASSOCIATE)
    if not refuses:
        world.alter(S1)
    world.release()
    world.advance(0.5)
    assert HV1 not in world.sent and not _gates(world, HV1)
    world.slow_reads = set()
    while world.reads:
        world.read_on(1000)
    world.advance(2.0)
    assert world.answer(HV1).success and len(_gates(world, HV1)) == 1


@pytest.mark.parametrize("late", [False, True])
def test_preassociate_of_an_active_vsi_is_granted_when_its_switch_has_shut_the_gate(late: bool) -> None:
    world, vm = World(), Vm(1)
    world.connect()
    world.ask(HV1, vm, VdpMode.ASSOCIATE)
    world.sent.clear()
    world.slow_reads, world.store_delays = {S1}, True
    world.ask(HV1, vm, VdpMode.PREASSOCIATE_RR)
    if late:
        world.alter(S1)
    world.store_answers()
    world.advance(0.01)
    # It is compared, and has the gate; or it has confirmed that it is shut.
    assert (HV1 in world.sent) is not late and len(_gates(world, HV1)) == late
    world.slow_reads = set()
    while world.reads:
        world.read_on(1000)
    world.advance(2.0)
    assert world.answer(HV1).success and not _gates(world, HV1)
    # Nothing of that hinders the next Associate.
    world.ask(HV1, vm, VdpMode.ASSOCIATE)
    assert world.answer(HV1).success and len(_gates(world, HV1)) == 1


def _gates(world: World, port: PortId) -> list[RuleKey]:
    in_port = "in_port", port.port_no, None
    return [key for key in world.rules(port.dpid, CookieKind.GATE) if in_port in key.match]
