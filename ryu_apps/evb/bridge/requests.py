"""From VDP requests to answers: the machines of all VSIs, and what connects them to the lifecycle.

A request means something (its type, its bindings), its machine says when to decide, ``vsi.admission``
says whether, ``vsi.lifecycle`` does it, and the machine says what to answer.  What comes out is
:class:`SentAnswer` for a station, ``Apply`` for a switch, ``SendFrame`` for edges that are not ours and
``LogEvent`` for whoever watches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import Concatenate, ParamSpec

from ryu_apps.evb.deadlines import DeadlineQueue
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.vsis import (
    StaleVsiRequested,
    UnsolicitedDeassociate,
    VdpAnswered,
    VdpRefused,
    VdpRequested,
    VsiActive,
    VsiAnnounced,
    VsiContested,
    VsiGone,
    VsiSettled,
    VsiSuspended,
)
from ryu_apps.evb.events import Apply, FetchType, ReadMeters, ReadRules, Save, SendFrame
from ryu_apps.evb.model import Binding, VsiTypeKey
from ryu_apps.evb.policy.model import StageOn, VsiType
from ryu_apps.evb.policy.offer import Offer
from ryu_apps.evb.ports.backlog import Backlog
from ryu_apps.evb.ports.bridge_port import AssociationReceived, BridgePort, bridge_mac
from ryu_apps.evb.protocol import vdp_bridge as machine
from ryu_apps.evb.protocol.table import Tick, earliest
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.services.body import missing_requirement
from ryu_apps.evb.topology.fabric import Fabric, PortId
from ryu_apps.evb.vsi.address_owners import AddressOwners
from ryu_apps.evb.vsi.admission import Admitted, Refusal, bindings_of, examine, fill_null_vids
from ryu_apps.evb.vsi.departures import Cause, Departures
from ryu_apps.evb.vsi.lifecycle import Lifecycle
from ryu_apps.evb.vsi.registry import Attachment, Registry, Vsi
from ryu_apps.evb.vsi.stale_rules import StaleRules
from ryu_apps.evb.vsi.steps import Activated, Announcement, LifecycleOutput, RequestDecided, ResyncSwitch
from ryu_apps.evb.vsi.takeovers import Takeovers, WaitingTakeover
from ryu_apps.evb.vsi_types.database import LookupPending, Settled, TypeDatabase, TypeLookup
from ryu_apps.evb.wire import cisco
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.vdp import (
    Association,
    Identity,
    ManagerId,
    OrganizationalTlv,
    RequestStatus,
    ResponseStatus,
    VdpError,
    VdpMode,
    identity_of,
)
from ryu_apps.evb.wire.vsi_id import VsiId

P = ParamSpec("P")

#: VSIs that one port may have; whoever is behind it cannot make the bridge remember more.
MAX_VSIS = 4096
#: Addresses of one VM that its station may tell; the newest count.
MAX_ADDRESSES = 64

_SUCCESS = ResponseStatus(VdpError.SUCCESS)
#: Seconds in which a keep-alive that a station sent before it was told may still come in, if it has one VSI.
_UNDER_WAY = 0.1
#: Seconds until a VSI that has expired is looked at again while switches are busy with others of its port.
_EXPIRE_AGAIN = 0.02


@dataclass(frozen=True, slots=True)
class SentAnswer:
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


#: What says that a VSI is about to come.
_ANNOUNCEMENTS = (VdpMode.PREASSOCIATE, VdpMode.PREASSOCIATE_RR)

RequestOutput = (
    SentAnswer
    | Apply
    | ReadRules
    | ReadMeters
    | Save
    | FetchType
    | SendFrame
    | LogEvent
    | Moving
    | ResyncSwitch
    | Activated
)
#: Whose type, which type, for what, and which VSI that is to the station.
Meaning = tuple[str, VsiTypeKey, tuple[Binding, ...], tuple[IPv4Address | IPv6Address, ...], Identity]


class Associations:
    """All VSIs of one bridge as their stations see them.

    Every method returns what is to be done, in order; ``deadline`` says when to call :meth:`tick`.

    Attributes:
        departures: ports that VSIs have left without their stations having said so.
        stale_rules: what switches that are away still hold of VSIs that were released.
        backlog: requests that wait because switches are busy with others of the same port.
    """

    def __init__(
        self,
        registry: Registry,
        lifecycle: Lifecycle,
        stations: Mapping[PortId, BridgePort],
        types: TypeDatabase,
        fabric: Fabric,
        lives_elsewhere: Callable[[PortId, Iterable[Binding]], str | None],
    ) -> None:
        """
        Args:
            types: the VSI types of all managers.
            lives_elsewhere: where addresses that a port asks for are let in, if by nothing that this bridge remembers.
        """
        self._registry = registry
        self._lifecycle = lifecycle
        self._stations = stations
        self._types = types
        self._fabric = fabric
        self._lives_elsewhere = lives_elsewhere
        ports = [PortId(dpid, port_no) for dpid, one in fabric.switches.items() for port_no in one.interfaces]
        self._address_owners = AddressOwners(
            fabric, registry, frozenset(map(bridge_mac, ports)), self._station_elsewhere
        )
        self._agenda: DeadlineQueue[Attachment] = DeadlineQueue()
        self.departures = Departures()
        self.stale_rules = StaleRules(lifecycle.up)
        self.backlog = Backlog(lifecycle.under_way)
        self._takeovers = Takeovers(lambda port: stations[port].interface.takeover_any, lifecycle.up)
        self._touched: dict[Vsi, None] = {}
        self._work: deque[tuple[Attachment, machine.VdpOutput]] = deque()
        self._out: list[RequestOutput] = []
        self._announcements: list[Announcement] = []

    @property
    def deadline(self) -> float | None:
        """When to call :meth:`tick`, monotonic seconds."""
        return earliest(self._agenda.deadline, self._types.deadline, self.backlog.deadline, *self._takeovers.deadlines)

    # --- what comes in ---
    def heard(self, port: PortId, heard: AssociationReceived, now: float) -> list[RequestOutput]:
        """A station sent an association TLV."""
        asked = heard.association
        if isinstance(asked.status, RequestStatus):
            ends = asked.MODE is VdpMode.DEASSOCIATE and self._is_at(port, asked.vsi_id)
            if (ends and self.backlog.is_full(port)) or self.backlog.waits(port, asked.vsi_id):
                self.backlog.put(port, partial(self._take_in, port, heard), now, ahead_of=asked.vsi_id)
            else:
                self._take_in(port, heard, now)
        return self._take()

    def told(self, port: PortId, manager_id: ManagerId, association: Association, now: float) -> list[RequestOutput]:
        """A station knows that a VSI has left it: what it asks from now on, it means."""
        self.departures.acknowledge(association.vsi_id, port, identity_of(manager_id, association), now)
        return self._take()

    def outcomes(self, outcomes: list[LifecycleOutput], now: float) -> list[RequestOutput]:
        """The lifecycle got on: a switch has confirmed or refused something."""
        self._queue(outcomes, now)
        self._drain(now)
        self._go_on(now)
        return self._take()

    def fetched(self, token: int, offer: Offer, now: float) -> list[RequestOutput]:
        """A VSI manager has answered, or cannot."""
        self._settle(self._types.fetched(token, offer, now), now)
        self._go_on(now)
        return self._take()

    def deassociate(self, text: str, reason: str, now: float) -> list[RequestOutput]:
        """Take a VSI off every port; an unknown one is nothing to take off."""
        vsi = self._registry.named(text)
        for attachment in list(vsi.attachments.values()) if vsi else ():
            if attachment.machine.state in (machine.VsiState.HELD, machine.VsiState.DECIDING):
                self._feed(attachment, machine.Recalled(reason), now)
        self._drain(now)
        self._go_on(now)
        return self._take()

    def resume(self, records: Mapping[str, bytes], now: float) -> list[RequestOutput]:
        """The registry has been restored from an earlier life: mind its deadlines, and what it knew of departures."""
        for attachment in self._registry.attachments():
            self._agenda.set(attachment, attachment.machine.deadline)
            self._takeovers.away(attachment.port.dpid, now)
        if unusable := self.departures.restore(records, self._stations.__contains__):
            self._out.append(Save(self._lifecycle.next_token(), dict(unusable)))
        for vsi_id in self.departures.vsis():
            vsi = self._registry.vsi(vsi_id)
            self._noted_owner(vsi_id, vsi.owner if vsi else None)
        for port, station in self._stations.items():
            for manager_id, association in self.departures.unacknowledged(port):
                station.keep_deassociate(manager_id, association)
        return self._take()

    def saved(self, token: int, failure: str | None) -> None:
        """The store has written something, or says why it cannot."""
        self.departures.saved(token, failure)

    def save_again(self) -> list[RequestOutput]:
        """Try again to write what the store has refused."""
        self.departures.again()
        return self._take()

    def away(self, dpid: int, now: float) -> None:
        """A switch cannot be heard from now on."""
        self._takeovers.away(dpid, now)

    def announce_moves(self, port: PortId, now: float) -> list[RequestOutput]:
        """Tell the station at a port of VSIs that moved away in an earlier life of the bridge."""
        for attachment in self._registry.attachments_at(port):
            if attachment.left:
                attachment.left = False
                self._feed(attachment, machine.Recalled("associated at another port"), now)
        self._drain(now)
        return self._take()

    def repeat_keep_alive_answers(self, port: PortId, now: float) -> list[RequestOutput]:
        """The station at a port can be heard again: answer the keep-alives that it may have sent in vain.

        A station whose keep-alive is lost waits for the answer for a while, then drops the VSI without a word;
        one that waits for nothing ignores an answer.
        """
        for attachment in self._registry.attachments_at(port):
            mode = attachment.machine.in_force
            if attachment.machine.state is machine.VsiState.HELD and mode is not None:
                self._respond(attachment, mode, _SUCCESS, now, quiet=True)
        return self._take()

    def agreed(self, port: PortId, operational: Operational, now: float) -> None:
        """The timers of a port have changed; what was to be heard in time by the old ones need not be."""
        for attachment in self._registry.attachments_at(port):
            if attachment.machine.operational != operational:
                attachment.machine.operational = operational
                self._excuse(attachment, now)

    def tick(self, now: float, unread: frozenset[PortId] = frozenset()) -> list[RequestOutput]:
        """Serve the deadlines that have passed; frames of the ``unread`` ports have come and wait."""
        for attachment in self._agenda.due(now):
            self._expire(attachment, now, attachment.port in unread)
        self._settle(self._types.tick(now), now)
        for vsi in self._takeovers.due(now):
            self._reconsider(vsi, now)
        for vsi_id in self._takeovers.settled(now):
            self._say_settled(vsi_id)
        self._go_on(now)
        return self._take()

    def _expire(self, attachment: Attachment, now: float, unread: bool) -> None:
        port, held = attachment.port, attachment.machine.state is machine.VsiState.HELD
        if unread or port.dpid not in self._lifecycle.up or self.backlog.is_busy(port):
            # Its keep-alive may be among the frames that cannot come, or are not read yet.
            self._excuse(attachment, now)
        elif held and self.backlog.is_worked_for(port) and not self._takeovers.waits_for(attachment.vsi):
            self._agenda.set(attachment, now + _EXPIRE_AGAIN)
            return
        self._feed(attachment, Tick(), now)
        self._drain(now)

    def postpone(self, seconds: float) -> None:
        """Nothing could be heard for so long: every VSI may be silent longer by that, every decision take longer."""
        self._takeovers.postpone(seconds)
        for attachment in self._registry.attachments():
            attachment.machine.postpone(seconds)
            self._agenda.set(attachment, attachment.machine.deadline)

    def overheard(self, port: PortId, now: float) -> None:
        """Frames of a port were dropped unread: keep-alives may have been among them, so its silence begins now."""
        for attachment in self._registry.attachments_at(port):
            self._excuse(attachment, now)

    def restart_keep_alive(self, dpid: int, now: float) -> None:
        """A switch can be heard again: the silence of its stations begins now."""
        self._takeovers.back(dpid)
        for attachment in self._registry.attachments():
            if attachment.port.dpid == dpid:
                self._excuse(attachment, now)

    def _excuse(self, attachment: Attachment, now: float) -> None:
        attachment.machine.restart_keep_alive(now)
        self._agenda.set(attachment, attachment.machine.deadline)

    def _go_on(self, now: float) -> None:
        """Switches have done something, so others of the same port have their turn."""
        for work in self.backlog.take(now):
            work(now)
            self._drain(now)

    # --- requests ---
    def _is_at(self, port: PortId, vsi_id: VsiId) -> bool:
        vsi = self._registry.vsi(vsi_id)
        return vsi is not None and port in vsi.attachments

    def _take_in(self, port: PortId, heard: AssociationReceived, now: float) -> None:
        if not self._repeats(port, heard, now):
            self._stations[port].cancel_deassociate(heard.manager_id, heard.association)
            self._hear(port, heard, now)

    def _hear(self, port: PortId, heard: AssociationReceived, now: float) -> None:
        asked = heard.association
        vsi = self._registry.vsi(asked.vsi_id)
        attachment = vsi.attachments.get(port) if vsi else None
        if attachment is not None:
            if asked.MODE is not VdpMode.DEASSOCIATE or self._is_about(attachment, heard):
                self._request(attachment, heard, now)
            else:
                self._let_go(attachment, heard, now)
        elif asked.MODE is VdpMode.DEASSOCIATE:
            self._answer(port, heard.manager_id, asked.answer(_SUCCESS))
        elif self._registry.count_at(port) >= MAX_VSIS:
            reason = f"the port has {MAX_VSIS} VSIs already"
            self._turn_away(port, heard, Refusal(VdpError.INSUFFICIENT_RESOURCES, False, reason))
        elif vsi is None and (refusal := self._types.permanent_refusal(heard.manager_id, asked)):
            self._turn_away(port, heard, refusal)
        else:
            bridge = machine.VdpBridge(self._stations[port].evb.operational)
            attachment = self._registry.attach(asked.vsi_id, port, heard.manager_id, bridge, now)
            self._request(attachment, heard, now)

    def _is_about(self, attachment: Attachment, heard: AssociationReceived) -> bool:
        """Whether a De-Associate ends what the station has at this port, not only a second VSI of that VSIID."""
        newest, standing = attachment.newest, attachment.granted
        let_go = identity_of(heard.manager_id, heard.association)
        if newest is None or let_go != identity_of(attachment.manager_id, newest):
            return newest is None
        deciding = attachment.machine.state is machine.VsiState.DECIDING
        changes = standing.newest is not None and identity_of(standing.manager_id, standing.newest) != let_go
        return not (deciding and changes and attachment.machine.in_force is VdpMode.ASSOCIATE)

    def _let_go(self, attachment: Attachment, heard: AssociationReceived, now: float) -> None:
        """A station drops a second VSI of the same VSIID; if that is being decided, what is in force stays."""
        newest = attachment.newest
        if newest and identity_of(attachment.manager_id, newest) == identity_of(heard.manager_id, heard.association):
            self._feed(attachment, machine.Denied(VdpError.OTHER_FAILURE), now)
            self._drain(now)
        self._answer(attachment.port, heard.manager_id, heard.association.answer(_SUCCESS))

    def _turn_away(self, port: PortId, heard: AssociationReceived, refusal: Refusal) -> None:
        """Refuse a VSI without so much as remembering it."""
        asked, status = heard.association, ResponseStatus(refusal.error, hard=refusal.hard)
        vsi = str(asked.vsi_id)
        self._out += VdpRefused(port, vsi, refusal.reason, refusal.error), VdpAnswered(port, vsi, asked.MODE, status)
        self._answer(port, heard.manager_id, asked.answer(status))

    def _request(self, attachment: Attachment, heard: AssociationReceived, now: float) -> None:
        asked = heard.association
        attachment.manager_id = heard.manager_id
        attachment.requests[asked.MODE] = asked
        request = machine.Request(asked.MODE)
        if asked.MODE is not VdpMode.DEASSOCIATE:
            before = attachment.asked
            attachment.newest = asked
            attachment.asked = self._meaning(attachment, asked, heard.organizational)
            changed = before is not None and attachment.asked != before
            request = machine.Request(asked.MODE, changed, self._is_apart(attachment))
        announces = asked.MODE in _ANNOUNCEMENTS and not attachment.announced
        attachment.announced |= announces
        held_before = attachment.machine.state is machine.VsiState.HELD
        outputs = attachment.machine.feed(request, now)
        keep_alive = held_before and attachment.machine.state is machine.VsiState.HELD
        if not keep_alive:
            self._note_request(attachment, asked, now)
        elif announces:
            self._queue(self._lifecycle.record(attachment), now)
        for output in outputs:
            self._work.append((attachment, output))
        self._drain(now, quiet=keep_alive)
        self._note_suspension(attachment, asked, now)

    def _note_suspension(self, attachment: Attachment, asked: Association, now: float) -> None:
        """The S bit of the station where the VM was: the source's trigger, once."""
        suspended = isinstance(asked.status, RequestStatus) and asked.status.suspended
        if suspended and not attachment.suspended:
            self._happened(VsiSuspended, attachment)
            self._queue(self._lifecycle.suspended(attachment), now)
        attachment.suspended = suspended

    def _is_apart(self, attachment: Attachment) -> bool:
        """Whether the station takes what it asks for now for another VSI than what is in force."""
        standing, newest = attachment.granted, attachment.newest
        if standing.newest is None or newest is None:
            return False
        return identity_of(standing.manager_id, standing.newest) != identity_of(attachment.manager_id, newest)

    def _meaning(
        self, attachment: Attachment, asked: Association, organizational: tuple[OrganizationalTlv, ...]
    ) -> Meaning:
        """What a request asks for, so that a repetition is known as one whatever its null VIDs say."""
        interface = self._stations[attachment.port].interface
        filled = fill_null_vids(interface, asked.filter_info)
        owner = attachment.vsi.owner
        if owner is not None and owner is not attachment:
            attachment.inherited = owner.addresses
        for tlv in self._organizational(attachment.port, organizational):
            if isinstance(tlv, cisco.L3Address) and tlv.address not in attachment.told:
                attachment.told = (*attachment.told, tlv.address)[-MAX_ADDRESSES:]
            elif isinstance(tlv, cisco.VmName):
                attachment.name = tlv.name
        key = VsiTypeKey(asked.type_id, asked.version)
        origin = self._types.origin(attachment.manager_id, key)
        identity = identity_of(attachment.manager_id, asked)
        return origin, key, bindings_of(filled) if filled else (), attachment.claimed, identity

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
        hindered = self._takeovers.blocking_owner(attachment, now) is not None
        if asked.MODE is not VdpMode.DEASSOCIATE and owner is not attachment and not hindered:
            self._out.append(Moving(attachment.text, owner.port if owner else None, attachment.port))
        key = VsiTypeKey(asked.type_id, asked.version)
        self._happened(VdpRequested, attachment, asked.MODE, key, status.migrating, status.suspended)

    def _repeats(self, port: PortId, heard: AssociationReceived, now: float) -> bool:
        """A request for what the station has lost without having said so: it is told, whatever it believes."""
        asked, vsi_id = heard.association, heard.association.vsi_id
        identity = identity_of(heard.manager_id, asked)
        departure = self.departures.find(vsi_id, port, identity)
        if departure is None or self._is_in_force(port, vsi_id, identity):
            return False
        vsi = self._registry.vsi(vsi_id)
        owner = vsi.owner if vsi is not None else None
        owned = owner is not None and owner.port != port and not self._stations[port].interface.takeover_any
        under_way = self._under_way(port)
        if asked.MODE is VdpMode.DEASSOCIATE or not departure.is_repetition(asked, owned, now, under_way):
            self.departures.drop(vsi_id, port, identity)
            return False
        place = owner.port if owner else None
        self._out.append(StaleVsiRequested(port, str(vsi_id), place, departure.cause.value))
        self._answer(port, heard.manager_id, asked.as_mode(VdpMode.DEASSOCIATE, _SUCCESS))
        return True

    def _under_way(self, port: PortId) -> float:
        """How long keep-alives may queue in a station: lldpad sends one ECPDU an acknowledge timer."""
        vsis = self._registry.count_at(port) + self.departures.count_at(port)
        return _UNDER_WAY + vsis * self._stations[port].evb.operational.ack_timer

    def _is_in_force(self, port: PortId, vsi_id: VsiId, identity: Identity) -> bool:
        """Whether the station has the VSI at that port, by that identity: its keep-alives are what they seem."""
        vsi = self._registry.vsi(vsi_id)
        one = vsi.attachments.get(port) if vsi is not None else None
        if one is None or one.machine.in_force is None or one.granted.newest is None:
            return False
        return identity_of(one.granted.manager_id, one.granted.newest) == identity

    # --- the VDP machines' wishes ---
    def _drain(self, now: float, quiet: bool = False) -> None:
        while self._work:
            attachment, output = self._work.popleft()
            if self._takeovers.waits_for(attachment.vsi):
                self._touched[attachment.vsi] = None
            match output:
                case machine.Decide(attempt=attempt):
                    self._lifecycle.asked(attachment)
                    self._in_turn(attachment, attempt, self._decide, now)
                case machine.Respond(mode, status):
                    self._respond(attachment, mode, status, now, quiet)
                case machine.Announce(reason):
                    self._announce(attachment, reason, now)
                case machine.ReleaseVsi():
                    self.stale_rules.released(attachment)
                    self._queue(self._lifecycle.release(attachment), now)
                case machine.Forget():
                    self._forget(attachment)
            self._agenda.set(attachment, attachment.machine.deadline)
        while self._touched:
            vsi = next(iter(self._touched))
            del self._touched[vsi]
            self._reconsider(vsi, now)

    def _reconsider(self, vsi: Vsi, now: float) -> None:
        """Something has happened to a VSI that other ports claim."""
        for attachment, waited in self._takeovers.take(vsi):
            self._lifecycle.asked(attachment)
            self._decide(attachment, now, waited)
        self._drain(now)

    def _in_turn(
        self, attachment: Attachment, attempt: int, work: Callable[[Attachment, float], None], now: float
    ) -> None:
        """Do what may change switches, now or when they have done more of what the port has asked for."""

        def later(then: float) -> None:
            # Perhaps it has been overtaken, or took too long.
            if attachment.machine.awaits(attempt):
                work(attachment, then)

        if self.backlog.is_full(attachment.port):
            self.backlog.put(attachment.port, later, now)
        else:
            work(attachment, now)

    def _decide(self, attachment: Attachment, now: float, waited: WaitingTakeover | None = None) -> None:
        """Ask first whether this port may have the VSI, then whether there is such a type."""
        rival = self._takeovers.blocking_owner(attachment, now)
        if rival is None:
            self._look_up(attachment, now)
            return
        until, latest = self._takeovers.expiry_of(rival, now), attachment.machine.deadline
        # An owner that has been heard while another port waited for its end is alive.
        alive = waited is not None and waited.owner is rival and waited.until != until
        if until is not None and latest is not None and now < until < latest and not alive:
            self._takeovers.wait(attachment, rival, until)
        else:
            self._contest(attachment, str(rival.port), now)

    def _contest(self, attachment: Attachment, owner: str, now: float) -> None:
        reason = f"the VSI is at {owner}, and no Pre-Associate has announced that it moves"
        self._happened(VdpRefused, attachment, reason, VdpError.INSUFFICIENT_RESOURCES)
        if self._takeovers.contest(attachment, now):
            self._happened(VsiContested, attachment, owner, attachment.port)
        self._feed(attachment, machine.Denied(VdpError.INSUFFICIENT_RESOURCES), now)

    def _look_up(self, attachment: Attachment, now: float) -> None:
        found = self._types.ask(attachment, now)
        self._out += self._types.take()
        if not isinstance(found, LookupPending):
            self._decide_with(attachment, now, found)

    def _settle(self, settled: Iterable[Settled], now: float) -> None:
        """Types have come, or will not; a decision that has been overtaken does not need one any more."""
        self._out += self._types.take()
        for waiter, found in settled:
            one = waiter.attachment
            deciding = one.machine.state is machine.VsiState.DECIDING and one.machine.attempt == waiter.attempt
            if one.present and deciding:
                self._in_turn(one, waiter.attempt, partial(self._decide_with, vsi_type=found), now)
                self._drain(now)

    def _decide_with(self, attachment: Attachment, now: float, vsi_type: TypeLookup) -> None:
        asked, mode, attempt = attachment.newest, attachment.machine.wanted, attachment.machine.attempt
        assert asked is not None
        interface = self._stations[attachment.port].interface
        macs = frozenset(entry.mac for entry in asked.filter_info.entries)
        taken = partial(self._address_owners.binding, attachment)
        addressed = partial(self._address_owners.address, attachment, macs)
        lacking, claimed = partial(self._lacking, attachment.port), attachment.claimed
        found: Admitted | Refusal
        if isinstance(vsi_type, Refusal):
            found = vsi_type
        else:
            found = examine(interface, vsi_type, asked.filter_info, taken, lacking, claimed, addressed)
        if isinstance(found, Refusal):
            self._happened(VdpRefused, attachment, found.reason, found.error)
            self._feed(attachment, machine.Denied(found.error, found.hard, attempt), now)
            return
        if self._takeovers.is_unannounced(attachment) and (
            place := self._lives_elsewhere(attachment.port, found.bindings)
        ):
            # What the bridge has forgotten its switches have not.
            self._contest(attachment, place, now)
            return
        attachment.filled = found.filled
        self._registry.hold(attachment, found.bindings, claimed)
        if mode is VdpMode.PREASSOCIATE and not self._stages_early(attachment, found.vsi_type):
            self._queue(self._lifecycle.grant_unstaged(attachment), now)
        else:
            self._queue(self._lifecycle.stage(attachment, found.vsi_type), now)

    def _lacking(self, port: PortId, vsi_type: VsiType, vids: tuple[int, ...]) -> str | None:
        return missing_requirement(vsi_type, self._fabric, port.dpid, vids)

    def _station_elsewhere(self, attachment: Attachment, mac: int) -> bool:
        return any(one.known == mac and one.port != attachment.port for one in self._stations.values())

    def _stages_early(self, attachment: Attachment, vsi_type: VsiType) -> bool:
        if vsi_type.stage_on is not None:
            return vsi_type.stage_on is StageOn.PREASSOCIATE
        return self._stations[attachment.port].interface.stage_on_preassociate

    def _respond(self, attachment: Attachment, mode: VdpMode, status: ResponseStatus, now: float, quiet: bool) -> None:
        if status.keep:
            self._queue(self._lifecycle.abandon(attachment), now)
            if attachment.program is not None:
                binding = attachment.program.binding
                self._registry.hold(attachment, binding.bindings, binding.addresses)
        asked = attachment.requests[mode]
        filled = attachment.filled if mode is not VdpMode.DEASSOCIATE and status.success else None
        if not quiet:
            self._happened(VdpAnswered, attachment, mode, status)
        self._answer(attachment.port, attachment.manager_id, asked.answer(status, filled))
        if status.keep:
            attachment.fall_back()
        elif status.success and mode is not VdpMode.DEASSOCIATE:
            self._stands(attachment)
        if not quiet and status.success and mode is VdpMode.ASSOCIATE:
            self._happened(VsiActive, attachment)

    def _stands(self, attachment: Attachment) -> None:
        """A request is in force; what it replaces is another VSI to the station, which may keep that alive too."""
        replaced, newest = attachment.granted, attachment.newest
        assert newest is not None
        if replaced.newest is not None and self._is_apart(attachment):
            self.departures.note(attachment.port, replaced.manager_id, replaced.newest, Cause.SUPERSEDED)
        identity = identity_of(attachment.manager_id, newest)
        self.departures.drop(newest.vsi_id, attachment.port, identity)
        attachment.stand()

    def _announce(self, attachment: Attachment, reason: str, now: float) -> None:
        """Tell a station that a VSI has left it, by every name by which it may have it."""
        self._happened(UnsolicitedDeassociate, attachment, reason)
        self._depart(attachment, reason)
        # Before anything is taken out of the store: what repeats this VSI after a restart has to be known.
        self._save_departures()
        port, newest = attachment.port, attachment.newest
        told = dict.fromkeys(self.departures.unacknowledged(port, attachment.vsi.vsi_id))
        if newest is not None:
            told[attachment.manager_id, newest] = None
        by_name = {identity_of(*one): one for one in told}
        for manager_id, association in by_name.values():
            self._answer(port, manager_id, association.unsolicited_deassociate())

    def _depart(self, attachment: Attachment, reason: str) -> None:
        owner = attachment.vsi.owner
        moved = owner is not None and owner is not attachment
        cause = Cause.EXPIRED if reason == machine.LAPSED else Cause.DISPLACED if moved else Cause.RECALLED
        standing, newest = attachment.granted, attachment.newest
        had = {} if standing.newest is None else {(standing.manager_id, standing.newest): None}
        if newest is not None:
            had[attachment.manager_id, newest] = None
        for manager_id, association in had:
            # What expires in Pre-Associate comes back with one, which is an announcement.
            if cause is not Cause.EXPIRED or association.MODE is VdpMode.ASSOCIATE:
                self.departures.note(attachment.port, manager_id, association, cause)

    def _forget(self, attachment: Attachment) -> None:
        self._registry.forget(attachment)
        self._happened(VsiGone, attachment)
        vsi = attachment.vsi
        if vsi.owner is None:
            self.departures.ended(vsi.vsi_id)

    def _moved(self, vsi: Vsi) -> None:
        """A gate is open, newly or at another port."""
        self._noted_owner(vsi.vsi_id, vsi.owner)
        if self._takeovers.settle(vsi.vsi_id):
            self._say_settled(vsi.vsi_id)

    def _noted_owner(self, vsi_id: VsiId, owner: Attachment | None) -> None:
        if owner is None:
            self.departures.ended(vsi_id)
        else:
            self.departures.taken(vsi_id, owner.port)

    def _say_settled(self, vsi_id: VsiId) -> None:
        vsi = self._registry.vsi(vsi_id)
        owner = vsi.owner.port if vsi is not None and vsi.owner else None
        self._out.append(VsiSettled(owner, str(vsi_id), owner))

    # --- the lifecycle's outcomes ---
    def _queue(self, outcomes: list[LifecycleOutput], now: float) -> None:
        for outcome in outcomes:
            match outcome:
                case Activated(vsi):
                    self._moved(vsi)
                    self._out.append(outcome)
                case Apply() | ReadRules() | ReadMeters() | Save() | LogEvent() | ResyncSwitch():
                    self._out.append(outcome)
                case Announcement():
                    self._announcements.append(outcome)
                case RequestDecided(attachment, event):
                    self._feed(attachment, event, now)

    def _feed(self, attachment: Attachment, event: machine.VdpEvent, now: float) -> None:
        self._work.extend((attachment, output) for output in attachment.machine.feed(event, now))
        self._agenda.set(attachment, attachment.machine.deadline)

    # --- small things ---
    def _answer(self, port: PortId, manager_id: ManagerId, tlv: Association) -> None:
        self._out.append(SentAnswer(port, manager_id, tlv))

    def _happened(
        self,
        made: Callable[Concatenate[PortId, str, P], LogEvent],
        attachment: Attachment,
        *details: P.args,
        **named: P.kwargs,
    ) -> None:
        self._out.append(made(attachment.port, attachment.text, *details, **named))

    def _save_departures(self) -> None:
        if (changed := self.departures.changes(self._lifecycle.next_token)) is not None:
            self._out.append(Save(*changed))

    def _take(self) -> list[RequestOutput]:
        self._save_departures()
        # The station's answer goes first: its VM waits for it.
        for one in self._announcements:
            self._out += one.frames
            self._happened(VsiAnnounced, one.attachment, len(one.frames))
        self._announcements.clear()
        taken, self._out = self._out, []
        return taken
