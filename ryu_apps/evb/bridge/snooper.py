"""Snooping on group membership, for the whole fabric: reports in; memberships, queries and records out.

Finds the VSI that a report is from, keeps the queriers of the VLANs, and asks VSIs one by one: a query to
one VSI leaves by its port alone and bears its address, so that no neighbour hears it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

from ryu_apps.evb.bridge.query_sender import QuerySender, multicast_at
from ryu_apps.evb.deadlines import DeadlineQueue
from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.vsis import GroupJoined, GroupLeft
from ryu_apps.evb.model import Binding, MulticastGroup, Subscription
from ryu_apps.evb.protocol.table import earliest
from ryu_apps.evb.snooping.listener import Ages, Aging, Generation, MembershipChange
from ryu_apps.evb.snooping.messages import GroupQuery, reported_records, timers_of
from ryu_apps.evb.snooping.querier import Querier
from ryu_apps.evb.snooping.settings import Snooping
from ryu_apps.evb.snooping.subscriptions import subscriptions
from ryu_apps.evb.tokens import TokenOwner
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.lifecycle import Lifecycle
from ryu_apps.evb.vsi.registry import Registry, Vsi
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.membership import MembershipFrame, is_query

#: Seconds between two records of memberships, and after which a store that refused is asked again.
_RECORD_INTERVAL, _RECORD_RETRY = 0.2, 5.0
#: General queries to a VSI that has just become active, one each ``last_member_query_interval``.
_GREETINGS = 2
_VERSIONS = (4, 6)

#: What is counted: reports of VSIs; queries of routers; groups outside a filter or beyond a bound, source lists
#: beyond a bound; messages that are not of a snooped VSI, and unreadable ones.
COUNTERS = ("reports", "queries", "filtered", "limit", "sources", "nobody", "malformed")


class _Chore(Enum):
    RECORD = "record the memberships that have changed"


@dataclass(slots=True)
class _Unsaved:
    """Memberships that the store does not hold yet."""

    vsis: dict[Vsi, None] = field(default_factory=dict)
    under_way: dict[int, tuple[Vsi, ...]] = field(default_factory=dict)
    not_before: float = 0.0


class Snooper(TokenOwner):
    """All that is known of who listens to what.

    Attributes:
        queriers: by VID and version of IP.
        counters: reports, queries, and what of both was not taken, by name; see :data:`COUNTERS`.
    """

    def __init__(
        self, fabric: Fabric, registry: Registry, lifecycle: Lifecycle, settings: Snooping, effects: EffectSink
    ) -> None:
        self.queriers: dict[tuple[int, int], Querier] = {}
        self.counters: Counter[str] = Counter()
        self._fabric = fabric
        self._registry = registry
        self._lifecycle = lifecycle
        self._settings = settings
        self._effects = effects
        self._queries = QuerySender(fabric, lifecycle.gates.vsi_ports, lifecycle.up, settings)
        self._agenda: DeadlineQueue[Vsi | tuple[int, int] | _Chore] = DeadlineQueue()
        self._greetings: dict[Vsi, tuple[int, float]] = {}
        self._unsaved = _Unsaved()

    @property
    def deadline(self) -> float | None:
        """Time at which to call :meth:`tick`, monotonic seconds."""
        return self._agenda.deadline

    # --- what comes in ---
    def frame(self, port: PortId, data: bytes, now: float) -> None:
        """Process a membership message from a port."""
        try:
            frame = MembershipFrame.decode(data)
        except WireError:
            self.counters["malformed"] += 1
            return
        if is_query(frame.message):
            self._asked(port, frame, now)
        else:
            self._report(port, frame, now)

    def activated(self, vsi: Vsi, now: float) -> None:
        """A VSI is active at a port, newly or again: it is asked there for what it has, and for anything else."""
        if multicast_at(vsi) is None:
            return
        for vid in self._vids(vsi):
            for version in _VERSIONS:
                self._querier(vid, version).begin(now)
                self._agenda.set((vid, version), self.queriers[vid, version].deadline)
        self._greetings[vsi] = _GREETINGS, now
        # Not at once: the station's answer goes first, and there may be a thousand groups to ask for.
        self._agenda.set(vsi, now)

    def heard_again(self, dpid: int, now: float) -> None:
        """Query the VSIs of a switch that is ready again: their reports meanwhile are lost."""
        for vsi in self._registry:
            if vsi.owner is not None and vsi.owner.port.dpid == dpid:
                self.activated(vsi, now)

    def tick(self, now: float) -> None:
        """Serve the deadlines that have passed."""
        for item in list(self._agenda.due(now)):
            match item:
                case _Chore.RECORD:
                    self._record(now)
                case Vsi():
                    self._pursue(item, [], now)
                case (vid, version):
                    self._general(vid, version, now)

    def saved(self, token: int, failure: str | None, now: float) -> None:
        """Process the end of a writing of memberships; a failed one is repeated."""
        vsis = self._unsaved.under_way.pop(token, ())
        if vsis and failure is not None:
            self._unsaved.vsis.update(dict.fromkeys(vsis))
            self._unsaved.not_before = now + _RECORD_RETRY
            self._agenda.set(_Chore.RECORD, self._unsaved.not_before)

    # --- for queries ---
    def subscriptions(self, vsi: Vsi) -> tuple[Subscription, ...]:
        """Groups that a VSI receives at the port where it is active."""
        multicast = multicast_at(vsi)
        if multicast is None or vsi.gate_program is None:
            return ()
        return subscriptions(vsi.listener, multicast, vsi.gate_program.binding.bindings)

    def is_configured(self, vsi: Vsi, group: MulticastGroup) -> bool:
        """Return True if a VSI receives a group because of its type."""
        multicast = multicast_at(vsi)
        return multicast is not None and group in multicast.groups

    def lapses(self, vsi: Vsi, binding: Binding, group: MulticastGroup) -> float | None:
        """Time at which a VSI will be queried for a group that it has joined; None: its membership does not expire."""
        return vsi.listener.lapses(binding, group, self._ages(vsi))

    # --- reports ---
    def _report(self, port: PortId, frame: MembershipFrame, now: float) -> None:
        vid = frame.vid
        vsi = None if vid is None else self._registry.active_at(port, Binding(vid, frame.src))
        multicast = None if vsi is None else multicast_at(vsi)
        if vsi is None or multicast is None or vid is None:
            self.counters["nobody"] += 1
            return
        generation, records = reported_records(frame.message)
        before = Counter(vsi.listener.counters)
        changes = vsi.listener.report(Binding(vid, frame.src), generation, records, multicast, now)
        self.counters.update(vsi.listener.counters - before)
        self._pursue(vsi, changes, now)

    def _pursue(self, vsi: Vsi, changes: list[MembershipChange], now: float) -> None:
        """Send the queries that are due; pass changes on to switches, store and log."""
        if self._registry.vsi(vsi.vsi_id) is not vsi:
            self._greetings.pop(vsi, None)
            return
        self._greet(vsi, now)
        for due in vsi.listener.tick(now, self._ages(vsi)):
            if isinstance(due, MembershipChange):
                changes.append(due)
            else:
                within = vsi.listener.timers.last_member_query_interval
                self._query(vsi, due.binding, GroupQuery(due.group.version, due.group, due.generation, within))
        if changes:
            for change in changes:
                self._log(vsi, change)
            self._lifecycle.groups.refresh(vsi)
            self._unsaved.vsis[vsi] = None
            self._record(now)
        self._agenda.set(vsi, self._due(vsi))

    def _due(self, vsi: Vsi) -> float | None:
        _, greeting = self._greetings.get(vsi, (0, None))
        return earliest(vsi.listener.deadline(self._ages(vsi)), greeting)

    def _ages(self, vsi: Vsi) -> Ages:
        """While a VSI moves, its silence means nothing."""
        settled = vsi.owner is not None and len(vsi.attachments) == 1

        def ages(binding: Binding, group: MulticastGroup) -> Aging | None:
            querier = self.queriers.get((binding.vid, group.version))
            return querier.aging if settled and querier is not None else None

        return ages

    # --- queries ---
    def _asked(self, port: PortId, frame: MembershipFrame, now: float) -> None:
        interface = self._fabric.interface(port)
        if frame.vid is None or interface is None or interface.role is not Role.HOST:
            self.counters["nobody"] += 1
            return
        self.counters["queries"] += 1
        key = frame.vid, frame.source.version
        querier = self._querier(*key)
        news = querier.state != "other"
        querier.heard(now, timers_of(frame.message, querier.timers))
        self._agenda.set(key, querier.deadline)
        if news:
            self._rearm(frame.vid)

    def _general(self, vid: int, version: int, now: float) -> None:
        querier = self.queriers[vid, version]
        before = querier.state
        due = querier.tick(now)
        self._agenda.set((vid, version), querier.deadline)
        if querier.state != before:
            self._rearm(vid)
        if not due:
            return
        asked = GroupQuery(version, None, Generation.THIRD, querier.timers.query_response_interval)
        for frame in self._queries.hosts(vid, asked):
            self._effects.put(frame)
        for vsi in self._registry:
            for binding in self._bindings(vsi, vid):
                self._query(vsi, binding, asked)

    def _greet(self, vsi: Vsi, now: float) -> None:
        """Send a general query to a VSI that has just become active, if one is due."""
        left, due = self._greetings.get(vsi, (0, 0.0))
        if not left or due > now:
            return
        if left == _GREETINGS:
            self._check_all(vsi, now)
        within = vsi.listener.timers.last_member_query_interval
        self._greetings[vsi] = left - 1, now + within
        if left == 1:
            del self._greetings[vsi]
        for version in _VERSIONS:
            for vid in self._vids(vsi):
                for binding in self._bindings(vsi, vid):
                    self._query(vsi, binding, GroupQuery(version, None, Generation.THIRD, within))

    def _check_all(self, vsi: Vsi, now: float) -> None:
        multicast = multicast_at(vsi)
        if multicast is not None and vsi.gate_program is not None:
            vsi.listener.keep(vsi.gate_program.binding.bindings, multicast)
            vsi.listener.timers = self._settings.usual.timers
            vsi.listener.moved(now)

    def _query(self, vsi: Vsi, binding: Binding, asked: GroupQuery) -> None:
        for frame in self._queries.vsi(vsi, binding, asked):
            self._effects.put(frame)

    # --- records ---
    def _record(self, now: float) -> None:
        unsaved = self._unsaved
        if unsaved.not_before > now:
            self._agenda.set(_Chore.RECORD, unsaved.not_before)
            return
        token, recorded = self._lifecycle.grants.remember(tuple(unsaved.vsis), self._lifecycle.gates.is_moving, self)
        unsaved.under_way[token] = recorded
        unsaved.vsis = {vsi: None for vsi in unsaved.vsis if vsi not in recorded}
        unsaved.not_before = now + _RECORD_INTERVAL
        if unsaved.vsis:
            self._agenda.set(_Chore.RECORD, unsaved.not_before)

    # --- small things ---
    def _querier(self, vid: int, version: int) -> Querier:
        if (vid, version) not in self.queriers:
            querying = self._settings.querying(vid)
            self.queriers[vid, version] = Querier(querying.timers, querying.on)
        return self.queriers[vid, version]

    def _rearm(self, vid: int) -> None:
        """Set the timers of memberships anew: the querier of a VLAN has changed."""
        for vsi in self._registry:
            if self._bindings(vsi, vid):
                self._agenda.set(vsi, self._due(vsi))

    def _bindings(self, vsi: Vsi, vid: int) -> list[Binding]:
        """The addresses of a snooped VSI in a VLAN."""
        program = vsi.gate_program
        if program is None or multicast_at(vsi) is None:
            return []
        return [binding for binding in program.binding.bindings if binding.vid == vid]

    def _vids(self, vsi: Vsi) -> list[int]:
        program = vsi.gate_program
        return [] if program is None else list(dict.fromkeys(binding.vid for binding in program.binding.bindings))

    def _log(self, vsi: Vsi, change: MembershipChange) -> None:
        port = vsi.owner.port if vsi.owner else None
        made = GroupJoined if change.reason in ("joined", "sources") else GroupLeft
        self._effects.put(made(port, vsi.text, change.binding.vid, change.group, change.reason))
