"""Status and metrics of a bridge among others at the same switches."""

from __future__ import annotations

from typing import Any

import pytest

from ryu_apps.evb.events.switch import ChannelUp, ControllerRole, RoleLost, RoleShown
from tests.worlds.bridge import S1, S2
from tests.worlds.rest import RestWorld


@pytest.fixture
def world() -> RestWorld:
    world = RestWorld()
    for dpid in (S1, S2):
        world.feed(ChannelUp(dpid))
        world.feed(RoleShown(dpid, ControllerRole.MASTER, world.life.generation))
    world.connect()
    return world


def status(world: RestWorld) -> dict[str, Any]:
    answer = world.get("/evb/status")
    assert isinstance(answer, dict)
    return answer


def shown(world: RestWorld) -> list[tuple[str, str]]:
    return [(switch["mastership"], switch["readiness"]) for switch in status(world)["switches"]]


def metrics(world: RestWorld) -> list[str]:
    return [
        line
        for line in world.request("/metrics").text.splitlines()
        if line.startswith(("evb_superseded", "evb_switch_master"))
    ]


def test_a_master(world: RestWorld) -> None:
    assert shown(world) == [("master", "ready")] * 2
    assert status(world)["fencing"] == {"generation": f"{1:016x}", "superseded": False, "newest": None}
    assert [line.split()[-1] for line in metrics(world)] == ["1.0", "1.0", "0.0"]


def test_a_bridge_that_stands_aside(world: RestWorld) -> None:
    world.feed(RoleLost(S1))
    assert shown(world) == [("learning", "superseded"), ("aside", "superseded")]
    world.feed(RoleShown(S1, ControllerRole.SLAVE, 0xABC))
    assert shown(world) == [("aside", "superseded")] * 2
    assert status(world)["fencing"] == {"generation": f"{1:016x}", "superseded": True, "newest": f"{0xABC:016x}"}
    assert [line.split()[-1] for line in metrics(world)] == ["0.0", "0.0", "1.0"]


def test_a_switch_that_is_away_has_no_master() -> None:
    world = RestWorld()
    assert shown(world) == [("absent", "disconnected")] * 2
