"""Refusals of the REST interface, with status and reason."""

from __future__ import annotations

import pytest

from ryu_apps.rest.resources import RESOURCES
from tests.worlds.bridge import Vm
from tests.worlds.rest import RestWorld

DPID = "0000000000000001"
PHASES = ("preassociated", "staging", "staged", "activating", "active", "releasing")
UNKNOWN = Vm(99).text


@pytest.fixture
def world() -> RestWorld:
    world = RestWorld()
    world.connect()
    return world


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/evbs", "no resource /evbs"),
        ("/evb/nothing", "no resource /evb/nothing"),
        ("/evb/status/", "no resource /evb/status/"),
        ("/evb/vsitypes/1", "no resource /evb/vsitypes/1"),
        ("/evb/vsitypes/1/99", "no VSI type 1/99"),
        (f"/evb/vsis/{UNKNOWN}", f"no VSI {UNKNOWN}"),
        ("/evb/flows/00000000000000ff", "no switch 00000000000000ff in the fabric"),
        ("/evb/migrations/77", "no migration 77"),
    ],
)
def test_what_is_not_there_is_not_found(world: RestWorld, path: str, reason: str) -> None:
    assert world.refusal(path) == (404, reason)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/evb/flows/0x", "dpid: '0x' is not a datapath id: 16 hexadecimal digits, or a number as 1 or 0x1"),
        ("/evb/flows/-1", "dpid: '-1' is not a datapath id: 16 hexadecimal digits, or a number as 1 or 0x1"),
        (
            f"/evb/flows/{1 << 64}",
            f"dpid: '{1 << 64}' is not a datapath id: 16 hexadecimal digits, or a number as 1 or 0x1",
        ),
        ("/evb/vsis?phase=asleep", "phase: 'asleep' is not a phase; there are: " + ", ".join(PHASES)),
        ("/evb/vsis?vlan=4095", "vlan: '4095' is not a number from 1 to 4094"),
        ("/evb/vsis?limit=0", "limit: '0' is not a number from 1 to 100000"),
        ("/evb/vsis?limit=100001", "limit: '100001' is not a number from 1 to 100000"),
        ("/evb/vsis?after=vm7", "after: 'vm7' is not a VSIID"),
        ("/evb/vsis?type=web", "type: 'web' is not a VSI type: an ID, or an ID, a slash and a version"),
        ("/evb/stations?port=1", "port: '1' is not a port: a datapath id, a colon and a number"),
        ("/evb/vsitypes?after=1", "after: '1' is not a VSI type with a version"),
        (f"/evb/flows/{DPID}?after=1", "after: '1' is not the id of a rule"),
        (
            f"/evb/flows/{DPID}?state=open",
            "state: 'open' is not a state of a rule; there are: staged, active, infrastructure",
        ),
        (f"/evb/flows/{DPID}?vsi=vm7", "vsi: 'vm7' is not a VSIID"),
        (f"/evb/flows/{DPID}?table=3", "/evb/flows/{dpid} has no parameter 'table'"),
        (f"/evb/flows/{DPID}?state=staged&state=active", "parameter 'state' is given twice"),
        ("/evb/vsis/vm7", "vsi: 'vm7' is not a VSIID"),
        ("/evb/vsis?vsi=x", "/evb/vsis has no parameter 'vsi'"),
        ("/evb/vsitypes/web/1", "type_id: 'web' is not a number"),
        ("/evb/vsitypes/1/-1", "version: '-1' is not a number"),
        ("/evb/migrations/first", "number: 'first' is not a number"),
        ("/evb/migrations?vsi=vm7", "vsi: 'vm7' is not a VSIID"),
        ("/evb/events?since=yesterday", "since: 'yesterday' is not a time in seconds"),
        ("/evb/events?since=nan", "since: 'nan' is not a time in seconds"),
        ("/evb/vsis/%ff", "the URL is not UTF-8"),
        ("/evb/migrations?vsi=%ff", "the URL is not UTF-8"),
    ],
)
def test_what_makes_no_sense_is_a_bad_request(world: RestWorld, path: str, reason: str) -> None:
    assert world.refusal(path) == (400, reason)


def test_delete_of_an_unknown_vsi_is_not_found(world: RestWorld) -> None:
    assert world.refusal(f"/evb/vsis/{UNKNOWN}", "DELETE") == (404, f"no VSI {UNKNOWN}")


@pytest.mark.parametrize("path", sorted({resource.path for resource in RESOURCES}))
def test_every_path_says_which_methods_it_takes(world: RestWorld, path: str) -> None:
    methods = [resource.method for resource in RESOURCES if resource.path == path]
    allowed = ", ".join([*methods, *["HEAD"] * ("GET" in methods), "OPTIONS"])
    names = {"balancer": "web", "backend": "w1", "vswitch": "v", "script": "main", "sheet": "base"}
    concrete = path.format(dpid=DPID, vsi=UNKNOWN, type_id=1, version=1, number=1, **names)
    response = world.request(concrete, "PATCH")
    assert (response.status_code, response.headers["Allow"]) == (405, allowed)
    assert response.json["error"] == f"{concrete} takes {allowed}, not PATCH"
    response = world.request(concrete, "OPTIONS")
    assert (response.status_code, response.headers["Allow"], response.body) == (204, allowed, b"")


@pytest.mark.parametrize("path", ["/evb/status", "/metrics"])
def test_without_a_bridge_the_service_is_unavailable(world: RestWorld, path: str) -> None:
    world.loaded = False
    assert world.refusal(path) == (503, "evb_bridge is not loaded")


def test_head_is_get_without_a_body(world: RestWorld) -> None:
    response = world.request("/evb/status", "HEAD")
    assert response.status_code == 200


def test_answers_and_refusals_are_json(world: RestWorld) -> None:
    for path in ("/evb/status", f"/evb/flows/{DPID}", "/evb/nothing"):
        assert world.request(path).content_type == "application/json"
