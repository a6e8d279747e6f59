"""VSI types over REST: whose they are, how old, and the file itself for other bridges."""

from __future__ import annotations

from dataclasses import replace

import pytest
from webob import Request

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.rest.application import respond
from tests.worlds.bridge import HV1, HV2, POLICIES, Vm
from tests.worlds.managers import OTHER, SECOND, SOURCE, TYPE, URL, VM, ManagersWorld, policy
from tests.worlds.rest import unhurried

LOCAL_KEY = VsiTypeKey(9, 1)


@pytest.fixture
def world() -> ManagersWorld:
    loaded, mistakes = load_policies([("nine.yaml", policy(LOCAL_KEY).decode()), ("own.yaml", policy(port=1).decode())])
    assert loaded is not None and not mistakes
    world = ManagersWorld(policies=replace(POLICIES, types={**POLICIES.types, **loaded.types}))
    world.connect()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.serve()
    return world


def standing(world: ManagersWorld, query: str = "?manager=mgr1") -> dict[str, object]:
    found = world.get(f"/evb/vsitypes/70/1{query}")
    assert isinstance(found, dict)
    return {name: found[name] for name in ("source", "managers", "age", "stale", "refused", "used_by")}


def test_type_says_who_told_it_and_when(world: ManagersWorld) -> None:
    world.advance(1.0)
    assert standing(world) == {
        "source": URL,
        "managers": ["mgr1"],
        "age": pytest.approx(1.0, abs=0.1),
        "stale": False,
        "refused": None,
        "used_by": [VM.text],
    }


def test_same_key_is_listed_once_for_each_who_has_it(world: ManagersWorld) -> None:
    world.manager_id = OTHER
    world.ask(HV2, SECOND, VdpMode.ASSOCIATE)
    everything = world.get("/evb/vsitypes")
    assert isinstance(everything, list)
    assert [
        (shown["source"], shown["used_by"], len(shown["bodies"])) for shown in everything if shown["type"] == "70/1"
    ] == [
        (URL, [VM.text], 1),
        ("local", [SECOND.text], 1),
    ]
    assert standing(world, "")["source"] == standing(world, "?manager=mgr2")["source"] == "local"


def test_stale_type_is_told_as_such(world: ManagersWorld) -> None:
    world.advance(SOURCE.lifetime + 1)
    assert standing(world)["stale"] is True


def test_other_content_for_a_type_in_use_is_told(world: ManagersWorld) -> None:
    cached = world.engine.types.cache.get(URL)
    assert cached is not None
    cached.checked = None
    world.types[TYPE] = policy(port=2)
    world.ask(HV2, SECOND, VdpMode.ASSOCIATE)
    world.serve()
    told = standing(world)
    assert told["stale"] is True and "new version" in str(told["refused"])


def test_unknown_manager_of_a_type_is_404_and_no_manager_400(world: ManagersWorld) -> None:
    assert world.refusal("/evb/vsitypes/70/1?manager=mgr3")[0] == 404
    assert world.refusal("/evb/vsitypes/70/1?manager=abc")[0] == 400


@pytest.mark.parametrize("path", ["/evb/vsitypes/9/1.yaml", "/evb/vsitypes/9/1/policy"])
def test_file_is_served_as_it_was_loaded(world: ManagersWorld, path: str) -> None:
    answer = world.request(path)
    assert (answer.status_code, answer.body, answer.content_type) == (200, policy(LOCAL_KEY), "text/yaml")
    request = Request.blank(path, headers={"If-None-Match": answer.headers["ETag"]})
    again = request.get_response(
        respond(request, bridge=lambda: world, clock=lambda: world.now, pause=lambda _: None, limit=unhurried)
    )
    assert (again.status_code, again.body) == (304, b"")


def test_only_the_local_directory_is_served(world: ManagersWorld) -> None:
    assert world.request("/evb/vsitypes/70/1.yaml").body == policy(port=1)
    assert world.refusal("/evb/vsitypes/70/2.yaml")[0] == 404
    assert world.refusal("/evb/vsitypes/70/1xyaml")[0] == 400


def test_fetches_are_counted_by_outcome(world: ManagersWorld) -> None:
    world.away = True
    world.ask(HV2, Vm(8, VsiTypeKey(70, 2)), VdpMode.ASSOCIATE)
    world.serve()
    metrics = world.request("/metrics").text
    for outcome, count in (("fetched", 1), ("unreachable", 1), ("missing", 0)):
        assert f'evb_vsitype_fetches_total{{outcome="{outcome}",url="{SOURCE.url}"}} {count}.0' in metrics
