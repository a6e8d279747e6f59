"""Calls of a hypervisor at the station service, with a bridge port on the link."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from ryu_apps.evb.protocol.vdp_bridge import Denied
from ryu_apps.evb.wire.vdp import RequestStatus, VdpError, VdpMode
from ryu_apps.evb.wire.vsi_id import VsiId
from ryu_apps.station.calls import Verb
from tests.pair.service_world import ServiceWorld

VM = "09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f"
WEB = {"vsi": VM, "type": 10, "filters": ["0-52:54:00:aa:00:01"]}
VSI = VsiId.from_text(VM)
_, RR, ASSOCIATE, _ = VdpMode


@pytest.fixture
def world() -> ServiceWorld:
    world = ServiceWorld()
    world.plug()
    return world


def denied(error: VdpError) -> Any:
    return lambda _: Denied(error)


def sent(world: ServiceWorld) -> int:
    """Number of requests that the station has sent."""
    return len(world.requests("bridge"))


def status(world: ServiceWorld) -> RequestStatus:
    """Hints of the last request for the VSI."""
    status = world.bridge.records[VSI].request.status
    assert isinstance(status, RequestStatus)
    return status


def withdraw(world: ServiceWorld) -> None:
    """Have the bridge end the VSI."""
    record = world.bridge.records.pop(VSI)
    world.bridge.outbox.add(record.manager_id, record.request.unsolicited_deassociate())
    world.bridge.tick()
    world.run_until(lambda: [vsi.state for vsi in world.station.vsis] == ["withdrawn"])


# --- verbs ----------------------------------------------------------------------------------------
def test_a_probe_reserves_nothing_and_may_be_followed_by_a_reservation(world: ServiceWorld) -> None:
    probed = world.asked(verb="probe", migrating=True, **WEB)
    assert (probed["ok"], probed["state"], probed["filters"]) == (True, "probed", ["77-52:54:00:aa:00:01"])
    assert (world.bridge.in_force, status(world)) == ({VSI: VdpMode.PREASSOCIATE}, RequestStatus(migrating=True))
    assert world.asked(verb="suspend", vsi=VM)["error"] == "conflict", "it was never here"
    assert world.asked(verb="release", vsi=VM)["confirmed"] and world.bridge.in_force == {}
    assert world.asked(verb="probe", **WEB)["ok"] and world.asked(verb="reserve", vsi=VM)["state"] == "reserved"
    assert world.bridge.in_force == {VSI: RR}


@pytest.mark.parametrize("verb", ["reserve", "associate"])
def test_what_is_more_than_probed_is_not_probed(world: ServiceWorld, verb: str) -> None:
    world.asked(verb=verb, **WEB)
    answer = world.asked(verb="probe", vsi=VM)
    assert (answer["ok"], answer["error"]) == (False, "conflict")
    assert len(world.bridge.in_force) == 1, "it is as it was"


def test_a_refused_probe_leaves_nothing(world: ServiceWorld) -> None:
    world.bridge.decision = denied(VdpError.INSUFFICIENT_RESOURCES)
    answer = world.asked(verb="probe", **WEB)
    assert (answer["ok"], answer["error"]) == (False, "refused")
    assert world.station.vsis == []


def test_a_vm_comes_stops_and_goes(world: ServiceWorld) -> None:
    reserved = world.asked(verb="reserve", migrating=True, **WEB)
    assert reserved == {
        "ok": True, "vsi": VM, "state": "reserved", "uplink": "eth0", "migrating": True,
        "filters": ["77-52:54:00:aa:00:01"],
    }  # fmt: skip
    assert (world.bridge.in_force, status(world)) == ({VSI: RR}, RequestStatus(migrating=True))

    assert world.asked(verb="associate", vsi=VM)["state"] == "associated"
    assert world.bridge.in_force == {VSI: ASSOCIATE}

    assert world.asked(verb="suspend", vsi=VM)["state"] == "suspended"
    assert (world.bridge.in_force, status(world).suspended) == ({VSI: ASSOCIATE}, True)

    released = world.asked(verb="release", vsi=VM)
    assert (released["state"], released["confirmed"]) == ("released", True)
    assert (world.bridge.in_force, world.station.vsis) == ({}, [])


def test_an_aborted_move_ends_the_suspension(world: ServiceWorld) -> None:
    world.asked(verb="associate", **WEB)
    world.asked(verb="suspend", vsi=VM)

    assert world.asked(verb="associate", vsi=VM)["state"] == "associated"
    assert not status(world).suspended


@pytest.mark.parametrize("verb", ["reserve", "associate", "suspend", "release"])
def test_a_repeated_call_is_answered_and_asks_for_nothing(world: ServiceWorld, verb: str) -> None:
    if verb == "suspend":
        world.asked(verb="associate", **WEB)
    first = world.asked(verb=verb, **WEB)
    before = sent(world)

    again = world.asked(verb=verb, **WEB)

    assert (again["ok"], again["state"], sent(world)) == (True, first["state"], before)


def test_calls_while_the_bridge_decides_share_its_answer(world: ServiceWorld) -> None:
    world.bridge.decision_delay = 1.0
    tokens = [world.call(verb="reserve", **WEB) for _ in range(3)]
    later = world.call(verb="associate", vsi=VM)

    world.run_until(lambda: len(world.answers) == 4)

    assert [world.answers[token]["state"] for token in tokens] == ["reserved"] * 3
    assert world.answers[later]["state"] == "associated"
    assert world.bridge.decided == {(VSI, RR): 1, (VSI, ASSOCIATE): 1}


def test_a_release_waits_for_no_decision(world: ServiceWorld) -> None:
    world.bridge.decision_delay = 1.0
    reserve = world.call(verb="reserve", **WEB)
    release = world.call(verb="release", vsi=VM)

    world.run_until(lambda: len(world.answers) == 2)

    assert world.answers[reserve]["error"] == "withdrawn"
    assert world.answers[release]["state"] == "released"
    world.run(5.0)
    assert world.bridge.in_force == {}


def test_a_vm_that_comes_back_at_once_is_reserved_after_its_release(world: ServiceWorld) -> None:
    world.asked(verb="associate", **WEB)
    release = world.call(verb="release", vsi=VM)

    reserved = world.asked(verb="reserve", **WEB)

    assert (world.answers[release]["state"], reserved["state"]) == ("released", "reserved")
    assert world.bridge.in_force == {VSI: RR}


def test_a_release_needs_the_vsi_only(world: ServiceWorld) -> None:
    world.asked(verb="associate", **WEB)

    assert world.asked(verb="release", **{**WEB, "addresses": ["10.0.0.1"]})["state"] == "released"


# --- failures -------------------------------------------------------------------------------------
def test_a_refusal_has_the_reason_of_the_bridge(world: ServiceWorld) -> None:
    world.bridge.decision = denied(VdpError.INSUFFICIENT_RESOURCES)

    answer = world.asked(verb="reserve", **WEB)

    assert (answer["error"], answer["reason"]) == ("refused", "refused: error 2, insufficient resources")
    assert world.station.vsis == []


def test_a_refused_associate_ends_the_reservation_at_both_ends(world: ServiceWorld) -> None:
    world.asked(verb="reserve", **WEB)
    world.bridge.decision = denied(VdpError.OTHER_FAILURE)

    answer = world.asked(verb="associate", vsi=VM)

    assert answer["error"] == "refused"
    assert [vsi.state for vsi in world.station.vsis] == ["refused"]
    assert world.bridge.in_force == {}


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ({"verb": "associate", "vsi": VM}, "unknown_vsi"),
        ({"verb": "suspend", **WEB}, "unknown_vsi"),
        ({"verb": "reserve", **WEB, "uplink": "eth9"}, "bad_call"),
    ],
)
def test_what_cannot_be_done_for_an_unknown_vsi(world: ServiceWorld, call: dict[str, Any], error: str) -> None:
    assert world.asked(**call)["error"] == error
    assert world.station.vsis == []


@pytest.mark.parametrize(
    "call",
    [
        {"verb": "associate", **WEB, "type": 11},
        {"verb": "associate", **WEB, "filters": ["0-52:54:00:aa:00:02"]},
        {"verb": "reserve", "vsi": VM},
        {"verb": "associate", "vsi": VM, "uplink": "eth9"},
    ],
)
def test_a_call_that_contradicts_is_refused_and_changes_nothing(world: ServiceWorld, call: dict[str, Any]) -> None:
    world.asked(verb="associate", **WEB)
    before = sent(world)

    assert world.asked(**call)["error"] == "conflict"

    assert (world.bridge.in_force, sent(world)) == ({VSI: ASSOCIATE}, before)


def test_a_call_without_a_bridge_ends_at_its_deadline_and_is_carried_out_later() -> None:
    world = ServiceWorld()
    answer = world.asked(verb="reserve", deadline=2.0, **WEB)
    assert (answer["error"], round(world.now)) == ("deadline", 2)

    world.plug()
    world.run_until(lambda: world.bridge.in_force == {VSI: RR})

    assert world.asked(verb="reserve", vsi=VM)["state"] == "reserved"


# --- time -----------------------------------------------------------------------------------------
def test_a_vsi_is_kept_alive(world: ServiceWorld) -> None:
    world.asked(verb="associate", **WEB)

    world.run(300.0)

    assert (world.bridge.in_force, world.bridge.announced) == ({VSI: ASSOCIATE}, [])


def test_a_silent_bridge_is_asked_again_until_it_answers(world: ServiceWorld) -> None:
    world.asked(verb="associate", migrating=True, **WEB)
    world.faults.loss = 1.0
    world.run(120.0)
    assert [vsi.state for vsi in world.station.vsis] in (["no_answer"], ["asking"])

    world.faults.loss = 0.0
    world.run_until(lambda: [vsi.state for vsi in world.station.vsis] == ["associated"])

    assert world.bridge.in_force == {VSI: ASSOCIATE}
    assert not status(world).migrating, "a VM that has been here is not on its way"


def test_a_vsi_that_is_withdrawn_is_not_asked_for_again(world: ServiceWorld) -> None:
    world.asked(verb="associate", **WEB)
    world.bridge.outbox.add(
        world.bridge.records[VSI].manager_id, world.bridge.records[VSI].request.unsolicited_deassociate()
    )
    world.bridge.tick()
    world.run_until(lambda: [vsi.state for vsi in world.station.vsis] == ["withdrawn"])
    before = sent(world)

    world.run(120.0)

    assert sent(world) == before
    assert world.asked(verb="release", vsi=VM)["state"] == "released"
    assert world.station.vsis == []


def test_a_vsi_that_was_withdrawn_may_come_back_otherwise(world: ServiceWorld) -> None:
    world.asked(verb="associate", **WEB)
    withdraw(world)

    assert world.asked(verb="reserve", migrating=True, **{**WEB, "type": 11})["state"] == "reserved"
    assert (status(world).migrating, world.bridge.records[VSI].request.type_id) == (True, 11)


@pytest.mark.parametrize(("verb", "mode"), [("reserve", RR), ("associate", ASSOCIATE), ("suspend", ASSOCIATE)])
def test_a_service_that_was_killed_goes_on(world: ServiceWorld, verb: str, mode: VdpMode) -> None:
    if verb == "suspend":
        world.asked(verb="associate", **WEB)
    world.asked(verb=verb, **WEB)

    world.restart_service()
    world.run(120.0)

    assert (world.bridge.in_force, world.bridge.announced) == ({VSI: mode}, [])
    assert world.asked(verb=verb, vsi=VM)["ok"]
    assert status(world).suspended == (verb == "suspend")


def test_a_service_that_was_killed_during_a_release_releases(world: ServiceWorld) -> None:
    world.asked(verb="associate", **WEB)
    world.faults.loss = 1.0
    world.call(verb="release", vsi=VM)
    world.faults.loss = 0.0

    world.restart_service()
    world.run(10.0)

    assert (world.bridge.in_force, world.station.vsis) == ({}, [])


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_both_ends_agree_afterwards(seed: int) -> None:
    """Calls at random moments over a link that loses frames and goes down, of a service that is killed now and then."""
    random = Random(seed)
    world = ServiceWorld(seed)
    world.plug()
    calls: dict[int, float] = {}
    for _ in range(30):
        world.faults.loss = random.choice((0.0, 0.0, 0.3, 1.0))
        match random.choice(("call", "call", "call", "restart", "unplug")):
            case "call":
                verb = random.choice(("reserve", "associate", "suspend", "release"))
                calls[world.call(verb=verb, migrating=random.random() < 0.5, **WEB)] = world.now
            case "restart":
                # Its callers are gone with it.
                calls = {token: at for token, at in calls.items() if token in world.answers}
                world.restart_service()
            case "unplug":
                world.unplug()
                world.run(random.random() * 5.0)
                world.plug()
        world.run(random.random() * 8.0)
    world.faults.loss = 0.0
    world.run(300.0)

    assert calls.keys() <= world.answers.keys(), "every call is answered"
    here = {vsi.in_force for vsi in world.station.vsis if vsi.in_force is not None}
    there = world.bridge.in_force.get(VSI)
    expected = {None: set(), RR: {Verb.RESERVE}, ASSOCIATE: here & {Verb.ASSOCIATE, Verb.SUSPEND}}[there]
    assert here == expected
    assert all(vsi.in_force is vsi.wanted for vsi in world.station.vsis if not vsi.ended)
