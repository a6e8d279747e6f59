"""Frames of an uplink: those that a station takes for its bridge's."""

from __future__ import annotations

import pytest

from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, ETHERTYPE_LLDP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.lldp import bridge_lldpdu
from ryu_apps.station.station import NeighbourHeard, Received
from ryu_apps.station_daemon.uplink import TURN, Uplink

BRIDGE, STATION = 0x02EB00010001, 0x525400AA0001
ECPDU = Ecpdu(EcpOp.REQUEST, 1, 7, b"\0\0")
LLDPDU = bridge_lldpdu(BRIDGE, "hv1", 120, None)


class Arrived:
    """A packet socket with frames; each was received, not sent, by the interface."""

    def __init__(self, *frames: bytes, outgoing: bool = False) -> None:
        self._frames = list(frames)
        self._kind = 4 if outgoing else 2

    def recvfrom(self, _: int) -> tuple[bytes, tuple[str, int, int]]:
        if not self._frames:
            raise BlockingIOError
        return self._frames.pop(0), ("eth0", 0, self._kind)


def frame(ethertype: int, payload: bytes, dst: int = NEAREST_CUSTOMER_BRIDGE) -> bytes:
    return Frame(dst, BRIDGE, ethertype, payload).encode(pad=True)


def events(arrived: Arrived) -> list[NeighbourHeard | Received]:
    return list(Uplink("eth0").receive(arrived))  # type: ignore[arg-type]


def test_lldp_and_ecp_to_the_nearest_customer_bridge_are_taken() -> None:
    heard, received = events(Arrived(frame(ETHERTYPE_LLDP, LLDPDU.encode()), frame(ETHERTYPE_ECP, ECPDU.encode())))

    assert heard == NeighbourHeard(None, BRIDGE, 120)
    assert isinstance(received, Received)
    assert received.ecpdu.sequence == 7


@pytest.mark.parametrize("dst", [STATION, 0x0180C200000E, 0x0180C2000003, 0xFFFFFFFFFFFF])
def test_frames_to_other_addresses_are_not_the_neighbours(dst: int) -> None:
    """A bridge forwards unicast frames of guests; it forwards nothing to the nearest customer bridge."""
    sent = frame(ETHERTYPE_ECP, ECPDU.encode(), dst), frame(ETHERTYPE_LLDP, LLDPDU.encode(), dst)

    assert events(Arrived(*sent)) == []


def test_frames_of_this_host_are_not_taken() -> None:
    """A guest behind a macvtap sends by the same interface."""
    assert events(Arrived(frame(ETHERTYPE_ECP, ECPDU.encode()), outgoing=True)) == []


@pytest.mark.parametrize(
    "octets", [b"", b"\0" * 13, frame(ETHERTYPE_ECP, b"\x08\0\0\1"), frame(ETHERTYPE_LLDP, b"\x02")]
)
def test_octets_that_are_no_frame_are_dropped_and_the_next_is_read(octets: bytes) -> None:
    assert len(events(Arrived(octets, frame(ETHERTYPE_ECP, ECPDU.encode())))) == 1


def test_a_flood_is_read_in_turns() -> None:
    arrived = Arrived(*[frame(ETHERTYPE_ECP, ECPDU.encode())] * (TURN + 1))

    assert [len(events(arrived)) for _ in range(3)] == [TURN, 1, 0]


def test_an_interface_that_is_not_there_is_an_error() -> None:
    uplink = Uplink("nowhere0")
    with pytest.raises(OSError, match="No such device"):
        uplink.open(lambda _: None)
    uplink.close()
    assert not uplink.is_open
