"""The REST interface on Ryu's own web server, in a ryu-manager of its own."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

RYU_MANAGER = Path(sys.executable).with_name("ryu-manager")
DPID = "0000000000000001"
VSI = "52540000-0000-4000-8000-000000000007"

CONFIG = """
version: 1
dps:
  s1:
    dp_id: 1
    interfaces:
      1: {name: hv1, role: station, native_vlan: 100}
      2: {name: nms, role: host, native_vlan: 100, macs: ['02:00:00:00:0f:01']}
"""


@dataclass
class Server:
    """A running ryu-manager."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def ask(self, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[http.client.HTTPResponse, bytes]:
        client = http.client.HTTPConnection(host, self.port, timeout=10)
        try:
            client.request(method, path)
            response = client.getresponse()
            return response, response.read()
        finally:
            client.close()

    def json(self, path: str, method: str = "GET") -> tuple[int, object]:
        response, body = self.ask(path, method)
        return response.status, json.loads(body)

    def await_listening(self, host: str = "127.0.0.1") -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                return socket.create_connection((host, self.port), timeout=10).close()
            except ConnectionRefusedError:
                time.sleep(0.05)
        pytest.fail(f"ryu-manager does not listen:\n{self.log.read_text()}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[Server]:
    """A ryu-manager with these apps and options."""
    log, config, port = folder / "log", folder / "evbridge.yaml", free_port()
    config.write_text(CONFIG)
    command = [RYU_MANAGER, "--ofp-tcp-listen-port", str(free_port()), "--wsapi-port", str(port), *arguments]
    with log.open("wb") as output:
        environment = {**os.environ, "EVBRIDGE_CONFIG": str(config)}
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        yield Server(process, port, log)
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The bridge and its REST interface, as plain ryu-manager loads them."""
    with serving(tmp_path_factory.mktemp("rest"), "ryu_apps.evb_bridge", "ryu_apps.evb_rest") as server:
        server.await_listening()
        yield server
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize(
    "path", ["status", "vsitypes", "vsis", f"flows/{DPID}", "reservations", "stations", "migrations", "events"]
)
def test_every_collection_is_served(server: Server, path: str) -> None:
    response, body = server.ask(f"/evb/{path}")
    assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
    json.loads(body)


def test_the_rules_of_a_switch_arrive_in_one_piece(server: Server) -> None:
    status, rules = server.json(f"/evb/flows/{DPID}?state=infrastructure")
    assert status == 200
    assert {rule["owner"]["kind"] for rule in rules} >= {"infrastructure"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/evb/nothing", 404),
        ("GET", f"/evb/vsis/{VSI}", 404),
        ("DELETE", f"/evb/vsis/{VSI}", 404),
        ("GET", "/evb/flows/1", 400),
        ("GET", "/evb/vsis/%ff", 400),
        ("POST", "/evb/status", 405),
        ("DELETE", "/metrics", 405),
    ],
)
def test_refusals_pass_ryu_unharmed(server: Server, method: str, path: str, status: int) -> None:
    found, body = server.json(path, method)
    assert found == status
    assert set(body) == {"error"}


def test_metrics_are_served_beside_the_rest(server: Server) -> None:
    response, body = server.ask("/metrics")
    assert response.status == 200
    assert b'evb_vsi_state{dp_id="0x1",dp_name="s1",state="active"} 0.0' in body


def test_a_connection_serves_head_and_then_more(server: Server) -> None:
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    client.request("HEAD", "/evb/status")
    assert client.getresponse().read() == b""
    client.request("GET", f"/evb/flows/{DPID}")
    assert json.loads(client.getresponse().read())
    client.close()


def test_only_the_loopback_address_is_listened_on(server: Server) -> None:
    # Linux routes all of 127.0.0.0/8 to this host; a server on every address would answer here too.
    with pytest.raises(ConnectionRefusedError):
        server.ask("/evb/status", host="127.0.0.2")


def test_an_address_asked_for_is_listened_on_and_a_missing_bridge_is_named(tmp_path: Path) -> None:
    with serving(tmp_path, "--wsapi-host", "127.0.0.2", "ryu_apps.evb_rest") as server:
        server.await_listening("127.0.0.2")
        response, body = server.ask("/evb/status", host="127.0.0.2")
    assert (response.status, json.loads(body)) == (503, {"error": "evb_bridge is not loaded"})
