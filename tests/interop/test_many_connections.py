"""Connections that do nothing, more than there are descriptors: a switch and a client still come through."""

from __future__ import annotations

import json
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.interop.evbridge import OPENFLOW, REST, Evbridge, Impostor
from tests.interop.private_ovs import PrivateOvs, inside, wait_for

IDLE = 1100
#: Far fewer than connections are made, as many as a shell gives by default.
DESCRIPTORS = 1024


@pytest.fixture
def evbridge(private_ovs: PrivateOvs, bridge: str, tmp_path: Path) -> Iterator[Evbridge]:
    with Evbridge(private_ovs, tmp_path, int(bridge[2:]), descriptors=DESCRIPTORS) as running:
        yield running
    assert "Traceback" not in running.log


@pytest.fixture
def crowd() -> Iterator[ExitStack]:
    """Room for what a test opens; all is closed in the end."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with ExitStack() as opened:
        yield opened
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))


def open_many(evbridge: Evbridge, crowd: ExitStack, port: int, first: bytes = b"", count: int = IDLE) -> None:
    with inside(evbridge.ovs.namespace):
        for _ in range(count):
            one = crowd.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            if first:
                one.sendall(first)


def test_a_switch_comes_through_idle_connections(evbridge: Evbridge, bridge: str, crowd: ExitStack) -> None:
    open_many(evbridge, crowd, OPENFLOW)
    evbridge.ovs.vsctl("set-controller", bridge, f"tcp:127.0.0.1:{OPENFLOW}")
    wait_for(evbridge.ready, "switch")
    # And what is a switch is not given up for them.
    open_many(evbridge, crowd, OPENFLOW)
    status = evbridge.get("/evb/status")
    openflow = status["descriptors"]["servers"]["openflow"]
    assert evbridge.ready() and evbridge.events("switch.down") == []
    assert status["descriptors"]["limit"] == DESCRIPTORS > status["descriptors"]["in_use"]
    assert openflow["waiting"] <= openflow["most"] and openflow["turned_away"] >= 2 * IDLE - openflow["most"]
    assert "descriptors.short" in [alarm["kind"] for alarm in status["alarms"]]
    assert evbridge.log.count("descriptors.short") < 5
    assert 'evb_connections_turned_away_total{server="openflow"}' in evbridge.text("/metrics")


def test_a_client_comes_through_half_open_requests(evbridge: Evbridge, bridge: str, crowd: ExitStack) -> None:
    open_many(evbridge, crowd, REST, b"GET /evb/status HTTP/1.1\r\nHo")
    rest = evbridge.get("/evb/status")["descriptors"]["servers"]["rest"]
    assert rest["waiting"] <= rest["most"] and rest["turned_away"] > 0
    evbridge.ovs.vsctl("set-controller", bridge, f"tcp:127.0.0.1:{OPENFLOW}")
    wait_for(evbridge.ready, "switch")


def test_both_come_through_when_there_is_no_descriptor_left(
    private_ovs: PrivateOvs, bridge: str, tmp_path: Path, crowd: ExitStack
) -> None:
    with Evbridge(private_ovs, tmp_path, int(bridge[2:]), descriptors=DESCRIPTORS) as evbridge:
        # Somebody else in the process, or the operator, takes what was meant to be there.
        in_use = evbridge.get("/evb/status")["descriptors"]["in_use"]
        resource.prlimit(evbridge.pid, resource.RLIMIT_NOFILE, (in_use + 20, DESCRIPTORS))
        for port in (OPENFLOW, REST):
            open_many(evbridge, crowd, port, count=200)
        evbridge.ovs.vsctl("set-controller", bridge, f"tcp:127.0.0.1:{OPENFLOW}")
        wait_for(lambda: _answers(evbridge) and evbridge.ready(), "switch")
    assert "Traceback" not in evbridge.log


def _answers(evbridge: Evbridge) -> bool:
    try:
        return bool(evbridge.get("/evb/status"))
    except OSError:
        return False


def test_what_does_not_go_on_is_closed(evbridge: Evbridge, crowd: ExitStack) -> None:
    mute = crowd.enter_context(evbridge.connect())
    head = crowd.enter_context(evbridge.connect(REST))
    body = crowd.enter_context(evbridge.connect(REST))
    drip = crowd.enter_context(evbridge.connect(REST))
    half = Impostor(evbridge, int(evbridge.dpid, 16))  # a features reply, and nothing more
    crowd.callback(half.close)
    head.sendall(b"GET /evb/status HT")
    more = b"Content-Type: application/json\r\nContent-Length: 10\r\n\r\n"
    body.sendall(b"PUT /evb/load_balancers/w/backends/b HTTP/1.1\r\nHost: 127.0.0.1\r\n" + more)
    drip.sendall(b"GET /evb/status HTTP/1.1\r\n")
    for client in (mute, head, body, drip):
        client.settimeout(30)
    answer = body.recv(1000)
    assert answer.startswith(b"HTTP/1.1 4"), answer
    assert "error" in json.loads(answer.partition(b"\r\n\r\n")[2] or body.recv(1000))
    assert drip.recv(1) == b""
    assert head.recv(1) == b""
    half.await_end()
    while mute.recv(100):
        pass
