"""REST of the members of a cluster: who answers, who refers to the leader, and the transfer of the lead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.cluster.members import StandbyStatus
from ryu_apps.evb.cluster.status import ClusterStatus
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.rest.resources import RESOURCES, Resource
from tests.worlds.bridge import HV1, HV2, HV3, S1, Vm
from tests.worlds.rest import RestWorld

STANDBYS = (StandbyStatus("c2", 0.0123, 0.4, 2, "1.0"), StandbyStatus("c3", None, 30.0, 1, "1.0"))
LEADER = ClusterStatus("c1", True, "c1", "http://c1:8080/", 0xABC, 5.0, "gone", 0, 0.1, STANDBYS)
STANDBY = replace(LEADER, name="c2", leads=False, reason="", standbys=())


def world(status: ClusterStatus | None) -> RestWorld:
    made = RestWorld(in_cluster=status)
    made.connect()
    return made


def test_status_says_who_leads_and_how_far_the_standbys_are() -> None:
    answer = world(LEADER).get("/evb/status")
    assert isinstance(answer, dict)
    assert answer["cluster"] == {
        "name": "c1",
        "leads": True,
        "leader": "c1",
        "address": "http://c1:8080/",
        "generation": "0000000000000abc",
        "since": 5.0,
        "reason": "gone",
        "lost": 0,
        "silent": 0.1,
        "standbys": [
            {"name": "c2", "lag": 0.012, "heard": 0.4, "switches": 2, "version": "1.0"},
            {"name": "c3", "lag": None, "heard": 30.0, "switches": 1, "version": "1.0"},
        ],
    }


def test_bridge_that_is_alone_has_no_cluster_and_refers_to_nobody() -> None:
    alone = world(None)
    answer = alone.get("/evb/status")
    assert isinstance(answer, dict) and answer["cluster"] is None
    assert alone.request("/evb/vsis").status_int == 200
    assert alone.request("/evb/cluster/transfer", "POST", b"{}").status_int == 409


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: f"{resource.method} {resource.path}")
def test_standby_answers_for_itself_or_refers_to_the_leader(resource: Resource) -> None:
    method, path = resource.method, resource.path
    own = {
        "/",
        "/evb",
        "/evb/access",
        "/evb/picture.svg",
        "/evb/openapi.json",
        "/evb/events/stream",
        "/evb/status",
        "/metrics",
        "/evb/events",
        "/evb/reload",
        "/evb/vsitypes/reload",
    }
    expected = path in own or path.startswith(("/evb/vsitypes", "/evb/page/"))
    # Whatever changes state of VSIs is the leader's.
    assert resource.everywhere is expected
    if not expected and not resource.followed:
        filled = path.replace("{dpid}", "0000000000000001").replace("{number}", "1")
        filled = filled.replace("{balancer}", "b").replace("{backend}", "x").replace("{vswitch}", "v")
        filled = filled.replace("{vsi}", "6e1f9a5c-8f0e-4d5b-9a3e-2f4f4b6a7c8d")
        response = world(STANDBY).request(filled, method, b"" if method in ("GET", "DELETE") else b"{}")
        assert response.status_int == 307
        assert response.headers["Location"] == f"http://c1:8080{filled}"


VM, STAGED = Vm(7), Vm(8)
#: Members of an attachment and of its rules that only the leader knows.
UNKNOWN = {"since", "age", "deadline", "deadline_for", "expires_in"}, {"rules", "waiting"}


@pytest.mark.parametrize(("method", "path"), [("GET", "state"), ("POST", "handover")])
def test_standby_answers_no_other_pod(method: str, path: str) -> None:
    """It knows what was saved: a gate that is open, or state that is there, it does not."""
    asked = world(STANDBY).request(f"/evb/vsis/{VM.text}/{path}", method, b'{"pod": "b", "generation": 1}')
    assert asked.status_int == 307


def test_standby_answers_reads_of_vsis_as_the_leader_does_but_for_what_only_that_one_knows() -> None:
    leader = world(LEADER)
    leader.ask(HV1, VM, VdpMode.ASSOCIATE)
    leader.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    leader.ask(HV2, STAGED, VdpMode.PREASSOCIATE)
    leader.advance(0.5)
    standby = world(STANDBY)
    standby.store = leader.store
    path = f"/evb/vsis/{VM.text}"
    for place in ("/evb/vsis", "/evb/vsis?phase=staged", "/evb/vsis?limit=1", path):
        response = standby.request(place)
        assert response.status_int == 200
        assert response.headers["Evbridge-Lag"] == "0.100"
        assert without_unknown(response.json) == without_unknown(leader.request(place).json), place
    assert standby.get("/evb/overview") == leader.get("/evb/overview")
    assert standby.get(path)["owner"] == str(HV1)  # type: ignore[index]
    assert standby.request(path.replace(VM.text, Vm(9).text)).status_int == 404


def test_standby_shows_a_gate_that_is_being_opened_as_such() -> None:
    leader, standby = world(LEADER), world(STANDBY)
    leader.hold.add(S1)
    leader.ask(HV1, VM, VdpMode.ASSOCIATE)
    leader.release()
    leader.hold.add(S1)
    leader.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    leader.ask(HV3, VM, VdpMode.ASSOCIATE)
    standby.store = leader.store
    (shown,) = standby.get("/evb/vsis?phase=activating")  # type: ignore[misc]
    assert shown["owner"] == str(HV3)
    leader.release()
    leader.advance(0.5)
    assert standby.get("/evb/vsis?phase=activating") == []


def without_unknown(answer: object) -> object:
    for vsi in answer if isinstance(answer, list) else [answer]:
        for attachment in vsi["attachments"]:
            for name in UNKNOWN[0]:
                del attachment[name]
            for name in UNKNOWN[1] if attachment["program"] else ():
                del attachment["program"][name]
    return answer


def test_standby_changes_nothing_and_says_when_the_store_cannot_be_read() -> None:
    standby = world(STANDBY)
    response = standby.request(f"/evb/vsis/{VM.text}", "DELETE")
    assert response.status_int == 307
    assert response.headers["Location"] == f"http://c1:8080/evb/vsis/{VM.text}"
    standby.unreadable = True
    response = standby.request("/evb/vsis")
    assert response.status_int == 503 and "store" in response.json["error"]


def test_query_stays_in_a_reference() -> None:
    response = world(STANDBY).request("/evb/statistics?fresh=1")
    assert response.headers["Location"] == "http://c1:8080/evb/statistics?fresh=1"


@pytest.mark.parametrize("change", [{"leader": "", "address": ""}, {"address": ""}])
def test_without_a_known_leader_nothing_is_accepted(change: dict[str, str]) -> None:
    nobody = world(replace(STANDBY, **change))
    response = nobody.request("/evb/vsis/6e1f9a5c-8f0e-4d5b-9a3e-2f4f4b6a7c8d", "DELETE")
    assert response.status_int == 503
    assert ("Retry-After" in response.headers) is (not nobody.in_cluster.leader)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("body", "status", "transfers"),
    [
        (b"{}", 202, [""]),
        (b'{"to": "c2"}', 202, ["c2"]),
        (b'{"to": "c3"}', 409, []),
        (b'{"to": "c1"}', 409, []),
        (b'{"to": 7}', 422, []),
    ],
)
def test_lead_is_given_to_a_standby_that_is_alive(body: bytes, status: int, transfers: list[str]) -> None:
    leader = world(LEADER)
    assert leader.request("/evb/cluster/transfer", "POST", body).status_int == status
    assert leader.transfers == transfers
