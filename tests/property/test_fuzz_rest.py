"""Any path, method, query or body is answered with a status below 500 and a reason in JSON."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webob import Request, Response

from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.rest.application import respond
from tests.unit.services.test_load_balancer import balancer
from tests.worlds.bridge import HV1, Vm, two_switches
from tests.worlds.rest import RestWorld, unhurried

VM = Vm(7)
WORDS = [
    "evb",
    "reload",
    "status",
    "vsitypes",
    "vsis",
    "flows",
    "reservations",
    "sets",
    "stations",
    "migrations",
    "policies",
    "metrics",
    "statistics",
    "load_balancers",
    "web",
    "backends",
    "w1",
]
VALUES = ["0000000000000001", "1", "-1", "0", "x", VM.text, "mac:02:00:00:00:00:01", "local:" + "0" * 32, "99" * 20]
PARTS = st.one_of(st.sampled_from(WORDS), st.sampled_from(VALUES), st.text(max_size=12))
METHODS = st.sampled_from(["GET", "DELETE", "POST", "PUT", "PATCH", "HEAD", "OPTIONS", "BREW"])
QUERIES = st.dictionaries(
    st.one_of(st.sampled_from(["state", "vsi", "limit", "since", "fresh"]), st.text(max_size=5)),
    st.one_of(st.sampled_from(["staged", "active", VM.text, "", "-1"]), st.text(max_size=8)),
    max_size=3,
)


def served(world: RestWorld, request: Request) -> Response:
    return respond(request, lambda: world, lambda: world.now, lambda _: None, unhurried)


@pytest.fixture(scope="module")
def world() -> RestWorld:
    world = RestWorld(Fabric(two_switches().switches, (balancer(),)))
    world.connect()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    return world


@settings(max_examples=200)
@given(parts=st.lists(PARTS, max_size=6), method=METHODS, query=QUERIES, body=st.binary(max_size=100))
def test_any_request_is_answered(
    world: RestWorld, parts: list[str], method: str, query: dict[str, str], body: bytes
) -> None:
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    text = "&".join(f"{quote(name)}={quote(value)}" for name, value in query.items())
    response = served(world, Request.blank(f"{path}?{text}", method=method, body=body, content_type="application/json"))
    assert 200 <= response.status_code < 500
    if response.status_code >= 400 and method != "HEAD":
        assert set(response.json) == {"error"}
        assert response.json["error"]


@settings(max_examples=200)
@given(raw=st.binary(max_size=40), query=st.binary(max_size=40))
def test_octets_in_a_url_that_are_no_text_are_refused(world: RestWorld, raw: bytes, query: bytes) -> None:
    environ = Request.blank("/").environ
    environ["PATH_INFO"] = "/evb/" + raw.decode("latin-1")
    environ["QUERY_STRING"] = query.decode("latin-1")
    assert served(world, Request(environ)).status_code < 500
