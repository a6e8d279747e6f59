"""A switch on a bare blocking socket: what everything else is measured against."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.southbound.encode import message
from ryu_apps.southbound.messages import barrier

#: Seconds without a word from the switch after which something is wrong.
DEADLINE = 30.0


class Switch:
    """One connection, its handshake done.

    Args:
        server: listening socket the switch connects to.
    """

    def __init__(self, server: socket.socket) -> None:
        self._socket, _address = server.accept()
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(None)
        self._unread = b""
        self.send(message(ofp.OFPT_HELLO, b"") + message(ofp.OFPT_FEATURES_REQUEST, b""))
        self.wait_for(ofp.OFPT_FEATURES_REPLY)

    def close(self) -> None:
        self._socket.close()

    def send(self, octets: bytes | bytearray) -> None:
        self._socket.sendall(octets)

    def messages(self) -> Iterator[bytes]:
        """Messages as they come, echo requests answered."""
        while True:
            while len(self._unread) >= (size := int.from_bytes(self._unread[2:4]) or 8) and len(self._unread) >= 8:
                octets, self._unread = self._unread[:size], self._unread[size:]
                if octets[1] == ofp.OFPT_ECHO_REQUEST:
                    self.send(octets[:1] + bytes([ofp.OFPT_ECHO_REPLY]) + octets[2:])
                else:
                    yield octets
            received = self._socket.recv(1 << 16)
            if not received:
                return
            self._unread += received

    def wait_for(self, kind: int) -> bytes:
        """The next message of a kind; others are dropped.

        Raises:
            ConnectionError: the switch has gone, or has sent an error.
        """
        for octets in self.messages():
            if octets[1] == ofp.OFPT_ERROR:
                raise ConnectionError(f"the switch refuses: {octets.hex()}")
            if octets[1] == kind:
                return octets
        raise ConnectionError("the switch has gone")

    def barrier(self) -> None:
        """Return when the switch has dealt with everything."""
        self.send(barrier(1))
        self.wait_for(ofp.OFPT_BARRIER_REPLY)
