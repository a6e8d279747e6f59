"""Policies reloaded over REST: in force at once, or not at all and every mistake told."""

from __future__ import annotations

import pytest

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, POLICIES, Vm, open_type
from tests.worlds.rest import RestWorld

NEW = VsiTypeKey(9, 1)


@pytest.fixture
def world() -> RestWorld:
    world = RestWorld()
    world.connect()
    world.ask(HV1, Vm(7), VdpMode.ASSOCIATE)
    return world


def test_new_types_are_in_force_when_the_answer_comes(world: RestWorld) -> None:
    world.offered = PolicySet({**POLICIES.types, NEW: open_type(NEW)})
    answer = world.request("/evb/vsitypes/reload", "POST")
    assert (answer.status_code, answer.json) == (200, {"types": len(world.offered.types)})
    assert world.request("/evb/vsitypes/9/1").status_code == 200


def test_set_without_a_type_in_use_is_refused_whole(world: RestWorld) -> None:
    world.offered = PolicySet({NEW: open_type(NEW)})
    answer = world.request("/evb/vsitypes/reload", "POST")
    assert answer.status_code == 409 and "cannot be deleted" in answer.json["mistakes"][0]
    assert world.request("/evb/vsitypes/9/1").status_code == 404


def test_reload_is_asked_for_by_post(world: RestWorld) -> None:
    assert world.request("/evb/vsitypes/reload").status_code in (404, 405)


def test_the_configuration_is_read_again_with_the_policies(world: RestWorld) -> None:
    world.offered = PolicySet({**POLICIES.types, NEW: open_type(NEW)})
    answer = world.request("/evb/reload", "POST")
    assert (answer.status_code, answer.json) == (200, {"switches": 2, "types": len(world.offered.types)})


def test_every_mistake_of_a_refused_configuration_is_told(world: RestWorld) -> None:
    world.config_mistakes = ["evbridge.yaml:3:1: one", "evbridge.yaml:4:1: another"]
    answer = world.request("/evb/reload", "POST")
    assert (answer.status_code, answer.json["mistakes"]) == (409, world.config_mistakes)
