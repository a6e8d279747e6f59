"""Bodies stay in a switch while a gate may lead to them, however the gate is shut."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.events.other import OperatorDeassociate
from ryu_apps.evb.events.switch import PortChanged
from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vdp import VdpError, VdpMode
from tests.worlds.bridge import HV1, HV3, OPEN_2, S1, S2, Vm, World
from tests.worlds.order import EffectOrder

VM = Vm(1)
CHANGED = Vm(1, type=OPEN_2)
ASSOCIATE, STAGE, PREASSOCIATE = VdpMode.ASSOCIATE, VdpMode.PREASSOCIATE_RR, VdpMode.PREASSOCIATE
#: Longer than any timer of a station here.
ALL_TIMERS = 60.0


@pytest.fixture
def world() -> World:
    world = World()
    world.connect()
    return world


@pytest.fixture(autouse=True)
def order(world: World) -> EffectOrder:
    order = EffectOrder()
    world.observers.append(order.observe)
    return order


def bodies(world: World, dpid: int) -> int:
    return len(world.rules(dpid, CookieKind.VSI_BODY))


def removals(world: World, port: PortId) -> list[Callable[[], object]]:
    """The ways by which a VSI leaves a port."""
    return [
        lambda: world.ask(port, VM, VdpMode.DEASSOCIATE),
        lambda: world.feed(OperatorDeassociate(VM.text)),
        lambda: (world.feed(PortChanged(port, False)), world.advance(ALL_TIMERS)),
        lambda: world.advance(ALL_TIMERS),
    ]


WAYS = pytest.mark.parametrize("way", range(4), ids=["De-Associate", "operator", "port", "expiry"])


@WAYS
@pytest.mark.parametrize("mode", [PREASSOCIATE, STAGE], ids=str)
@pytest.mark.parametrize("slow", [S1, S2])
def test_vsi_that_has_gone_back_to_preassociate(world: World, mode: VdpMode, way: int, slow: int) -> None:
    world.ask(HV3, VM, ASSOCIATE)
    world.hold.add(slow)
    answers = len(world.ask(HV3, VM, mode))
    assert len(world.sent[HV3]) == answers == 1
    removals(world, HV3)[way]()
    assert bodies(world, S2)
    world.release()
    world.advance(ALL_TIMERS)
    assert not bodies(world, S2)
    assert not world.store


@pytest.mark.parametrize("slow", [S1, S2])
@pytest.mark.parametrize("mode", [PREASSOCIATE, STAGE], ids=str)
def test_preassociate_of_an_active_vsi_is_answered_when_it_is_shut(world: World, mode: VdpMode, slow: int) -> None:
    world.ask(HV3, VM, ASSOCIATE)
    world.hold.add(slow)
    world.ask(HV3, VM, mode)
    assert len(world.sent[HV3]) == 1
    world.release()
    assert world.answer(HV3).error is VdpError.SUCCESS
    assert not world.rules(S1, CookieKind.GATE) and not world.rules(S2, CookieKind.GATE)


@WAYS
def test_vsi_whose_associate_no_switch_has_confirmed_yet(world: World, way: int) -> None:
    world.ask(HV3, VM, STAGE)
    world.hold.add(S1)
    world.ask(HV3, VM, ASSOCIATE)
    assert world.rules(S2, CookieKind.GATE)
    removals(world, HV3)[way]()
    assert bodies(world, S2)
    assert not world.rules(S2, CookieKind.GATE)
    world.release()
    world.advance(ALL_TIMERS)
    assert not bodies(world, S2)
    assert not world.store


def refuse_to_shut(world: World, switch: int, ask: Callable[[], object]) -> None:
    """Ask for what shuts a gate; a switch refuses that, and its comparison has to wait."""
    world.refuse[switch, Mode.ATOMIC] = "refused"
    world.slow_reads.add(switch)
    ask()
    assert not world.refuse and world.reads


def compare(world: World) -> None:
    """Show what the comparisons have asked for."""
    world.slow_reads.clear()
    while world.reads:
        world.read_on(len(world.tables[S1].rules) + len(world.tables[S2].rules))


@WAYS
@pytest.mark.parametrize("switch", [S1, S2])
def test_switch_that_refuses_to_shut_a_gate_keeps_the_body_until_it_is_compared(
    world: World, switch: int, way: int
) -> None:
    world.ask(HV3, VM, ASSOCIATE)
    refuse_to_shut(world, switch, removals(world, HV3)[way])
    assert world.rules(switch, CookieKind.GATE) and bodies(world, S2)
    compare(world)
    world.advance(ALL_TIMERS)
    assert not world.rules(S1, CookieKind.GATE) and not world.rules(S2, CookieKind.GATE)
    assert not bodies(world, S2)
    # A station whose port is down has yet to be told.
    assert not [key for key in world.store if not key.startswith("departed/")]


@pytest.mark.parametrize("switch", [S1, S2])
def test_preassociate_is_not_answered_while_a_switch_that_refused_has_the_gate(world: World, switch: int) -> None:
    world.ask(HV3, VM, ASSOCIATE)
    answers = len(world.sent[HV3])
    refuse_to_shut(world, switch, lambda: world.ask(HV3, VM, STAGE))
    assert len(world.sent[HV3]) == answers
    compare(world)
    assert world.answer(HV3).success and len(world.sent[HV3]) == answers + 1
    assert not world.rules(S1, CookieKind.GATE) and not world.rules(S2, CookieKind.GATE)


def test_switch_that_refuses_to_shut_a_gate_and_is_lost_holds_up_nobody(world: World) -> None:
    world.ask(HV3, VM, ASSOCIATE)
    refuse_to_shut(world, S1, lambda: world.ask(HV3, VM, STAGE))
    answers = len(world.sent[HV3])
    world.disconnect(S1)
    assert len(world.sent[HV3]) == answers + 1 and world.answer(HV3).success
    world.ask(HV3, VM, VdpMode.DEASSOCIATE)
    world.slow_reads.clear()
    world.connect(S1)
    assert not bodies(world, S2) and not world.rules(S1, CookieKind.GATE)
    assert not world.store


def test_associate_that_is_called_off_by_a_preassociate(world: World) -> None:
    world.ask(HV3, VM, STAGE)
    world.hold.add(S1)
    world.ask(HV3, VM, ASSOCIATE)
    world.ask(HV3, VM, STAGE)
    assert len(world.sent[HV3]) == 1
    world.release()
    assert len(world.sent[HV3]) == 2
    assert not world.rules(S1, CookieKind.GATE) and not world.rules(S2, CookieKind.GATE)


@pytest.mark.parametrize("slow", [S1, S2])
def test_vsi_that_leaves_its_old_port_before_its_gate_is_elsewhere(world: World, slow: int) -> None:
    world.ask(HV1, VM, ASSOCIATE)
    world.ask(HV3, VM, STAGE)
    world.hold.add(slow)
    world.ask(HV3, VM, ASSOCIATE)
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    assert bodies(world, S1)
    world.release()
    assert not bodies(world, S1)
    assert world.answer(HV3).error is VdpError.SUCCESS
    assert bodies(world, S2)


def test_new_program_that_a_slow_switch_has_not_opened_when_it_is_refused(world: World) -> None:
    """The gate goes back to the old one; at the VSI's own switch it had led to the new one."""
    world.ask(HV3, VM, ASSOCIATE)
    before = bodies(world, S2)
    world.hold.add(S1)
    world.ask(HV3, CHANGED, ASSOCIATE)
    both = bodies(world, S2)
    assert both > before
    world.refuse[S1, Mode.ATOMIC] = "full"
    world.hold.add(S2)
    world.hold.discard(S1)
    while any(apply.dpid == S1 for apply in world.held):
        world._apply(world.held.pop(0))
    assert bodies(world, S2) == both
    world.release()
    assert bodies(world, S2) == before
    assert world.answer(HV3).keep
    assert world.rules(S2, CookieKind.GATE)


def test_vsi_that_leaves_while_its_switches_reconnect(world: World) -> None:
    world.ask(HV3, VM, ASSOCIATE)
    world.hold.add(S1)
    world.ask(HV3, VM, STAGE)
    world.ask(HV3, VM, VdpMode.DEASSOCIATE)
    world.disconnect(S1)
    assert not bodies(world, S2)
    world.hold.clear()
    world.connect(S1)
    assert not world.rules(S1, CookieKind.GATE)
    assert not world.store


def test_controller_that_is_restarted_before_a_gate_is_shut(world: World, order: EffectOrder) -> None:
    world.ask(HV3, VM, ASSOCIATE)
    world.hold.add(S1)
    world.ask(HV3, VM, STAGE)
    world.ask(HV3, VM, VdpMode.DEASSOCIATE)
    assert bodies(world, S2)
    world.hold.clear()
    order.restart(world.store)
    world.restart_controller()
    world.advance(ALL_TIMERS)
    assert not bodies(world, S2)
    assert not world.rules(S1, CookieKind.GATE) and not world.rules(S2, CookieKind.GATE)
    assert not world.store
