"""Policies that the NMS rolls out: checked at each bridge, then served to all, and taken back if one refuses."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from webob import Request

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.nms.schema import BridgeSection, StatisticsSection
from ryu_apps.nms_server.application import NmsApplication
from ryu_apps.nms_server.bridge import BridgeClient
from ryu_apps.nms_server.collector import Collector
from ryu_apps.nms_server.database import Database
from ryu_apps.nms_server.rollouts import RollOuts
from tests.worlds.bridge import HV1, OPEN, Vm, two_switches
from tests.worlds.rest import RestWorld


def policy(type_id: int = 7, version: int = 1, verdict: str = "allow") -> str:
    return f"""version: 1
vsi_type: {{type_id: {type_id}, version: {version}, name: seven}}
from_vm: {{default: {verdict}}}
to_vm: {{default: allow}}
"""


class Site:
    """An NMS with two bridges, whose views are the real ones.

    Attributes:
        silent: names of bridges that do not answer a reload.
        asked: requests to them.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.silent: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self.worlds: dict[str, RestWorld] = {}
        self._folder = folder
        self._urls = {name: self._serve(name, stack) for name in "ab"}
        self.database = Database(folder / "nms.db")
        stack.callback(lambda: self.database.close())
        self.start()

    def _serve(self, name: str, stack: ExitStack) -> str:
        world = self.worlds[name] = RestWorld(fabric=two_switches())
        world.connect()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                site.asked.append((name, self.path))
                if name in site.silent and self.path.endswith("reload"):
                    self.send_error(500)
                    return
                answer = world.request(self.path, "POST", body)
                self.send_response(answer.status_code)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        stack.callback(server.shutdown)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    def start(self) -> None:
        """Begin anew with what the database has."""
        bridges = [BridgeClient(name, BridgeSection(urls=[url]), self._folder) for name, url in self._urls.items()]
        self.roll_outs = RollOuts(bridges, self.database)
        collector = Collector(bridges, StatisticsSection(), self.database)
        self._application = NmsApplication(bridges, collector, (), {}, self.database, self.roll_outs)

    def restart(self) -> None:
        """The process ends and begins anew."""
        self.database.close()
        self.database = Database(self._folder / "nms.db")
        self.start()

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        request = Request.blank(path, method=method)
        if body is not None:
            request.body, request.content_type = json.dumps(body).encode(), "application/json"
        response = request.get_response(self._application)
        return response.status_code, response.json if "json" in response.content_type else response.text

    def post(self, *texts: str) -> tuple[int, Any]:
        return self.ask(
            "POST",
            "/nms/rollouts",
            {"policies": [{"name": f"{number}.yaml", "text": text} for number, text in enumerate(texts)]},
        )

    def step(self) -> str:
        """Carry out one step of the open roll-out, and return its state."""
        row = self.database.open_roll_out()
        assert row is not None
        self.roll_outs.step(row)
        after = self.database.roll_out(row.number)
        assert after is not None
        return after.state

    def serves(self, type_id: int = 7, version: int = 1) -> str | None:
        status, text = self.ask("GET", f"/nms/vsitypes/{type_id}/{version}.yaml")
        return text if status == 200 else None


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path, stack)


def test_policies_are_served_when_each_bridge_could_have_them(site: Site) -> None:
    assert site.post(policy())[0] == 201 and site.serves() is None
    assert site.step() == "swapping"
    assert site.step() == "done"
    assert site.serves() == policy() and site.serves(version=2) is None
    checks = [(name, "/evb/vsitypes/check") for name in "ab"]
    assert site.asked == [*checks, *((name, "/evb/vsitypes/reload") for name in "ab")]
    # The next set takes the place of this one.
    site.post(policy(version=2))
    site.step(), site.step()
    assert site.serves() is None and site.serves(version=2) == policy(version=2)


def test_one_bridge_that_could_not_have_them_keeps_all_as_they_are(site: Site) -> None:
    site.post(policy())
    site.step(), site.step()
    site.worlds["b"].ask(HV1, Vm(1), VdpMode.PREASSOCIATE_RR)
    site.post(policy(), policy(OPEN.type_id, OPEN.version, "deny"))
    assert site.step() == "refused"
    assert site.serves() == policy() and site.serves(*OPEN) is None
    _, shown = site.ask("GET", "/nms/rollouts/2")
    assert list(shown["refusals"]) == ["b"] and "is in use with another content" in shown["refusals"]["b"][0]
    assert [path for _, path in site.asked].count("/evb/vsitypes/reload") == 2


def test_name_that_a_bridge_does_not_have_ends_it_with_its_line(site: Site) -> None:
    assert site.post(policy() + "mirror: {to: ids}\n")[0] == 201
    assert site.step() == "refused" and site.serves() is None
    _, shown = site.ask("GET", "/nms/rollouts/1")
    assert shown["refusals"] == {name: ["0.yaml:5:14: the configuration has no mirror 'ids'"] for name in "ab"}


def test_bridge_that_fails_at_the_swap_has_all_taken_back(site: Site) -> None:
    site.post(policy())
    site.step(), site.step()
    site.post(policy(version=2))
    assert site.step() == "swapping" and site.serves(version=2) is not None
    site.silent = {"b"}
    assert site.step() == "taking back"
    assert site.serves() == policy() and site.serves(version=2) is None
    site.asked.clear()
    assert site.step() == "taken back"
    assert site.asked == [(name, "/evb/vsitypes/reload") for name in "ab"]
    assert site.ask("GET", "/nms/rollouts")[1][1]["refusals"] == {"b": ["HTTP 500 Internal Server Error"]}


def test_first_set_that_is_taken_back_leaves_none(site: Site) -> None:
    site.silent = {"a"}
    site.post(policy())
    assert [site.step(), site.step(), site.step()] == ["swapping", "taking back", "taken back"]
    assert site.serves() is None


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_roll_out_goes_on_after_a_restart(site: Site, steps: int) -> None:
    site.post(policy())
    for _ in range(steps):
        site.step()
        site.restart()
    while site.database.open_roll_out() is not None:
        site.step()
        site.restart()
    assert site.serves() == policy()


def test_policies_with_mistakes_are_not_rolled_out(site: Site) -> None:
    status, found = site.post(policy(), policy(8, verdict="perhaps"))
    assert status == 422 and found["mistakes"][0].startswith("1.yaml:3:")
    site.post(policy())
    assert site.post(policy(8)) == (409, {"error": "another roll-out is not over"})
    site.step(), site.step()
    status, found = site.post(policy(verdict="deny"))
    assert status == 422 and "has another content: give it a new version" in found["mistakes"][0]
    assert site.ask("POST", "/nms/rollouts", {"policies": []})[0] == 422
    assert site.ask("DELETE", "/nms/rollouts")[0] == 405 and site.ask("GET", "/nms/rollouts/9")[0] == 404


def test_bridge_asks_for_a_type_with_its_etag(site: Site) -> None:
    site.post(policy())
    site.step(), site.step()
    found = site.roll_outs.policy(VsiTypeKey(7, 1))
    assert found is not None
    request = Request.blank("/nms/vsitypes/7/1.yaml", headers={"If-None-Match": f'"{found.etag}"'})
    assert request.get_response(site._application).status_code == 304
