"""Comparison of the rules that a switch shows with those it was sent, octet by octet."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import replace

import pytest
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.flow.actions import FinTimeout, Output
from ryu_apps.evb.flow.change import RuleBlock, RuleChange
from ryu_apps.evb.flow.match import FieldMatch, match
from ryu_apps.evb.flow.rule import (
    FIRST_OF_VSIS,
    Meter,
    MeterUnit,
    Rule,
)
from ryu_apps.southbound.encode import FLOW_MOD_FIXED, flow_add, meter_entry
from ryu_apps.southbound.piece import PIECE, KnownObjects, PieceCache, pieces
from ryu_apps.southbound.readback import DecodedReadBack, ReadBack

SENT = [Rule(30, 100, match(metadata=number), 7, (Output(number),), goto=40) for number in (1, 2)]


AnyReadBack = ReadBack | DecodedReadBack
either = pytest.mark.parametrize("comparison", [ReadBack, DecodedReadBack])


def sent(*rules: Rule, comparison: type[AnyReadBack] = ReadBack) -> AnyReadBack:
    read_back = comparison()
    for piece in pieces(RuleChange(blocks=(RuleBlock(rules),)), PieceCache(), KnownObjects()):
        read_back.expect(piece)
    return read_back


def shown(*rules: Rule, counters: tuple[int, int] = (7, 8)) -> bytes:
    """A flow statistics reply."""
    octets = bytes(16)
    for rule in rules:
        tail = flow_add(rule)[FLOW_MOD_FIXED:]
        length, age = FLOW_MOD_FIXED + len(tail), counters[::-1]
        timeouts = rule.idle_timeout, rule.hard_timeout
        head = (length, rule.table, age[0] & 0xFFFF, age[1], rule.priority, *timeouts, 0, rule.cookie, *counters)
        octets += struct.pack("!HBxIIHHHHxxxxQQQ", *head) + tail
    return octets


@either
def test_rules_may_come_in_any_order_and_with_others_between(comparison: type[AnyReadBack]) -> None:
    read_back = sent(*SENT, comparison=comparison)
    read_back.check(shown(SENT[1], replace(SENT[0], priority=5)))
    read_back.check(shown(SENT[0]))
    assert read_back.verdict() is None


@either
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
def test_a_rule_that_differs_is_named(other: Rule, complaint: str, comparison: type[AnyReadBack]) -> None:
    read_back = sent(*SENT, comparison=comparison)
    read_back.check(shown(SENT[0], other))
    verdict = read_back.verdict()
    assert verdict is not None
    assert complaint in verdict
    assert "metadata=0x2 " in verdict


def block_of(count: int) -> RuleBlock:
    """Rules of two sizes, of one cookie."""
    return RuleBlock(tuple(replace(SENT[number % 2], match=match(metadata=number)) for number in range(count)))


def staged_again(block: RuleBlock, cache: PieceCache, answer: bytes) -> str | None:
    """Stage a block as before; returns the verdict on an answer."""
    read_back = ReadBack()
    for piece in pieces(RuleChange(blocks=(block,)), cache, KnownObjects()):
        read_back.expect(piece)
    read_back.check(answer)
    return read_back.verdict()


def test_rules_that_are_staged_again_may_be_shown_with_other_counters_and_in_another_order() -> None:
    block, cache = block_of(9), PieceCache()
    for rules, counters in ((block.rules, (7, 8)), (block.rules, (9, 1 << 40)), (block.rules[::-1], (1, 2))):
        assert staged_again(block, cache, shown(*rules, counters=counters)) is None


@pytest.mark.parametrize("count", [1, 9])
def test_a_bit_that_differs_when_rules_are_staged_again_is_noticed(count: int) -> None:
    block, cache = block_of(count), PieceCache()
    answer = shown(*block.rules)
    assert staged_again(block, cache, answer) is None
    unlike = set()
    last = len(answer) - len(flow_add(block.rules[-1]))
    for place in range(last, len(answer)):
        other = bytearray(answer)
        other[place] ^= 1
        with suppress(struct.error, IndexError):
            if staged_again(block, cache, bytes(other)) is not None:
                unlike.add(place - last)
        # What has been shown otherwise is not what the next answer is compared with.
        assert staged_again(block, cache, answer) is None
    length, unused, age, flags, counters = range(2), (3, *range(20, 24)), range(4, 12), (18, 19), range(32, 48)
    assert unlike >= set(range(len(answer) - last)) - {*length, *unused, *age, *flags, *counters}
    assert not unlike & {*age, *counters}


@pytest.mark.parametrize("missing", [0, 4, 8])
def test_a_rule_that_is_missing_when_rules_are_staged_again_is_noticed(missing: int) -> None:
    block, cache = block_of(9), PieceCache()
    assert staged_again(block, cache, shown(*block.rules)) is None
    left = list(block.rules)
    del left[missing]
    verdict = staged_again(block, cache, shown(*left))
    assert verdict is not None
    assert verdict.startswith("1 rules are not as sent; the switch does not show")
    # Of an answer of the same size, too.
    assert staged_again(block, cache, shown(*left, replace(block.rules[missing], priority=1))) is not None


def test_a_page_that_is_shown_does_not_stand_for_the_next_one() -> None:
    first, second = SENT
    rules = (
        *(replace(first, match=match(metadata=number)) for number in range(10, 10 + PIECE)),
        replace(second, cookie=8),
    )
    block, cache = RuleBlock(rules), PieceCache()
    assert staged_again(block, cache, shown(*rules[:-1])) is not None
    read_back = ReadBack()
    for piece in pieces(RuleChange(blocks=(block,)), cache, KnownObjects()):
        read_back.expect(piece)
    for answer in (shown(*rules[:-1]), shown(*rules[:-1])):
        read_back.check(answer)
    assert read_back.verdict() is not None
    read_back.check(shown(rules[-1]))
    assert read_back.verdict() is None


@either
def test_of_two_rules_of_one_key_the_later_counts(comparison: type[AnyReadBack]) -> None:
    read_back = sent(replace(SENT[0], cookie=6), SENT[0], comparison=comparison)
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


def test_a_switch_may_show_fields_in_another_order_and_masks_of_all_ones() -> None:
    wanted = replace(SENT[0], match=match(in_port=1, eth_type=0x0800, metadata=(5, 7)))
    exact = tuple(FieldMatch("in_port", 1, 0xFFFFFFFF) if test.name == "in_port" else test for test in wanted.match)
    for fields, expected in ((tuple(reversed(wanted.match)), True), (exact, True), (wanted.match[1:], False)):
        read_back = sent(wanted, comparison=DecodedReadBack)
        read_back.check(shown(replace(wanted, match=fields)))
        assert (read_back.verdict() is None) is expected


LIMIT = Meter(FIRST_OF_VSIS | 7, 1000, 100, MeterUnit.KILOBITS)


def shown_meters(*meters: Meter) -> bytes:
    """A meter configuration reply."""
    return struct.pack("!8xHH4x", ofp.OFPMP_METER_CONFIG, 0) + b"".join(map(meter_entry, meters))


@either
@pytest.mark.parametrize(
    "other", [None, replace(LIMIT, rate=999), replace(LIMIT, burst=99), replace(LIMIT, unit=MeterUnit.PACKETS)]
)
def test_a_meter_that_is_missing_or_differs_is_named(other: Meter | None, comparison: type[AnyReadBack]) -> None:
    read_back = comparison()
    for piece in pieces(RuleChange(meters=(LIMIT,)), PieceCache(), KnownObjects()):
        read_back.expect(piece)
    read_back.check(shown_meters(*([] if other is None else [other])))
    assert read_back.verdict() == f"1 meters are not as sent; the first is {LIMIT.meter_id}"
    read_back.check(shown_meters(LIMIT))
    assert read_back.verdict() is None
