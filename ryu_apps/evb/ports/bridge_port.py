"""One station port: frames in, VDP requests out of them; VDP answers in, frames out of them.

Composes the EVB agreement, the ECP endpoint and the outbox of one port, and knows their frames.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ryu_apps.evb.events import LogEvent, SendFrame
from ryu_apps.evb.protocol.ecp import (
    Acknowledged,
    Deliver,
    EcpEndpoint,
    Received,
    Reconfigure,
    Reset,
    Transmit,
    Undelivered,
)
from ryu_apps.evb.protocol.ecp import EcpOutput as EcpOutput
from ryu_apps.evb.protocol.evb import Advertise, Agreed, AgreementLost, EvbBridgePort, LinkDown, LinkUp, NeighbourHeard
from ryu_apps.evb.protocol.outbox import Outbox
from ryu_apps.evb.protocol.speaker import Speaker
from ryu_apps.evb.protocol.table import Tick, earliest
from ryu_apps.evb.topology.fabric import Interface, PortId
from ryu_apps.evb.wire.ecp import Ecpdu
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.ethernet import (
    ETHERTYPE_DRAFT_ECP,
    ETHERTYPE_ECP,
    ETHERTYPE_LLDP,
    NEAREST_CUSTOMER_BRIDGE,
    Frame,
)
from ryu_apps.evb.wire.lldp import Lldpdu, bridge_lldpdu
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.evb.wire.vdp import (
    Association,
    Identity,
    MalformedAssociation,
    ManagerId,
    OrganizationalTlv,
    RequestStatus,
    VdpMode,
    VdpPdu,
    identity_of,
)
from ryu_apps.evb.wire.vsi_id import VsiId

#: Seconds for which the station may believe our LLDPDU: four times the 30 s interval, and a little.
LLDP_TTL = 121
#: Seconds for which we believe a station's LLDPDU at the most; 65,535 s would keep the next one out for 18 hours.
MAX_TTL = 600
#: Seconds after link up in which a station repeats what it still holds; what it lost is ended after that.
FAREWELL_DELAY = 3.0
#: Octets of a frame of a station: what ECP and LLDP may fill of an Ethernet frame without a tag.
MAX_FRAME = 1514
#: Seconds between two events that tell of frames dropped for the same reason; the counters count every one.
DROPPED_INTERVAL = 1.0
#: The counter of frames that something else than the station sent.
_IMPOSTOR = "not_the_station"
#: VSIs that are to be told so; a station that acknowledges nothing must not make us remember more.
MAX_FAREWELLS = 4096


@dataclass(frozen=True, slots=True)
class AssociationReceived:
    """The station sent an association TLV; ``organizational`` are the TLVs that belong to it."""

    manager_id: ManagerId
    association: Association
    organizational: tuple[OrganizationalTlv, ...]


@dataclass(frozen=True, slots=True)
class DeassociateAcknowledged:
    """The station knows that the bridge has ended a VSI; ``association`` is what it was told."""

    manager_id: ManagerId
    association: Association


@dataclass(frozen=True, slots=True)
class Relay:
    """Reflective relay has to be on or off at the port from now on."""

    on: bool


@dataclass(frozen=True, slots=True)
class Known:
    """The station's address is known from now on, or is not any more (None); ``before`` is what it was."""

    station: int | None
    before: int | None


PortOutput = SendFrame | LogEvent | AssociationReceived | DeassociateAcknowledged | Relay | Known | Agreed


class BridgePort:
    """A bridge port with (perhaps) a station behind it.

    Attributes:
        counters: what was dropped and why, by name.
        relay: reflective relay is on.
        up: the link is.
        known: address that the switch lets through before others, also while it is not agreed with; None: none.
    """

    def __init__(
        self,
        port: PortId,
        interface: Interface,
        mac: int,
        first_sequence: int = 1,
        foreign: Callable[[int], str | None] = lambda mac: None,
    ) -> None:
        """
        Args:
            port: which.
            interface: how it is configured.
            mac: source address of our frames, 48 bits.
            first_sequence: number of our first ECPDU; a station remembers the last one of an earlier life.
            foreign: what else has a MAC address, so that no station can have it; None: nothing.
        """
        self.port = port
        self.interface = interface
        self.counters: Counter[str] = Counter()
        self.evb = EvbBridgePort(interface.timers, limits=interface.timer_limits)
        self.ecp = EcpEndpoint(self.evb.operational, first_sequence=first_sequence)
        self._outbox = Outbox()
        self.up = False
        self._farewells: dict[tuple[VsiId, Identity], tuple[ManagerId, Association]] = {}
        self._farewell_at: float | None = None
        self._mac = mac
        self._foreign = foreign
        self._speaker = Speaker()
        self._told_of: dict[str, tuple[float, int]] = {}
        self.relay = False
        self.known: int | None = None

    @property
    def deadline(self) -> float | None:
        """When to call :meth:`tick`, monotonic seconds."""
        return earliest(self.evb.deadline, self.ecp.deadline, self._farewell_at, self._speaker.deadline)

    @property
    def station(self) -> int | None:
        """MAC address of the station, None if no EVB station is known."""
        return self.evb.agreed.station if self.evb.agreed else None

    def remember(self, station: int) -> None:
        """In an earlier life of the bridge this station was known."""
        self._speaker.known = self.known = station

    def postpone(self, seconds: float) -> None:
        """For so long nothing could be heard of the station."""
        self.evb.postpone(seconds)
        self.ecp.postpone(seconds)
        self._speaker.postpone(seconds)

    def unheard(self, now: float) -> list[PortOutput]:
        """The channel to the switch is lost.

        The switch forwards on as before: VMs behind one uplink must not lose each other, nor the station its place.
        """
        self._speaker.down(channel=True)
        relay = self.relay
        said = self._link(LinkDown("switch disconnected"), now)
        self.relay = relay
        return [one for one in said if not isinstance(one, Relay)]

    def link(self, up: bool, now: float) -> list[PortOutput]:
        """The link went up or down; what the station has not been told by then it will have to ask again.

        What it would not ask, because it has ended, is kept.
        """
        if up:
            self._speaker.up(now)
        else:
            self._speaker.down(channel=False)
        return self._link(LinkUp() if up else LinkDown(), now)

    def _link(self, change: LinkUp | LinkDown, now: float) -> list[PortOutput]:
        self.up = isinstance(change, LinkUp)
        for manager_id, tlv in self._outbox.clear():
            self._remember_farewell(manager_id, tlv)
        self._farewell_at = now + FAREWELL_DELAY if self.up and self._farewells else None
        return [*self._agreement(change, now), *self._reset(now)]

    def tick(self, now: float) -> list[PortOutput]:
        """A deadline has passed."""
        self._speaker.tick(now)
        said = [*self._agreement(Tick(), now), *self._ecp(Tick(), now), *self._say_farewells(now), *self._flush(now)]
        return [*said, *self._known_is()]

    def frame(self, data: bytes, now: float) -> list[PortOutput]:
        """A frame came in; what cannot be read is counted and dropped."""
        if len(data) > MAX_FRAME:
            return self._dropped("too_long", f"{len(data)} octets", now)
        try:
            frame = Frame.decode(data)
            if reason := self._impostor(frame.src):
                return self._dropped(_IMPOSTOR, f"{frame.ethertype:#06x} {reason}", now)
            if frame.ethertype == ETHERTYPE_ECP:
                self._alive(now)
                return self._ecpdu(frame, now)
            if frame.ethertype == ETHERTYPE_LLDP:
                self._alive(now)
                return self._lldpdu(frame, now)
        except WireError as error:
            return self._dropped("malformed", str(error), now)
        if frame.ethertype == ETHERTYPE_DRAFT_ECP:
            return self._dropped("draft_ecp", "the station speaks draft 0.2 of VDP, which is not supported", now)
        return self._dropped("foreign", f"ethertype {frame.ethertype:#06x}", now)

    def _impostor(self, source: int) -> str | None:
        """Only the station itself speaks EVB; a VM that tries would speak for its neighbours."""
        expected = self._speaker.expected
        if source == expected:
            return None
        if expected is not None:
            return f"from {mac_to_text(source)}, which is not the station {mac_to_text(expected)}"
        other = self._foreign(source)
        return None if other is None else f"from {mac_to_text(source)}, which is {other}"

    def answer(self, manager_id: ManagerId, tlv: Association | MalformedAssociation, now: float) -> list[PortOutput]:
        """Send an association TLV, together with others for the same manager if the channel is busy."""
        if not self.up:
            self._remember_farewell(manager_id, tlv)
            return []
        self._outbox.add(manager_id, tlv)
        return self._flush(now)

    # --- what a station has to hear even if a link flap or its own silence swallowed it ---
    def owe(self, manager_id: ManagerId, association: Association) -> None:
        """The station has yet to be told that the bridge has ended a VSI."""
        self._remember_farewell(manager_id, association.unsolicited_deassociate())

    def asks_anew(self, manager_id: ManagerId, association: Association) -> None:
        """What the station said is no repetition of what has been ended: there is no need to tell it."""
        self._farewells.pop(_addressee(manager_id, association), None)

    def _remember_farewell(self, manager_id: ManagerId, tlv: Association | MalformedAssociation) -> None:
        """A VSI that waits for an answer when the link fails never asks again; only this frees it."""
        room = len(self._farewells) < MAX_FAREWELLS
        if room and isinstance(tlv, Association) and _ends_the_vsi(tlv):
            self._farewells[_addressee(manager_id, tlv)] = manager_id, tlv.unsolicited_deassociate()

    def _alive(self, now: float) -> None:
        """The station can be heard: what it did not acknowledge is said again."""
        if self._farewells and self._farewell_at is None and self.up:
            self._farewell_at = now + FAREWELL_DELAY

    def _say_farewells(self, now: float) -> list[PortOutput]:
        if self._farewell_at is None or now < self._farewell_at:
            return []
        self._farewell_at = None
        farewells, self._farewells = self._farewells, {}
        return [output for one in farewells.values() for output in self.answer(*one, now)]

    def _told(self, payload: bytes) -> Iterator[DeassociateAcknowledged]:
        pdu = VdpPdu.decode(payload)
        for tlv, _ in pdu.associations():
            if _ends_the_vsi(tlv):
                self._farewells.pop(_addressee(pdu.manager_id, tlv), None)
                yield DeassociateAcknowledged(pdu.manager_id, tlv)

    def _undelivered(self, payload: bytes) -> None:
        pdu = VdpPdu.decode(payload)
        for tlv, _ in pdu.associations():
            self._remember_farewell(pdu.manager_id, tlv)

    # --- LLDP ---
    def _lldpdu(self, frame: Frame, now: float) -> list[PortOutput]:
        if frame.dst != NEAREST_CUSTOMER_BRIDGE:
            return []
        lldpdu = Lldpdu.decode(frame.payload)
        heard = NeighbourHeard(lldpdu.evb, frame.src, min(lldpdu.ttl, MAX_TTL))
        return self._agreement(heard, now)

    def _agreement(self, event: LinkUp | LinkDown | NeighbourHeard | Tick, now: float) -> list[PortOutput]:
        outputs: list[PortOutput] = []
        for output in self.evb.feed(event, now):
            match output:
                case Advertise(evb):
                    lldpdu = bridge_lldpdu(self._mac, self.interface.name, LLDP_TTL, evb)
                    outputs.append(self._send(ETHERTYPE_LLDP, lldpdu.encode()))
                case Agreed():
                    outputs += self._agreed(output, now)
                case AgreementLost(reason):
                    outputs += [LogEvent("evb.lost", self.port, detail={"reason": reason}), *self._reset(now)]
                    outputs += self._relay_is(False)
                    if self.up:
                        self._speaker.gone()
        return [*outputs, *self._known_is()]

    def _agreed(self, agreed: Agreed, now: float) -> Iterator[PortOutput]:
        self.ecp.feed(Reconfigure(agreed.operational), now)
        self._speaker.agreed(agreed.station)
        detail = {
            "station": mac_to_text(agreed.station),
            "rte": agreed.operational.rte,
            "rwd": agreed.operational.rwd,
            "rka": agreed.operational.rka,
            "reflective_relay": agreed.reflective_relay,
        }
        yield LogEvent("evb.agreed", self.port, detail=detail)
        yield agreed
        yield from self._relay_is(agreed.reflective_relay)

    def _known_is(self) -> list[PortOutput]:
        if self.known == self._speaker.known:
            return []
        before, self.known = self.known, self._speaker.known
        return [Known(self.known, before)]

    def _relay_is(self, on: bool) -> list[PortOutput]:
        if on == self.relay:
            return []
        self.relay = on
        return [Relay(on)]

    # --- ECP and VDP ---
    def _ecpdu(self, frame: Frame, now: float) -> list[PortOutput]:
        return [*self._ecp(Received(Ecpdu.decode(frame.payload)), now), *self._flush(now)]

    def _ecp(self, event: Received | Reset | Tick, now: float) -> list[PortOutput]:
        return self._from_ecp(self.ecp.feed(event, now), now)

    def _flush(self, now: float) -> list[PortOutput]:
        return self._from_ecp(self._outbox.flush(self.ecp, now), now)

    def _from_ecp(self, said: list[EcpOutput], now: float) -> list[PortOutput]:
        outputs: list[PortOutput] = []
        for output in said:
            match output:
                case Transmit(ecpdu):
                    outputs.append(self._send(ETHERTYPE_ECP, ecpdu.encode()))
                case Deliver(payload):
                    outputs += self._delivered(payload, now)
                case Acknowledged(payload):
                    outputs += self._told(payload)
                case Undelivered(payload):
                    self._undelivered(payload)
                    self.counters["ecp_failed"] += 1
                    outputs += [LogEvent("ecp.failed", self.port), *self._unacknowledged(now)]
        return outputs

    def _unacknowledged(self, now: float) -> list[PortOutput]:
        """What to tell when an ECPDU has failed and nothing has been acknowledged for longer than a keep-alive."""
        since = self.ecp.unacknowledged_since
        if since is None or now < since + self.evb.operational.reinit_keep_alive:
            return []
        return [LogEvent("ecp.unacknowledged", self.port, detail={"seconds": round(now - since, 3)})]

    def _delivered(self, payload: bytes, now: float) -> list[PortOutput]:
        try:
            pdu = VdpPdu.decode(payload)
        except WireError as error:
            return self._dropped("malformed", str(error), now)
        outputs: list[PortOutput] = []
        for malformed in pdu.malformed:
            outputs += self._dropped("malformed", malformed.reason, now)
            outputs += self.answer(pdu.manager_id, malformed.answer(), now)
        for association, organizational in pdu.associations():
            outputs.append(AssociationReceived(pdu.manager_id, association, organizational))
        return outputs

    def _reset(self, now: float) -> list[PortOutput]:
        return self._ecp(Reset(), now)

    # --- small things ---
    def _send(self, ethertype: int, payload: bytes) -> SendFrame:
        frame = Frame(NEAREST_CUSTOMER_BRIDGE, self._mac, ethertype, payload)
        return SendFrame(self.port, frame.encode())

    def _dropped(self, counter: str, reason: str, now: float) -> list[PortOutput]:
        self.counters[counter] += 1
        last, counted = self._told_of.get(counter, (-DROPPED_INTERVAL, 0))
        if now < last + DROPPED_INTERVAL:
            return []
        self._told_of[counter] = now, self.counters[counter]
        detail = {"counter": counter, "reason": reason, "frames": self.counters[counter] - counted}
        kind = "evb.impostor" if counter == _IMPOSTOR else "frame.dropped"
        return [LogEvent(kind, self.port, detail=detail)]


def _ends_the_vsi(tlv: Association) -> bool:
    """A De-Associate, solicited or not, or a refusal that keeps nothing."""
    if tlv.MODE is VdpMode.DEASSOCIATE or isinstance(tlv.status, RequestStatus):
        return tlv.MODE is VdpMode.DEASSOCIATE
    return not tlv.status.success and not tlv.status.keep


def _addressee(manager_id: ManagerId, tlv: Association) -> tuple[VsiId, Identity]:
    return tlv.vsi_id, identity_of(manager_id, tlv)


def bridge_mac(port: PortId) -> int:
    """A locally administered address for a bridge port: 02:eb, 16 bits of dpid, 16 bits of port."""
    return 0x02EB << 32 | (port.dpid & 0xFFFF) << 16 | port.port_no & 0xFFFF
