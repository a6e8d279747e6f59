"""``evbridge vcm serve`` as a process: who may ask it, and with what body."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

EVBRIDGE = Path(sys.executable).with_name("evbridge")
INVENTORY = Path(__file__).parents[2] / "mininet_tests" / "inventories" / "two-switch.yaml"
GOALS = "POST /vcm/goals HTTP/1.1"
JSON = "Content-Type: application/json"
BODY = b'{"goal": "evacuate", "subject": "hv1"}'


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Address at which a manager listens."""
    command = [EVBRIDGE, "vcm", "serve", INVENTORY, "--port", "0", "--name", "vcm.example.net"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        found = re.match(r"http://127\.0\.0\.1:(\d+)/vcm", process.stdout.readline())
        assert found
        yield int(found[1])
        process.terminate()


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        (403, (GOALS, "Host: localhost", "Origin: http://evil.example", JSON)),
        (403, (GOALS, "Host: localhost", "Sec-Fetch-Site: cross-site", JSON)),
        (411, (GOALS, "Host: localhost", JSON, "Transfer-Encoding: chunked")),
        (415, (GOALS, "Host: localhost", "Content-Type: text/plain")),
        (415, (GOALS, "Host: localhost")),
        (421, (GOALS, "Host: evil.example", JSON)),
        (421, ("GET /vcm/inventory HTTP/1.1", "Host: evil.example")),
        (400, ("GET /vcm/inventory HTTP/1.1",)),
        (200, ("GET /vcm/inventory HTTP/1.1", "Host: vcm.example.net:{port}", "Origin: http://vcm.example.net:{port}")),
    ],
)
def test_only_the_manager_s_own_pages_and_programs_are_served(port: int, status: int, lines: tuple[str, ...]) -> None:
    body = b"" if lines[0].startswith("GET") else BODY
    length = () if "Transfer-Encoding: chunked" in lines or not body else (f"Content-Length: {len(body)}",)
    written = "\r\n".join((*lines, *length, "Connection: close", "", "")).format(port=port).encode() + body
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        connection.sendall(written)
        response = http.client.HTTPResponse(connection)
        response.begin()
        found = json.loads(response.read())
    assert response.status == status, found


def test_nothing_was_begun_by_them_and_a_program_can(port: int) -> None:
    def ask(method: str, path: str, body: bytes | None = None) -> tuple[int, list[object]]:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        client.request(method, path, body, {"Content-Type": "application/json"})
        response = client.getresponse()
        return response.status, json.loads(response.read())

    assert ask("GET", "/vcm/goals") == (200, [])
    assert ask("POST", "/vcm/goals", BODY)[0] == 201
