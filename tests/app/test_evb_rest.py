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
from urllib.parse import unquote

import pytest

RYU_MANAGER = Path(sys.executable).with_name("ryu-manager")
DPID = "0000000000000001"
VSI = "52540000-0000-4000-8000-000000000007"

CONFIG = """
version: 1
rest: {names: [evb.example.net]}
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
        client = http.client.HTTPConnection(host, self.port, timeout=120)
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
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                return socket.create_connection((host, self.port), timeout=120).close()
            except ConnectionRefusedError:
                time.sleep(0.05)
        pytest.fail(f"ryu-manager does not listen:\n{self.log.read_text()}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def serving(folder: Path, *arguments: str, text: str = CONFIG) -> Iterator[Server]:
    """A ryu-manager with these apps and options."""
    log, config, port = folder / "log", folder / "evbridge.yaml", free_port()
    config.write_text(text)
    command = [RYU_MANAGER, "--ofp-tcp-listen-port", str(free_port()), "--wsapi-port", str(port), *arguments]
    with log.open("wb") as output:
        environment = {**os.environ, "EVBRIDGE_CONFIG": str(config)}
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        yield Server(process, port, log)
    finally:
        process.terminate()
        process.wait(60)


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
        ("GET", "/evb/flows/x", 400),
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
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
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


# --- who may ask, and with what body: what a browser or a stuck client sends, octet by octet --------
def exchange(port: int, *lines: str, body: bytes = b"", host: str = "127.0.0.1") -> tuple[int, bytes]:
    """Status and body of the answer to a request as written; the server ends the connection."""
    request = "\r\n".join((*lines, "Connection: close", "", "")).encode() + body
    with socket.create_connection((host, port), timeout=120) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, response.read()


def ended(connection: socket.socket) -> bool:
    """Return True if the server closes a connection without a further octet."""
    try:
        return connection.recv(1000) == b""
    except ConnectionResetError:
        return True


RELOAD = "POST /evb/vsitypes/reload HTTP/1.1"
JSON = "Content-Type: application/json"


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        (200, (RELOAD, "Host: localhost")),
        (200, (RELOAD, "Host: [::1]:8080", JSON)),
        (200, (RELOAD, "Host: [0:0::1]", JSON)),
        (
            200,
            (RELOAD, "Host: 127.0.0.1:{port}", "Origin: http://127.0.0.1:{port}", "Sec-Fetch-Site: same-origin", JSON),
        ),
        (200, (RELOAD, "Host: evb.example.net")),
        (400, (RELOAD,)),
        # A form, a fetch without CORS, and an image of a page elsewhere; a name that was made to lead here.
        (403, (RELOAD, "Host: 127.0.0.1:{port}", "Origin: http://evil.example", "Content-Type: text/plain")),
        (403, (RELOAD, "Host: 127.0.0.1:{port}", "Origin: http://evil.example")),
        (403, (RELOAD, "Host: 127.0.0.1:{port}", "Origin: http://127.0.0.1:{other}", JSON)),
        (403, (RELOAD, "Host: 127.0.0.1:{port}", "Origin: null")),
        (403, (RELOAD, "Host: 127.0.0.1:{port}", "Sec-Fetch-Site: cross-site")),
        (403, ("DELETE /evb/vsis/" + VSI + " HTTP/1.1", "Host: 127.0.0.1", "Origin: http://evil.example")),
        (403, ("OPTIONS /evb/status HTTP/1.1", "Host: 127.0.0.1", "Origin: http://evil.example")),
        (415, (RELOAD, "Host: localhost", "Content-Type: text/plain")),
        (415, (RELOAD, "Host: localhost", "Content-Type: application/x-www-form-urlencoded")),
        (421, (RELOAD, "Host: evil.example", JSON)),
        (421, (RELOAD, "Host: evil.example:{port}", "Origin: http://evil.example:{port}", JSON)),
        (421, (RELOAD, "Host: 127.0.0.1, evil.example")),
        (421, (RELOAD, "Host: 127.0.0.1", "Host: evil.example")),
        (421, (RELOAD, "Host: [::1]", "Host: evil.example")),
        (421, (RELOAD, "Host: 127.0.0.1:8080, evil.example:8080")),
        (421, (RELOAD, "Host: [::1")),
        (421, (RELOAD, "Host: 127.0.0.1.evil.example")),
        (421, ("GET /evb/status HTTP/1.1", "Host: evil.example")),
        (421, ("GET /metrics HTTP/1.1", "Host: evil.example")),
        (200, ("GET /metrics HTTP/1.1", "Host: localhost.")),
    ],
)
def test_a_page_of_another_origin_changes_and_learns_nothing(
    server: Server, status: int, lines: tuple[str, ...]
) -> None:
    ports = {"port": server.port, "other": server.port + 1}
    found, body = exchange(server.port, *(line.format(**ports) for line in lines))
    assert found == status, body
    if status != 200:
        assert set(json.loads(body)) == {"error"}


PUT = f"PUT /evb/statistics/{VSI} HTTP/1.1"


@pytest.mark.parametrize(
    ("status", "lines", "body"),
    [
        (411, (PUT, "Host: localhost", JSON, "Transfer-Encoding: chunked"), b"2\r\n{}\r\n0\r\n\r\n"),
        (411, (PUT, "Host: localhost", JSON, "Transfer-Encoding: chunked"), b""),
        (
            411,
            (PUT, "Host: localhost", JSON, "Transfer-Encoding: gzip"),
            b"POST /evb/vsitypes/reload HTTP/1.1\r\n\r\n",
        ),
        (413, (PUT, "Host: localhost", JSON, "Content-Length: 1000000"), b""),
        (415, (PUT, "Host: localhost", "Content-Type: text/plain", "Content-Length: 1000"), b"{"),
        (415, (PUT, "Host: localhost", "Content-Length: 2"), b"{}"),
        (421, (PUT, "Host: evil.example", JSON, "Content-Length: 1000"), b""),
        (422, (PUT, "Host: localhost", "Content-Type: application/json; charset=utf-8", "Content-Length: 2"), b"{}"),
        (422, (PUT, "Host: localhost", JSON, "Content-Length: 2", "Expect: 100-continue"), b"{}"),
    ],
)
def test_a_body_that_does_not_come_is_not_waited_for(
    server: Server, status: int, lines: tuple[str, ...], body: bytes
) -> None:
    request = "\r\n".join((*lines, "", "")).encode() + body
    # Not closed by the client: the server has to end both the request and the connection.
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == status
        assert set(json.loads(response.read())) == {"error"}
        if status != 422:
            assert ended(connection)


def test_a_body_that_never_comes_ends_its_request_and_no_other(server: Server) -> None:
    waiting = []
    for lines in ((PUT, JSON), ("GET /evb/status HTTP/1.1",)):
        waiting.append(connection := socket.create_connection(("127.0.0.1", server.port), timeout=120))
        connection.sendall("\r\n".join((*lines, "Host: localhost", "Content-Length: 1000", "", "{")).encode())
    assert server.json("/evb/status")[0] == 200
    for connection in waiting:
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert (response.status, response.headers["Connection"]) == (408, "close")
        assert json.loads(response.read()) == {"error": "the body has not arrived within 5 s"}
        assert ended(connection)
        connection.close()


def test_a_request_that_is_cut_short_does_nothing(server: Server) -> None:
    # Headers that end with the connection may lack the one that forbids it.
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as client:
        client.sendall(f"DELETE /evb/vsis/{VSI} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode())
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1000) == b""


@pytest.mark.parametrize("path", ["/evb/status", "/evb/vsis", "/evb/nothing", "/nothing", "/evb"])
def test_an_answer_ends_its_line(server: Server, path: str) -> None:
    _, body = server.ask(path)
    assert body.endswith(b"\n") and b"\n" not in body[:-1]


@pytest.mark.parametrize("path", ["/nothing", "/metrics/nothing", "/evb/nothing", "/evb/", "/evb/%0A", "/%0A/%0A"])
def test_what_no_app_serves_is_one_shape_of_error(server: Server, path: str) -> None:
    assert server.json(path) == (404, {"error": f"no resource {unquote(path)}"})


def test_the_reason_phrase_of_another_host_is_that_of_rfc_9110(server: Server) -> None:
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    client.request("GET", "/evb/status", headers={"Host": "evil.example"})
    response = client.getresponse()
    client.close()
    assert (response.status, response.reason) == (421, "Misdirected Request")
