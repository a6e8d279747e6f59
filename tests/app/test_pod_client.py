"""Requests to other pods over real HTTP: answers of no use, too large or too late, and redirections."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

import pytest

from ryu_apps.evb.pods.state_document import MAX_SIZE, VsiState, to_json
from tests.app.test_evb_rest import free_port
from tests.app.test_vsi_managers import web

#: As the program has it, which makes all threads green when it is imported.
VSI = "00000000-0000-4000-8000-000000000001"
ASKING = Path(__file__).with_name("pod_asking.py")
#: Seconds for a bridge that answers at once, on a busy machine.
PATIENCE = "5"


class Bridge(BaseHTTPRequestHandler):
    """Answers by the first part of the path; ``heard`` has what it was asked."""

    heard: ClassVar[list[tuple[str, str, bytes]]] = []

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.heard.append((self.command, self.path, body))
        kind, _, rest = self.path[1:].partition("/")
        getattr(self, kind)(rest)

    do_POST = do_GET  # noqa: N815 - a name of the library

    def good(self, _: str) -> None:
        state = to_json(VsiState(VSI, "1/1", "digest", False))
        self._say(200, json.dumps(state if self.command == "GET" else {"vsi": VSI, "shut": True}).encode())

    def other(self, _: str) -> None:
        self._say(200, json.dumps(to_json(VsiState("another", "1/1", "digest", False))).encode())

    def damaged(self, _: str) -> None:
        self._say(200, b"{")

    def unknown(self, _: str) -> None:
        self._say(404)

    def claimed(self, _: str) -> None:
        self._say(409)

    def follower(self, _: str) -> None:
        self._say(503)

    def taking_over(self, _: str) -> None:
        # A standby refers to the leader that has died, then to none, until it leads itself.
        rank = sum("taking_over" in path for _, path, _ in self.heard)
        if rank == 1:
            self._say(307, Location=f"http://127.0.0.1:1/{self.path}")
        elif rank == 2:
            self._say(503)
        else:
            self.good("")

    def forbidden(self, _: str) -> None:
        self._say(403)

    def around(self, rest: str) -> None:
        self._say(307, Location=f"/good/{rest}")

    def away(self, rest: str) -> None:
        self._say(307, Location=f"http://localhost:{self.server.server_address[1]}/good/{rest}")

    def large(self, _: str) -> None:
        self._say(200, b" " * (MAX_SIZE + 1))

    def late(self, _: str) -> None:
        time.sleep(30)

    def _say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with web(Bridge) as port:
        yield f"http://127.0.0.1:{port}/"


def ask(method: str, *urls: str, timeout: str = PATIENCE) -> str:
    """The outcome of a request."""
    command = [sys.executable, "-W", "ignore", str(ASKING), method, timeout, *urls]
    root = Path(__file__).parents[2]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, cwd=root).stdout.strip()


@pytest.mark.parametrize(
    ("method", "kind", "outcome"),
    [
        ("state", "good", f"VsiState(vsi='{VSI}'"),
        ("state", "around", f"VsiState(vsi='{VSI}'"),
        ("state", "unknown", "None"),
        ("state", "other", "unreachable: about VSI another"),
        ("state", "damaged", "unreachable: no state of a VSI"),
        ("state", "large", f"unreachable: HTTP 200 OK: more than {MAX_SIZE} octets"),
        ("shut", "good", "True"),
        ("shut", "around", "True"),
        ("shut", "claimed", "False"),
        ("shut", "forbidden", "unreachable: HTTP 403"),
        ("shut", "away", "redirects to another host"),
    ],
)
def test_whatever_a_bridge_answers_is_an_outcome(base: str, method: str, kind: str, outcome: str) -> None:
    assert outcome in ask(method, f"{base}{kind}/")


def test_bridges_of_a_pod_are_asked_until_one_leads(base: str) -> None:
    Bridge.heard.clear()
    assert ask("shut", f"http://127.0.0.1:{free_port()}/", f"{base}follower/", f"{base}good/", f"{base}away/") == "True"
    path, body = f"evb/vsis/{VSI}/handover", b'{"pod": "b", "generation": 7}'
    assert Bridge.heard == [("POST", f"/{kind}/{path}", body) for kind in ("follower", "good")]


def test_bridge_that_led_last_is_asked_first(base: str) -> None:
    Bridge.heard.clear()
    ask("shut,state", f"{base}follower/", f"{base}good/")
    assert [path.split("/")[1] for _, path, _ in Bridge.heard] == ["follower", "good", "good"]


@pytest.mark.parametrize("method", ["shut", "state"])
def test_bridges_of_a_pod_without_a_leader_are_asked_until_one_leads(base: str, method: str) -> None:
    Bridge.heard.clear()
    dead = f"http://127.0.0.1:{free_port()}/"
    assert ask(method, dead, f"{base}taking_over/").startswith("True" if method == "shut" else "VsiState")
    assert len(Bridge.heard) == 3


def test_standbys_of_a_pod_whose_leader_does_not_come_back_are_asked_for_a_while(base: str) -> None:
    Bridge.heard.clear()
    outcome = ask("shut", f"http://127.0.0.1:{free_port()}/", f"{base}follower/", f"{base}away/", timeout="1")
    assert outcome.startswith("unreachable:") and "no answer within 1 s" in outcome
    assert "HTTP 503" in outcome and "redirects to another host" in outcome and "ECONNREFUSED" in outcome
    assert len(Bridge.heard) > 3


def test_bridge_that_is_stopped_leaves_time_for_the_one_that_leads(base: str) -> None:
    assert ask("shut", f"{base}late/", f"{base}good/") == "True"


def test_bridges_that_do_not_answer_are_unreachable_in_time(base: str) -> None:
    begun = time.monotonic()
    assert "no answer within 0.25 s" in ask("shut", f"{base}late/", f"{base}late/", timeout="0.5")
    assert time.monotonic() - begun < 25
