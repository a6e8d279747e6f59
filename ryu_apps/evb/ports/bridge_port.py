"""Bridge side of one station port: VDP requests from frames, and frames from VDP answers.

Composes the EVB agreement, the ECP endpoint and the outbox of one port, and encodes and decodes their frames.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ryu_apps.evb.event_catalogue.ports import (
    EcpduFailed,
    EcpUnacknowledged,
    EvbAgreed,
    EvbLost,
    ForeignEvbFrames,
    FramesIgnored,
)
from ryu_apps.evb.event_catalogue.values import MacAddress
from ryu_apps.evb.events.effect import SendFrame
from ryu_apps.evb.ports.outputs import (
    AnswerAcknowledged,
    AssociationReceived,
    DeassociateAcknowledged,
    Known,
    PortOutput,
    Relay,
)
from ryu_apps.evb.ports.pending_deassociates import PendingDeassociates, ends_the_vsi
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
from ryu_apps.evb.protocol.station_address import StationAddress
from ryu_apps.evb.protocol.table import Tick, earliest
from ryu_apps.evb.topology.evb_settings import ReflectiveRelay
from ryu_apps.evb.topology.interface import Interface
from ryu_apps.evb.topology.port_id import PortId
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
    MalformedAssociation,
    ManagerId,
    VdpPdu,
)

#: Seconds for which our LLDPDU holds at the station: four times the 30 s interval, and a little.
LLDP_TTL = 121
#: Most seconds for which a station's LLDPDU holds; 65,535 s would keep the next station out for 18 hours.
MAX_TTL = 600
#: Octets of a frame of a station: what ECP and LLDP may fill of an Ethernet frame without a tag.
MAX_FRAME = 1514
#: Seconds between two events about frames dropped for the same reason; the counters count every one.
DROPPED_INTERVAL = 1.0
#: The counter of frames that something else than the station sent.
_IMPOSTOR = "not_the_station"
#: Part of a station's response wait for which nothing is sent to it after an ECPDU that it has not acknowledged.
SILENCE = 0.1


class _Peeked(NamedTuple):
    """A frame that was looked at before it is processed, and when."""

    now: float
    data: bytes
    ecpdu: Ecpdu
    pdu: VdpPdu


class BridgePort:
    """A bridge port that may have a station behind it.

    Attributes:
        counters: dropped frames, by reason.
        relay: reflective relay is on.
        up: the link is up.
        known: address that the switch lets through before others, also without an EVB agreement; None: none.
    """

    def __init__(
        self,
        port: PortId,
        interface: Interface,
        mac: int,
        first_sequence: int = 1,
        foreign: Callable[[int], str | None] = lambda mac: None,
        groups: bool = False,
        group: int | None = None,
    ) -> None:
        """
        Args:
            port: datapath id and port number.
            interface: its configuration.
            mac: source address of our frames, 48 bits.
            first_sequence: number of our first ECPDU; a station remembers the last one of an earlier life.
            foreign: other owner of a MAC address, so that no station can have it; None: none.
            groups: filters may have GroupIDs.
            group: id of the OpenFlow group by which ECPDUs leave; None: they leave by the port.
        """
        self.port = port
        self.interface = interface
        self.counters: Counter[str] = Counter()
        self.evb = EvbBridgePort(interface.timers, interface.reflective_relay, groups, interface.timer_limits)
        self.ecp = EcpEndpoint(self.evb.operational, first_sequence=first_sequence, silence=SILENCE)
        self._outbox = Outbox()
        self.up = False
        self._deassociates = PendingDeassociates()
        self._mac = mac
        self._foreign = foreign
        self._station_address = StationAddress()
        self._reported: dict[str, tuple[float, int]] = {}
        self.relay = False
        self.known: int | None = None
        self._group = group
        self._peeked: _Peeked | None = None

    @property
    def deadline(self) -> float | None:
        """Time at which to call :meth:`tick`, monotonic seconds."""
        return earliest(self.evb.deadline, self.ecp.deadline, self._deassociates.due, self._station_address.deadline)

    @property
    def station(self) -> int | None:
        """MAC address of the station, None if no EVB station is known."""
        return self.evb.agreed.station if self.evb.agreed else None

    def remember(self, station: int) -> None:
        """Restore the address that was known before the controller was restarted."""
        self._station_address.known = self.known = station

    def go_on_relaying(self) -> bool:
        """Restore reflective relay as it was before the controller was restarted; False if the port has it no more."""
        self.relay = self.interface.reflective_relay is not ReflectiveRelay.NEVER
        return self.relay

    def postpone(self, seconds: float) -> None:
        """Extend the deadlines by a time in which no frame of the station could arrive."""
        self.evb.postpone(seconds)
        self.ecp.postpone(seconds)
        self._station_address.postpone(seconds)

    def unheard(self, now: float) -> list[PortOutput]:
        """Handle the loss of the channel to the switch.

        The switch goes on forwarding: VMs behind one uplink stay connected, and the station keeps its port.
        """
        self._station_address.down(channel=True)
        relay = self.relay
        said = self._link(LinkDown("switch disconnected"), now)
        self.relay = relay
        return [output for output in said if not isinstance(output, Relay)]

    def link(self, up: bool, now: float) -> list[PortOutput]:
        """Handle a link that went up or down; answers that were not sent by then are lost, and the station asks again.

        De-Associates are kept, since the station does not ask about a VSI that has ended.
        """
        if up:
            self._station_address.up(now)
        else:
            self._station_address.down(channel=False)
        return self._link(LinkUp() if up else LinkDown(), now)

    def _link(self, change: LinkUp | LinkDown, now: float) -> list[PortOutput]:
        self.up = isinstance(change, LinkUp)
        for manager_id, tlv in self._outbox.clear():
            self._deassociates.keep(manager_id, tlv)
        self._deassociates.link(self.up, now)
        return [*self._agreement(change, now), *self._reset(now)]

    def tick(self, now: float) -> list[PortOutput]:
        """Serve the deadlines that have passed."""
        self._station_address.tick(now)
        said = [
            *self._agreement(Tick(), now),
            *self._ecp(Tick(), now),
            *self._send_deassociates(now),
            *self._flush(now),
        ]
        return [*said, *self._known_is()]

    def frame(self, data: bytes, now: float) -> list[PortOutput]:
        """Process a frame from the port; one that cannot be decoded is counted and dropped."""
        peeked, self._peeked = self._peeked, None
        # One that waits for its switch meanwhile is processed later, when its sender may not be the station any more.
        if peeked is not None and peeked.data is data and peeked.now == now:
            self._deassociates.heard(self.up, now)
            outputs = self._from_ecp(self.ecp.feed(Received(peeked.ecpdu), now), now, peeked.pdu)
            return [*outputs, *self._flush(now)]
        if len(data) > MAX_FRAME:
            return self._dropped("too_long", f"{len(data)} octets", now)
        try:
            frame = Frame.decode(data)
            if reason := self._impostor(frame.src):
                return self._dropped(_IMPOSTOR, f"{frame.ethertype:#06x} {reason}", now)
            if frame.ethertype == ETHERTYPE_ECP:
                self._deassociates.heard(self.up, now)
                return self._ecpdu(frame, now)
            if frame.ethertype == ETHERTYPE_LLDP:
                self._deassociates.heard(self.up, now)
                return self._lldpdu(frame, now)
        except WireError as error:
            return self._dropped("malformed", str(error), now)
        if frame.ethertype == ETHERTYPE_DRAFT_ECP:
            return self._dropped("draft_ecp", "the station uses draft 0.2 of VDP, which is not supported", now)
        return self._dropped("foreign", f"ethertype {frame.ethertype:#06x}", now)

    def peek(self, data: bytes, now: float) -> VdpPdu | None:
        """Return the VDPDU that :meth:`frame` would deliver; None: there is none, or that takes a closer look.

        Nothing is counted.  If :meth:`frame` follows at that time with the same object, it is not decoded again.
        """
        self._peeked = None
        if len(data) > MAX_FRAME:
            return None
        try:
            frame = Frame.decode(data)
            if frame.ethertype != ETHERTYPE_ECP or self._impostor(frame.src):
                return None
            ecpdu = Ecpdu.decode(frame.payload)
            if not self.ecp.delivers(ecpdu, now):
                return None
            self._peeked = _Peeked(now, data, ecpdu, VdpPdu.decode(ecpdu.payload))
        except WireError:
            return None
        return self._peeked.pdu

    def _impostor(self, source: int) -> str | None:
        """Return the reason to drop a frame that is not from the station: a VM must not request VSIs of other VMs."""
        expected = self._station_address.expected
        if source == expected:
            return None
        if expected is not None:
            return f"from {mac_to_text(source)}, which is not the station {mac_to_text(expected)}"
        other = self._foreign(source)
        return None if other is None else f"from {mac_to_text(source)}, which is {other}"

    @property
    def is_sending(self) -> bool:
        """True if the station has an answer to come, or has not acknowledged one."""
        return len(self._outbox) > 0 or self.ecp.awaits

    def answer(self, manager_id: ManagerId, tlv: Association | MalformedAssociation, now: float) -> list[PortOutput]:
        """Send an association TLV, together with others for the same manager if the channel is busy."""
        if not self.up:
            self._deassociates.keep(manager_id, tlv)
            return []
        self._outbox.add(manager_id, tlv)
        return self._flush(now)

    # --- De-Associates that must reach the station even if a link flap or its silence has lost them ---
    def keep_deassociate(self, manager_id: ManagerId, association: Association) -> None:
        """Keep a De-Associate for the station: the bridge has ended the VSI."""
        self._deassociates.keep(manager_id, association.unsolicited_deassociate())

    def cancel_deassociate(self, manager_id: ManagerId, association: Association) -> None:
        """Cancel the De-Associate that is not sent yet: the station's request is a new one, not a repetition.

        Behind the request it would say that the bridge withdraws what the station has just asked for.
        """
        if self._deassociates.pending:
            self._deassociates.cancel(manager_id, association)
        self._outbox.cancel(manager_id, association)

    def _send_deassociates(self, now: float) -> list[PortOutput]:
        return [output for notice in self._deassociates.take(now) for output in self.answer(*notice, now)]

    def _acknowledged(self, payload: bytes) -> Iterator[DeassociateAcknowledged | AnswerAcknowledged]:
        pdu = VdpPdu.decode(payload)
        for tlv, _ in pdu.associations():
            if ends_the_vsi(tlv):
                self._deassociates.cancel(pdu.manager_id, tlv)
                yield DeassociateAcknowledged(pdu.manager_id, tlv)
            else:
                yield AnswerAcknowledged(tlv)

    def _undelivered(self, payload: bytes) -> None:
        pdu = VdpPdu.decode(payload)
        for tlv, _ in pdu.associations():
            self._deassociates.keep(pdu.manager_id, tlv)

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
                    outputs += self._send_lldpdu(lldpdu)
                case Agreed():
                    outputs += self._agreed(output, now)
                case AgreementLost(reason):
                    outputs += [EvbLost(self.port, reason), *self._reset(now)]
                    outputs += self._relay_is(False)
                    if self.up:
                        self._station_address.gone()
        return [*outputs, *self._known_is()]

    def _agreed(self, agreed: Agreed, now: float) -> Iterator[PortOutput]:
        self.ecp.feed(Reconfigure(agreed.operational), now)
        self._station_address.agreed(agreed.station)
        timers = agreed.operational
        yield EvbAgreed(
            self.port, MacAddress(agreed.station), timers.rte, timers.rwd, timers.rka, agreed.reflective_relay
        )
        yield agreed
        yield from self._relay_is(agreed.reflective_relay)

    def _known_is(self) -> list[PortOutput]:
        if self.known == self._station_address.known:
            return []
        before, self.known = self.known, self._station_address.known
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

    def _from_ecp(self, ecp_outputs: list[EcpOutput], now: float, pdu: VdpPdu | None = None) -> list[PortOutput]:
        """Return what the outputs of ECP lead to; ``pdu``: of the payload that is delivered, if it is decoded."""
        outputs: list[PortOutput] = []
        for output in ecp_outputs:
            match output:
                case Transmit(ecpdu):
                    outputs.append(SendFrame(self.port, self._framed(ETHERTYPE_ECP, ecpdu.encode()), self._group))
                case Deliver(payload):
                    outputs += self._delivered(payload, now) if pdu is None else self._received(pdu, now)
                case Acknowledged(payload):
                    outputs += self._acknowledged(payload)
                case Undelivered(payload):
                    self._undelivered(payload)
                    self.counters["ecp_failed"] += 1
                    outputs += [EcpduFailed(self.port), *self._unacknowledged(now)]
        return outputs

    def _unacknowledged(self, now: float) -> list[PortOutput]:
        """Events to report when an ECPDU has failed and nothing was acknowledged for longer than a keep-alive."""
        since = self.ecp.unacknowledged_since
        if since is None or now < since + self.evb.operational.reinit_keep_alive:
            return []
        return [EcpUnacknowledged(self.port, round(now - since, 3))]

    def _delivered(self, payload: bytes, now: float) -> list[PortOutput]:
        try:
            pdu = VdpPdu.decode(payload)
        except WireError as error:
            return self._dropped("malformed", str(error), now)
        return self._received(pdu, now)

    def _received(self, pdu: VdpPdu, now: float) -> list[PortOutput]:
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
    def _send_lldpdu(self, lldpdu: Lldpdu) -> Iterator[SendFrame]:
        """Yield the LLDPDU for each link: a station may not have been heard yet by the one by which it receives."""
        frame = self._framed(ETHERTYPE_LLDP, lldpdu.encode())
        for link in self.interface.links:
            yield SendFrame(PortId(self.port.dpid, link), frame)

    def _framed(self, ethertype: int, payload: bytes) -> bytes:
        return Frame(NEAREST_CUSTOMER_BRIDGE, self._mac, ethertype, payload).encode()

    def _dropped(self, counter: str, reason: str, now: float) -> list[PortOutput]:
        self.counters[counter] += 1
        last, counted = self._reported.get(counter, (-DROPPED_INTERVAL, 0))
        if now < last + DROPPED_INTERVAL:
            return []
        self._reported[counter] = now, self.counters[counter]
        made = ForeignEvbFrames if counter == _IMPOSTOR else FramesIgnored
        return [made(self.port, counter, reason, self.counters[counter] - counted)]


def bridge_mac(port: PortId) -> int:
    """Locally administered address of a bridge port: 02:eb, 16 bits of dpid, 16 bits of port."""
    return 0x02EB << 32 | (port.dpid & 0xFFFF) << 16 | port.port_no & 0xFFFF
