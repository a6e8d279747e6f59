"""Reads of learned state: each rule is shown once, few at a time, and a gate goes between two requests."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.events.effect import Mode, ReadRules
from ryu_apps.evb.events.switch import Confirmed, RulesRead
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import CookieMask, Rule
from ryu_apps.evb.pipeline.tables import CookieKind, Direction, Table, cookie, owned_by, vsi_metadata
from ryu_apps.evb.services.firewall.service import FIREWALL
from ryu_apps.evb.services.load_balancer.service import LOAD_BALANCER
from ryu_apps.southbound import counted
from ryu_apps.southbound.counted import SLICE, requests
from ryu_apps.southbound.messages import Query
from ryu_apps.southbound.oxm import decode_match
from tests.unit.southbound.selection import brought_back
from tests.unit.southbound.test_driver import Bench, Sent, flow_stats, multipart

INDEX, GENERATION = 5, 1
MASK = owned_by(CookieKind.STATE, INDEX, GENERATION)
LANE, GATES, TOKEN = INDEX, 0, 9
IPV4, IPV6, TCP, UDP = 0x0800, 0x86DD, 6, 17

assert FIREWALL.learned is not None and LOAD_BALANCER.learned is not None
PARTS = (*FIREWALL.learned.parts, *LOAD_BALANCER.learned.parts)
ASKED = ReadRules(1, TOKEN, MASK, lane=LANE, parts=PARTS)


def pin(source: int, destination: int, way: Direction = Direction.FROM_VM, kind: tuple[int, int] = (IPV4, TCP)) -> Rule:
    """A pin of a load balancer."""
    eth_type, ip_proto = kind
    transport = "tcp" if ip_proto == TCP else "udp"
    ports = {f"{transport}_src": source, f"{transport}_dst": destination}
    fields = match(metadata=vsi_metadata(INDEX, way), eth_type=eth_type, ip_proto=ip_proto, **ports)
    return Rule(Table.BALANCER_PINS, 200, fields, cookie(CookieKind.STATE, INDEX, GENERATION))


def connection(source: int, destination: int, kind: tuple[int, int] = (IPV4, TCP)) -> Rule:
    """A connection of a firewall; ICMP has addresses for ports."""
    eth_type, ip_proto = kind
    prefix = {TCP: "tcp", UDP: "udp"}.get(ip_proto, "ipv4" if eth_type == IPV4 else "ipv6")
    ends = {f"{prefix}_src": source, f"{prefix}_dst": destination}
    scope = vsi_metadata(INDEX, Direction.NONE)
    fields = match(metadata=scope, eth_type=eth_type, ip_proto=ip_proto, **ends)
    return Rule(Table.CONNECTIONS, 200, fields, cookie(CookieKind.STATE, INDEX, GENERATION))


def client(ports: Iterable[int]) -> list[Rule]:
    """Pins of a client of a load balancer."""
    return [rule for port in ports for rule in (pin(port, 80), pin(80, port, Direction.TO_VM))]


def carry_out(
    asked: ReadRules, rules: list[Rule], meanwhile: Callable[[int], None] = lambda _: None
) -> tuple[list[list[Rule]], int]:
    """Answer the requests of a read from rules; returns what each showed, and the number of requests to count."""
    asking = requests(asked)
    shown: list[list[Rule]] = []
    counts, answer = 0, None
    while True:
        try:
            request = next(asking) if answer is None else asking.send(answer)
        except StopIteration:
            return shown, counts
        found = brought_back(request.query, rules)
        answer = len(found) if request.counts else 0
        counts += request.counts
        if not request.counts:
            shown.append(found)
        meanwhile(counts + len(shown))


@pytest.mark.parametrize(
    "rules",
    [
        client(range(10_000, 12_000)),
        # Linux picks even ports for connections that it begins.
        client(range(32_768, 36_768, 2)),
        [connection(80, port) for port in range(40_000, 42_000)],
        # A server that is a client too.
        [connection(*ends) for port in range(40_000, 41_000) for ends in ((80, port), (port, 443))],
        [connection(0x0A000001, 0x0A000100 + host, (IPV4, 1)) for host in range(2_000)],
        [pin(port, 53, kind=(IPV6, UDP)) for port in range(30_000, 32_000)],
    ],
    ids=["client", "even ports", "server", "both", "pings", "datagrams"],
)
def test_many_rules_are_shown_in_slices_and_each_once(rules: list[Rule]) -> None:
    shown, counts = carry_out(ASKED, rules)
    assert sorted(rule.key for part in shown for rule in part) == sorted(rule.key for rule in rules)
    assert max(map(len, shown)) <= SLICE
    # Each slice at least half full, but for parts without rules.
    assert len(shown) <= 4 * len(rules) // SLICE + len(PARTS)
    assert counts <= 2 * len(shown) + len(PARTS)


def test_few_rules_are_shown_in_one_go() -> None:
    rules = client(range(SLICE // 2))
    assert carry_out(ASKED, rules) == ([rules], 1)


def test_rules_that_no_bit_tells_apart_are_shown_together() -> None:
    rules = [rule for rule in client([10_000]) for _ in range(SLICE)]
    shown, counts = carry_out(ASKED, rules)
    assert sum(map(len, shown)) == len(rules)
    assert counts < 40


def test_more_rules_than_permitted_are_not_shown() -> None:
    rules = client(range(1, 501))
    limited = ReadRules(1, TOKEN, MASK, lane=LANE, parts=PARTS, most=len(rules) - 1)
    assert carry_out(limited, rules) == ([], 1)
    assert (
        sum(map(len, carry_out(ReadRules(1, TOKEN, MASK, lane=LANE, parts=PARTS, most=len(rules)), rules)[0])) == 1000
    )


_PORT = st.one_of(st.integers(1, 0xFFFF), st.sampled_from([80, 443]))
_KIND = st.sampled_from([(IPV4, TCP), (IPV4, UDP), (IPV6, TCP), (IPV6, UDP)])
_RULE = st.one_of(
    st.builds(pin, _PORT, _PORT, st.sampled_from([Direction.FROM_VM, Direction.TO_VM]), _KIND),
    st.builds(connection, _PORT, _PORT, st.one_of(_KIND, st.sampled_from([(IPV4, 1), (IPV6, 58)]))),
)
_RULES = st.lists(_RULE, max_size=60, unique_by=lambda rule: rule.key)


@given(before=_RULES, late=_RULES, after=st.integers(1, 30), size=st.integers(1, 20))
@settings(deadline=None, max_examples=60)
def test_no_rule_is_lost_or_doubled_whatever_comes_meanwhile(
    before: list[Rule], late: list[Rule], after: int, size: int
) -> None:
    rules = list(before)
    known = {rule.key for rule in before}

    def learn(number: int) -> None:
        if number == after:
            rules.extend(rule for rule in late if rule.key not in known)

    with patch.object(counted, "SLICE", size):
        shown, _ = carry_out(ASKED, rules, learn)
    keys = [rule.key for part in shown for rule in part]
    assert known <= set(keys)
    assert len(keys) == len(set(keys))


# --- at a switch ----------------------------------------------------------------------------------
@pytest.fixture
def bench() -> Bench:
    return Bench()


def query(sent: Sent) -> Query:
    """The request that was sent."""
    table, first, mask, length = struct.unpack_from("!B15xQQ2xH", sent.octets, 16)
    return Query(CookieMask(first, mask), table, decode_match(sent.octets[52 : 48 + length]))


def answer(bench: Bench, rules: list[Rule]) -> int:
    """Answer the oldest request; returns the number of rules that were shown."""
    sent = bench.waiting(ofp.OFPT_MULTIPART_REQUEST)[0]
    found = brought_back(query(sent), rules)
    if int.from_bytes(sent.octets[8:10]) == ofp.OFPMP_AGGREGATE:
        reply = multipart(ofp.OFPMP_AGGREGATE, struct.pack("!QQI4x", 0, 0, len(found)))
        bench.answer(sent, ofp.OFPT_MULTIPART_REPLY, reply)
        return 0
    bench.answer(sent, ofp.OFPT_MULTIPART_REPLY, flow_stats(*found))
    return len(found)


def read_first_slice(bench: Bench, rules: list[Rule]) -> None:
    while not (bench.waiting(ofp.OFPT_MULTIPART_REQUEST) and answer(bench, rules)):
        bench.driver.read_on()


def read_to_the_end(bench: Bench, rules: list[Rule]) -> list[int]:
    """Let a read end; returns the numbers of rules that the switch showed at a time."""
    shown = []
    while bench.waiting(ofp.OFPT_MULTIPART_REQUEST) or bench.driver.has_reads:
        if bench.waiting(ofp.OFPT_MULTIPART_REQUEST):
            shown.append(answer(bench, rules))
        while bench.driver.has_reads and not bench.waiting(ofp.OFPT_MULTIPART_REQUEST):
            bench.driver.read_on()
    return shown


def test_driver_reads_in_slices_and_the_removal_of_rules_waits_for_the_last(bench: Bench) -> None:
    rules = client(range(10_000, 11_000))
    bench.driver.read(ASKED)
    bench.submit(2, RuleChange(delete_by_cookie=(MASK,)), Mode.BULK, LANE)
    shown = read_to_the_end(bench, rules)
    assert sum(shown) == len(rules) and max(shown) <= SLICE
    # What is answered counts as read, with all that was sent before it: the removal came behind the last request.
    assert len(bench.waiting(ofp.OFPT_FLOW_MOD)) == 1
    portions = [event for event in bench.events if isinstance(event, RulesRead)]
    assert [portion.more for portion in portions] == [True] * (len(portions) - 1) + [False]
    assert {rule.key for portion in portions for rule in portion.rules} == {rule.key for rule in rules}


def test_gate_goes_between_two_slices(bench: Bench) -> None:
    rules = client(range(10_000, 11_000))
    bench.driver.read(ASKED)
    read_first_slice(bench, rules)
    bench.submit(2, RuleChange(add=(rules[0],)), Mode.ATOMIC, GATES)
    assert bench.driver.switching
    assert len(bench.waiting(ofp.OFPT_MULTIPART_REQUEST)) == 0, "the switch has nothing to show when the gate comes"
    bench.answer(bench.waiting()[0])
    assert Confirmed(1, 2) in bench.events
    assert max(read_to_the_end(bench, rules)) <= SLICE


def test_next_slice_is_asked_for_while_one_is_decoded(bench: Bench) -> None:
    rules = client(range(10_000, 11_000))
    bench.driver.read(ASKED)
    read_first_slice(bench, rules)
    bench.driver.read_on()
    assert len(bench.waiting(ofp.OFPT_MULTIPART_REQUEST)) == 1
    # Nothing is decoded yet.
    assert not [event for event in bench.events if isinstance(event, RulesRead) and event.rules]


def test_read_of_more_rules_than_permitted_ends_without_any(bench: Bench) -> None:
    rules = client(range(10_000, 11_000))
    bench.driver.read(ReadRules(1, TOKEN, MASK, lane=LANE, parts=PARTS, most=100))
    bench.submit(2, RuleChange(delete_by_cookie=(MASK,)), Mode.BULK, LANE)
    assert sum(read_to_the_end(bench, rules)) == 0
    assert bench.events == [RulesRead(1, TOKEN, (), omitted=True)]
    assert len(bench.waiting(ofp.OFPT_FLOW_MOD)) == 1
