"""``evbridge vcm serve`` as a process: who may ask it, and with what body."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.app.test_rest_access import certify, token
from tests.app.test_starting import HEAD

EVBRIDGE = Path(sys.executable).with_name("evbridge")
INVENTORY = Path(__file__).parents[2] / "mininet_tests" / "inventories" / "two-switch.yaml"
GOALS = "POST /vcm/goals HTTP/1.1"
JSON = "Content-Type: application/json"
#: Descriptors of a manager that has few.
DESCRIPTORS = 100
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


def test_idle_connections_beyond_the_descriptors_neither_end_nor_block_it(tmp_path: Path) -> None:
    with manager(tmp_path, before=("prlimit", f"--nofile={DESCRIPTORS}")) as process, ExitStack() as stack:
        stack.callback(process.terminate)
        assert process.stdout is not None
        found = re.match(r"http://127\.0\.0\.1:(\d+)/vcm", process.stdout.readline())
        assert found
        for _ in range(2 * DESCRIPTORS):
            idle = stack.enter_context(socket.create_connection(("127.0.0.1", int(found[1])), timeout=120))
            idle.sendall(b"GET /vcm/goals HTTP/1.1\r\n")
        client = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=120)
        client.request("GET", "/vcm/goals")
        assert client.getresponse().status == 200


# --- tokens and TLS ---------------------------------------------------------------------------------
def manager(folder: Path, *options: str, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*before, EVBRIDGE, "vcm", "serve", INVENTORY, "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=(folder / "log").open("w"),
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        cwd=folder,
    )


TLS = ("--certificate", "rest.pem", "--private-key", "rest.key")


def test_tokens_and_tls_are_those_of_the_bridge(tmp_path: Path) -> None:
    certify(tmp_path)
    texts = {role: token(tmp_path, "create", f"a-{role}", "--role", role) for role in ("read", "operate")}
    context = ssl.create_default_context(cafile=str(tmp_path / "rest.pem"))
    with manager(tmp_path, "--host", "0.0.0.0", "--tokens", "tokens", *TLS) as process:
        try:
            assert process.stdout is not None
            found = re.match(r"https://0\.0\.0\.0:(\d+)/vcm", process.stdout.readline())
            assert found
            port = int(found[1])

            def ask(method: str, text: str | None, body: bytes | None = None) -> int:
                client = http.client.HTTPSConnection("localhost", port, timeout=120, context=context)
                headers = {"Content-Type": "application/json"}
                client.request(method, "/vcm/goals", body, headers | authorization(text))
                response = client.getresponse()
                response.read()
                client.close()
                return response.status

            # What does not speak TLS, and what says nothing, keeps nobody.
            with ExitStack() as stack:
                for octets in (b"", b"GET /vcm/goals HTTP/1.1\r\n\r\n"):
                    silent = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=120))
                    silent.sendall(octets)
                assert [ask("GET", text) for text in (None, "evb_guess", *texts.values())] == [401, 401, 200, 200]
            assert ask("POST", texts["read"], BODY) == 403
            assert ask("GET", texts["read"]) == 200
            assert ask("POST", texts["operate"], BODY) == 201
        finally:
            process.terminate()
            process.wait(60)
    log = (tmp_path / "log").read_text()
    facts = "address=127.0.0.1 method=POST path=/vcm/goals"
    for said in (f"rest.changed caller=a-operate {facts} status=201", f"rest.refused caller=a-read {facts} status=403"):
        assert re.search(HEAD + re.escape(said), log), log
    assert "Traceback" not in log and texts["operate"] not in log


def authorization(text: str | None) -> dict[str, str]:
    return {} if text is None else {"Authorization": f"Bearer {text}"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--host", "0.0.0.0"), "it needs --tokens, --certificate and --private-key"),
        (("--host", "0.0.0.0", "--tokens", "tokens"), "it needs --tokens, --certificate and --private-key"),
        (("--host", "0.0.0.0", *TLS), "it needs --tokens, --certificate and --private-key"),
        (TLS[:2], "--certificate and --private-key go together"),
        (("--tokens", "rest.pem"), "rest.pem:1: name:role:expires:hash was expected"),
        (("--certificate", "tokens", "--private-key", "tokens"), "tokens"),
    ],
)
def test_a_manager_that_would_let_strangers_in_does_not_start(
    tmp_path: Path, options: tuple[str, ...], reason: str
) -> None:
    certify(tmp_path)
    token(tmp_path, "create", "a", "--role", "read")
    with manager(tmp_path, *options) as process:
        assert process.wait(60) in (1, 2)
    assert reason in (tmp_path / "log").read_text() and "Traceback" not in (tmp_path / "log").read_text()
