"""``python -m bench.flood KIND INTERFACE``: one port floods until it is ended; it says :data:`BEGUN` when it begins.

A process of its own, so that what it costs to send is not taken for what the bridge takes to answer.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import cycle

from bench.station import VID, vsi
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.ethernet import (
    ETHERTYPE_DRAFT_ECP,
    ETHERTYPE_ECP,
    ETHERTYPE_LLDP,
    NEAREST_CUSTOMER_BRIDGE,
    Frame,
)
from ryu_apps.evb.wire.evb_tlv import EvbMode, EvbTlv, RrStatus
from ryu_apps.evb.wire.filter_info import FilterInfo, MacVid
from ryu_apps.evb.wire.lldp import bridge_lldpdu
from ryu_apps.evb.wire.vdp import Associate, Association, ManagerId, RequestStatus, ResponseStatus, VdpPdu
from ryu_apps.evb.wire.vsi_id import VsiId, VsiIdFormat

BEGUN = "flooding"
#: VSIs that the flooder has associated before, in the flood of keep-alives.
KNOWN = 4000
_ETH_P_ALL = 3
_STATION, _GUEST = 0x525400FF0002, 0x525400FF0003
_IN_AN_ECPDU, _TYPE, _UNKNOWN_TYPE = 20, 1, 99
_FIRST = 0x10000
#: Seconds until requests are made again that were not answered.
_PATIENCE = 2.0


class Uplink:
    """The interface of a station that floods."""

    def __init__(self, interface: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._socket.bind((interface, _ETH_P_ALL))

    def agree(self) -> None:
        """Say in LLDP that this is a station, so that it has a meter of its own."""
        tlv = EvbTlv(mode=EvbMode.STATION, rrstat=RrStatus.UNKNOWN, r=3, rte=10, rwd=19, rka=25)
        self.send(_frame(_STATION, ETHERTYPE_LLDP, bridge_lldpdu(_STATION, "uplink", 121, tlv).encode()))
        self._hear(lambda frame: frame.ethertype == ETHERTYPE_LLDP)

    def associate(self, frames: Sequence[bytes]) -> None:
        """Ask one after the other, each when the one before has been answered in full."""
        for data in frames:
            granted: set[VsiId] = set()

            def answered(frame: Frame, granted: set[VsiId] = granted) -> bool:
                granted |= set(self._granted(frame))
                return len(granted) >= _IN_AN_ECPDU

            self.send(data)
            while not self._hear(answered):
                self.send(data)

    def flood(self, frames: Sequence[bytes], rate: int) -> None:
        """For ever."""
        due, endless = time.monotonic(), cycle(frames)
        while True:
            for _ in range(rate // 1000):
                self.send(next(endless))
            due = max(due + 0.001, time.monotonic() - 0.01)
            time.sleep(max(due - time.monotonic(), 0))

    def send(self, data: bytes) -> None:
        """A frame, unless there is no room for it."""
        with suppress(OSError):
            self._socket.send(data)

    def _granted(self, frame: Frame) -> list[VsiId]:
        """VSIs that a frame grants, which is acknowledged."""
        ecpdu = Ecpdu.decode(frame.payload) if frame.ethertype == ETHERTYPE_ECP else None
        if ecpdu is None or ecpdu.op is not EcpOp.REQUEST:
            return []
        self.send(_frame(_STATION, ETHERTYPE_ECP, ecpdu.acknowledgement().encode()))
        answers = [association for association, _ in VdpPdu.decode(ecpdu.payload).associations()]
        return [
            answer.vsi_id for answer in answers if isinstance(answer.status, ResponseStatus) and answer.status.success
        ]

    def _hear(self, satisfied: Callable[[Frame], bool]) -> bool:
        """Return True once the bridge has sent the expected frame."""
        end = time.monotonic() + _PATIENCE
        while (left := end - time.monotonic()) > 0:
            self._socket.settimeout(left)
            with suppress(TimeoutError):
                frame = Frame.decode(self._socket.recv(2048))
                if frame.src not in (_STATION, _GUEST) and satisfied(frame):
                    return True
        return False


def _frame(source: int, ethertype: int, payload: bytes) -> bytes:
    return Frame(NEAREST_CUSTOMER_BRIDGE, source, ethertype, payload).encode(pad=True)


def _packed(source: int, tlvs: Sequence[Association]) -> list[bytes]:
    pdus = [VdpPdu(ManagerId(), tuple(tlvs[at : at + _IN_AN_ECPDU])) for at in range(0, len(tlvs), _IN_AN_ECPDU)]
    return [
        _frame(source, ETHERTYPE_ECP, Ecpdu(EcpOp.REQUEST, 1, number, pdu.encode()).encode())
        for number, pdu in enumerate(pdus, start=1)
    ]


def _unknown(source: int) -> list[bytes]:
    """Requests for VSIs of an unknown type, twenty in an ECPDU."""
    info = FilterInfo.of(MacVid(VID, 0x525400EE0001))
    vsis = [VsiId(VsiIdFormat.UUID, (_FIRST + number).to_bytes(16)) for number in range(2000)]
    return _packed(source, [Associate(RequestStatus(), _UNKNOWN_TYPE, 1, vsi, info) for vsi in vsis])


def _known(source: int) -> list[bytes]:
    """Requests of VSIs, which are keep-alives from the second time on."""
    return _packed(source, [vsi(_FIRST + number, Associate, _TYPE) for number in range(KNOWN)])


def main() -> None:
    """Flood as the arguments say."""
    kind, interface = sys.argv[1:]
    uplink = Uplink(interface)
    if kind == "guest":
        frames, rate = _unknown(_GUEST), 20_000
    else:
        uplink.agree()
        draft = [_frame(_STATION, ETHERTYPE_DRAFT_ECP, bytes(46))]
        frames, rate = {"unknown": _unknown(_STATION), "draft": draft, "known": _known(_STATION)}[kind], 10_000
    if kind == "known":
        uplink.associate(frames)
    print(BEGUN, flush=True)
    uplink.flood(frames, rate)


if __name__ == "__main__":
    main()
