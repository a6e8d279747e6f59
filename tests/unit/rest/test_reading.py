"""Reads of REST: lists in parts and by filters, what has not changed, compressed bodies, methods that only ask."""

from __future__ import annotations

import gzip

import pytest
from webob import Request, Response

from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.topology.appliance import Appliance, ApplianceInstance
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.vswitches import Vswitch
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.rest.application import respond
from ryu_apps.rest.resources import RESOURCES
from tests.unit.services.test_load_balancer import balancer
from tests.worlds.bridge import HV1, HV2, HV3, OPEN_2, POLICIES, Vm, two_switches
from tests.worlds.documented import check_answer
from tests.worlds.rest import RestWorld, pages, unhurried
from tests.worlds.sets import POLICIES as SET_TYPES

DPID_1, DPID_2 = "0000000000000001", "0000000000000002"
STATISTICS, MEMBERS = "/evb/statistics", "/evb/multicast/members"
LISTS = [
    row.path.format(dpid=DPID_1, vsi=Vm(6).text)
    for row in RESOURCES
    if row.listing and row.path not in (STATISTICS, MEMBERS)
]
#: Those that change with each request: memory and time of the process, or an answer that does not end.
LIVELY = {"/metrics", "/evb/events/stream"}
READS = sorted({row.path for row in RESOURCES if row.method == "GET"} - LIVELY)


@pytest.fixture(scope="module")
def world() -> RestWorld:
    """Seven VSIs: 1 and 3 are active at hv1, 2 and 4 at hv3 of the other switch, 5 is staged at hv2, 6 moves."""
    fabric = two_switches()
    policies = PolicySet({**POLICIES.types, **SET_TYPES.types})
    # A vSwitch is configured at switches of servers; its list needs no more than its name.
    appliance = Appliance(1, "fw", 200, (ApplianceInstance("a", 3001, 3002),), passed=3000)
    configured = Fabric(fabric.switches, (balancer(),), vswitches=(Vswitch("dvs1", ()),), appliances=(appliance,))
    world = RestWorld(configured, policies=policies)
    world.connect()
    for number, port in ((4, HV3), (3, HV1), (2, HV3), (1, HV1)):
        world.ask(port, Vm(number), VdpMode.ASSOCIATE)
    world.ask(HV2, Vm(5, OPEN_2), VdpMode.PREASSOCIATE_RR)
    world.ask(HV1, Vm(6), VdpMode.ASSOCIATE)
    world.ask(HV3, Vm(6), VdpMode.PREASSOCIATE_RR)
    return world


def ask(world: RestWorld, path: str, method: str = "GET", **headers: str) -> Response:
    written = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request.blank(path, method=method, headers=written)
    response = respond(request, lambda: world, lambda: world.now, lambda _: None, unhurried)
    check_answer(method, request.path, response)
    return request.get_response(response)


@pytest.mark.parametrize("path", LISTS)
def test_the_parts_of_a_list_are_the_list(world: RestWorld, path: str) -> None:
    whole = ask(world, path)
    assert whole.json and "Link" not in whole.headers
    for limit in (1, 2, 1000):
        found = pages(world, path, limit)
        assert [item for page in found for item in page] == whole.json
        assert all(len(page) == limit for page in found[:-1])


def test_a_part_begins_behind_a_vsi_that_has_left(world: RestWorld) -> None:
    assert [vsi["vsi"] for vsi in ask(world, f"/evb/vsis?after={Vm(3).text[:-1]}0&limit=2").json] == [
        Vm(1).text,
        Vm(2).text,
    ]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("phase=active", [1, 2, 3, 4, 6]),
        ("phase=staged", [5, 6]),
        ("phase=releasing", []),
        (f"port={DPID_1}:1", [1, 3, 6]),
        ("port=0x2:1", [2, 4, 6]),
        ("switch=2", [2, 4, 6]),
        (f"switch={DPID_1}", [1, 3, 5, 6]),
        ("type=1/2", [5]),
        ("type=2/1", []),
        ("type=1/1", [1, 2, 3, 4, 6]),
        ("type=1", [1, 2, 3, 4, 5, 6]),
        ("vlan=100", [1, 2, 3, 4, 5, 6]),
        ("vlan=101", []),
        # One attachment has all of them: 6 is staged at the other switch.
        ("phase=active&switch=2", [2, 4]),
        ("phase=staged&switch=2&type=1/1&vlan=100", [6]),
    ],
)
def test_vsis_are_selected_by_what_one_attachment_has(world: RestWorld, query: str, numbers: list[int]) -> None:
    found = [item for page in pages(world, f"/evb/vsis?{query}", 1) for item in page]
    assert [vsi["vsi"] for vsi in found] == [Vm(number).text for number in numbers]


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/evb/stations?switch=2", 2),
        ("/evb/stations?port=0x1:2", 1),
        ("/evb/reservations?switch=0x1", 1),
        ("/evb/migrations?switch=2", 3),
        (f"/evb/migrations?port={DPID_1}:2", 1),
        (f"/evb/migrations?vsi={Vm(6).text}&switch=2", 1),
        ("/evb/load_balancers?vlan=100", 1),
        ("/evb/load_balancers?vlan=101", 0),
        ("/evb/sets", 3),
        ("/evb/sets?type=67", 2),
        ("/evb/sets?type=64/1", 1),
        (f"/evb/sets?vsi={Vm(6).text}", 0),
        ("/evb/sets?switch=2", 0),
    ],
)
def test_other_lists_are_selected_too(world: RestWorld, path: str, shown: int) -> None:
    assert len(ask(world, path).json) == shown


def test_events_are_selected_by_their_subject(world: RestWorld) -> None:
    for query, member, value in (
        (f"vsi={Vm(5).text}", "vsi", Vm(5).text),
        ("port=0x1:2", "port", f"{DPID_1}:2"),
        ("switch=0x2", "dpid", DPID_2),
    ):
        every, found = ask(world, "/evb/events").json, ask(world, f"/evb/events?{query}").json
        assert found == [event for event in every if event[member] == value] != []


@pytest.mark.parametrize("dpid", [DPID_2, "2", "0x2", "0X02", "0b10", "0o2"])
def test_a_datapath_id_is_read_in_every_form_that_ryu_reads(world: RestWorld, dpid: str) -> None:
    assert ask(world, f"/evb/flows/{dpid}").json == ask(world, f"/evb/flows/{DPID_2}").json


@pytest.mark.parametrize("path", READS)
def test_what_has_not_changed_is_not_sent_again(path: str) -> None:
    world = RestWorld(Fabric(two_switches().switches, (balancer(),), vswitches=(Vswitch("dvs1", ()),)))
    world.connect()
    world.ask(HV1, Vm(1), VdpMode.ASSOCIATE)
    names = {"balancer": "web", "vswitch": "dvs1", "script": "main", "sheet": "base"}
    concrete = path.format(dpid=1, vsi=Vm(1).text, type_id=1, version=1, number=1, **names)
    response = ask(world, concrete)
    if response.status_code == 404:
        assert "statistics" in path or "yaml" in path or "policy" in path
        return
    again = ask(world, concrete, If_None_Match=response.headers["ETag"])
    assert (again.status_code, again.body) == (304, b"")
    assert again.headers["ETag"] == response.headers["ETag"]
    assert ask(world, concrete, If_None_Match='"another"').status_code == 200


def test_the_time_alone_changes_no_etag_and_what_happens_does(world: RestWorld) -> None:
    known = ask(world, "/evb/vsis")
    world.advance(0.5)
    later = ask(world, "/evb/vsis")
    assert later.json != known.json and later.headers["ETag"] == known.headers["ETag"]
    world.ask(HV2, Vm(9), VdpMode.PREASSOCIATE)
    assert ask(world, "/evb/vsis", If_None_Match=known.headers["ETag"]).status_code == 200


def test_a_long_body_is_compressed_for_clients_that_want_it(world: RestWorld) -> None:
    plain = ask(world, f"/evb/flows/{DPID_1}")
    assert "Content-Encoding" not in plain.headers and plain.headers["Content-Length"] == str(len(plain.body))
    packed = ask(world, f"/evb/flows/{DPID_1}", Accept_Encoding="gzip, deflate")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Content-Length"] == str(len(packed.body))
    assert gzip.decompress(packed.body) == plain.body and len(packed.body) < len(plain.body) / 4
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    for declined in ("gzip;q=0", "identity", "br"):
        assert "Content-Encoding" not in ask(world, f"/evb/flows/{DPID_1}", Accept_Encoding=declined).headers
    assert "Content-Encoding" not in ask(world, "/evb/vsis?vlan=7", Accept_Encoding="gzip").headers


@pytest.mark.parametrize("path", ["/evb/status", "/evb/vsis", f"/evb/flows/{DPID_1}", "/evb/vsitypes", "/metrics"])
def test_head_has_the_headers_of_get(world: RestWorld, path: str) -> None:
    got, head = ask(world, path), ask(world, path, "HEAD")
    assert head.body == b"" and head.status_code == 200
    assert head.headers["Content-Type"] == got.headers["Content-Type"]
    if path != "/metrics":
        assert head.headers["ETag"] == got.headers["ETag"]


def test_the_root_lists_the_resources(world: RestWorld) -> None:
    listed = ask(world, "/evb").json["resources"]
    assert [(row["method"], row["path"]) for row in listed] == [(row.method, row.path) for row in RESOURCES]
    assert all(row["meaning"].endswith(".") for row in listed)
    vsis = next(row for row in listed if row["path"] == "/evb/vsis")
    assert vsis["query"] == ["phase", "port", "type", "vlan", "switch", "limit", "after"]
    assert vsis["role"] == "read"
