"""A station on a bare socket: asks for one VSI at a time and says how long the answer took."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.wire.ecp import Ecpdu
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, ETHERTYPE_LLDP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.filter_info import FilterInfo, MacVid
from ryu_apps.evb.wire.lldp import Lldpdu, bridge_lldpdu
from ryu_apps.evb.wire.vdp import Association, RequestStatus
from ryu_apps.evb.wire.vsi_id import VsiId, VsiIdFormat
from ryu_apps.station.station import (
    Advertise,
    LinkUp,
    NeighbourHeard,
    Notice,
    Received,
    Station,
    StationOutput,
    Tick,
    Transmit,
    VsiRequest,
)
from ryu_apps.station.vdp_station_events import RequestOutcome

VID = 100
_MAC = 0x525400FF0001
_TTL = 121
#: Keep-alives so rare that none comes in between, and a bridge that may take 5 s to decide.
TIMERS = Timers(rwd=19, rka=25)
#: Between two requests: a bridge leaves 5 ms between what it sends.
PAUSE = 0.008
#: More than the longest time for which a station of ours waits.
_DEADLINE = 150.0


#: Number of the VSI of the first type that comes and goes.
MOVER = 0x100


def vsi(number: int, kind: type[Association], type_id: int) -> Association:
    """The request for a VSI; its MAC address is :func:`vsi_mac`."""
    vsi_id = VsiId(VsiIdFormat.UUID, (0x1122334455667788 << 64 | number).to_bytes(16))
    return kind(RequestStatus(), type_id, 1, vsi_id, FilterInfo.of(MacVid(vid=VID, mac=vsi_mac(number))))


def vsi_mac(number: int) -> int:
    """48 bits."""
    return 0x525400100000 | number


@dataclass(frozen=True, slots=True)
class Exchange:
    """Monotonic seconds: the request leaves, its answer is here."""

    asked: float
    answered: float

    @property
    def seconds(self) -> float:
        return self.answered - self.asked


class BenchStation:
    """One uplink.

    Args:
        uplink: packet socket bound to the interface, for all Ethernet types.
        mac: the station's address, 48 bits.
        timers: its own.
    """

    def __init__(self, uplink: socket.socket, mac: int = _MAC, timers: Timers = TIMERS) -> None:
        self._socket = uplink
        self._mac = mac
        self._station = Station(timers)
        self._agreed = False

    def agree(self) -> None:
        """Agree on EVB with the bridge.

        Raises:
            TimeoutError: it says nothing.
        """
        self._send(self._station.feed(LinkUp(), time.monotonic()))
        self._until(lambda _outputs: self._agreed)

    def ask(self, association: Association, pause: float = PAUSE, suspended: bool = False) -> Exchange:
        """Ask after a pause in seconds, with the S bit or without, and wait for the answer.

        Raises:
            RuntimeError: it is no.
            TimeoutError: there is none.
        """
        self.idle(pause)
        outputs = self._station.feed(VsiRequest(association, suspended=suspended), time.monotonic())
        asked = time.monotonic()
        self._send(outputs)
        notices: list[Notice] = []

        def answered(outputs: list[StationOutput]) -> bool:
            notices.extend(output for output in outputs if isinstance(output, Notice))
            return bool(notices)

        heard = self._until(answered)
        if notices[0].outcome not in (RequestOutcome.GRANTED, RequestOutcome.LEFT):
            raise RuntimeError(f"the bridge answered {notices[0]}")
        return Exchange(asked, heard)

    def idle(self, seconds: float) -> None:
        """Answer the frames that the bridge sent in the meantime, then let some time pass."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._step(left)

    def _until(self, satisfied: Callable[[list[StationOutput]], bool]) -> float:
        deadline = time.monotonic() + _DEADLINE
        while (now := time.monotonic()) < deadline:
            due = self._station.deadline
            heard, outputs = self._step(0.5 if due is None else min(max(due - now, 0.0001), 0.5))
            if satisfied(outputs):
                return heard
        raise TimeoutError("the bridge does not answer")

    def _step(self, patience: float) -> tuple[float, list[StationOutput]]:
        self._socket.settimeout(patience)
        try:
            octets = self._socket.recv(2048)
        except TimeoutError:
            octets = b""
        now = time.monotonic()
        outputs = self._hear(Frame.decode(octets), now) if octets else self._station.feed(Tick(), now)
        self._send(outputs)
        return now, outputs

    def _hear(self, frame: Frame, now: float) -> list[StationOutput]:
        if frame.src == self._mac:
            return []
        if frame.ethertype == ETHERTYPE_LLDP:
            lldpdu = Lldpdu.decode(frame.payload)
            self._agreed |= lldpdu.evb is not None
            return self._station.feed(NeighbourHeard(lldpdu.evb, frame.src, lldpdu.ttl), now)
        if frame.ethertype == ETHERTYPE_ECP:
            return self._station.feed(Received(Ecpdu.decode(frame.payload)), now)
        return []

    def _send(self, outputs: list[StationOutput]) -> None:
        for output in outputs:
            match output:
                case Advertise(tlv):
                    payload, ethertype = bridge_lldpdu(self._mac, "uplink", _TTL, tlv).encode(), ETHERTYPE_LLDP
                case Transmit(ecpdu):
                    payload, ethertype = ecpdu.encode(), ETHERTYPE_ECP
                case _:
                    continue
            self._socket.send(Frame(NEAREST_CUSTOMER_BRIDGE, self._mac, ethertype, payload).encode(pad=True))
