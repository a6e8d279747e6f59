"""The event stream of a running controller, as ``curl -N`` of the manual and other clients find it."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ryu_apps.rest.stream import MOST
from ryu_apps.testbed.harness.shell import wait_until
from tests.app.test_evb_rest import Server, serving

MANUAL = Path(__file__).parents[2] / "docs/rest.rst"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, "ryu_apps.evb_bridge", "ryu_apps.evb_rest") as server:
        server.await_listening()
        yield server
    assert "Traceback" not in server.log.read_text()


def follow(stack: ExitStack, server: Server) -> socket.socket:
    """A client of the stream that has got the head of the answer."""
    client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=120))
    client.sendall(b"GET /evb/events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head = client.recv(10_000)
    assert head.startswith(b"HTTP/1.1 200"), head
    return client


def test_the_line_of_the_manual_shows_what_happens(server: Server) -> None:
    (line,) = re.findall(r"^    (curl -N \S+/evb/events/stream)$", MANUAL.read_text(), re.MULTILINE)
    command = ["stdbuf", "-oL", *line.replace(":8080/", f":{server.port}/").split(), "-s"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
        assert curl.stdout is not None
        try:
            assert curl.stdout.readline() == "retry: 1000\n"
            server.json("/evb/vsitypes/reload", "POST")
            lines = [line for line in (curl.stdout.readline().strip() for _ in range(6)) if line]
        finally:
            curl.kill()
    name, data = lines[0], json.loads(lines[1].removeprefix("data: "))
    assert name == f"id: {data['id']}" and data["kind"] in ("policies.loaded", "rest.changed")


def test_clients_that_have_gone_make_room(server: Server) -> None:
    with ExitStack() as stack:
        clients = [follow(stack, server) for _ in range(MOST)]
        status, body = server.json("/evb/events/stream")
        assert (status, body) == (503, {"error": f"{MOST} clients follow the events already"})
        assert server.json("/evb/status")[0] == 200
        for client in clients:
            client.close()

        def admitted() -> bool:
            # What happens is what shows that a client has gone.
            server.json("/evb/vsitypes/reload", "POST")
            response, _ = server.ask("/evb/events/stream", "HEAD")
            return response.status == 200

        wait_until(admitted, "a free place", pause=0.2)


def test_a_controller_ends_although_a_client_follows(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with serving(tmp_path, "ryu_apps.evb_bridge", "ryu_apps.evb_rest") as server:
            server.await_listening()
            client = follow(stack, server)
        while client.recv(10_000):
            pass
    assert "Traceback" not in server.log.read_text()
