"""Without the short cut, octets go to Ryu as it asks for them, and the receiver has what Ryu dispatches."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest
from eventlet.greenio import GreenSocket

from ryu_apps import compat  # noqa: F401 - Ryu on a current eventlet
from ryu_apps.southbound.ryu_reader import RyuReadChannel

BARRIER_REPLY, ECHO_REPLY, FEATURES_REPLY = 21, 3, 6


def message(kind: int, body: bytes = b"") -> bytes:
    return struct.pack("!BBHI", 4, kind, 8 + len(body), 1) + body


@pytest.fixture
def ends() -> Iterator[tuple[RyuReadChannel, socket.socket]]:
    near, switch = socket.socketpair()
    near.settimeout(5)
    channel = RyuReadChannel(GreenSocket(near), "test")
    yield channel, switch
    channel.close()
    switch.close()


def test_ryu_gets_no_more_octets_than_it_asks_for(ends: tuple[RyuReadChannel, socket.socket]) -> None:
    channel, switch = ends
    offered: list[bytes] = []
    channel.attach(lambda octets: bool(offered.append(octets)), lambda more: None)
    switch.sendall(message(BARRIER_REPLY) + message(ECHO_REPLY, b"data"))
    assert channel.recv(8) == message(BARRIER_REPLY)
    assert offered == []
    channel.dispatched(message(BARRIER_REPLY))
    assert offered == [message(BARRIER_REPLY)]
    assert channel.arrived() > channel.dealt
    assert channel.recv(12) == message(ECHO_REPLY, b"data")
    switch.shutdown(socket.SHUT_WR)
    assert channel.recv(8) == b"" and channel.ended


def test_a_datapath_id_that_is_not_admitted_ends_the_connection(ends: tuple[RyuReadChannel, socket.socket]) -> None:
    channel, _switch = ends
    channel.examine = lambda dpid: dpid == 1
    assert channel.admits(message(ECHO_REPLY, b"data")) and channel.answer == b"data"
    assert channel.admits(message(FEATURES_REPLY, (1).to_bytes(8) + bytes(16)))
    assert not channel.admits(message(FEATURES_REPLY, (2).to_bytes(8) + bytes(16)))
    assert channel.ended and channel.recv(8) == b""
