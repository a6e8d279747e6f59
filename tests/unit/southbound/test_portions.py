"""Reads in portions: their place among the changes, and what goes before them."""

from __future__ import annotations

import struct

import pytest
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.events.effect import EndRead, Mode, ReadRules
from ryu_apps.evb.events.switch import Confirmed, Rejected, RulesRead
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.rule import CookieMask, Rule
from ryu_apps.southbound.encode import FLOW_MOD_FIXED, flow_add
from ryu_apps.southbound.portions import PORTION
from tests.unit.southbound.test_driver import COOKIE, Bench, rule

LANE, GATES = 7, 0
SWEEP = RuleChange(delete_by_cookie=(CookieMask(COOKIE, 0),))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def read(bench: Bench, token: int = 9) -> None:
    bench.driver.read(ReadRules(1, token, CookieMask(COOKIE, 0), lane=LANE))


def shown(first: int, last: int, more: bool = False) -> bytes:
    """Part of a reply with rules of these numbers."""
    body = struct.pack("!HH4x", ofp.OFPMP_FLOW, ofp.OFPMPF_REPLY_MORE if more else 0)
    for number in range(first, last):
        tail = flow_add(rule(number))[FLOW_MOD_FIXED:]
        head = (FLOW_MOD_FIXED + len(tail), 30, 0, 0, 100, 0, 0, 0, COOKIE, number, 60 * number)
        body += struct.pack("!HBxIIHHHHxxxxQQQ", *head) + tail
    return body


def rules_of(events: list[object]) -> list[Rule]:
    return [found for event in events if isinstance(event, RulesRead) for found in event.rules]


def questions(bench: Bench) -> int:
    return len(bench.waiting(ofp.OFPT_MULTIPART_REQUEST))


def test_answer_comes_in_portions_as_it_arrives(bench: Bench) -> None:
    read(bench)
    bench.driver.read_on()
    (asked,) = bench.sent
    bench.answer(asked, ofp.OFPT_MULTIPART_REPLY, shown(0, PORTION + 1, more=True))
    assert bench.events == []
    while bench.driver.has_reads:
        bench.driver.read_on()
    assert rules_of(bench.events) == [rule(number) for number in range(PORTION + 1)]
    bench.answer(asked, ofp.OFPT_MULTIPART_REPLY, shown(PORTION + 1, 3 * PORTION))
    while bench.driver.has_reads:
        bench.driver.read_on()
    portions = [event for event in bench.events if isinstance(event, RulesRead)]
    assert rules_of(bench.events) == [rule(number) for number in range(3 * PORTION)]
    assert [portion.more for portion in portions] == [True] * (len(portions) - 1) + [False]
    assert max(len(portion.rules) for portion in portions) == PORTION


def test_gate_does_not_wait_for_a_read_whose_answer_is_not_decoded(bench: Bench) -> None:
    read(bench)
    bench.driver.read_on()
    (asked,) = bench.sent
    bench.answer(asked, ofp.OFPT_MULTIPART_REPLY, shown(0, 3 * PORTION))
    bench.submit(2, RuleChange(add=(rule(1),)), Mode.ATOMIC, GATES)
    assert bench.driver.switching
    bench.answer(bench.waiting()[0])
    assert bench.events == [Confirmed(1, 2)]
    assert not bench.driver.switching
    bench.submit(3, SWEEP, Mode.ATOMIC, LANE)
    assert not bench.driver.switching, "it is no gate"


def test_gate_goes_before_a_read_that_is_not_sent(bench: Bench) -> None:
    read(bench)
    assert questions(bench) == 0
    bench.submit(2, RuleChange(add=(rule(1),)), Mode.ATOMIC, GATES)
    assert len(bench.waiting(ofp.OFPT_FLOW_MOD)) == 1
    bench.driver.read_on()
    assert questions(bench) == 1


def test_rules_are_not_removed_before_they_are_read(bench: Bench) -> None:
    read(bench)
    bench.submit(2, SWEEP, Mode.BULK, LANE)
    assert bench.sent == []
    bench.driver.read_on()
    kinds = [sent.kind for sent in bench.sent]
    assert kinds == [ofp.OFPT_MULTIPART_REQUEST, ofp.OFPT_FLOW_MOD, ofp.OFPT_BARRIER_REQUEST]


def test_read_waits_for_earlier_changes_of_its_lane(bench: Bench) -> None:
    bench.submit(1, RuleChange(add=tuple(map(rule, range(1000)))), Mode.BULK, LANE)
    read(bench)
    assert not bench.driver.has_reads
    bench.answer_barriers()
    assert bench.driver.has_reads


def test_read_that_has_ended_is_neither_sent_nor_answered(bench: Bench) -> None:
    read(bench, 8)
    bench.driver.read_on()
    read(bench, 9)
    bench.submit(2, SWEEP, Mode.BULK, LANE)
    bench.driver.end_read(EndRead(1, 8))
    bench.driver.end_read(EndRead(1, 9))
    bench.driver.end_read(EndRead(1, 9))
    assert questions(bench) == 1
    assert len(bench.waiting(ofp.OFPT_FLOW_MOD)) == 1
    bench.answer(bench.sent[0], ofp.OFPT_MULTIPART_REPLY, shown(0, 3))
    assert not bench.driver.has_reads
    bench.answer_barriers()
    assert bench.events == [Confirmed(1, 2)]


def test_lost_connection_ends_reads_in_every_state(bench: Bench) -> None:
    read(bench, 8)
    bench.driver.read_on()
    bench.answer(bench.sent[0], ofp.OFPT_MULTIPART_REPLY, shown(0, 3))
    read(bench, 9)
    bench.driver.close()
    assert {event.token for event in bench.events if isinstance(event, Rejected)} == {8, 9}
    assert not bench.driver.has_reads


def test_refused_read_is_rejected(bench: Bench) -> None:
    read(bench)
    bench.driver.read_on()
    bench.refuse(bench.sent[0], ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_EPERM)
    (rejected,) = bench.events
    assert isinstance(rejected, Rejected) and rejected.token == 9
    assert not bench.driver.has_reads
