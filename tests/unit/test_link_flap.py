"""Link flaps: a station that lost an answer is freed, one that asks again is not disturbed."""

from __future__ import annotations

import pytest

from ryu_apps.evb.io import PortChanged
from ryu_apps.evb.wire.vdp import RequestStatus, VdpMode
from tests.world import HV1, Vm, World

VM = Vm(7)


@pytest.fixture
def world() -> World:
    world = World()
    world.connect()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    return world


def farewells(world: World) -> int:
    return sum(tlv.MODE is VdpMode.DEASSOCIATE and isinstance(tlv.status, RequestStatus) for tlv in world.sent[HV1])


def test_vsi_that_expires_while_the_link_is_down_is_ended_after_it_is_up(world: World) -> None:
    world.feed(PortChanged(HV1, False))
    world.advance(5.0)
    assert farewells(world) == 0
    world.feed(PortChanged(HV1, True))
    world.advance(2.9)
    assert farewells(world) == 0
    world.advance(0.2)
    assert farewells(world) == 1


def test_vsi_that_is_asked_for_again_is_not_ended(world: World) -> None:
    world.feed(PortChanged(HV1, False))
    world.advance(5.0)
    world.feed(PortChanged(HV1, True))
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.advance(1.5)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.advance(1.9)
    assert farewells(world) == 0 and world.answer(HV1).success


def test_short_flap_keeps_the_vsi_and_its_rules(world: World) -> None:
    before = world.snapshot()
    world.feed(PortChanged(HV1, False))
    world.advance(1.0)
    world.feed(PortChanged(HV1, True))
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV1).success and world.snapshot() == before
