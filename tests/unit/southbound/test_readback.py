"""Comparison of the rules that a switch shows with those it was sent, octet by octet."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.flow.rule import (
    FIRST_OF_VSIS,
    FinTimeout,
    Meter,
    MeterUnit,
    Output,
    Rule,
    RuleBlock,
    RuleChange,
    match,
)
from ryu_apps.southbound.encode import FLOW_MOD_FIXED, flow_add, meter_entry
from ryu_apps.southbound.piece import PieceCache, pieces
from ryu_apps.southbound.readback import ReadBack

SENT = [Rule(30, 100, match(metadata=number), 7, (Output(number),), goto=40) for number in (1, 2)]


def sent(*rules: Rule) -> ReadBack:
    read_back = ReadBack()
    for piece in pieces(RuleChange(blocks=(RuleBlock(rules),)), PieceCache(), set()):
        read_back.expect(piece)
    return read_back


def shown(*rules: Rule) -> bytes:
    """A flow statistics reply."""
    octets = bytes(16)
    for rule in rules:
        tail = flow_add(rule)[FLOW_MOD_FIXED:]
        length, counters = FLOW_MOD_FIXED + len(tail), (7, 8)
        timeouts = rule.idle_timeout, rule.hard_timeout
        head = (length, rule.table, 5, 6, rule.priority, *timeouts, 0, rule.cookie, *counters)
        octets += struct.pack("!HBxIIHHHHxxxxQQQ", *head) + tail
    return octets


def test_rules_may_come_in_any_order_and_with_others_between() -> None:
    read_back = sent(*SENT)
    read_back.check(shown(SENT[1], replace(SENT[0], priority=5)))
    read_back.check(shown(SENT[0]))
    assert read_back.verdict() is None


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        (replace(SENT[1], apply=(Output(9),)), "other instructions"),
        (replace(SENT[1], goto=None), "other instructions"),
        (replace(SENT[1], cookie=8), "other instructions"),
        (replace(SENT[1], table=31), "does not show"),
        (replace(SENT[1], priority=99), "does not show"),
        (replace(SENT[1], match=match(metadata=3)), "does not show"),
    ],
    ids=["actions", "instructions", "cookie", "table", "priority", "match"],
)
def test_a_rule_that_differs_is_named(other: Rule, complaint: str) -> None:
    read_back = sent(*SENT)
    read_back.check(shown(SENT[0], other))
    verdict = read_back.verdict()
    assert verdict is not None
    assert complaint in verdict
    assert "metadata=0x2 " in verdict


def test_of_two_rules_of_one_key_the_later_counts() -> None:
    read_back = sent(replace(SENT[0], cookie=6), SENT[0])
    read_back.check(shown(SENT[0]))
    assert read_back.verdict() is None


def test_another_timeout_is_noticed_unless_a_fin_may_have_shortened_it() -> None:
    lasting = replace(SENT[0], idle_timeout=60)
    closing = replace(lasting, apply=(FinTimeout(5), Output(1)))
    for wanted, shorter, expected in ((lasting, 5, False), (closing, 5, True), (closing, 6, False)):
        read_back = sent(wanted)
        read_back.check(shown(replace(wanted, idle_timeout=shorter)))
        assert (read_back.verdict() is None) is expected


def test_another_hard_timeout_is_noticed() -> None:
    for hard, expected in ((2, True), (0, False), (3, False)):
        read_back = sent(replace(SENT[0], hard_timeout=2))
        read_back.check(shown(replace(SENT[0], hard_timeout=hard)))
        assert (read_back.verdict() is None) is expected


LIMIT = Meter(FIRST_OF_VSIS | 7, 1000, 100, MeterUnit.KILOBITS)


def shown_meters(*meters: Meter) -> bytes:
    """A meter configuration reply."""
    return struct.pack("!8xHH4x", ofp.OFPMP_METER_CONFIG, 0) + b"".join(map(meter_entry, meters))


@pytest.mark.parametrize(
    "other", [None, replace(LIMIT, rate=999), replace(LIMIT, burst=99), replace(LIMIT, unit=MeterUnit.PACKETS)]
)
def test_a_meter_that_is_missing_or_differs_is_named(other: Meter | None) -> None:
    read_back = ReadBack()
    for piece in pieces(RuleChange(meters=(LIMIT,)), PieceCache(), set()):
        read_back.expect(piece)
    read_back.check(shown_meters(*([] if other is None else [other])))
    assert read_back.verdict() == f"1 meters are not as sent; the first is {LIMIT.meter_id}"
    read_back.check(shown_meters(LIMIT))
    assert read_back.verdict() is None
