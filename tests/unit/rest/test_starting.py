"""REST and metrics of a bridge that reads its policies: 503 for what is not known yet, and the truth for the rest."""

from __future__ import annotations

import pytest

from ryu_apps.rest.resources import RESOURCES
from tests.worlds.bridge import Vm
from tests.worlds.rest import RestWorld

#: What needs no policy: the page, descriptions, the log and the state of the process.
EARLY = {
    "/",
    "/evb/page/{script}.js",
    "/evb/page/{sheet}.css",
    "/evb",
    "/evb/openapi.json",
    "/evb/access",
    "/evb/events",
    "/evb/events/stream",
    "/metrics",
}


@pytest.fixture
def world() -> RestWorld:
    world = RestWorld()
    world.connect()
    world.starting = world.metrics.starting = True
    return world


def test_resources_that_need_policies_are_refused_for_now(world: RestWorld) -> None:
    for path, method in (
        ("/evb/status", "GET"),
        ("/evb/vsis", "GET"),
        (f"/evb/vsis/{Vm(1).text}", "DELETE"),
        ("/evb/vsitypes", "GET"),
        ("/evb/stations", "GET"),
        ("/evb/reload", "POST"),
    ):
        response = world.request(path, method)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1"), path
        assert response.json == {"error": "starting: the policies are being read"}
    world.starting = False
    assert world.request("/evb/status").status_code == 200


def test_others_are_answered(world: RestWorld) -> None:
    assert {resource.path for resource in RESOURCES if resource.early} == EARLY
    for path in ("/", "/evb", "/evb/openapi.json", "/evb/access", "/evb/events"):
        assert world.request(path).status_code == 200, path
    # A mistake is a mistake, whenever.
    assert world.request("/evb/vsys").status_code == 404


def test_metrics_have_no_figure_of_an_engine_that_serves_no_switch(world: RestWorld) -> None:
    text = world.request("/metrics").text
    assert "\nevb_starting 1.0\n" in text and "\nevb_build_info{" in text
    assert "evb_vsi_state" not in text and "evb_switch_ready" not in text
    world.metrics.starting = False
    text = world.request("/metrics").text
    assert "\nevb_starting 0.0\n" in text and "evb_switch_ready{" in text
