"""An uplink: LLDP and ECP frames at one interface, by a packet socket.

The socket is for all protocols, with a filter.  One for a protocol gets what the interface leaves to the host, and a
port of a Linux bridge or of Open vSwitch leaves nothing.
"""

from __future__ import annotations

import ctypes
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
_ETH_P_ALL = 3
_OUTGOING = 4
_SO_ATTACH_FILTER = 26
_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, _PACKET_IGNORE_OUTGOING, _PACKET_MR_MULTICAST = 263, 1, 23, 0
#: struct packet_mreq of packet(7).
_MEMBERSHIP = struct.Struct("iHH8s")
_GROUP = NEAREST_CUSTOMER_BRIDGE.to_bytes(6)
#: LLDP and ECP to the group address, untagged: struct sock_filter (code, jump if true, jump if false, operand).
_FILTER = (
    (0x28, 0, 0, 12),  # EtherType
    (0x15, 1, 0, ETHERTYPE_LLDP),
    (0x15, 0, 7, ETHERTYPE_ECP),
    (0x20, 0, 0, 0),  # destination
    (0x15, 0, 5, int.from_bytes(_GROUP[:4])),
    (0x28, 0, 0, 4),
    (0x15, 0, 3, int.from_bytes(_GROUP[4:])),
    (0x20, 0, 0, 0xFFFFF000 + 48),  # is there a VLAN tag, which the kernel keeps beside the frame?
    (0x15, 0, 1, 0),
    (0x06, 0, 0, _LONGEST_FRAME),
    (0x06, 0, 0, 0),
)


class Uplink:
    """The socket of one interface; it may vanish and come back.

    Attributes:
        socket: None while it is not open.
    """

    def __init__(self, interface: str) -> None:
        self.interface = interface
        self.socket: socket.socket | None = None
        self._mac = 0

    @property
    def is_open(self) -> bool:
        """True between :meth:`open` and :meth:`close`."""
        return self.socket is not None

    def open(self, readable: Callable[[socket.socket], None]) -> None:
        """Open the socket.

        Args:
            readable: is given it, to have :meth:`receive` called when it can be read.

        Raises:
            OSError: there is no such interface, or no permission (CAP_NET_RAW).
        """
        # Without a protocol nothing arrives before the filter is there.
        self.socket = opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        opened.setblocking(False)
        _attach_filter(opened)
        # What the host sends is not copied for this socket.
        opened.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        opened.bind((self.interface, _ETH_P_ALL))
        _listen(opened, self.interface)
        self._mac = int.from_bytes(opened.getsockname()[4])
        readable(opened)

    def close(self) -> None:
        """Close the socket."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def receive(self, sock: socket.socket) -> Iterator[NeighbourHeard | Received]:
        """The events in what has arrived at the socket, :data:`TURN` frames at most; what cannot be read is dropped."""
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
        if self.socket is not None:
            with suppress(OSError):
                self.socket.send(Frame(NEAREST_CUSTOMER_BRIDGE, self._mac, ethertype, payload).encode(pad=True))


def _attach_filter(sock: socket.socket) -> None:
    """Have the kernel drop all other frames of the interface, which may be a server's traffic."""
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in _FILTER)
    buffer = ctypes.create_string_buffer(program, len(program))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(_FILTER), ctypes.addressof(buffer)))


def _listen(sock: socket.socket, interface: str) -> None:
    """Have the network card pass frames to the nearest customer bridge's group address."""
    membership = _MEMBERSHIP.pack(socket.if_nametoindex(interface), _PACKET_MR_MULTICAST, 6, _GROUP.ljust(8, b"\0"))
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
