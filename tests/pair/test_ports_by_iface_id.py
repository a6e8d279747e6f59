"""VSIs whose ports are found by ``external_ids:iface-id``: late, renamed, ambiguous; with a bridge port on the link."""

from __future__ import annotations

from typing import Any

import pytest

from ryu_apps.evb.protocol.vdp_bridge import Denied, Granted
from ryu_apps.evb.wire import port_name
from ryu_apps.evb.wire.vdp import VdpError, VdpMode, VdpPdu
from ryu_apps.evb.wire.vsi_id import VsiId
from ryu_apps.station.calls import read_call
from ryu_apps.station.service import StationService
from ryu_apps.station.service_events import Called, Reply
from ryu_apps.station.station import Station
from tests.pair.service_world import ServiceWorld

VM = "09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f"
WEB: dict[str, Any] = {"vsi": VM, "type": 10, "filters": ["0-52:54:00:aa:00:01"], "iface_id": "one"}
VSI = VsiId.from_text(VM)
_, RR, ASSOCIATE, _ = VdpMode


@pytest.fixture
def world() -> ServiceWorld:
    world = ServiceWorld()
    world.plug()
    return world


def named(world: ServiceWorld) -> list[tuple[VdpMode, str]]:
    """Mode and name of the port of each request, repetitions left out."""
    found: list[tuple[VdpMode, str]] = []
    for _, ecpdu in world.requests("bridge"):
        ((association, organizational),) = VdpPdu.decode(ecpdu.payload).associations()
        (name,) = [told.name for told in map(port_name.decode, organizational) if told is not None]
        if (association.MODE, name) not in found[-1:]:
            found.append((association.MODE, name))
    return found


def test_a_reservation_does_not_wait_for_the_port_and_an_associate_does(world: ServiceWorld) -> None:
    world.show()
    assert world.asked(verb="reserve", **WEB)["port"] is None
    token = world.call(verb="associate", vsi=VM)
    world.run(3.0)
    assert token not in world.answers and world.bridge.in_force == {VSI: RR}
    world.show(other=("vnet3",), one=("vnet7",))
    world.run_until(lambda: token in world.answers)
    assert (world.answers[token]["state"], world.answers[token]["port"]) == ("associated", "vnet7")
    assert named(world) == [(RR, ""), (ASSOCIATE, "vnet7")]


def test_an_associate_without_a_reservation_waits_too_and_may_be_repeated(world: ServiceWorld) -> None:
    tokens = [world.call(verb="associate", **WEB) for _ in range(2)]
    world.run(2.0)
    assert not world.answers and not named(world)
    world.show(one=("vnet7",))
    world.run_until(lambda: len(world.answers) == 2)
    assert all(world.answers[token]["ok"] for token in tokens)


@pytest.mark.parametrize(
    ("ports", "reason"),
    [(None, "OVSDB cannot be read"), ({"two": ("vnet1",)}, "no port has the iface-id one"),
     ({"one": ("patch-to-br-int0",)}, "no port has the iface-id one")],
)  # fmt: skip
def test_the_reason_why_a_port_is_not_found_is_told(
    world: ServiceWorld, ports: dict[str, tuple[str, ...]] | None, reason: str
) -> None:
    if ports is not None:
        world.show(**ports)
    answer = world.asked(verb="associate", deadline=1.0, **WEB)
    assert (answer["error"], answer["reason"]) == ("deadline", f"{reason} in time; repeat the call, or release the VSI")
    assert world.asked(verb="release", vsi=VM)["ok"]
    world.show(one=("vnet7",))
    world.run(2.0)
    assert world.bridge.in_force == {}


def test_two_ports_with_one_iface_id_are_a_conflict_that_changes_nothing(world: ServiceWorld) -> None:
    world.show(one=("vnet7", "vnet8"))
    assert world.asked(verb="reserve", **WEB)["ok"]
    refused = world.asked(verb="associate", vsi=VM)
    assert refused["error"] == "conflict"
    assert refused["reason"] == "several ports have the iface-id one: vnet7, vnet8"
    world.show(one=("vnet8",))
    world.run(2.0)
    assert world.bridge.in_force == {VSI: RR}, "what was refused is not asked for later"
    assert world.asked(verb="associate", vsi=VM)["port"] == "vnet8"


def test_a_second_port_with_its_iface_id_takes_no_vsi_from_its_port(world: ServiceWorld) -> None:
    world.show(one=("vnet7",))
    assert world.asked(verb="associate", **WEB)["ok"]
    world.show(one=("vnet6", "vnet7"))
    world.run(3.0)
    assert named(world) == [(ASSOCIATE, "vnet7")]
    assert world.asked(verb="associate", vsi=VM)["port"] == "vnet7"


def test_a_port_that_returns_under_another_name_is_told_to_the_bridge(world: ServiceWorld) -> None:
    world.show(one=("vnet7",))
    assert world.asked(verb="associate", **WEB)["ok"]
    world.show()
    world.run(3.0)
    assert world.station.vsis[0].to_json()["port"] == "vnet7"
    world.show(one=("vnet9",))
    world.run(3.0)
    assert named(world) == [(ASSOCIATE, "vnet7"), (ASSOCIATE, "vnet9")]
    assert world.bridge.in_force == {VSI: ASSOCIATE}


def test_a_new_name_that_the_bridge_refuses_is_tried_again(world: ServiceWorld) -> None:
    world.show(one=("vnet7",))
    assert world.asked(verb="associate", **WEB)["ok"]
    world.bridge.decision = lambda _: Denied(VdpError.OTHER_FAILURE)
    world.show(one=("vnet9",))
    for _ in range(20):
        world.run(0.5)
        assert (world.bridge.in_force, world.station.vsis[0].state) == ({VSI: ASSOCIATE}, "associated")
    assert named(world)[-1] == (ASSOCIATE, "vnet7"), "keep-alives name the port in force"
    world.bridge.decision = lambda _: Granted()
    world.run(30.0)
    assert named(world)[-1] == (ASSOCIATE, "vnet9")
    assert world.station.vsis[0].retry_at is None


def test_after_a_restart_a_vsi_is_requested_at_its_port_although_ovsdb_cannot_be_read(world: ServiceWorld) -> None:
    world.show(one=("vnet7",))
    assert world.asked(verb="associate", **WEB)["ok"]
    world.restart_service()
    world.run(5.0)
    assert named(world)[-1] == (ASSOCIATE, "vnet7")
    assert world.asked(verb="associate", **WEB)["ok"], "as it was described"
    world.show(one=("vnet9",))
    world.run(3.0)
    assert named(world)[-1] == (ASSOCIATE, "vnet9")


def test_without_ovsdb_a_call_with_an_iface_id_is_a_mistake() -> None:
    service = StationService({"eth0": Station(ServiceWorld().timers)})
    (reply,) = service.feed(Called(1, read_call({"verb": "reserve", **WEB})), 0.0)
    assert isinstance(reply, Reply)
    assert reply.answer.reason == "iface_id: the daemon does not read OVSDB (--ovsdb)"
