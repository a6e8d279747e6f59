"""An EVB station: the uplink of a hypervisor with all its VSIs.

Composes the station sides of EVB, ECP and VDP.  Behaves like lldpad in what a bridge can observe: one
association TLV an ECPDU; ECP numbers from 1 at each link up, with new requests for all VSIs; no De-Associate at
exit; an ECPDU with the number of the last one is a repetition at any later time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from ryu_apps.evb.protocol.ecp import Deliver, EcpEndpoint, Received, Reconfigure, Submit, Transmit, Undelivered
from ryu_apps.evb.protocol.ecp import EcpOutput as EcpOutput
from ryu_apps.evb.protocol.evb import Advertise, Agreed, AgreementLost, LinkDown, LinkUp, NeighbourHeard, Shutdown
from ryu_apps.evb.protocol.table import Tick, earliest
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.vdp import Association, ManagerId, OrganizationalTlv, VdpPdu
from ryu_apps.station.evb_station import EvbStation
from ryu_apps.station.vdp_station import VsiStation, VsiStationState
from ryu_apps.station.vdp_station_events import (
    Notice,
    RequestOutcome,
    ResponseReceived,
    Resume,
    Send,
    StationRequest,
    Suspend,
    VdpStationEvent,
    VdpStationOutput,
)

__all__ = [
    "Advertise",
    "LinkDown",
    "LinkUp",
    "NeighbourHeard",
    "Notice",
    "Received",
    "RequestOutcome",
    "Shutdown",
    "Station",
    "Tick",
    "Transmit",
    "VsiRequest",
]

STATION_GAP = 0.0
"""Seconds between ECPDUs of a station: bridges must accept them without a gap."""


@dataclass(frozen=True, slots=True)
class VsiRequest:
    """A request of the hypervisor for a VSI, in the mode of an association TLV.

    Attributes:
        association: the request; an existing VSI keeps its status and, unless this filter differs from the first
            request's, its filter.
        manager_id: VSI manager of the VSI type.
        organizational: TLVs sent with this request of the VSI, and with its repetitions.
        suspended: the VM does not run here now: this request and its repetitions have the S bit.
    """

    association: Association
    manager_id: ManagerId = ManagerId()
    organizational: tuple[OrganizationalTlv, ...] = ()
    suspended: bool = False


StationEvent = LinkUp | LinkDown | NeighbourHeard | Shutdown | Received | VsiRequest | Tick
StationOutput = Advertise | Transmit | Notice

_Key = tuple[object, ...]


@dataclass(slots=True)
class _Vsi:
    machine: VsiStation
    manager_id: ManagerId
    organizational: tuple[OrganizationalTlv, ...] = ()
    granted: tuple[OrganizationalTlv, ...] = ()

    def note(self, outcome: RequestOutcome) -> None:
        """Note an answer: keep-alives repeat what is in force, not what was refused."""
        if outcome is RequestOutcome.GRANTED:
            self.granted = self.organizational
        elif outcome is RequestOutcome.KEPT:
            self.organizational = self.granted

    def is_due(self, now: float) -> bool:
        deadline = self.machine.deadline
        return deadline is not None and deadline <= now


class Station:
    """One uplink; feed it received frames and requests of the hypervisor.

    Attributes:
        undecodable: number of ECPDUs with an invalid payload.
    """

    __slots__ = ("_ecp", "_evb", "_gap", "_online", "_vsis", "undecodable")

    def __init__(
        self, timers: Timers, reflective_relay: bool = False, groups: bool = False, gap: float = STATION_GAP
    ) -> None:
        """
        Args:
            timers: own proposal.
            reflective_relay: request reflective relay.
            groups: GroupIDs are supported.
            gap: seconds between own ECPDUs.
        """
        self._evb = EvbStation(timers, reflective_relay, groups)
        self._gap = gap
        self._ecp = self._endpoint()
        self._vsis: dict[_Key, _Vsi] = {}
        self._online = False
        self.undecodable = 0

    @property
    def deadline(self) -> float | None:
        """Time to feed :class:`Tick`, None if no timer runs."""
        vsis = (vsi.machine.deadline for vsi in self._vsis.values())
        return earliest(self._evb.deadline, self._ecp.deadline, *vsis)

    @property
    def agreed(self) -> Agreed | None:
        """The agreement with the bridge, None without one."""
        return self._evb.agreed

    @property
    def associations(self) -> list[Association]:
        """The last request of every VSI, with the VIDs that the bridge filled in."""
        return [vsi.machine.request for vsi in self._vsis.values()]

    @property
    def held(self) -> list[Association]:
        """The VSIs granted by the bridge, in the mode in force."""
        machines = [vsi.machine for vsi in self._vsis.values()]
        return [
            machine.request.as_mode(machine.in_force, machine.request.status)
            for machine in machines
            if machine.in_force
        ]

    def feed(self, event: StationEvent, now: float) -> list[StationOutput]:
        """Process one event.

        Raises:
            ProtocolError: a request of the hypervisor that the VSI's state forbids.
        """
        match event:
            case VsiRequest():
                return self._ask(event, now)
            case Received():
                return self._carry(self._ecp.feed(event, now), now)
            case Tick():
                return self._tick(now)
            case LinkDown():
                return [*self._agreement(event, now), *self._go_offline(now)]
            case LinkUp():
                self._ecp = self._endpoint()
                return self._agreement(event, now)
            case NeighbourHeard() | Shutdown():
                return self._agreement(event, now)

    def _endpoint(self) -> EcpEndpoint:
        return EcpEndpoint(self._evb.operational, self._gap, duplicate_window=inf)

    # --- towards the hypervisor ---
    def _ask(self, ask: VsiRequest, now: float) -> list[StationOutput]:
        key = _key(ask.manager_id, ask.association)
        vsi = self._vsis.get(key) or _Vsi(VsiStation(ask.association, self._evb.operational), ask.manager_id)
        vsi.organizational = ask.organizational
        unchanged = ask.association.filter_info.covers(vsi.machine.request.filter_info)
        filter_info = None if unchanged else ask.association.filter_info
        wanted = StationRequest(ask.association.MODE, filter_info, ask.suspended)
        outputs = vsi.machine.feed(wanted, now)
        self._vsis[key] = vsi
        if not self._online:
            # Without a bridge the request is not sent; Resume repeats it.
            return self._settle(key, vsi.machine.feed(Suspend(), now), now)
        return self._settle(key, outputs, now)

    # --- towards the bridge ---
    def _agreement(
        self, event: LinkUp | LinkDown | NeighbourHeard | Shutdown | Tick, now: float
    ) -> list[StationOutput]:
        outputs: list[StationOutput] = []
        for output in self._evb.feed(event, now):
            match output:
                case Advertise():
                    outputs.append(output)
                case Agreed():
                    outputs += self._reconfigure(output, now)
                case AgreementLost():
                    # VDP continues without LLDP, as in lldpad; only link down suspends it.
                    pass
        return outputs

    def _reconfigure(self, agreed: Agreed, now: float) -> list[StationOutput]:
        outputs = self._carry(self._ecp.feed(Reconfigure(agreed.operational), now), now)
        for vsi in self._vsis.values():
            vsi.machine.operational = agreed.operational
        if self._online:
            return outputs
        self._online = True
        return [*outputs, *self._feed_all(Resume(), self._vsis, now)]

    def _go_offline(self, now: float) -> list[StationOutput]:
        self._online = False
        return self._feed_all(Suspend(), self._vsis, now)

    def _tick(self, now: float) -> list[StationOutput]:
        due = [key for key, vsi in self._vsis.items() if vsi.is_due(now)]
        return [
            *self._agreement(Tick(), now),
            *self._carry(self._ecp.feed(Tick(), now), now),
            *self._feed_all(Tick(), due, now),
        ]

    def _carry(self, outputs: Iterable[EcpOutput], now: float) -> list[StationOutput]:
        carried: list[StationOutput] = []
        for output in outputs:
            match output:
                case Transmit():
                    carried.append(output)
                case Deliver(payload):
                    carried += self._deliver(payload, now)
                case Undelivered():
                    # The response wait expires and ends the VSI.
                    pass
        return carried

    def _deliver(self, payload: bytes, now: float) -> list[StationOutput]:
        try:
            pdu = VdpPdu.decode(payload)
        except WireError:
            self.undecodable += 1
            return []
        outputs: list[StationOutput] = []
        for association, _ in pdu.associations():
            key = _key(pdu.manager_id, association)
            if key in self._vsis:
                outputs += self._feed_all(ResponseReceived(association), [key], now)
        return outputs

    # --- the VSIs ---
    def _feed_all(self, event: VdpStationEvent, keys: Iterable[_Key], now: float) -> list[StationOutput]:
        outputs: list[StationOutput] = []
        for key in list(keys):
            outputs += self._settle(key, self._vsis[key].machine.feed(event, now), now)
        return outputs

    def _settle(self, key: _Key, outputs: Iterable[VdpStationOutput], now: float) -> list[StationOutput]:
        vsi = self._vsis[key]
        if vsi.machine.state is VsiStationState.ENDED:
            del self._vsis[key]
        settled: list[StationOutput] = []
        for output in outputs:
            match output:
                case Notice():
                    vsi.note(output.outcome)
                    settled.append(output)
                case Send(association):
                    pdu = VdpPdu(vsi.manager_id, (association, *vsi.organizational))
                    settled += self._carry(self._ecp.feed(Submit(pdu.encode()), now), now)
        return settled


def _key(manager_id: ManagerId, association: Association) -> _Key:
    """The fields that identify a VSI to a station: with another version of its type it is a second VSI."""
    return (manager_id, association.type_id, association.version, association.vsi_id)
