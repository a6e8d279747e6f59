"""An Associate is granted when all switches have confirmed its gate, and no request before its turn."""

from __future__ import annotations

import pytest

from ryu_apps.evb.events.other import OperatorDeassociate
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV3, OPEN_2, S1, S2, Vm, World
from tests.worlds.order import EffectOrder

ASSOCIATE, STAGE, PREASSOCIATE = VdpMode.ASSOCIATE, VdpMode.PREASSOCIATE_RR, VdpMode.PREASSOCIATE
VM, LEAVING = Vm(1), Vm(2)
OTHER_TYPE = Vm(1, type=OPEN_2)


@pytest.fixture
def world() -> World:
    world = World()
    world.connect()
    world.observers.append(EffectOrder().observe)
    return world


@pytest.mark.parametrize("again", [{"suspended": True}, {"migrating": True}, {}], ids=["S bit", "M bit", "same"])
@pytest.mark.parametrize("slow", [S1, S2])
def test_associate_that_comes_again_waits_for_what_the_first_has_sent(
    world: World, slow: int, again: dict[str, bool]
) -> None:
    world.hold.add(slow)
    world.ask(HV3, VM, ASSOCIATE)
    answers = len(world.sent.get(HV3, []))
    world.ask(HV3, VM, ASSOCIATE, **again)
    assert len(world.sent.get(HV3, [])) == answers, "answered before a switch has confirmed"
    world.release()
    assert world.answer(HV3).success


@pytest.mark.parametrize("again", [{"suspended": True}, {}], ids=["S bit", "plain"])
@pytest.mark.parametrize("first", [STAGE, PREASSOCIATE], ids=str)
def test_associate_that_waits_for_its_turn_is_carried_out_once(
    world: World, first: VdpMode, again: dict[str, bool]
) -> None:
    """Its port has two VSIs at work; the body of the first request is confirmed before the turn of the second."""
    world.hold.add(S1)
    world.ask(HV3, LEAVING, ASSOCIATE)
    world.feed(OperatorDeassociate(LEAVING.text))
    world.hold.add(S2)
    world.ask(HV3, VM, first)
    world.ask(HV3, VM, ASSOCIATE, **again)
    world.release()
    assert world.answer(HV3).success
    assert [event.kind for event in world.happened if event.vsi == VM.text].count("flow.activating") == 1


def test_request_for_something_else_is_not_granted_with_the_body_of_the_one_before(world: World) -> None:
    world.hold.add(S1)
    world.ask(HV3, LEAVING, ASSOCIATE)
    world.feed(OperatorDeassociate(LEAVING.text))
    world.hold.add(S2)
    world.ask(HV3, VM, STAGE)
    world.ask(HV3, OTHER_TYPE, ASSOCIATE)
    world.release()
    assert world.answer(HV3).success
    assert [event.kind for event in world.happened if event.vsi == VM.text].count("flow.activating") == 1
    answers = [answer for answer in world.sent[HV3] if answer.vsi_id == VM.vsi_id]
    assert [(answer.type_id, answer.version) for answer in answers] == [OTHER_TYPE.type]
