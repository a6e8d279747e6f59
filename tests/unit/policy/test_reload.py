"""Policies that are replaced while VSIs use them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.events.other import PoliciesLoaded
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, OPEN, OPEN_2, POLICIES, Vm, World, open_type

NEW = VsiTypeKey(1, 3)


@pytest.fixture
def world() -> World:
    world = World()
    world.connect()
    world.ask(HV1, Vm(7), VdpMode.ASSOCIATE)
    return world


def test_new_version_can_be_asked_for_at_once(world: World) -> None:
    world.feed(PoliciesLoaded(PolicySet({**POLICIES.types, NEW: open_type(NEW)})))
    world.ask(HV1, Vm(7, type=NEW), VdpMode.ASSOCIATE)
    assert world.answer(HV1).success


@pytest.mark.parametrize(
    "offered",
    [
        PolicySet({OPEN_2: POLICIES.types[OPEN_2]}),
        PolicySet({**POLICIES.types, OPEN: replace(POLICIES.types[OPEN], digest="changed")}),
    ],
    ids=["deleted", "changed in place"],
)
def test_type_in_use_neither_goes_nor_changes(world: World, offered: PolicySet) -> None:
    world.feed(PoliciesLoaded(offered))
    assert world.engine.policies is POLICIES
    assert world.happened[-1].kind == "policies.refused"


def test_type_out_of_use_may_go(world: World) -> None:
    world.ask(HV1, Vm(7), VdpMode.DEASSOCIATE)
    world.feed(PoliciesLoaded(PolicySet({})))
    assert world.engine.policies.types == {}
