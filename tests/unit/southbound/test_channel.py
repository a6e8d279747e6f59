"""The octets between Ryu and a switch, over a real pair of sockets in eventlet's loop."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import eventlet
import pytest
from eventlet.greenio import GreenSocket

from ryu_apps import compat  # noqa: F401 - Ryu on a current eventlet
from ryu_apps.southbound.channel import Channel

OURS, RYUS = 1, 2


def message(kind: int, xid: int, size: int = 8) -> bytes:
    return struct.pack("!BBHI", 4, kind, size, xid) + bytes(size - 8)


class Ends:
    """A channel and the switch at its other end."""

    def __init__(self) -> None:
        near, self.switch = socket.socketpair()
        near.settimeout(5)
        self.channel = Channel(GreenSocket(near), "test")
        self.offered: list[bytes] = []
        self.settled = 0
        self.more: list[bool] = []
        self.channel.attach(self._receive, self._settle)

    def _receive(self, octets: bytes) -> bool:
        self.offered.append(octets)
        return octets[1] == OURS

    def _settle(self, more: bool) -> None:
        self.settled += 1
        self.more.append(more)

    def read_as_ryu(self, messages: int) -> list[bytes]:
        """Messages that Ryu's receive loop reads, until it has so many."""
        stream, found = b"", []
        while len(found) < messages:
            stream += self.channel.recv(8)
            while len(stream) >= 8 and len(stream) >= int.from_bytes(stream[2:4]):
                length = int.from_bytes(stream[2:4])
                found.append(stream[:length])
                stream = stream[length:]
        return found


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.channel.close()
    made.switch.close()


def test_ours_are_taken_out_and_the_rest_is_left_in_order(ends: Ends) -> None:
    sent = [message(OURS if xid % 3 else RYUS, xid, 8 + xid) for xid in range(30)]
    ends.switch.sendall(b"".join(sent))
    rest = [message for message in sent if message[1] == RYUS]
    assert ends.read_as_ryu(len(rest)) == rest
    assert ends.offered == sent


def test_messages_may_come_in_any_pieces(ends: Ends) -> None:
    sent = [message(RYUS if xid % 2 else OURS, xid, 8 + 5 * xid) for xid in range(20)]
    stream = b"".join(sent)

    def trickle() -> None:
        for start in range(0, len(stream), 7):
            ends.switch.sendall(stream[start : start + 7])
            eventlet.sleep(0)

    eventlet.spawn(trickle)
    rest = [message for message in sent if message[1] == RYUS]
    assert ends.read_as_ryu(len(rest)) == rest
    assert ends.offered == sent


def test_messages_that_come_together_are_settled_together(ends: Ends) -> None:
    ends.switch.sendall(message(OURS, 1) + message(OURS, 2) + message(RYUS, 3))
    ends.read_as_ryu(1)
    assert ends.settled == 1


def test_a_stream_of_ours_does_not_keep_the_others_from_their_turn(ends: Ends) -> None:
    count, turns = 1000, []

    def other() -> None:
        while len(ends.offered) < count:
            turns.append(len(ends.offered))
            eventlet.sleep(0)

    eventlet.spawn(other)
    ends.switch.sendall(b"".join(message(OURS, xid) for xid in range(count)) + message(RYUS, 0))
    ends.read_as_ryu(1)
    assert any(0 < turn < count for turn in turns)
    # Whoever is settled with knows that there is more to read, up to the end.
    assert all(ends.more[:-1]) and not ends.more[-1]


def test_the_end_of_the_stream_is_told(ends: Ends) -> None:
    ends.switch.close()
    assert ends.channel.recv(8) == b""


def test_a_silent_switch_gives_ryu_a_look_around(ends: Ends) -> None:
    ends.channel._socket.settimeout(0.02)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            ends.channel.recv(8)
    ends.switch.sendall(message(RYUS, 1))
    assert ends.channel.recv(8) == message(RYUS, 1)


def test_what_is_written_leaves_with_the_flush_in_one_piece(ends: Ends) -> None:
    ends.switch.setblocking(False)
    ends.channel.write(message(OURS, 1))
    ends.channel.write(bytearray(message(OURS, 2)))
    with pytest.raises(BlockingIOError):
        ends.switch.recv(100)
    ends.channel.flush()
    assert ends.switch.recv(100) == message(OURS, 1) + message(OURS, 2)


def test_a_slow_switch_gets_all_in_order_and_holds_nobody_up(ends: Ends) -> None:
    large = [message(OURS, xid, 60000) for xid in range(40)]
    received = bytearray()

    def ryu_sends() -> None:
        for xid in range(3):
            ends.channel.sendall(message(RYUS, xid))

    for octets_sent in large:
        ends.channel.write(octets_sent)
        ends.channel.flush()
    assert ends.channel.backlog > 0, "the socket takes no more, and flush has returned"
    sender = eventlet.spawn(ryu_sends)
    eventlet.sleep(0.01)
    assert sender, "Ryu waits until the switch has taken what it sends"
    expected = b"".join(large) + b"".join(message(RYUS, xid) for xid in range(3))
    ends.switch.setblocking(False)
    while len(received) < len(expected):
        eventlet.sleep(0)
        try:
            received += ends.switch.recv(1 << 16)
        except BlockingIOError:
            continue
    sender.wait()
    assert bytes(received) == expected
    assert ends.channel.backlog == 0


def test_a_broken_connection_ends_the_receive_loop(ends: Ends) -> None:
    ends.switch.close()
    ends.channel.write(message(OURS, 1))
    ends.channel.flush()
    assert ends.channel.recv(8) == b""
    assert ends.channel.backlog == 0
