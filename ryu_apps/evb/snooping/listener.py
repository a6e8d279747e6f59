"""Group memberships of one VSI, from its reports (RFC 4541, RFC 3376, RFC 3810).

A VSI is identified by its own address, so its source filter is known: a report is about one host, not about
a LAN, and there are no source timers (RFC 3376 A.2: explicit tracking).  Doubtful memberships are checked by
specific queries:

* after a leave, or after the group membership interval without a report; without an answer the membership
  ends;
* after a migration; the membership ends only if the VSI reports but not this group.  A guest that is not running
  yet does not answer, and an unneeded stream does less harm than a missing one.

Without a querier memberships do not age: they last until they are left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple, Protocol

from ryu_apps.evb.model import ALL_SOURCES, NO_SOURCES, Binding, MulticastGroup, SourceFilter, is_control
from ryu_apps.evb.snooping.timers import MembershipTimers
from ryu_apps.evb.wire.group_record import GroupRecord, RecordType

AnyGroupRecord = GroupRecord[IPv4Address] | GroupRecord[IPv6Address]


class Terms(Protocol):
    """Bounds of a VSI type on the groups of its VSIs."""

    @property
    def groups(self) -> tuple[MulticastGroup, ...]: ...
    @property
    def max_groups(self) -> int: ...
    @property
    def max_sources(self) -> int: ...

    def allows(self, group: MulticastGroup) -> bool: ...


class Generation(IntEnum):
    """Protocol version of a host, for IGMP and MLD alike."""

    FIRST = 1
    """IGMPv1, without leaves and specific queries."""
    SECOND = 2
    """IGMPv2, MLDv1."""
    THIRD = 3
    """IGMPv3, MLDv2."""


class PendingQuery(NamedTuple):
    """A specific query about a group to be sent to one VSI, in its version."""

    binding: Binding
    group: MulticastGroup
    generation: Generation


class MembershipChange(NamedTuple):
    """A new (``joined``), changed (``sources``) or ended (any other reason) membership."""

    binding: Binding
    group: MulticastGroup
    reason: str


class LeaveCheck(Enum):
    """Reason of a check of a membership."""

    LEFT = "left"
    EXPIRED = "expired"
    MOVED = "unconfirmed"


@dataclass(slots=True)
class Check:
    """A running check of a membership by specific queries.

    Attributes:
        doubt: its reason.
        left: number of queries still to be sent.
        at: time of the next query or, with none left, of the end of the check; None: waits for the VSI's next report.
        alive: the VSI has reported since its migration.
    """

    doubt: LeaveCheck
    left: int
    at: float | None
    alive: bool = False


@dataclass(slots=True)
class Membership:
    """One group that a VSI has joined; ``heard`` is the time of its last report."""

    source_filter: SourceFilter
    generation: Generation
    heard: float
    check: Check | None = None


class Aging(NamedTuple):
    """Presence of a querier: since when it sends queries, and for how many seconds a report is valid."""

    since: float
    interval: float


#: Aging of the memberships of a binding; None without a querier.
Ages = Callable[[Binding, MulticastGroup], Aging | None]


@dataclass(eq=False, slots=True)
class MembershipTable:
    """The memberships of one VSI.

    Attributes:
        counters: by name: reports, and reasons for which memberships were refused.
        packed: the memberships as ``memory.pack`` has encoded them; None: they have changed since.
    """

    timers: MembershipTimers = MembershipTimers()
    memberships: dict[tuple[Binding, MulticastGroup], Membership] = field(default_factory=dict)
    counters: Counter[str] = field(default_factory=Counter)
    packed: bytes | None = None

    # --- reports ---
    def report(
        self,
        binding: Binding,
        generation: Generation,
        records: Iterable[AnyGroupRecord],
        terms: Terms,
        now: float,
    ) -> list[MembershipChange]:
        """Process a report; call :meth:`tick` next."""
        self.counters["reports"] += 1
        reported = list(records)
        changes = [change for record in reported for change in self._record(binding, generation, record, terms, now)]
        for record in reported[:1]:
            self._spoke(binding, type(record.group), now)
        return changes

    def _record(
        self, binding: Binding, generation: Generation, record: AnyGroupRecord, terms: Terms, now: float
    ) -> Iterator[MembershipChange]:
        group: MulticastGroup = record.group
        if not isinstance(record.type, RecordType) or not group.is_multicast or is_control(group):
            return
        held = self.memberships.get((binding, group))
        source_filter = changed(held.source_filter if held else NO_SOURCES, record.type, frozenset(record.sources))
        if source_filter.empty:
            if held is not None:
                self._doubt(held, LeaveCheck.LEFT, now)
            return
        if held is None and not self._admits(group, terms):
            return
        # Beyond the limit the group is forwarded from all sources: the host filters its sources itself.
        if len(source_filter.sources) > terms.max_sources:
            self.counters["sources"] += 1
            source_filter = ALL_SOURCES
        self.memberships[binding, group] = Membership(source_filter, generation, now)
        if held is None or (held.source_filter, held.generation) != (source_filter, generation):
            self.packed = None
        if held is None:
            yield MembershipChange(binding, group, "joined")
        elif held.source_filter != source_filter:
            yield MembershipChange(binding, group, "sources")

    def _admits(self, group: MulticastGroup, terms: Terms) -> bool:
        if not terms.allows(group):
            self.counters["filtered"] += 1
            return False
        groups = {*terms.groups, *(joined for _, joined in self.memberships)}
        if group not in groups and len(groups) >= terms.max_groups:
            self.counters["limit"] += 1
            return False
        return True

    def keep(self, bindings: Iterable[Binding], terms: Terms) -> None:
        """Delete memberships that changed bindings or a changed type no longer permit."""
        there = set(bindings)
        for binding, group in list(self.memberships):
            if binding not in there or not terms.allows(group):
                del self.memberships[binding, group]
                self.packed = None

    def adopt(
        self, brought: Mapping[tuple[Binding, MulticastGroup], Membership], bindings: Iterable[Binding], terms: Terms
    ) -> None:
        """Add memberships that another bridge or an NMS has told of, as far as reports of them would be accepted."""
        there = set(bindings)
        for (binding, group), held in brought.items():
            sources = held.source_filter.sources
            permitted = binding in there and group.is_multicast and not is_control(group)
            if not permitted or held.source_filter.empty or any(type(source) is not type(group) for source in sources):
                continue
            if (binding, group) not in self.memberships and not self._admits(group, terms):
                continue
            if len(sources) > terms.max_sources:
                held.source_filter = ALL_SOURCES
            self.memberships[binding, group] = held
            self.packed = None

    # --- checks ---
    def moved(self, now: float) -> None:
        """Check all memberships of a VSI that is active at another port."""
        for held in self.memberships.values():
            left = held.check is not None and held.check.doubt is LeaveCheck.LEFT
            # IGMPv1 has no specific query.
            if held.generation is not Generation.FIRST:
                self._doubt(held, LeaveCheck.LEFT if left else LeaveCheck.MOVED, now, again=True)

    def _doubt(self, held: Membership, doubt: LeaveCheck, now: float, again: bool = False) -> None:
        if again or held.check is None or held.check.doubt is not doubt:
            held.check = Check(doubt, self.timers.last_member_query_count, now)

    def _spoke(self, binding: Binding, version: type[MulticastGroup], now: float) -> None:
        """Begin counted queries after a migration: a VM that reports is running and can answer."""
        for (holder, group), held in self.memberships.items():
            check = held.check
            if holder != binding or not isinstance(group, version) or check is None:
                continue
            if check.doubt is LeaveCheck.MOVED and not check.alive:
                # Answers to earlier queries may be in flight.
                first = now + self.timers.last_member_query_interval
                held.check = Check(LeaveCheck.MOVED, self.timers.last_member_query_count, first, alive=True)

    # --- time ---
    def deadline(self, ages: Ages) -> float | None:
        """Time to call :meth:`tick`, None if no timer runs."""
        return min(
            (due for key, held in self.memberships.items() if (due := self._due(key, held, ages)) is not None),
            default=None,
        )

    def tick(self, now: float, ages: Ages) -> list[PendingQuery | MembershipChange]:
        """Output queries that are due, and end memberships whose last query has no answer."""
        outputs: list[PendingQuery | MembershipChange] = []
        for key, held in list(self.memberships.items()):
            due = self._due(key, held, ages)
            if due is None or due > now:
                continue
            if held.check is None or held.check.at is None:
                held.check = Check(LeaveCheck.EXPIRED, self.timers.last_member_query_count, now)
                # An IGMPv1 host would not answer a specific query: the membership ends without one.
                if held.generation is Generation.FIRST:
                    held.check.left = 0
            outputs += self._pursue(*key, held, held.check, now)
        return outputs

    def _due(self, key: tuple[Binding, MulticastGroup], held: Membership, ages: Ages) -> float | None:
        if held.check is not None and held.check.at is not None:
            return held.check.at
        return self.lapses(*key, ages)

    def lapses(self, binding: Binding, group: MulticastGroup, ages: Ages) -> float | None:
        """Time at which a membership expires without a report; None without aging or membership."""
        held, aging = self.memberships.get((binding, group)), ages(binding, group)
        return None if held is None or aging is None else max(held.heard, aging.since) + aging.interval

    def _pursue(
        self, binding: Binding, group: MulticastGroup, held: Membership, check: Check, now: float
    ) -> Iterator[PendingQuery | MembershipChange]:
        if check.left:
            check.left -= 1
            check.at = now + self.timers.last_member_query_interval
            yield PendingQuery(binding, group, held.generation)
        elif check.doubt is LeaveCheck.MOVED and not check.alive:
            check.at = None
        else:
            del self.memberships[binding, group]
            self.packed = None
            yield MembershipChange(binding, group, check.doubt.value)


def changed(before: SourceFilter, record: RecordType, sources: frozenset[MulticastGroup]) -> SourceFilter:
    """The source filter after a record (RFC 3376 5.1, 6.4, for one host)."""
    match record:
        case RecordType.IS_INCLUDE | RecordType.TO_INCLUDE:
            return SourceFilter(False, sources)
        case RecordType.IS_EXCLUDE | RecordType.TO_EXCLUDE:
            return SourceFilter(True, sources)
        case RecordType.ALLOW:
            return SourceFilter(
                before.exclude, before.sources - sources if before.exclude else before.sources | sources
            )
        case RecordType.BLOCK:
            return SourceFilter(
                before.exclude, before.sources | sources if before.exclude else before.sources - sources
            )
