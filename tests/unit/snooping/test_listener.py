"""Memberships of one VSI: reports, leaves, source lists, bounds, and the times of queries."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.evb.model import ALL_SOURCES, NO_SOURCES, Binding, MulticastGroup, SourceFilter, Subscription
from ryu_apps.evb.snooping.listener import (
    Aging,
    AnyGroupRecord,
    Generation,
    MembershipChange,
    MembershipTable,
    PendingQuery,
    changed,
)
from ryu_apps.evb.snooping.subscriptions import subscriptions
from ryu_apps.evb.wire.group_record import GroupRecord, RecordType

VM = Binding(100, 0x525400000001)
G, H, SIX = IPv4Address("239.1.1.1"), IPv4Address("239.1.1.2"), IPv6Address("ff0e::42")
S, T = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")
JOIN, LEAVE = RecordType.TO_EXCLUDE, RecordType.TO_INCLUDE
SECOND, THIRD = Generation.SECOND, Generation.THIRD


@dataclass(frozen=True)
class Terms:
    groups: tuple[MulticastGroup, ...] = ()
    max_groups: int = 4
    max_sources: int = 3
    forbidden: tuple[MulticastGroup, ...] = ()

    def allows(self, group: MulticastGroup) -> bool:
        return group not in self.forbidden


OPEN = Terms()


def never(binding: Binding, group: MulticastGroup) -> Aging | None:
    return None


def always(binding: Binding, group: MulticastGroup) -> Aging | None:
    return Aging(0.0, 260.0)


def tell(
    listener: MembershipTable, now: float, *records: AnyGroupRecord, generation: Generation = THIRD, terms: Terms = OPEN
) -> list[MembershipChange]:
    return listener.report(VM, generation, records, terms, now)


def joined(*groups: MulticastGroup, generation: Generation = THIRD) -> MembershipTable:
    listener = MembershipTable()
    for group in groups:
        tell(listener, 0.0, record(JOIN, group), generation=generation)
    return listener


def record(kind: RecordType, group: MulticastGroup, *sources: MulticastGroup) -> AnyGroupRecord:
    return GroupRecord(kind, group, sources)  # type: ignore[type-var]


def groups(listener: MembershipTable) -> set[MulticastGroup]:
    return {group for _, group in listener.memberships}


def asks(said: list[PendingQuery | MembershipChange]) -> list[PendingQuery]:
    return [output for output in said if isinstance(output, PendingQuery)]


# --- joining ----------------------------------------------------------------------------------------
def test_a_report_is_a_membership_until_it_is_left() -> None:
    listener = MembershipTable()
    assert tell(listener, 0.0, record(JOIN, G)) == [MembershipChange(VM, G, "joined")]
    assert tell(listener, 1.0, record(RecordType.IS_EXCLUDE, G)) == []
    assert listener.tick(1e9, never) == []
    assert listener.deadline(never) is None
    assert groups(listener) == {G}


def test_control_groups_and_records_of_unknown_types_are_nothing() -> None:
    listener = MembershipTable()
    control = [record(JOIN, ip_address(text)) for text in ("224.0.0.5", "ff02::1:ff00:1", "10.0.0.1", "fe80::1")]
    assert tell(listener, 0.0, *control, GroupRecord(9, G)) == []
    assert not listener.memberships


def test_groups_beyond_the_bound_or_outside_the_filter_are_counted_not_joined() -> None:
    listener = MembershipTable()
    terms = Terms(groups=(H,), max_groups=2, forbidden=(SIX,))
    tell(listener, 0.0, record(JOIN, SIX), terms=terms)
    for number in range(100):
        tell(listener, 0.0, record(JOIN, G + number), terms=terms)
    # The configured one (239.1.1.2, which is G + 1) counts once, joined or not.
    assert groups(listener) == {G, H}
    assert listener.counters == {"reports": 101, "filtered": 1, "limit": 98}
    assert tell(listener, 1.0, record(RecordType.IS_EXCLUDE, G), terms=terms) == []


def test_sources_beyond_the_bound_are_all_sources() -> None:
    listener = MembershipTable()
    many = [S + number for number in range(4)]
    tell(listener, 0.0, record(RecordType.ALLOW, G, *many))
    assert listener.memberships[VM, G].source_filter == ALL_SOURCES
    assert listener.counters["sources"] == 1


# --- sources ----------------------------------------------------------------------------------------
def test_a_change_of_sources_is_in_force_at_once() -> None:
    listener = MembershipTable()
    tell(listener, 0.0, record(RecordType.ALLOW, G, S))
    assert tell(listener, 0.0, record(RecordType.ALLOW, G, T)) == [MembershipChange(VM, G, "sources")]
    tell(listener, 0.0, record(RecordType.BLOCK, G, S))
    assert listener.memberships[VM, G].source_filter == SourceFilter(False, frozenset({T}))
    tell(listener, 0.0, record(JOIN, G, T))
    assert listener.memberships[VM, G].source_filter == SourceFilter(True, frozenset({T}))


sources = st.frozensets(st.sampled_from([S, T, S + 5, S + 6]), max_size=3)
filters = st.builds(SourceFilter, st.booleans(), sources)


@given(filters, filters)
def test_what_a_host_tells_of_a_change_comes_to_its_new_state(before: SourceFilter, after: SourceFilter) -> None:
    """RFC 3376 5.1: the records that a host sends when its state changes."""
    told = []
    if before.exclude != after.exclude:
        told = [(RecordType.TO_EXCLUDE if after.exclude else RecordType.TO_INCLUDE, after.sources)]
    elif after.exclude:
        told = [(RecordType.ALLOW, before.sources - after.sources), (RecordType.BLOCK, after.sources - before.sources)]
    else:
        told = [(RecordType.ALLOW, after.sources - before.sources), (RecordType.BLOCK, before.sources - after.sources)]
    known = before
    for kind, named in told:
        known = changed(known, kind, named)
    assert known == after


@given(filters, st.sampled_from([S, T, S + 9]))
def test_a_source_filter_passes_sources_by_its_mode(source_filter: SourceFilter, source: IPv4Address) -> None:
    assert source_filter.passes(source) == (
        (source not in source_filter.sources) if source_filter.exclude else (source in source_filter.sources)
    )
    assert source_filter.passes(None) == source_filter.exclude
    assert NO_SOURCES.empty and not ALL_SOURCES.empty


# --- leaving ----------------------------------------------------------------------------------------
def test_a_leave_counts_when_nobody_answers_the_queries() -> None:
    listener = joined(G, H, generation=SECOND)
    tell(listener, 10.0, record(LEAVE, G), generation=SECOND)
    assert listener.tick(10.0, never) == [PendingQuery(VM, G, SECOND)]
    assert listener.deadline(never) == 11.0
    assert listener.tick(11.0, never) == [PendingQuery(VM, G, SECOND)]
    assert listener.tick(11.9, never) == []
    assert groups(listener) == {G, H}
    assert listener.tick(12.0, never) == [MembershipChange(VM, G, "left")]
    assert groups(listener) == {H}


def test_an_answer_in_time_keeps_the_membership() -> None:
    listener = joined(G)
    tell(listener, 10.0, record(LEAVE, G))
    listener.tick(10.0, never)
    tell(listener, 10.5, record(RecordType.IS_EXCLUDE, G))
    assert listener.tick(100.0, never) == []
    assert groups(listener) == {G}


def test_repeated_leaves_do_not_put_the_end_off() -> None:
    listener = joined(G)
    for now in (10.0, 11.0, 11.9):
        tell(listener, now, record(LEAVE, G))
        listener.tick(now, never)
    assert listener.tick(12.0, never) == [MembershipChange(VM, G, "left")]


def test_blocking_the_last_source_is_a_leave() -> None:
    listener = MembershipTable()
    tell(listener, 0.0, record(RecordType.ALLOW, G, S))
    tell(listener, 1.0, record(RecordType.BLOCK, G, S))
    assert listener.tick(1.0, never) == [PendingQuery(VM, G, THIRD)]


# --- silence ----------------------------------------------------------------------------------------
def test_with_a_querier_silence_is_asked_about_before_it_counts() -> None:
    listener = joined(G)
    assert listener.deadline(always) == 260.0
    assert listener.tick(259.9, always) == []
    assert listener.tick(260.0, always) == [PendingQuery(VM, G, THIRD)]
    assert listener.tick(261.0, always) == [PendingQuery(VM, G, THIRD)]
    assert listener.tick(262.0, always) == [MembershipChange(VM, G, "expired")]


def test_the_age_begins_when_somebody_begins_to_ask() -> None:
    listener = joined(G)
    assert listener.deadline(lambda binding, group: Aging(1000.0, 260.0)) == 1260.0


def test_igmpv1_knows_no_specific_query() -> None:
    listener = joined(G, generation=Generation.FIRST)
    listener.moved(5.0)
    assert listener.tick(5.0, always) == []
    assert listener.tick(260.0, always) == [MembershipChange(VM, G, "expired")]


# --- moving -----------------------------------------------------------------------------------------
def test_a_guest_that_is_silent_after_a_move_keeps_everything() -> None:
    listener = joined(G, SIX)
    listener.moved(10.0)
    assert asks(listener.tick(10.0, never)) == [PendingQuery(VM, G, THIRD), PendingQuery(VM, SIX, THIRD)]
    assert len(asks(listener.tick(11.0, never))) == 2
    assert listener.tick(12.0, never) == []
    assert listener.tick(1e6, never) == []
    assert groups(listener) == {G, SIX}


def test_a_guest_that_answers_otherwise_loses_what_it_does_not_confirm() -> None:
    listener = joined(G, H)
    listener.moved(10.0)
    listener.tick(10.0, never)
    tell(listener, 10.2, record(RecordType.IS_EXCLUDE, G))
    # Asked again, now that it is known to run: the answer may have been lost, or the guest too late.
    assert listener.tick(11.2, never) == [PendingQuery(VM, H, THIRD)]
    assert listener.tick(12.2, never) == [PendingQuery(VM, H, THIRD)]
    assert listener.tick(13.2, never) == [MembershipChange(VM, H, "unconfirmed")]
    assert groups(listener) == {G}


def test_a_guest_that_wakes_up_late_is_asked_again() -> None:
    listener = joined(G, H)
    listener.moved(10.0)
    for now in (10.0, 11.0, 12.0):
        listener.tick(now, never)
    tell(listener, 60.0, record(JOIN, G + 7))
    assert {question.group for question in asks(listener.tick(61.0, never))} == {G, H}
    tell(listener, 61.5, record(RecordType.IS_EXCLUDE, G), record(RecordType.IS_EXCLUDE, H))
    assert listener.tick(1e6, never) == []
    assert groups(listener) == {G, H, G + 7}


def test_an_answer_over_ipv4_says_nothing_about_ipv6() -> None:
    listener = joined(G, SIX)
    listener.moved(10.0)
    for now in (10.0, 11.0, 12.0):
        listener.tick(now, never)
    tell(listener, 20.0, record(RecordType.IS_EXCLUDE, G))
    assert listener.tick(1e6, never) == []
    assert groups(listener) == {G, SIX}


def test_a_leave_under_way_is_asked_for_at_the_new_port() -> None:
    listener = joined(G)
    tell(listener, 9.5, record(LEAVE, G))
    listener.tick(9.5, never)
    listener.moved(10.0)
    assert listener.tick(10.0, never) == [PendingQuery(VM, G, THIRD)]
    listener.tick(11.0, never)
    assert listener.tick(12.0, never) == [MembershipChange(VM, G, "left")]


def test_what_addresses_and_type_do_not_allow_is_forgotten() -> None:
    listener = joined(G, SIX)
    listener.keep([VM], Terms(forbidden=(SIX,)))
    assert groups(listener) == {G}
    listener.keep([Binding(200, VM.mac)], OPEN)
    assert not listener.memberships


# --- what it comes to -------------------------------------------------------------------------------
def test_configured_groups_come_first_and_the_type_decides() -> None:
    listener = joined(G, SIX)
    terms = Terms(groups=(H,), max_groups=2)
    second = Binding(200, 0x525400000001)
    assert subscriptions(listener, terms, [VM, second, Binding(7, None)]) == (
        Subscription(VM, H, ALL_SOURCES),
        Subscription(second, H, ALL_SOURCES),
        Subscription(VM, G, ALL_SOURCES),
    )
    assert subscriptions(listener, Terms(forbidden=(G,)), [VM]) == (Subscription(VM, SIX, ALL_SOURCES),)
    assert subscriptions(listener, OPEN, [second]) == ()
