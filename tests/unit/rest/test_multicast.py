"""GET /evb/multicast and the metrics beside it, against a bridge with real reports behind it."""

from __future__ import annotations

import json

import pytest
from webob import Request

from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.wire.group_record import RecordType
from ryu_apps.evb.wire.igmp import Query3
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.rest.application import respond
from tests.worlds.bridge import HV1, HV3, NMS, NMS_MAC, two_switches
from tests.worlds.multicast import CONFIGURED, FIXED, FIXED_6, OFF, TYPES, G, S, join, leave, say, tell, vm
from tests.worlds.rest import RestWorld, pages, unhurried

A, B = vm(1), vm(2, CONFIGURED)


@pytest.fixture
def world() -> RestWorld:
    world = RestWorld(fabric=two_switches(Timers(rka=30)), policies=PolicySet(TYPES), snooping=OFF)
    world.connect()
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    world.ask(HV3, B, VdpMode.ASSOCIATE)
    world.advance(2.0)
    return world


def get(world: RestWorld, path: str) -> str:
    response = respond(Request.blank(path), lambda: world, lambda: world.now, lambda _: None, unhurried)
    assert response.status_int == 200
    return str(response.text)


def groups(world: RestWorld) -> dict[str, list[dict[str, object]]]:
    (vlan,) = json.loads(get(world, "/evb/multicast"))["vlans"]
    assert vlan["vid"] == 100
    return {listed["group"]: listed["members"] for listed in vlan["groups"]}


def test_members_with_sources_and_configured_groups(world: RestWorld) -> None:
    join(world, HV1, A, G)
    tell(world, HV1, A, RecordType.BLOCK, G, S)
    world.advance(7.0)
    shown = groups(world)
    assert shown.keys() == {str(G), str(FIXED), str(FIXED_6)}
    assert shown[str(G)] == [
        {
            "vsi": A.text,
            "port": str(HV1),
            "mac": "52:54:00:00:00:01",
            "mode": "exclude",
            "sources": [str(S)],
            "configured": False,
            "joined": True,
            "version": 3,
            "heard": 7.0,
            "expires_in": None,
            "asked_because": None,
        }
    ]
    (configured,) = shown[str(FIXED)]
    assert (configured["configured"], configured["joined"], configured["vsi"]) == (True, False, B.text)


def test_who_is_asked_and_why(world: RestWorld) -> None:
    join(world, HV1, A, G)
    leave(world, HV1, A, G)
    assert [member["asked_because"] for member in groups(world)[str(G)]] == ["left"]
    world.advance(3.0)
    assert str(G) not in groups(world)


def test_queriers_and_when_memberships_expire(world: RestWorld) -> None:
    join(world, HV1, A, G)
    (vlan,) = json.loads(get(world, "/evb/multicast"))["vlans"]
    assert [
        (querier["protocol"], querier["on"], querier["state"], querier["next_in"]) for querier in vlan["queriers"]
    ] == [
        ("igmp", False, "off", None),
        ("mld", False, "off", None),
    ]
    say(world, NMS, NMS_MAC, Query3())
    (vlan,) = json.loads(get(world, "/evb/multicast"))["vlans"]
    assert [querier["state"] for querier in vlan["queriers"]] == ["other", "off"]
    assert [member["expires_in"] for member in groups(world)[str(G)]] == [260.0]


def test_counters_and_metrics(world: RestWorld) -> None:
    join(world, HV1, A, G)
    for number in range(20):
        join(world, HV1, A, G + number)
    shown = json.loads(get(world, "/evb/multicast"))
    assert shown["counters"] == {"reports": 21, "limit": 4}
    assert shown["vsis"] == [{"vsi": A.text, "counters": {"reports": 21, "limit": 4}}]
    metrics = get(world, "/metrics")
    assert 'evb_multicast_memberships{dp_id="0x1",dp_name="s1"} 16.0' in metrics
    assert 'evb_multicast_memberships{dp_id="0x2",dp_name="s2"} 2.0' in metrics
    assert 'evb_multicast_messages_total{what="limit"} 4.0' in metrics
    assert 'evb_multicast_messages_total{what="malformed"} 0.0' in metrics


def test_nothing_to_show() -> None:
    world = RestWorld()
    world.connect()
    assert json.loads(get(world, "/evb/multicast")) == {"vlans": [], "vsis": [], "counters": {}}


def test_members_are_a_list_with_vlan_and_group(world: RestWorld) -> None:
    join(world, HV1, A, G)
    listed = json.loads(get(world, "/evb/multicast/members"))
    assert [member["id"] for member in listed] == sorted(member["id"] for member in listed)
    assert [(member.pop("group"), member.pop("vid")) for member in listed if member.pop("id")] == [
        (group, 100) for group in sorted(groups(world)) for _ in groups(world)[group]
    ]
    assert listed == [member for _, members in sorted(groups(world).items()) for member in members]


@pytest.mark.parametrize(
    ("query", "vsis"),
    [
        ("", {A.text, B.text}),
        (f"vsi={A.text}", {A.text}),
        ("switch=1", {A.text}),
        ("switch=2", {B.text}),
        (f"port={HV3}", {B.text}),
        ("port=0x2:9", set()),
        ("vlan=100", {A.text, B.text}),
        ("vlan=101", set()),
    ],
)
def test_members_are_selected_and_read_in_parts(world: RestWorld, query: str, vsis: set[str]) -> None:
    join(world, HV1, A, G)
    whole = json.loads(get(world, f"/evb/multicast/members?{query}"))
    assert {member["vsi"] for member in whole} == vsis
    for limit in (1, 2, 1000):
        parts = pages(world, f"/evb/multicast/members?{query}", limit)
        assert [member for part in parts for member in part] == whole
        assert all(len(part) == limit for part in parts[:-1])
