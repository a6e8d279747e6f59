"""Reads of all rules: what a switch is asked for at once, and how much of it is decoded at once."""

from __future__ import annotations

import struct

import pytest
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.events.effect import Mode, ReadRules
from ryu_apps.evb.events.switch import Confirmed, Rejected, RulesRead, SwitchRead
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.rule import CookieMask, Meter
from ryu_apps.evb.pipeline.tables import OURS, CookieKind, cookie, of_kind, owned_by
from ryu_apps.southbound.portions import PORTION
from ryu_apps.southbound.sliced import MOST_PARTS, MOST_SLICES, SLICE
from tests.unit.southbound.test_driver import Bench, Sent, multipart, rule
from tests.unit.southbound.test_portions import read as read_state
from tests.unit.southbound.test_portions import shown

TOKEN, GATES = 9, 0
STATE = of_kind(CookieKind.STATE)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def kind_of(sent: Sent) -> int:
    return int.from_bytes(sent.octets[8:10])


def asked(bench: Bench, kind: int = ofp.OFPMP_FLOW) -> list[Sent]:
    return [sent for sent in bench.waiting(ofp.OFPT_MULTIPART_REQUEST) if kind_of(sent) == kind]


def query(sent: Sent) -> tuple[int, CookieMask]:
    """Table and cookie mask of a request for rules, or for their number."""
    table, first, mask = struct.unpack_from("!B15xQQ", sent.octets, 16)
    return table, CookieMask(first, mask)


def sizes(tables: dict[int, int]) -> bytes:
    return multipart(
        ofp.OFPMP_TABLE, b"".join(struct.pack("!B3xIQQ", table, count, 0, 0) for table, count in tables.items())
    )


def begin(
    bench: Bench, tables: dict[int, int], left_out: CookieMask | None = None, expected: tuple[int, ...] = ()
) -> None:
    """Ask for all rules of a switch with so many rules in each table, and without meters."""
    bench.driver.read(ReadRules(1, TOKEN, OURS, left_out=left_out, expected=expected))
    (meters,), (statistics,) = asked(bench, ofp.OFPMP_METER_CONFIG), asked(bench, ofp.OFPMP_TABLE)
    bench.answer(meters, ofp.OFPT_MULTIPART_REPLY, multipart(ofp.OFPMP_METER_CONFIG))
    bench.answer(statistics, ofp.OFPT_MULTIPART_REPLY, sizes(tables))


def read_on(bench: Bench) -> None:
    while bench.driver.has_reads:
        bench.driver.read_on()


def all_queries(bench: Bench, rules: int = 0) -> list[tuple[int, CookieMask]]:
    """Answer each request with so many rules; returns what was asked for, one after the other."""
    found = []
    read_on(bench)
    while requests := asked(bench):
        (request,) = requests
        found.append(query(request))
        bench.answer(request, ofp.OFPT_MULTIPART_REPLY, shown(0, rules))
        read_on(bench)
    return found


def reads(bench: Bench) -> list[SwitchRead]:
    return [event for event in bench.events if isinstance(event, SwitchRead)]


def test_each_table_that_has_rules_is_asked_for_by_itself(bench: Bench) -> None:
    begin(bench, {0: 3, 10: 0, 20: SLICE})
    assert all_queries(bench, rules=2) == [(0, OURS), (20, OURS)]
    (read,) = reads(bench)
    assert (len(read.shown), read.meters) == (2, ())


def test_table_with_many_rules_is_asked_for_by_owners(bench: Bench) -> None:
    begin(bench, {20: 3 * SLICE})
    masks = [mask for _, mask in all_queries(bench)]
    # By owners in four groups of kinds, and by pages in that of bodies of types.
    assert len(masks) == 5 * 4
    for owner in range(16):
        assert sum(mask.covers(cookie(CookieKind.VSI_BODY, owner, 1)) for mask in masks) == 1


def test_a_table_is_not_asked_for_without_end(bench: Bench) -> None:
    """For each slice the switch looks at all rules of the table."""
    begin(bench, {20: 1000 * SLICE})
    assert len(all_queries(bench)) == 5 * MOST_SLICES


def numbered(bench: Bench, rules: dict[CookieMask, int]) -> list[CookieMask]:
    """Answer each request for a number of rules; returns the cookie masks that were asked for."""
    found = []
    read_on(bench)
    while requests := asked(bench, ofp.OFPMP_AGGREGATE):
        (request,) = requests
        table, mask = query(request)
        assert table == 20
        found.append(mask)
        number = struct.pack("!QQI4x", 0, 0, rules[mask])
        bench.answer(request, ofp.OFPT_MULTIPART_REPLY, multipart(ofp.OFPMP_AGGREGATE, number))
        read_on(bench)
    return found


def of_program(index: int) -> CookieMask:
    return owned_by(CookieKind.STATE, index, 1)


@pytest.mark.parametrize(
    ("learnt", "counted", "requests"),
    [((8 * SLICE,), 1, 4), ((4 * SLICE, 2 * SLICE), 2, 12), ((0, 0), 0, 40)],
    ids=["much of one program", "much of two", "nothing"],
)
def test_what_need_not_be_shown_is_counted_and_left_out(
    bench: Bench, learnt: tuple[int, ...], counted: int, requests: int
) -> None:
    """Programs that have learnt all of it are the last that are asked for."""
    programs = {of_program(index): number for index, number in enumerate((*learnt, 0), start=1)}
    begin(bench, {20: 8 * SLICE}, STATE, tuple(mask.cookie for mask in programs))
    assert numbered(bench, {STATE: sum(learnt), **programs}) == [STATE, *list(programs)[:counted]]
    masks = [mask for _, mask in all_queries(bench)]
    assert len(masks) == requests
    assert sum(mask.covers(cookie(CookieKind.STATE, 3, 3)) for mask in masks) == (not any(learnt))
    assert sum(mask.covers(cookie(CookieKind.GATE, 3, 3)) for mask in masks) == 1


def test_what_need_not_be_shown_is_shown_if_some_of_it_was_not_expected(bench: Bench) -> None:
    programs = {of_program(1): SLICE, of_program(2): SLICE}
    begin(bench, {20: 8 * SLICE, 30: 1}, STATE, tuple(mask.cookie for mask in programs))
    assert numbered(bench, {STATE: 2 * SLICE + 1, **programs}) == [STATE, *programs]
    masks = [mask for table, mask in all_queries(bench) if table == 20]
    for index in range(16):
        for kind in (CookieKind.STATE, CookieKind.GATE):
            assert sum(mask.covers(cookie(kind, index, 1)) for mask in masks) == 1


def test_few_rules_that_need_not_be_shown_are_shown(bench: Bench) -> None:
    begin(bench, {20: SLICE}, STATE)
    assert all_queries(bench) == [(20, OURS)]


def test_slice_is_asked_for_before_the_last_one_is_taken_in(bench: Bench) -> None:
    begin(bench, {0: 5 * PORTION, 10: 1})
    bench.driver.read_on()
    (first,) = asked(bench)
    bench.answer(first, ofp.OFPT_MULTIPART_REPLY, shown(0, 5 * PORTION))
    assert not asked(bench)
    bench.driver.read_on()
    (second,) = asked(bench)
    bench.driver.read_on()
    assert not reads(bench) and not bench.driver.has_reads
    bench.answer(second, ofp.OFPT_MULTIPART_REPLY, shown(5 * PORTION, 5 * PORTION + 1))
    bench.driver.read_on()
    (read,) = reads(bench)
    assert list(read.shown.left()) == [rule(number) for number in range(5 * PORTION + 1)]


def test_answers_that_wait_are_taken_in_before_another_slice_is_asked_for(bench: Bench) -> None:
    begin(bench, {0: 1, 10: 1})
    bench.driver.read_on()
    (first,) = asked(bench)
    for number in range(MOST_PARTS):
        bench.answer(first, ofp.OFPT_MULTIPART_REPLY, shown(number, number + 1, more=number < MOST_PARTS - 1))
    bench.driver.read_on()
    assert not asked(bench)
    bench.driver.read_on()
    assert len(asked(bench)) == 1


def test_gate_waits_neither_for_a_slice_nor_for_its_decoding(bench: Bench) -> None:
    begin(bench, {0: 5 * PORTION, 10: 1})
    bench.driver.read_on()
    (first,) = asked(bench)
    bench.answer(first, ofp.OFPT_MULTIPART_REPLY, shown(0, 5 * PORTION))
    bench.driver.read_on()
    bench.submit(2, RuleChange(add=(rule(1),)), Mode.ATOMIC, GATES)
    bench.answer(bench.waiting()[0])
    assert bench.events == [Confirmed(1, 2)]


def test_state_that_a_vsi_waits_for_is_read_first(bench: Bench) -> None:
    begin(bench, {0: 1, 10: 1})
    assert not bench.driver.has_urgent_reads
    read_state(bench, token=4)
    assert bench.driver.has_urgent_reads
    bench.driver.read_on()
    (state,) = asked(bench)
    bench.answer(state, ofp.OFPT_MULTIPART_REPLY, shown(0, 3))
    bench.driver.read_on()
    assert [event.token for event in bench.events if isinstance(event, RulesRead)] == [4]
    assert not reads(bench)


def test_meters_are_shown_with_the_rules(bench: Bench) -> None:
    bench.driver.read(ReadRules(1, TOKEN, OURS))
    (meters,), (statistics,) = asked(bench, ofp.OFPMP_METER_CONFIG), asked(bench, ofp.OFPMP_TABLE)
    bench.answer(meters, ofp.OFPT_MULTIPART_REPLY, multipart(ofp.OFPMP_METER_CONFIG, struct.pack("!HHI", 8, 0, 5)))
    bench.answer(statistics, ofp.OFPT_MULTIPART_REPLY, sizes({}))
    read_on(bench)
    (read,) = reads(bench)
    assert [meter.meter_id for meter in read.meters or () if isinstance(meter, Meter)] == [5]


def test_switch_that_shows_no_meters_shows_its_rules(bench: Bench) -> None:
    bench.driver.read(ReadRules(1, TOKEN, OURS))
    (meters,), (statistics,) = asked(bench, ofp.OFPMP_METER_CONFIG), asked(bench, ofp.OFPMP_TABLE)
    bench.refuse(meters, ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_BAD_MULTIPART)
    bench.answer(statistics, ofp.OFPT_MULTIPART_REPLY, sizes({0: 1}))
    assert all_queries(bench, rules=1) == [(0, OURS)]
    (read,) = reads(bench)
    assert (list(read.shown.left()), read.meters) == ([rule(0)], None)


def test_switch_that_refuses_to_show_its_tables_is_rejected(bench: Bench) -> None:
    bench.driver.read(ReadRules(1, TOKEN, OURS))
    (statistics,) = asked(bench, ofp.OFPMP_TABLE)
    bench.refuse(statistics, ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_BAD_MULTIPART)
    (rejected,) = bench.events
    assert isinstance(rejected, Rejected) and rejected.token == TOKEN
    assert not bench.driver.has_reads


def test_lost_connection_ends_it(bench: Bench) -> None:
    begin(bench, {0: 1})
    bench.driver.close()
    assert Rejected(1, TOKEN, "switch disconnected") in bench.events
    assert not bench.driver.has_reads
