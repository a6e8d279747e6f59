"""The station service: the VSIs of a hypervisor at its uplinks, asked for by calls.

Composes a :class:`~ryu_apps.station.station.Station` for each uplink.  A call is answered when the bridge has
answered the request that it comes to; repeated, it is answered from what is in force.  A VSI whose bridge falls
silent is requested again, without end, until it is released.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ryu_apps.evb.protocol.table import earliest
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.evb.wire.port_name import PortName
from ryu_apps.evb.wire.status import VdpError
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.evb.wire.vsi_id import VsiId
from ryu_apps.station.calls import Answer, Call, CallError, Verb, read_call
from ryu_apps.station.hosted import HostedVsi, Waiting
from ryu_apps.station.port_finder import PortFinder
from ryu_apps.station.ports_by_id import PortsById
from ryu_apps.station.replies import conflict, failed, failure, overdue, released
from ryu_apps.station.service_events import (
    AtUplink,
    Called,
    Emit,
    HungUp,
    PortsShown,
    Reply,
    Save,
    ServiceEvent,
    ServiceOutput,
)
from ryu_apps.station.station import Notice, RequestOutcome, Station, StationOutput, Tick

#: Key of a port that was found, in what is saved.
_FOUND = "found_port"
#: VSIs of a hypervisor; each costs a keep-alive every few seconds.
MAX_VSIS = 4096
#: Verb -> mode of its request, and its S bit.
_REQUESTS = {
    Verb.PROBE: (VdpMode.PREASSOCIATE, False),
    Verb.RESERVE: (VdpMode.PREASSOCIATE_RR, False),
    Verb.ASSOCIATE: (VdpMode.ASSOCIATE, False),
    Verb.SUSPEND: (VdpMode.ASSOCIATE, True),
    Verb.RELEASE: (VdpMode.DEASSOCIATE, False),
}
_FAILURES = {
    RequestOutcome.KEPT: CallError.REFUSED,
    RequestOutcome.REFUSED: CallError.REFUSED,
    RequestOutcome.MISMATCHED: CallError.REFUSED,
    RequestOutcome.TIMED_OUT: CallError.NO_ANSWER,
    RequestOutcome.WITHDRAWN: CallError.WITHDRAWN,
    RequestOutcome.LEFT: CallError.WITHDRAWN,
}


class StationService:
    """The VSIs of a hypervisor."""

    def __init__(self, stations: Mapping[str, Station], finds_ports: bool = False) -> None:
        """
        Args:
            stations: one for each uplink, by the name of its interface; the first is the default.
            finds_ports: it will be fed :class:`PortsShown`.
        """
        self._stations = dict(stations)
        self._finder = PortFinder()
        self._finds_ports = finds_ports
        self._vsis: dict[VsiId, HostedVsi] = {}

    @property
    def deadline(self) -> float | None:
        """Time to feed :class:`Tick`, None if no timer runs."""
        retries = (vsi.retry_at for vsi in self._vsis.values())
        calls = (waiting.deadline for vsi in self._vsis.values() for waiting in vsi.waiting)
        return earliest(*(station.deadline for station in self._stations.values()), *retries, *calls)

    @property
    def vsis(self) -> list[HostedVsi]:
        """Every VSI, in the order of their first calls."""
        return list(self._vsis.values())

    @property
    def bridges(self) -> dict[str, str | None]:
        """MAC address of the bridge port at each uplink, None without an EVB agreement."""
        agreed = {uplink: station.agreed for uplink, station in self._stations.items()}
        return {uplink: None if port is None else mac_to_text(port.station) for uplink, port in agreed.items()}

    @property
    def saved(self) -> list[dict[str, Any]]:
        """The VSIs that the bridge may have, as calls that ask for the same again."""
        return [
            {
                **vsi.description.to_json(),
                "verb": vsi.wanted.value,
                "uplink": vsi.uplink,
                "migrating": vsi.migrating,
                **({_FOUND: vsi.port.name} if vsi.port else {}),
            }
            for vsi in self._vsis.values()
            if vsi.proven
        ]

    def restore(self, saved: Iterable[Mapping[str, Any]], now: float) -> list[ServiceOutput]:
        """Request what was kept by an earlier life of the service.

        Raises:
            ValueError: not what :attr:`saved` returned.
        """
        outputs: list[ServiceOutput] = []
        for written in saved:
            # Without it a VM would lose its network if OVSDB could not be read now.
            found = written.get(_FOUND)
            call = read_call({key: value for key, value in written.items() if key != _FOUND})
            uplink = call.uplink if call.uplink in self._stations else next(iter(self._stations))
            if call.description is not None:
                migrating = call.migrating and call.verb is Verb.RESERVE
                vsi = HostedVsi(call.description, uplink, call.verb, migrating, proven=True)
                vsi.port = None if found is None else PortName(found)
                self._vsis[call.vsi_id] = vsi
                outputs += self._pursue(vsi, now)
        return outputs

    def feed(self, event: ServiceEvent, now: float) -> list[ServiceOutput]:
        """Process one event."""
        match event:
            case Called(token, call):
                return self._call(token, call, now)
            case HungUp(token):
                for vsi in self._vsis.values():
                    vsi.answered(lambda waiting: waiting.token == token)
                return []
            case AtUplink(uplink, inner):
                return self._carry(uplink, self._stations[uplink].feed(inner, now), now)
            case PortsShown(ports):
                return self._locate(ports, now)
            case Tick():
                return self._tick(now)

    # --- calls ---
    def _call(self, token: int, call: Call, now: float) -> list[ServiceOutput]:
        vsi = self._vsis.get(call.vsi_id)
        if vsi is not None and vsi.ended:
            del self._vsis[call.vsi_id]
            call, vsi = replace(call, description=call.description or vsi.description), None
        refusal = self._unknown(call) if vsi is None else conflict(call, vsi)
        refusal = refusal or self._portless(call, vsi)
        if refusal is not None:
            return [Reply(token, refusal)]
        if vsi is None:
            assert call.description is not None
            uplink = call.uplink or next(iter(self._stations))
            vsi = HostedVsi(call.description, uplink, call.verb, call.migrating)
            self._vsis[call.vsi_id] = vsi
            self._finder.locate(vsi)
        vsi.wanted = call.verb
        vsi.waiting.append(Waiting(token, call.verb, now + call.patience))
        return self._pursue(vsi, now)

    def _unknown(self, call: Call) -> Answer | None:
        """The answer to a call for a VSI that is not here, None if the VSI is to be taken in."""
        if call.verb is Verb.RELEASE:
            return Answer(None, "", {"vsi": str(call.vsi_id), "state": "released"})
        if call.verb is Verb.SUSPEND or call.description is None:
            return failure(call, CallError.UNKNOWN_VSI, "reserve or associate it first, with type and filters")
        if call.uplink is not None and call.uplink not in self._stations:
            return failure(call, CallError.BAD_CALL, f"uplink: {call.uplink!r} is none of {', '.join(self._stations)}")
        if len(self._vsis) >= MAX_VSIS:
            return failure(call, CallError.TOO_MANY, f"{MAX_VSIS} VSIs are here already")
        return None

    def _portless(self, call: Call, vsi: HostedVsi | None) -> Answer | None:
        """The answer to a call whose port can be found by no ``iface-id``, None if it may go on."""
        described = call.description or (vsi and vsi.description)
        if not described or described.iface_id is None or call.verb is Verb.RELEASE:
            return None
        if not self._finds_ports:
            return failure(call, CallError.BAD_CALL, "iface_id: the daemon does not read OVSDB (--ovsdb)")
        ambiguity = self._finder.ambiguity(described.iface_id, vsi) if call.verb is Verb.ASSOCIATE else None
        return failure(call, CallError.CONFLICT, ambiguity) if ambiguity else None

    def _locate(self, ports: PortsById, now: float) -> list[ServiceOutput]:
        """Go on with VSIs whose ports have appeared, or returned under another name."""
        self._finder.show(ports)
        located = [vsi for vsi in self._vsis.values() if self._finder.locate(vsi)]
        wanting = [vsi for vsi in located if vsi.asked is None and vsi.wanted in (Verb.ASSOCIATE, Verb.SUSPEND)]
        return [output for vsi in wanting for output in self._pursue(vsi, now)]

    def _pursue(self, vsi: HostedVsi, now: float) -> list[ServiceOutput]:
        """Request what is wanted, unless it is in force or another request is under way."""
        if vsi.asked is None and vsi.in_force is vsi.wanted and not vsi.renamed:
            return self._granted(vsi)
        if vsi.lacks_port:
            return []  # a reservation stays in force meanwhile
        if vsi.asked is not None and (vsi.wanted is not Verb.RELEASE or vsi.asked is Verb.RELEASE):
            return []  # the answer comes first; an earlier request than a release is not waited for
        vsi.ask(vsi.wanted)
        mode, suspended = _REQUESTS[vsi.wanted]
        request = vsi.description.request(mode, suspended, vsi.migrating, vsi.port)
        outputs = self._carry(vsi.uplink, self._stations[vsi.uplink].feed(request, now), now)
        return [*outputs, Save()] if vsi.proven else outputs

    def _granted(self, vsi: HostedVsi) -> list[ServiceOutput]:
        answered = vsi.answered(lambda waiting: waiting.verb is vsi.in_force)
        return [Reply(waiting.token, vsi.success()) for waiting in answered]

    # --- outputs of the stations ---
    def _carry(self, uplink: str, outputs: Iterable[StationOutput], now: float) -> list[ServiceOutput]:
        carried: list[ServiceOutput] = []
        for output in outputs:
            if isinstance(output, Notice):
                vsi = self._vsis.get(output.association.vsi_id)
                if vsi is not None and vsi.uplink == uplink:
                    carried += [*self._noticed(vsi, output, now), Save()]
            else:
                carried.append(Emit(uplink, output))
        return carried

    def _noticed(self, vsi: HostedVsi, notice: Notice, now: float) -> list[ServiceOutput]:
        if notice.outcome is RequestOutcome.GRANTED:
            vsi.grant(notice.association.filter_info)
            return [*self._granted(vsi), *self._pursue(vsi, now)]
        error, reason = _FAILURES[notice.outcome], _reason(notice)
        if notice.outcome is RequestOutcome.KEPT:
            _stay(vsi)
            if vsi.description.iface_id is not None:
                vsi.retry(now)  # another VSI may have that port yet
            return [*failed(vsi, error, reason), *self._pursue(vsi, now)]
        return self._ended(vsi, error, reason, now)

    def _ended(self, vsi: HostedVsi, error: CallError, reason: str, now: float) -> list[ServiceOutput]:
        """Go on after the station has ended the VSI."""
        is_release = vsi.asked is Verb.RELEASE
        vsi.lose(error, reason)
        if is_release:
            vsi.proven = False
            outputs = released(vsi, confirmed=error is not CallError.NO_ANSWER)
            return outputs + (self._forget(vsi) if vsi.wanted is Verb.RELEASE else self._pursue(vsi, now))
        if not vsi.proven:
            del self._vsis[vsi.description.vsi_id]
        elif error is CallError.NO_ANSWER:
            vsi.retry(now)
        else:
            vsi.proven = False
        return failed(vsi, error, reason)

    def _forget(self, vsi: HostedVsi) -> list[ServiceOutput]:
        del self._vsis[vsi.description.vsi_id]
        return failed(vsi, CallError.WITHDRAWN, "it has been released")

    # --- time ---
    def _tick(self, now: float) -> list[ServiceOutput]:
        outputs: list[ServiceOutput] = []
        for uplink, station in self._stations.items():
            outputs += self._carry(uplink, station.feed(Tick(), now), now)
        for vsi in list(self._vsis.values()):
            if vsi.retry_at is not None and vsi.retry_at <= now:
                vsi.retry_at = vsi.asked_port = None
                outputs += self._pursue(vsi, now)
            outputs += overdue(vsi, now, self._finder.lack(vsi))
        return outputs


def _stay(vsi: HostedVsi) -> None:
    """Stay associated.  Anything else is released: the station would repeat the Associate that was refused."""
    vsi.asked = None
    vsi.wanted = vsi.in_force if vsi.in_force in (Verb.ASSOCIATE, Verb.SUSPEND) else Verb.RELEASE


def _reason(notice: Notice) -> str:
    """The reason of a failure, with the error type of the bridge's answer (802.1Q 41.2.3)."""
    if notice.status is None:
        return notice.outcome.value
    error = notice.status.error
    name = error.name.lower().replace("_", " ") if isinstance(error, VdpError) else "reserved"
    return f"{notice.outcome.value}: error {int(error)}, {name}"
