"""Streams of small frames: a sender of its own (``python -m bench.stream``), and who listens to them.

Every frame carries the time it left, so that what the sender loses to the scheduler is not charged to
the switch.  Arrival times are the kernel's.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from contextlib import suppress
from dataclasses import dataclass

_ETH_P_IP = 0x0800
_UDP_PORT_AT = 36
#: Of the header in :func:`udp`; connection tracking drops a wrong one.
_IP_CHECKSUM = 0x54B5
_SENT_AT = 42
_STAMP = struct.Struct("!Q")
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@qq")
_SOL_PACKET, _PACKET_IGNORE_OUTGOING = 263, 23
#: Seconds between two frames of a stream.
INTERVAL = 0.00025


def udp(dst: int, src: int, port: int) -> bytes:
    """A UDP datagram to a port, with room for the time it leaves; without a checksum of its own."""
    ends = bytes((10, 9, 9, 1)), bytes((10, 9, 9, 2))
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 36, 0, 0, 64, 17, _IP_CHECKSUM, *ends)
    return (
        dst.to_bytes(6)
        + src.to_bytes(6)
        + _ETH_P_IP.to_bytes(2)
        + ip
        + struct.pack("!HHHH", 9, port, 16, 0)
        + bytes(18)
    )


@dataclass(frozen=True, slots=True)
class Arrival:
    """Unix seconds."""

    sent: float
    received: float


class Listener:
    """The frames of one stream as they come in at an interface.

    Args:
        opened: a packet socket, not yet bound.
    """

    def __init__(self, opened: socket.socket, interface: str, port: int) -> None:
        self._socket = opened
        self._port = port
        opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        opened.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        opened.bind((interface, _ETH_P_IP))

    def close(self) -> None:
        self._socket.close()

    def drain(self) -> list[Arrival]:
        """Return the arrivals since the last call."""
        found = []
        self._socket.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                found += self._receive()
        return found

    def first(self, patience: float) -> Arrival:
        """The next frame.

        Raises:
            TimeoutError: there is none.
        """
        self._socket.settimeout(patience)
        while not (found := self._receive()):
            pass
        return found[0]

    def _receive(self) -> list[Arrival]:
        octets, extra, _flags, _address = self._socket.recvmsg(128, 64)
        if int.from_bytes(octets[_UDP_PORT_AT : _UDP_PORT_AT + 2]) != self._port:
            return []
        seconds, nanoseconds = _TIMESPEC.unpack_from(extra[0][2])
        return [Arrival(_STAMP.unpack_from(octets, _SENT_AT)[0] / 1e9, seconds + nanoseconds / 1e9)]


def main() -> None:
    """Send until ended: arguments are ``interface=frame in hexadecimal``."""
    streams = []
    for argument in sys.argv[1:]:
        interface, _, digits = argument.partition("=")
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        opened.bind((interface, 0))
        streams.append((opened, bytearray.fromhex(digits)))
    due = time.monotonic()
    while True:
        for opened, octets in streams:
            _STAMP.pack_into(octets, _SENT_AT, time.time_ns())
            with suppress(OSError):
                opened.send(octets)
        due = max(due + INTERVAL, time.monotonic())
        time.sleep(max(due - time.monotonic(), 0))


if __name__ == "__main__":
    main()
