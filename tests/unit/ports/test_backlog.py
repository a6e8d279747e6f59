"""Requests of one port reach the switches a few at a time, so that another port does not wait for them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.events.other import OperatorDeassociate
from ryu_apps.evb.events.switch import FrameReceived
from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.ports.backlog import AT_ONCE, MAX_WAIT, ROOM
from ryu_apps.evb.ports.turns import Turns
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.station_treatment import Takeover
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, HV2, HV3, S1, S2, Vm, World, two_switches

QUIET = Vm(500)
MANY = [Vm(number) for number in range(1, 31)]
DELAY, SILENCE = (getattr(Operational(3, 10, 17, 17), name) for name in ("resource_wait_delay", "keep_alive_timeout"))


@pytest.fixture
def world() -> World:
    world = World()
    world.connect()
    # The type is known to both switches, so that nothing waits for that.
    for port in (HV1, HV3):
        world.ask(port, Vm(499), VdpMode.ASSOCIATE)
        world.ask(port, Vm(499), VdpMode.DEASSOCIATE)
    return world


def flood(world: World, mode: VdpMode = VdpMode.ASSOCIATE, vms: list[Vm] = MANY, port: PortId = HV1) -> None:
    for vm in vms:
        world.send(port, vm.tlv(mode))


def active(world: World) -> set[str]:
    return {vsi.text for vsi in world.engine.registry if vsi.owner is not None}


def test_switches_are_sent_little_of_what_a_port_asks_for(world: World) -> None:
    world.hold.add(S1)
    flood(world)
    assert len({apply.lane for apply in world.held if apply.mode is Mode.STAGE and apply.lane < 1 << 20}) == AT_ONCE


def test_another_port_waits_for_little_of_it(world: World) -> None:
    world.hold.add(S1)
    flood(world)
    before = len(world.held)
    world.send(HV2, QUIET.tlv(VdpMode.ASSOCIATE))
    assert before <= 2 * AT_ONCE
    assert len(world.held) > before


def test_the_others_have_their_turn_when_switches_confirm(world: World) -> None:
    world.hold.add(S1)
    flood(world)
    world.release()
    world.advance(0.1)
    assert active(world) == {vm.text for vm in MANY}
    assert all(answer.status.success for answer in world.sent[HV1][-len(MANY) :])


def test_vsis_that_leave_wait_as_those_that_come(world: World) -> None:
    flood(world)
    world.advance(0.1)
    world.hold.add(S1)
    flood(world, VdpMode.DEASSOCIATE)
    assert len(world.held) <= AT_ONCE
    world.release()
    world.advance(0.1)
    assert active(world) == set()
    assert world.rules(S1, CookieKind.VSI_BODY, CookieKind.GATE) == {}


def test_what_comes_behind_a_de_associate_that_waits_is_heard_behind_it(world: World) -> None:
    flood(world)
    world.hold.add(S1)
    flood(world, VdpMode.DEASSOCIATE)
    flood(world)
    world.release()
    world.advance(0.1)
    assert active(world) == {vm.text for vm in MANY}


def test_keep_alives_wait_for_nothing(world: World) -> None:
    world.ask(HV1, QUIET, VdpMode.ASSOCIATE)
    world.hold.add(S1)
    flood(world)
    answered = len(world.ask(HV1, QUIET, VdpMode.ASSOCIATE))
    assert world.sent[HV1][-1].vsi_id == QUIET.vsi_id
    assert answered


def test_vsis_that_expire_together_are_taken_off_a_few_at_a_time(world: World) -> None:
    flood(world)
    world.advance(0.1)
    world.hold.add(S1)
    world.advance(5.0)
    assert len(world.held) <= AT_ONCE
    world.release()
    world.advance(1.0)
    assert active(world) == set()


def test_a_switch_that_hangs_keeps_nothing_of_the_port_back_for_ever(world: World) -> None:
    world.hold.add(S1)
    flood(world, vms=MANY[: AT_ONCE + 1])
    before = len(world.held)
    world.advance(MAX_WAIT - 0.01)
    assert len(world.held) == before
    world.advance(0.02)
    assert len(world.held) > before


def test_what_has_waited_too_long_is_refused_and_does_nothing_later(world: World) -> None:
    world.hold.add(S1)
    flood(world)
    world.advance(DELAY + 0.1)
    assert not world.answer(HV1).success
    world.release()
    world.advance(1.0)
    assert active(world) == set()
    assert world.rules(S1, CookieKind.VSI_BODY, CookieKind.GATE) == {}


def any_may_take(fabric: Fabric) -> Fabric:
    switches = {
        dpid: replace(
            switch,
            interfaces={number: replace(port, takeover=Takeover.ANY) for number, port in switch.interfaces.items()},
        )
        for dpid, switch in fabric.switches.items()
    }
    return replace(fabric, switches=switches)


def test_an_associate_that_has_waited_is_no_newer_for_that() -> None:
    world = World(any_may_take(two_switches()))
    world.connect()
    world.hold.add(S1)
    flood(world)
    late = MANY[-1]
    world.hold.add(S2)
    world.send(HV3, late.tlv(VdpMode.ASSOCIATE))
    world.release()
    world.advance(0.1)
    vsi = world.engine.registry.named(late.text)
    assert vsi is not None and vsi.owner is not None
    assert vsi.owner.port == HV3


def test_what_the_operator_ends_while_it_waits_does_not_come(world: World) -> None:
    world.hold.add(S1)
    flood(world)
    world.feed(OperatorDeassociate(MANY[-1].text))
    world.release()
    world.advance(0.1)
    assert active(world) == {vm.text for vm in MANY[:-1]}


def test_frames_of_a_port_wait_while_much_of_it_does(world: World) -> None:
    world.hold.add(S1)
    flood(world, vms=[Vm(number) for number in range(1, ROOM + AT_ONCE)])
    assert not world.engine.is_busy(HV1)
    flood(world, vms=[Vm(ROOM + AT_ONCE)])
    assert world.engine.is_busy(HV1)
    assert not world.engine.is_busy(HV2)
    world.release()
    assert not world.engine.is_busy(HV1)


def test_a_vsi_does_not_expire_while_frames_of_its_port_wait(world: World) -> None:
    world.ask(HV1, QUIET, VdpMode.ASSOCIATE)
    world.advance(SILENCE - 0.1)
    world.hold.add(S1)
    flood(world, vms=[Vm(number) for number in range(1, ROOM + 4)])
    world.advance(0.2)
    assert world.engine.is_busy(HV1)
    world.release()
    world.advance(SILENCE - 0.2)
    assert QUIET.text in active(world)
    world.advance(0.4)
    assert QUIET.text not in active(world)


def test_frames_that_wait_for_others_of_their_port_are_served_when_they_need_not() -> None:
    busy = {HV1}
    turns = Turns(busy.__contains__)
    for port in (HV1, HV2, HV1):
        turns.put(FrameReceived(port, b""), 0.0)

    def served() -> list[PortId]:
        return [turn[0].port for _ in range(4) if (turn := turns.take(0.0))]

    assert served() == [HV2]
    assert not turns.ready
    busy.clear()
    assert served() == [HV1, HV1]
