"""An uplink: LLDP and ECP frames at one interface, by packet sockets."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress

from ryu_apps.evb.wire.ecp import Ecpdu
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, ETHERTYPE_LLDP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.lldp import Lldpdu, bridge_lldpdu
from ryu_apps.station.station import Advertise, NeighbourHeard, Received, Transmit

#: Seconds for which a bridge believes an LLDPDU.
TTL = 120
#: Frames that are read in one go; a flood does not keep the daemon from its calls.
TURN = 64

_LONGEST_FRAME = 9216
_OUTGOING = 4
_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, _PACKET_MR_MULTICAST = 263, 1, 0
#: struct packet_mreq of packet(7).
_MEMBERSHIP = struct.Struct("iHH8s")


class Uplink:
    """The sockets of one interface; it may vanish and come back.

    Attributes:
        sockets: one for LLDP and one for ECP while it is open.
    """

    def __init__(self, interface: str) -> None:
        self.interface = interface
        self.sockets: list[socket.socket] = []
        self._mac = 0

    @property
    def is_open(self) -> bool:
        """True between :meth:`open` and :meth:`close`."""
        return bool(self.sockets)

    def open(self, readable: Callable[[socket.socket], None]) -> None:
        """Open the sockets.

        Args:
            readable: is given each of them, to have :meth:`receive` called when it can be read.

        Raises:
            OSError: there is no such interface, or no permission (CAP_NET_RAW).
        """
        for ethertype in (ETHERTYPE_LLDP, ETHERTYPE_ECP):
            opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.sockets.append(opened)
            opened.setblocking(False)
            opened.bind((self.interface, ethertype))
            _listen(opened, self.interface)
            self._mac = int.from_bytes(opened.getsockname()[4])
            readable(opened)

    def close(self) -> None:
        """Close the sockets."""
        for sock in self.sockets:
            sock.close()
        self.sockets.clear()

    def receive(self, sock: socket.socket) -> Iterator[NeighbourHeard | Received]:
        """The events in what has arrived at a socket, :data:`TURN` frames at most; what cannot be read is dropped."""
        for _ in range(TURN):
            try:
                data, address = sock.recvfrom(_LONGEST_FRAME)
            except OSError:  # nothing is left, or the link is down
                return
            if address[2] != _OUTGOING:
                with suppress(WireError):
                    yield from _events(Frame.decode(data))

    def send(self, frame: Advertise | Transmit) -> None:
        """Send a frame; without a link it is lost, as on a wire."""
        match frame:
            case Advertise(evb):
                self._send(ETHERTYPE_LLDP, bridge_lldpdu(self._mac, self.interface, TTL, evb).encode())
            case Transmit(ecpdu):
                self._send(ETHERTYPE_ECP, ecpdu.encode())

    def say_goodbye(self) -> None:
        """Send the shutdown LLDPDU (802.1AB 9.1.4); VSIs are not released by it."""
        self._send(ETHERTYPE_LLDP, bridge_lldpdu(self._mac, self.interface, 0, None).encode())

    def _send(self, ethertype: int, payload: bytes) -> None:
        if self.sockets:
            with suppress(OSError):
                self.sockets[0].send(Frame(NEAREST_CUSTOMER_BRIDGE, self._mac, ethertype, payload).encode(pad=True))


def _listen(sock: socket.socket, interface: str) -> None:
    """Have the network card pass frames to the nearest customer bridge's group address."""
    group = NEAREST_CUSTOMER_BRIDGE.to_bytes(6).ljust(8, b"\0")
    membership = _MEMBERSHIP.pack(socket.if_nametoindex(interface), _PACKET_MR_MULTICAST, 6, group)
    sock.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)


def _events(frame: Frame) -> Iterator[NeighbourHeard | Received]:
    # A bridge forwards nothing to this address: a frame to it comes from the neighbour itself.
    if frame.dst != NEAREST_CUSTOMER_BRIDGE:
        return
    if frame.ethertype == ETHERTYPE_ECP:
        yield Received(Ecpdu.decode(frame.payload))
    else:
        lldpdu = Lldpdu.decode(frame.payload)
        yield NeighbourHeard(lldpdu.evb, frame.src, lldpdu.ttl)
