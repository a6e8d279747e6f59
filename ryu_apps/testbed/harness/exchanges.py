"""VDP as seen on an uplink: which request left when, and when its answer came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ryu_apps.evb.wire.association import Association, VdpMode
from ryu_apps.evb.wire.ecp import SUBTYPE_VDP, Ecpdu, EcpOp
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, Frame
from ryu_apps.evb.wire.status import ResponseStatus
from ryu_apps.evb.wire.vdp import VdpPdu
from ryu_apps.testbed.harness.capture import Sighting


@dataclass(frozen=True, slots=True)
class VdpMessage:
    """One association TLV on the wire.

    Attributes:
        t: monotonic seconds.
        from_station: request of the station, or else of the bridge.
        mode: what is asked, answered or (De-Associate of the bridge) announced.
        vsi: canonical text of the VSIID.
        answer: status of a response, None in a request.
    """

    t: float
    from_station: bool
    mode: VdpMode
    vsi: str
    answer: ResponseStatus | None


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer."""

    request: VdpMessage
    response: VdpMessage

    @property
    def seconds(self) -> float:
        """From the frame that asked to the frame that answered."""
        return self.response.t - self.request.t


def vdp_messages(sightings: Iterable[Sighting]) -> Iterator[VdpMessage]:
    """Decode the sightings of a station's uplink; retransmissions are left out."""
    seen: set[tuple[bool, int, bytes]] = set()
    for sighting in sightings:
        ecpdu = _ecpdu(sighting.data)
        if ecpdu is None or ecpdu.op is not EcpOp.REQUEST or ecpdu.subtype != SUBTYPE_VDP:
            continue
        key = (sighting.outgoing, ecpdu.sequence, ecpdu.payload)
        if key in seen:
            continue
        seen.add(key)
        for association in _associations(ecpdu.payload):
            answer = association.status if isinstance(association.status, ResponseStatus) else None
            yield VdpMessage(sighting.t, sighting.outgoing, association.MODE, str(association.vsi_id), answer)


def exchange(messages: Iterable[VdpMessage], mode: VdpMode, vsi: str, since: float = 0.0) -> Exchange | None:
    """The first answered request of a mode for a VSI at or after ``since``."""
    request: VdpMessage | None = None
    for message in messages:
        if message.vsi != vsi or message.t < since:
            continue
        if message.from_station and message.answer is None and message.mode is mode:
            request = request or message
        elif not message.from_station and message.answer is not None and request is not None:
            return Exchange(request, message)
    return None


def _ecpdu(data: bytes) -> Ecpdu | None:
    try:
        frame = Frame.decode(data)
        return Ecpdu.decode(frame.payload) if frame.ethertype == ETHERTYPE_ECP else None
    except WireError:
        return None


def _associations(payload: bytes) -> list[Association]:
    try:
        return [association for association, _ in VdpPdu.decode(payload).associations()]
    except WireError:
        return []
