"""Plain ryu-manager, as installed, on the eventlet that is installed."""

from __future__ import annotations

import base64
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ryu_apps.testbed.harness.sandbox import inside

BIN = Path(sys.executable).parent
HERE = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def private_network() -> Iterator[None]:
    """Address at which a free port stays free until it is used."""
    with inside():
        yield


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(log: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A ryu-manager and the port of its REST server."""
    port = free_port()
    options = ["--ofp-tcp-listen-port", str(free_port()), "--wsapi-host", "127.0.0.1", "--wsapi-port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen([BIN / "ryu-manager", *options, *arguments], stdout=output, stderr=output)
    try:
        yield process, port
    finally:
        process.terminate()
        process.wait(60)


def connect(process: subprocess.Popen[bytes], port: int, log: Path) -> socket.socket:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=120)
        except ConnectionRefusedError:
            time.sleep(0.05)
    pytest.fail(f"ryu-manager does not listen:\n{log.read_text()}")


def test_ryu_manager_starts() -> None:
    done = subprocess.run([BIN / "ryu-manager", "--version"], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "ryu-manager 4.34", done.stderr


def test_ryu_manager_serves_rest(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running(log, "ryu.app.ofctl_rest") as (process, port):
        connect(process, port, log).close()
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        client.request("GET", "/stats/switches")
        response = client.getresponse()
        assert (response.status, response.read()) == (200, b"[]")


def test_a_websocket_ends_without_a_traceback(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running(log, str(HERE / "websocket_app.py")) as (process, port), connect(process, port, log) as client:
        key = base64.b64encode(os.urandom(16)).decode()
        client.sendall(
            f"GET /capitals HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        stream = client.makefile("rb")
        assert stream.readline() == b"HTTP/1.1 101 Switching Protocols\r\n"
        while stream.readline() != b"\r\n":
            pass
        client.sendall(masked(0x1, b"staged"))
        assert stream.read(2 + 6) == b"\x81\x06STAGED"
        client.sendall(masked(0x8, b""))
        assert stream.read()[:1] == b"\x88"
        deadline = time.monotonic() + 60
        while "GET /capitals" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.02)
    assert '"GET /capitals HTTP/1.1" 200' in log.read_text()
    assert "Traceback" not in log.read_text()


def masked(opcode: int, payload: bytes) -> bytes:
    """A final websocket frame from a client (RFC 6455), masked with zeros."""
    return bytes([0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0]) + payload


def test_the_hook_costs_other_programs_nothing() -> None:
    assert in_new_interpreter(
        "print([name for name in ('evbridge_hook', 'ryu_apps', 'eventlet') if name in sys.modules])"
    ) == ("['evbridge_hook']\n")


def test_the_hook_leaves_when_it_has_done_its_work() -> None:
    shown = in_new_interpreter(
        "import ryu.app.wsgi; print([one for one in sys.meta_path if 'evbridge_hook' in repr(one)])"
    )
    assert shown == "[]\n"


def in_new_interpreter(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", f"import sys; {program}"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout
