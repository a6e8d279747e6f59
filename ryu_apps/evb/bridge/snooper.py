"""Snooping on group membership, for the whole fabric: reports in; memberships, queries and records out.

Finds the VSI that a report is from, keeps the queriers of the VLANs, and asks VSIs one by one: a query to
one VSI leaves by its port alone and bears its address, so that no neighbour hears it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from ryu_apps.evb.bridge.query_sender import QuerySender, multicast_at
from ryu_apps.evb.deadlines import DeadlineQueue
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.vsis import GroupJoined, GroupLeft
from ryu_apps.evb.events import SendFrame
from ryu_apps.evb.model import Binding, MulticastGroup, Subscription
from ryu_apps.evb.protocol.table import earliest
from ryu_apps.evb.snooping.listener import Ages, Aging, Generation, MembershipChange, PendingQuery
from ryu_apps.evb.snooping.messages import GroupQuery, reported_records, timers_of
from ryu_apps.evb.snooping.querier import Querier
from ryu_apps.evb.snooping.settings import Snooping
from ryu_apps.evb.snooping.subscriptions import subscriptions
from ryu_apps.evb.topology.fabric import Fabric, PortId, Role
from ryu_apps.evb.vsi.lifecycle import Lifecycle
from ryu_apps.evb.vsi.registry import Registry, Vsi
from ryu_apps.evb.vsi.steps import LifecycleOutput
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.membership import MembershipFrame, is_query

#: Seconds between two records of memberships, and after which a store that refused is asked again.
_RECORD_INTERVAL, _RECORD_RETRY = 0.2, 5.0
#: General queries to a VSI that has just become active, one each ``last_member_query_interval``.
_GREETINGS = 2
_VERSIONS = (4, 6)

#: What is counted: reports of VSIs; queries of routers; groups outside a filter or beyond a bound, source lists
#: beyond a bound; messages of nobody who is snooped here, and such as cannot be read.
COUNTERS = ("reports", "queries", "filtered", "limit", "sources", "nobody", "malformed")

SnooperOutput = LifecycleOutput | SendFrame


class _Chore(Enum):
    RECORD = "record the memberships that have changed"


@dataclass(slots=True)
class _Unsaved:
    """Memberships that the store does not hold yet."""

    vsis: dict[Vsi, None] = field(default_factory=dict)
    under_way: dict[int, tuple[Vsi, ...]] = field(default_factory=dict)
    not_before: float = 0.0


class Snooper:
    """All that is known of who listens to what.

    Attributes:
        queriers: by VID and version of IP.
        counters: reports, queries, and what of both was not taken, by name; see :data:`COUNTERS`.
    """

    def __init__(self, fabric: Fabric, registry: Registry, lifecycle: Lifecycle, settings: Snooping) -> None:
        self.queriers: dict[tuple[int, int], Querier] = {}
        self.counters: Counter[str] = Counter()
        self._fabric = fabric
        self._registry = registry
        self._lifecycle = lifecycle
        self._settings = settings
        self._inquirer = QuerySender(fabric, lifecycle.up, settings)
        self._agenda: DeadlineQueue[Vsi | tuple[int, int] | _Chore] = DeadlineQueue()
        self._greetings: dict[Vsi, tuple[int, float]] = {}
        self._unsaved = _Unsaved()

    @property
    def deadline(self) -> float | None:
        """When to call :meth:`tick`, monotonic seconds."""
        return self._agenda.deadline

    # --- what comes in ---
    def frame(self, port: PortId, data: bytes, now: float) -> list[SnooperOutput]:
        """A membership message was punted."""
        try:
            frame = MembershipFrame.decode(data)
        except WireError:
            self.counters["malformed"] += 1
            return []
        if is_query(frame.message):
            self._asked(port, frame, now)
            return []
        return self._report(port, frame, now)

    def activated(self, vsi: Vsi, now: float) -> None:
        """A VSI is active at a port, newly or again: it is asked there for what it has, and for anything else."""
        multicast = multicast_at(vsi)
        if multicast is None or vsi.gate_program is None:
            return
        vsi.listener.keep(vsi.gate_program.binding.bindings, multicast)
        for vid in self._vids(vsi):
            for version in _VERSIONS:
                self._querier(vid, version).begin(now)
                self._agenda.set((vid, version), self.queriers[vid, version].deadline)
        vsi.listener.timers = self._settings.usual.timers
        vsi.listener.moved(now)
        self._greetings[vsi] = _GREETINGS, now
        # Not at once: the station's answer goes first.
        self._agenda.set(vsi, now)

    def heard_again(self, dpid: int, now: float) -> None:
        """A switch is ready: what its VSIs have said meanwhile nobody has heard."""
        for vsi in self._registry:
            if vsi.owner is not None and vsi.owner.port.dpid == dpid:
                self.activated(vsi, now)

    def tick(self, now: float) -> list[SnooperOutput]:
        """Serve the deadlines that have passed."""
        said: list[SnooperOutput] = []
        for item in list(self._agenda.due(now)):
            match item:
                case _Chore.RECORD:
                    said += self._record(now)
                case Vsi():
                    said += self._pursue(item, [], now)
                case (vid, version):
                    said += self._general(vid, version, now)
        return said

    def saved(self, token: int, now: float, stored: bool) -> None:
        """The store has taken memberships, or has not."""
        vsis = self._unsaved.under_way.pop(token, ())
        if vsis and not stored:
            self._unsaved.vsis.update(dict.fromkeys(vsis))
            self._unsaved.not_before = now + _RECORD_RETRY
            self._agenda.set(_Chore.RECORD, self._unsaved.not_before)

    # --- for those who look on ---
    def subscriptions(self, vsi: Vsi) -> tuple[Subscription, ...]:
        """What a VSI receives where it is active."""
        multicast = multicast_at(vsi)
        if multicast is None or vsi.gate_program is None:
            return ()
        return subscriptions(vsi.listener, multicast, vsi.gate_program.binding.bindings)

    def is_configured(self, vsi: Vsi, group: MulticastGroup) -> bool:
        """Whether a VSI receives a group because its type says so."""
        multicast = multicast_at(vsi)
        return multicast is not None and group in multicast.groups

    def lapses(self, vsi: Vsi, binding: Binding, group: MulticastGroup) -> float | None:
        """When a VSI will be asked about a group that it has joined; None: never, or nothing is to lapse."""
        return vsi.listener.lapses(binding, group, self._ages(vsi))

    # --- reports ---
    def _report(self, port: PortId, frame: MembershipFrame, now: float) -> list[SnooperOutput]:
        vid = frame.vid
        vsi = None if vid is None else self._registry.active_at(port, Binding(vid, frame.src))
        multicast = None if vsi is None else multicast_at(vsi)
        if vsi is None or multicast is None or vid is None:
            self.counters["nobody"] += 1
            return []
        generation, records = reported_records(frame.message)
        before = Counter(vsi.listener.counters)
        changes = vsi.listener.report(Binding(vid, frame.src), generation, records, multicast, now)
        self.counters.update(vsi.listener.counters - before)
        return self._pursue(vsi, changes, now)

    def _pursue(self, vsi: Vsi, changes: list[MembershipChange], now: float) -> list[SnooperOutput]:
        """Ask what is due; tell switches, store and journal what has changed."""
        if self._registry.vsi(vsi.vsi_id) is not vsi:
            self._greetings.pop(vsi, None)
            return []
        ages = self._ages(vsi)
        said: list[SnooperOutput] = [*self._greet(vsi, now)]
        for one in vsi.listener.tick(now, ages):
            if isinstance(one, MembershipChange):
                changes.append(one)
            else:
                said += self._ask(vsi, one)
        if changes:
            said += [self._happened(vsi, one) for one in changes]
            said += self._lifecycle.regroup(vsi)
            self._unsaved.vsis[vsi] = None
            said += self._record(now)
        self._agenda.set(vsi, self._due(vsi))
        return said

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

    def _general(self, vid: int, version: int, now: float) -> list[SnooperOutput]:
        querier = self.queriers[vid, version]
        before = querier.state
        due = querier.tick(now)
        self._agenda.set((vid, version), querier.deadline)
        if querier.state != before:
            self._rearm(vid)
        if not due:
            return []
        asked = GroupQuery(version, None, Generation.THIRD, querier.timers.query_response_interval)
        said: list[SnooperOutput] = [*self._inquirer.hosts(vid, asked)]
        for vsi in self._registry:
            for binding in self._bindings(vsi, vid):
                said += self._inquirer.vsi(vsi, binding, asked)
        return said

    def _greet(self, vsi: Vsi, now: float) -> Iterator[SnooperOutput]:
        left, due = self._greetings.get(vsi, (0, 0.0))
        if not left or due > now:
            return
        within = vsi.listener.timers.last_member_query_interval
        self._greetings[vsi] = left - 1, now + within
        if left == 1:
            del self._greetings[vsi]
        for version in _VERSIONS:
            for vid in self._vids(vsi):
                for binding in self._bindings(vsi, vid):
                    yield from self._inquirer.vsi(vsi, binding, GroupQuery(version, None, Generation.THIRD, within))

    def _ask(self, vsi: Vsi, ask: PendingQuery) -> Iterator[SnooperOutput]:
        within = vsi.listener.timers.last_member_query_interval
        yield from self._inquirer.vsi(
            vsi, ask.binding, GroupQuery(ask.group.version, ask.group, ask.generation, within)
        )

    # --- what is remembered ---
    def _record(self, now: float) -> list[SnooperOutput]:
        unsaved = self._unsaved
        if unsaved.not_before > now:
            self._agenda.set(_Chore.RECORD, unsaved.not_before)
            return []
        token, recorded, outcomes = self._lifecycle.remember(tuple(unsaved.vsis))
        unsaved.under_way[token] = recorded
        unsaved.vsis = {vsi: None for vsi in unsaved.vsis if vsi not in recorded}
        unsaved.not_before = now + _RECORD_INTERVAL
        if unsaved.vsis:
            self._agenda.set(_Chore.RECORD, unsaved.not_before)
        return list(outcomes)

    # --- small things ---
    def _querier(self, vid: int, version: int) -> Querier:
        if (vid, version) not in self.queriers:
            querying = self._settings.querying(vid)
            self.queriers[vid, version] = Querier(querying.timers, querying.on)
        return self.queriers[vid, version]

    def _rearm(self, vid: int) -> None:
        """Who asks in a VLAN has changed, and with it when memberships lapse."""
        for vsi in self._registry:
            if self._bindings(vsi, vid):
                self._agenda.set(vsi, self._due(vsi))

    def _bindings(self, vsi: Vsi, vid: int) -> list[Binding]:
        """The addresses of a snooped VSI in a VLAN."""
        program = vsi.gate_program
        if program is None or multicast_at(vsi) is None:
            return []
        return [one for one in program.binding.bindings if one.vid == vid]

    def _vids(self, vsi: Vsi) -> list[int]:
        program = vsi.gate_program
        return [] if program is None else list(dict.fromkeys(one.vid for one in program.binding.bindings))

    def _happened(self, vsi: Vsi, change: MembershipChange) -> LogEvent:
        port = vsi.owner.port if vsi.owner else None
        made = GroupJoined if change.reason in ("joined", "sources") else GroupLeft
        return made(port, vsi.text, change.binding.vid, change.group, change.reason)
