"""Link flaps: a station that lost an answer is freed, one that asks again is not disturbed."""

from __future__ import annotations

import pytest

from ryu_apps.evb.events.other import OperatorDeassociate
from ryu_apps.evb.events.switch import PortChanged, SwitchUp
from ryu_apps.evb.wire.vdp import RequestStatus, VdpMode
from tests.worlds.bridge import HV1, S1, Vm, World

VM = Vm(7)


@pytest.fixture
def world() -> World:
    world = World()
    world.connect()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    return world


def deassociates(world: World) -> int:
    said = [tlv for tlv in world.sent[HV1] if tlv.MODE is VdpMode.DEASSOCIATE and tlv.vsi_id == VM.vsi_id]
    return sum(isinstance(tlv.status, RequestStatus) for tlv in said)


def test_vsi_that_expires_while_the_link_is_down_is_ended_after_it_is_up(world: World) -> None:
    world.feed(PortChanged(HV1, False))
    world.advance(5.0)
    assert deassociates(world) == 0
    world.feed(PortChanged(HV1, True))
    world.advance(2.9)
    assert deassociates(world) == 0
    world.advance(0.2)
    assert deassociates(world) == 1


def test_a_frame_proves_that_a_link_is_up_which_the_switch_reports_down(world: World) -> None:
    world.disconnect(S1)
    world.feed(SwitchUp(S1, {1: False, 2: True, 3: True, 11: True, 12: True}))
    world.ask(HV1, Vm(8), VdpMode.ASSOCIATE)
    assert world.engine.stations[HV1].up and world.answer(HV1).success


def test_a_frame_that_was_under_way_when_a_link_went_down_does_not_prove_it_up(world: World) -> None:
    world.feed(PortChanged(HV1, False))
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert not world.engine.stations[HV1].up
    world.advance(1.0)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.engine.stations[HV1].up and world.answer(HV1).success


def test_vsi_that_is_asked_for_again_is_not_ended(world: World) -> None:
    world.feed(PortChanged(HV1, False))
    world.advance(5.0)
    world.feed(PortChanged(HV1, True))
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.advance(1.5)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.advance(1.9)
    assert deassociates(world) == 0 and world.answer(HV1).success


def test_de_associate_that_waits_to_be_sent_outlives_a_lost_channel(world: World) -> None:
    world.send(HV1, Vm(8).tlv(VdpMode.ASSOCIATE))  # its answer keeps the channel busy
    world.feed(OperatorDeassociate(VM.text))
    assert deassociates(world) == 0
    world.disconnect(S1)
    world.connect(S1)
    world.advance(3.1)
    assert deassociates(world) == 1 and world.engine.registry.named(VM.text) is None


@pytest.mark.parametrize("again", [VdpMode.PREASSOCIATE, VdpMode.PREASSOCIATE_RR])
def test_de_associate_that_waits_to_be_sent_does_not_follow_a_new_request(world: World, again: VdpMode) -> None:
    world.send(HV1, Vm(8).tlv(VdpMode.ASSOCIATE))  # its answer keeps the channel busy
    world.feed(OperatorDeassociate(VM.text))
    world.send(HV1, VM.tlv(again))
    world.advance(1.0)
    assert deassociates(world) == 0 and world.answer(HV1).success


def test_de_associate_of_another_vsi_still_follows(world: World) -> None:
    world.ask(HV1, Vm(9), VdpMode.ASSOCIATE)
    world.send(HV1, Vm(8).tlv(VdpMode.ASSOCIATE))
    world.feed(OperatorDeassociate(VM.text))
    world.send(HV1, Vm(9).tlv(VdpMode.ASSOCIATE))
    world.advance(1.0)
    assert deassociates(world) == 1


def test_station_that_acknowledges_nothing_is_told_when_it_is_heard_again(world: World) -> None:
    world.unacknowledging.add(HV1)
    world.feed(OperatorDeassociate(VM.text))
    world.advance(1.0)
    said = deassociates(world)
    world.unacknowledging.clear()
    world.advance(30.0)
    assert deassociates(world) == said
    world.send(HV1, Vm(8).tlv(VdpMode.PREASSOCIATE))
    world.advance(3.1)
    assert deassociates(world) == said + 1 and len(list(world.engine.associations.departures.unacknowledged(HV1))) == 0


def test_short_flap_keeps_the_vsi_and_its_rules(world: World) -> None:
    before = world.snapshot()
    world.feed(PortChanged(HV1, False))
    world.advance(1.0)
    world.feed(PortChanged(HV1, True))
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV1).success and world.snapshot() == before
