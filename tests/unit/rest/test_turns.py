"""No answer keeps stations waiting for longer than a slice of it takes, however long it is."""

from __future__ import annotations

import eventlet
import pytest

from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.rest.turns import RestTurns
from tests.worlds.bridge import HV1, Vm, two_switches
from tests.worlds.rest import RestWorld

MANY = 250


@pytest.fixture(scope="module")
def world() -> RestWorld:
    world = RestWorld(fabric=two_switches(Timers()))
    world.connect()
    for number in range(1, MANY + 1):
        world.ask(HV1, Vm(number), VdpMode.ASSOCIATE)
    return world


@pytest.mark.parametrize("path", ["/evb/events", "/evb/overview", "/evb/vsis", "/evb/migrations"])
def test_a_long_list_is_built_in_slices(world: RestWorld, path: str) -> None:
    before = world.pauses
    found = world.get(path)
    assert isinstance(found, list) and len(found) >= MANY
    assert world.pauses - before >= len(found) // 100


def test_metrics_are_built_a_family_at_a_time(world: RestWorld) -> None:
    before = world.pauses
    text = world.request("/metrics").text
    assert world.pauses - before >= text.count("# HELP") // 2 > 5


def test_a_client_that_waits_has_its_turn_behind_the_others() -> None:
    turns, order = RestTurns(), []

    def client(name: str) -> None:
        for _ in range(3):
            turns.pause(0)
            order.append(name)

    threads = [eventlet.spawn(client, name) for name in "abc"]
    for thread in threads:
        thread.wait()
    assert [sorted(order[at : at + 3]) for at in (0, 3, 6)] == [["a", "b", "c"]] * 3


def test_between_two_slices_whatever_else_is_due_is_done() -> None:
    turns, order = RestTurns(), []

    def client() -> None:
        for _ in range(5):
            turns.pause(0)
            order.append("slice")

    clients = [eventlet.spawn(client) for _ in range(4)]
    for number in range(10):
        eventlet.spawn_after(0, order.append, number)
    for spawned in clients:
        spawned.wait()
    longest = max(len(run) for run in "".join("s" if entry == "slice" else "." for entry in order[:20]).split("."))
    assert longest <= len(order) - 10
    assert order.index(9) < 10 + 4
