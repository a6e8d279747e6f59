"""GET and PUT /evb/load_balancers: who is in rotation, and how a health check says that somebody should not be."""

from __future__ import annotations

import json

import pytest

from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.wire.vdp import VdpMode
from tests.unit.services.test_load_balancer import W1, balancer, policies, rotation
from tests.worlds.bridge import HV1, S1, S2, two_switches
from tests.worlds.rest import RestWorld

BACKEND = "/evb/load_balancers/web/backends/w1"


@pytest.fixture
def world() -> RestWorld:
    world = RestWorld(Fabric(two_switches().switches, (balancer(),)), policies())
    world.connect()
    world.ask(HV1, W1, VdpMode.ASSOCIATE)
    return world


def put(world: RestWorld, said: object, path: str = BACKEND) -> dict[str, object]:
    response = world.request(path, "PUT", json.dumps(said).encode())
    assert response.status_code == 200, response.text
    found: dict[str, object] = response.json
    return found


def test_all_that_is_known_of_a_load_balancer(world: RestWorld) -> None:
    there, away = (
        {"mac": "52:54:00:00:00:0b", "addresses": ["10.0.100.11", "fd00:100::11"], "port": 80, "vsi": W1.text},
        {"mac": "52:54:00:00:00:0c", "addresses": ["10.0.100.12", "fd00:100::12"], "port": 8080, "vsi": None},
    )
    shown = {
        "name": "web",
        "vlan": 100,
        "mac": "02:00:00:00:64:c8",
        "addresses": ["10.0.100.200", "fd00:100::c8"],
        "protocol": "tcp",
        "port": 80,
        "backends": [
            {"name": "w1", **there, "weight": 1, "up": True, "present": True, "in_rotation": True, "at": str(HV1)},
            {"name": "w2", **away, "weight": 1, "up": True, "present": False, "in_rotation": False, "at": None},
        ],
    }
    assert world.get("/evb/load_balancers") == [shown]
    assert world.get("/evb/load_balancers/web") == shown


def test_a_back_end_goes_out_and_comes_back_at_once(world: RestWorld) -> None:
    told = put(world, {"up": False})
    assert (told["up"], told["present"], told["in_rotation"]) == (False, True, False)
    assert [rotation(world, dpid) for dpid in (S1, S2)] == [[], []]
    told = put(world, {"up": True, "weight": 9})
    assert (told["up"], told["weight"], told["in_rotation"]) == (True, 9, True)
    assert [rotation(world, dpid) for dpid in (S1, S2)] == [[("w1", 9)]] * 2
    events = [event.detail for event in world.happened if event.kind == "balancer.backend"]
    assert events[0] == {"balancer": "web", "backend": "w1", "up": False, "weight": 1, "in_rotation": False}


def test_saying_the_same_again_changes_nothing(world: RestWorld) -> None:
    world.applied.clear()
    put(world, {"up": True, "weight": 1})
    assert world.applied == []


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("/evb/load_balancers/mail/backends/w1", b'{"up": true}', 404, "there is no load balancer 'mail'"),
        ("/evb/load_balancers/web/backends/w9", b'{"up": true}', 404, "load balancer web has no back end 'w9'"),
        (BACKEND, b"{}", 422, "Value error, up or weight was expected"),
        (BACKEND, b'{"weight": 0}', 422, "weight: Input should be greater than or equal to 1"),
        (BACKEND, b'{"weight": 256}', 422, "weight: Input should be less than or equal to 255"),
        (BACKEND, b'{"up": "no"}', 422, "up: Input should be a valid boolean"),
        (BACKEND, b'{"down": true}', 422, "down: Extra inputs are not permitted"),
        (BACKEND, b"{", 400, "Invalid JSON: EOF while parsing an object at line 1 column 1"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    world: RestWorld, path: str, body: bytes, status: int, reason: str
) -> None:
    before = world.get("/evb/load_balancers")
    assert world.refusal(path, "PUT", body) == (status, reason)
    assert world.get("/evb/load_balancers") == before
    assert world.refusal("/evb/load_balancers/mail") == (404, "there is no load balancer 'mail'")
