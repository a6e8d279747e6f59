"""From VDP requests to answers: the machines of all VSIs, and what connects them to the lifecycle.

A request means something (its type, its bindings), its machine says when to decide, ``vsi.admission``
says whether, ``vsi.lifecycle`` does it, and the machine says what to answer.  What comes out is
:class:`Answer` for a station, ``Apply`` for a switch, ``SendFrame`` for edges that are not ours and
``Happened`` for whoever watches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address

from ryu_apps.evb.agenda import Agenda
from ryu_apps.evb.io import Apply, FetchType, Happened, ReadMeters, ReadRules, Save, SendFrame
from ryu_apps.evb.policy.model import StageOn, VsiType
from ryu_apps.evb.policy.offer import Offer
from ryu_apps.evb.protocol import vdp_bridge as machine
from ryu_apps.evb.protocol.table import Tick, earliest
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.services.body import lacks
from ryu_apps.evb.station import Heard, StationPort
from ryu_apps.evb.topology.fabric import Fabric, PortId
from ryu_apps.evb.type_database import Found, Pending, Settled, TypeDatabase
from ryu_apps.evb.vsi.admission import Admission, Refusal, bindings_of, examine, fill_null_vids
from ryu_apps.evb.vsi.lifecycle import Lifecycle
from ryu_apps.evb.vsi.model import Binding, VsiTypeKey
from ryu_apps.evb.vsi.registry import Attachment, Registry
from ryu_apps.evb.vsi.steps import Activated, Announcement, Distrust, Outcome, Verdict
from ryu_apps.evb.wire import cisco
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.vdp import (
    Association,
    ManagerId,
    OrganizationalTlv,
    RequestStatus,
    ResponseStatus,
    VdpError,
    VdpMode,
)
from ryu_apps.evb.wire.vsi_id import VsiId

#: VSIs that one port may have; whoever is behind it cannot make the bridge remember more.
MAX_VSIS = 4096
#: Addresses of one VM that its station may tell; the newest count.
MAX_ADDRESSES = 64
#: Replaced types of one VSI that are remembered; the newest count.
MAX_SUPERSEDED = 16

_SUCCESS = ResponseStatus(VdpError.SUCCESS)
#: Seconds in which a keep-alive that a station sent before it was told may still come in.
_UNDER_WAY = 0.1


@dataclass(frozen=True, slots=True)
class Answer:
    """An association TLV for the station at a port."""

    port: PortId
    manager_id: ManagerId
    tlv: Association


@dataclass(frozen=True, slots=True)
class Moving:
    """A station asks for a VSI that is active elsewhere (``source``), or nowhere yet (None)."""

    vsi: str
    source: PortId | None
    destination: PortId


Output = (
    Answer | Apply | ReadRules | ReadMeters | Save | FetchType | SendFrame | Happened | Moving | Distrust | Activated
)
#: Whose type, which type, for what.
Meaning = tuple[str, VsiTypeKey, tuple[Binding, ...], tuple[IPv4Address | IPv6Address, ...]]


class Associations:
    """All VSIs of one bridge as their stations see them.

    Every method returns what is to be done, in order; ``deadline`` says when to call :meth:`tick`.
    """

    def __init__(
        self,
        registry: Registry,
        lifecycle: Lifecycle,
        stations: Mapping[PortId, StationPort],
        types: TypeDatabase,
        fabric: Fabric,
        hosts: Mapping[tuple[int, int], object],
    ) -> None:
        """
        Args:
            types: the VSI types of all managers.
            hosts: the configured end systems, by (VID, MAC).
        """
        self._registry = registry
        self._lifecycle = lifecycle
        self._stations = stations
        self._types = types
        self._fabric = fabric
        self._hosts = hosts
        self._agenda: Agenda[Attachment] = Agenda()
        self._moved: dict[tuple[VsiId, PortId], float] = {}
        self._work: deque[tuple[Attachment, machine.Output]] = deque()
        self._out: list[Output] = []
        self._announcements: list[Announcement] = []

    @property
    def deadline(self) -> float | None:
        """When to call :meth:`tick`, monotonic seconds."""
        return earliest(self._agenda.deadline, self._types.deadline)

    # --- what comes in ---
    def heard(self, port: PortId, heard: Heard, now: float) -> list[Output]:
        """A station sent an association TLV."""
        asked = heard.association
        if isinstance(asked.status, RequestStatus) and not self._stale(port, heard, now):
            self._hear(port, heard, now)
        return self._take()

    def told(self, port: PortId, vsi_id: VsiId, now: float) -> None:
        """A station knows that a VSI has left it: what it asks from now on, it means."""
        if (vsi_id, port) in self._moved:
            self._moved[vsi_id, port] = min(self._moved[vsi_id, port], now + _UNDER_WAY)

    def outcomes(self, outcomes: list[Outcome], now: float) -> list[Output]:
        """The lifecycle got on: a switch has confirmed or refused something."""
        self._queue(outcomes, now)
        self._drain(now)
        return self._take()

    def fetched(self, token: int, offer: Offer, now: float) -> list[Output]:
        """A VSI manager has answered, or cannot."""
        self._settle(self._types.fetched(token, offer, now), now)
        return self._take()

    def recall(self, text: str, reason: str, now: float) -> list[Output]:
        """Take a VSI off every port; an unknown one is nothing to take off."""
        vsi = self._registry.named(text)
        for attachment in list(vsi.attachments.values()) if vsi else ():
            if attachment.machine.state in (machine.VsiState.HELD, machine.VsiState.DECIDING):
                self._feed(attachment, machine.Recalled(reason), now)
        self._drain(now)
        return self._take()

    def resume(self) -> None:
        """The registry has been restored from an earlier life: mind its deadlines."""
        for attachment in self._registry.attachments():
            self._agenda.set(attachment, attachment.machine.deadline)

    def tell_left(self, port: PortId, now: float) -> list[Output]:
        """Tell the station at a port of VSIs that moved away in an earlier life of the bridge."""
        for attachment in list(self._registry.attachments()):
            if attachment.port == port and attachment.left:
                attachment.left = False
                self._feed(attachment, machine.Recalled("associated at another port"), now)
        self._drain(now)
        return self._take()

    def reassure(self, port: PortId, now: float) -> list[Output]:
        """The station at a port can be heard again: answer the keep-alives that it may have sent in vain.

        A station whose keep-alive is lost waits for the answer for a while, then drops the VSI without a word;
        one that waits for nothing ignores an answer.
        """
        for attachment in list(self._registry.attachments()):
            mode = attachment.machine.in_force
            if attachment.port == port and attachment.machine.state is machine.VsiState.HELD and mode is not None:
                self._respond(attachment, mode, _SUCCESS, now, quiet=True)
        return self._take()

    def agreed(self, port: PortId, operational: Operational, now: float) -> None:
        """The timers of a port have changed; what was to be heard in time by the old ones need not be."""
        for attachment in self._registry.attachments():
            if attachment.port == port and attachment.machine.operational != operational:
                attachment.machine.operational = operational
                self._excuse(attachment, now)

    def tick(self, now: float) -> list[Output]:
        """Serve the deadlines that have passed."""
        for attachment in self._agenda.due(now):
            if attachment.port.dpid not in self._lifecycle.up:
                self._excuse(attachment, now)
            self._feed(attachment, Tick(), now)
            self._drain(now)
        self._settle(self._types.tick(now), now)
        return self._take()

    def postpone(self, seconds: float) -> None:
        """Nothing could be heard for so long: every VSI may be silent longer by that, every decision take longer."""
        for attachment in self._registry.attachments():
            attachment.machine.postpone(seconds)
            self._agenda.set(attachment, attachment.machine.deadline)

    def overheard(self, port: PortId, now: float) -> None:
        """Frames of a port were dropped unread: keep-alives may have been among them, so its silence begins now."""
        for attachment in self._registry.attachments():
            if attachment.port == port:
                self._excuse(attachment, now)

    def excuse(self, dpid: int, now: float) -> None:
        """A switch can be heard again: the silence of its stations begins now."""
        for attachment in self._registry.attachments():
            if attachment.port.dpid == dpid:
                self._excuse(attachment, now)

    def _excuse(self, attachment: Attachment, now: float) -> None:
        attachment.machine.excuse(now)
        self._agenda.set(attachment, attachment.machine.deadline)

    # --- requests ---
    def _hear(self, port: PortId, heard: Heard, now: float) -> None:
        asked = heard.association
        vsi = self._registry.vsi(asked.vsi_id)
        attachment = vsi.attachments.get(port) if vsi else None
        if attachment is not None:
            if not self._superseded(attachment, heard):
                self._request(attachment, heard, now)
        elif asked.MODE is VdpMode.DEASSOCIATE:
            self._answer(port, heard.manager_id, asked.answer(_SUCCESS))
        elif self._registry.count_at(port) >= MAX_VSIS:
            reason = f"the port has {MAX_VSIS} VSIs already"
            self._turn_away(port, heard, Refusal(VdpError.INSUFFICIENT_RESOURCES, False, reason))
        elif vsi is None and (refusal := self._types.hopeless(heard.manager_id, asked)):
            self._turn_away(port, heard, refusal)
        else:
            bridge = machine.VdpBridge(self._stations[port].evb.operational)
            attachment = self._registry.attach(asked.vsi_id, port, heard.manager_id, bridge, now)
            self._request(attachment, heard, now)

    def _turn_away(self, port: PortId, heard: Heard, refusal: Refusal) -> None:
        """Refuse a VSI without so much as remembering it."""
        asked, status = heard.association, ResponseStatus(refusal.error, hard=refusal.hard)
        for kind, detail in (
            ("vdp.refused", {"reason": refusal.reason, "error": refusal.error.name}),
            ("vdp.response", {"mode": asked.MODE.name, "status": f"{status.encode():#04x}"}),
        ):
            self._out.append(Happened(kind, port, port.dpid, str(asked.vsi_id), dict(detail)))
        self._answer(port, heard.manager_id, asked.answer(status))

    def _request(self, attachment: Attachment, heard: Heard, now: float) -> None:
        asked = heard.association
        attachment.manager_id = heard.manager_id
        attachment.requests[asked.MODE] = asked
        request = machine.Request(asked.MODE)
        if asked.MODE is not VdpMode.DEASSOCIATE:
            before = attachment.asked
            attachment.newest = asked
            attachment.asked = self._meaning(attachment, asked, heard.organizational)
            request = machine.Request(asked.MODE, changed=before is not None and attachment.asked != before)
        held_before = attachment.machine.state is machine.VsiState.HELD
        outputs = attachment.machine.feed(request, now)
        keep_alive = held_before and attachment.machine.state is machine.VsiState.HELD
        if not keep_alive:
            self._note_request(attachment, asked, now)
        for output in outputs:
            self._work.append((attachment, output))
        self._drain(now, quiet=keep_alive)
        self._note_suspension(attachment, asked, now)

    def _note_suspension(self, attachment: Attachment, asked: Association, now: float) -> None:
        """The S bit of the station where the VM was: the source's trigger, once."""
        suspended = isinstance(asked.status, RequestStatus) and asked.status.suspended
        if suspended and not attachment.suspended:
            self._happened(attachment, "vsi.suspended", {})
            self._queue(self._lifecycle.suspended(attachment), now)
        attachment.suspended = suspended

    def _meaning(
        self, attachment: Attachment, asked: Association, organizational: tuple[OrganizationalTlv, ...]
    ) -> Meaning:
        """What a request asks for, so that a repetition is known as one whatever its null VIDs say."""
        interface = self._stations[attachment.port].interface
        filled = fill_null_vids(interface, asked.filter_info)
        for tlv in self._organizational(attachment.port, organizational):
            if isinstance(tlv, cisco.L3Address) and tlv.address not in attachment.told:
                attachment.told = (*attachment.told, tlv.address)[-MAX_ADDRESSES:]
            elif isinstance(tlv, cisco.VmName):
                attachment.name = tlv.name
        key = VsiTypeKey(asked.type_id, asked.version)
        origin = self._types.origin(attachment.manager_id, key)
        return origin, key, bindings_of(filled) if filled else (), attachment.told

    def _organizational(
        self, port: PortId, tlvs: tuple[OrganizationalTlv, ...]
    ) -> Iterator[cisco.VmName | cisco.L3Address | None]:
        """What organizations have to say; it is extra, so what makes no sense is counted and left out."""
        for tlv in tlvs:
            try:
                yield cisco.decode(tlv)
            except WireError:
                self._stations[port].counters["malformed"] += 1

    def _note_request(self, attachment: Attachment, asked: Association, now: float) -> None:
        status = asked.status
        assert isinstance(status, RequestStatus)
        owner = attachment.vsi.owner
        if asked.MODE is not VdpMode.DEASSOCIATE and owner is not attachment:
            self._out.append(Moving(attachment.text, owner.port if owner else None, attachment.port))
        detail: dict[str, object] = {
            "mode": asked.MODE.name,
            "type": str(VsiTypeKey(asked.type_id, asked.version)),
            "migrating": status.migrating,
            "suspended": status.suspended,
        }
        self._happened(attachment, "vdp.request", detail)

    def _stale(self, port: PortId, heard: Heard, now: float) -> bool:
        """An Associate from where the VSI has just left is a keep-alive that crossed our De-Associate."""
        asked = heard.association
        until = self._moved.get((asked.vsi_id, port))
        if until is None:
            return False
        if now < until and asked.MODE is VdpMode.ASSOCIATE:
            self._answer(port, heard.manager_id, asked.as_mode(VdpMode.DEASSOCIATE, _SUCCESS))
            return True
        del self._moved[asked.vsi_id, port]
        return False

    def _superseded(self, attachment: Attachment, heard: Heard) -> bool:
        """A station that changes the type keeps the old one alive as a second VSI; the newest counts."""
        asked = heard.association
        key = self._named(heard.manager_id, asked)
        if key in attachment.superseded:
            del attachment.superseded[key]
            answer = asked.as_mode(VdpMode.DEASSOCIATE, _SUCCESS)
            self._answer(attachment.port, heard.manager_id, answer)
            return True
        newest = attachment.newest
        if newest is not None and asked.MODE is not VdpMode.DEASSOCIATE:
            old = self._named(attachment.manager_id, newest)
            if old != key:
                attachment.superseded[old] = None
                if len(attachment.superseded) > MAX_SUPERSEDED:
                    del attachment.superseded[next(iter(attachment.superseded))]
        return False

    def _named(self, manager_id: ManagerId, asked: Association) -> tuple[str, VsiTypeKey]:
        key = VsiTypeKey(asked.type_id, asked.version)
        return self._types.origin(manager_id, key), key

    # --- the VDP machines' wishes ---
    def _drain(self, now: float, quiet: bool = False) -> None:
        while self._work:
            attachment, output = self._work.popleft()
            match output:
                case machine.Decide():
                    self._decide(attachment, now)
                case machine.Respond(mode, status):
                    self._respond(attachment, mode, status, now, quiet)
                case machine.Announce(reason):
                    self._announce(attachment, reason, now)
                case machine.Release():
                    self._queue(self._lifecycle.release(attachment), now)
                case machine.Forget():
                    self._forget(attachment)
            self._agenda.set(attachment, attachment.machine.deadline)

    def _decide(self, attachment: Attachment, now: float) -> None:
        self._lifecycle.asked(attachment)
        found = self._types.ask(attachment, now)
        self._out += self._types.take()
        if not isinstance(found, Pending):
            self._decide_with(attachment, found, now)

    def _settle(self, settled: Iterable[Settled], now: float) -> None:
        """Types have come, or will not; a decision that has been overtaken does not need one any more."""
        self._out += self._types.take()
        for waiter, found in settled:
            one = waiter.attachment
            deciding = one.machine.state is machine.VsiState.DECIDING and one.machine.attempt == waiter.attempt
            if one.present and deciding:
                self._decide_with(one, found, now)
                self._drain(now)

    def _decide_with(self, attachment: Attachment, vsi_type: Found, now: float) -> None:
        asked, mode, attempt = attachment.newest, attachment.machine.wanted, attachment.machine.attempt
        assert asked is not None
        interface = self._stations[attachment.port].interface
        taken, lacking = partial(self._taken, attachment), partial(self._lacking, attachment.port)
        found: Admission | Refusal
        if isinstance(vsi_type, Refusal):
            found = vsi_type
        else:
            found = examine(interface, vsi_type, asked.filter_info, taken, lacking)
        if isinstance(found, Refusal):
            detail: dict[str, object] = {"reason": found.reason, "error": found.error.name}
            self._happened(attachment, "vdp.refused", detail)
            self._feed(attachment, machine.Denied(found.error, found.hard, attempt), now)
            return
        attachment.filled = found.filled
        attachment.addresses = attachment.told
        self._registry.hold(attachment, found.bindings)
        if mode is VdpMode.PREASSOCIATE and not self._stages_early(attachment, found.vsi_type):
            self._queue(self._lifecycle.grant_unstaged(attachment), now)
        else:
            self._queue(self._lifecycle.stage(attachment, found.vsi_type), now)

    def _lacking(self, port: PortId, vsi_type: VsiType, vids: tuple[int, ...]) -> str | None:
        return lacks(vsi_type, self._fabric, port.dpid, vids)

    def _taken(self, attachment: Attachment, binding: Binding) -> str | None:
        """Who else has this (VID, MAC), None if nobody."""
        mac = binding.mac
        if mac is not None and (binding.vid, mac) in self._hosts:
            return "a configured end system"
        if balancer := next((one for one in self._fabric.balancers if (one.vid, one.mac) == binding), None):
            return f"the load balancer {balancer.name}"
        if mac is not None and any(one.known == mac and one.port != attachment.port for one in self._stations.values()):
            return "another station"
        other = self._registry.conflict(attachment, binding)
        return other.text if other else None

    def _stages_early(self, attachment: Attachment, vsi_type: VsiType) -> bool:
        if vsi_type.stage_on is not None:
            return vsi_type.stage_on is StageOn.PREASSOCIATE
        return self._stations[attachment.port].interface.stage_on_preassociate

    def _respond(self, attachment: Attachment, mode: VdpMode, status: ResponseStatus, now: float, quiet: bool) -> None:
        if status.keep:
            self._queue(self._lifecycle.abandon(attachment), now)
            if attachment.program is not None:
                self._registry.hold(attachment, attachment.program.binding.bindings)
        asked = attachment.requests[mode]
        filled = attachment.filled if mode is not VdpMode.DEASSOCIATE and status.success else None
        if not quiet:
            detail: dict[str, object] = {"mode": mode.name, "status": f"{status.encode():#04x}"}
            self._happened(attachment, "vdp.response", detail)
        self._answer(attachment.port, attachment.manager_id, asked.answer(status, filled))
        if status.keep:
            attachment.asked, attachment.filled = attachment.granted
        elif status.success:
            attachment.granted = attachment.asked, attachment.filled
        if not quiet and status.success and mode is VdpMode.ASSOCIATE:
            self._happened(attachment, "vsi.active", {})

    def _announce(self, attachment: Attachment, reason: str, now: float) -> None:
        self._happened(attachment, "vdp.announce", {"reason": reason})
        owner = attachment.vsi.owner
        if owner is not None and owner is not attachment:
            self._moved = {place: until for place, until in self._moved.items() if until > now}
            until = now + attachment.machine.operational.keep_alive_timeout
            self._moved[attachment.vsi.vsi_id, attachment.port] = until
        if attachment.newest is not None:
            tlv = attachment.newest.unsolicited_deassociate()
            self._answer(attachment.port, attachment.manager_id, tlv)

    def _forget(self, attachment: Attachment) -> None:
        self._registry.forget(attachment)
        self._happened(attachment, "vsi.gone", {})

    # --- the lifecycle's outcomes ---
    def _queue(self, outcomes: list[Outcome], now: float) -> None:
        for outcome in outcomes:
            match outcome:
                case Apply() | ReadRules() | ReadMeters() | Save() | Happened() | Distrust() | Activated():
                    self._out.append(outcome)
                case Announcement():
                    self._announcements.append(outcome)
                case Verdict(attachment, event):
                    self._feed(attachment, event, now)

    def _feed(self, attachment: Attachment, event: machine.Event, now: float) -> None:
        self._work.extend((attachment, output) for output in attachment.machine.feed(event, now))
        self._agenda.set(attachment, attachment.machine.deadline)

    # --- small things ---
    def _answer(self, port: PortId, manager_id: ManagerId, tlv: Association) -> None:
        self._out.append(Answer(port, manager_id, tlv))

    def _happened(self, attachment: Attachment, kind: str, detail: dict[str, object]) -> None:
        port = attachment.port
        self._out.append(Happened(kind, port, port.dpid, attachment.text, detail))

    def _take(self) -> list[Output]:
        # The station's answer goes first: its VM waits for it.
        for one in self._announcements:
            self._out += one.frames
            self._happened(one.attachment, "vsi.announced", {"frames": len(one.frames)})
        self._announcements.clear()
        taken, self._out = self._out, []
        return taken
