"""Large blocks are cut so that reading one slice back brings back little else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.evb.flow.match import Match, match
from ryu_apps.evb.flow.rule import CookieMask, Rule
from ryu_apps.southbound.encode import ALL_ONES
from ryu_apps.southbound.messages import Query
from ryu_apps.southbound.slices import MOST_SLICES, SLICE, Slice, cut
from tests.unit.southbound.selection import brought_back

COUNT = 8 * SLICE


def rules(*matches: Match, table: int = 30) -> list[Rule]:
    return [Rule(table, 60000 - number % 50000, match, 7) for number, match in enumerate(matches)]


def hosts(count: int = COUNT) -> list[Match]:
    return [match(eth_type=0x0800, ip_proto=6, ipv4_src=0x0A000000 + number, tcp_dst=80) for number in range(count)]


def networks(count: int = COUNT) -> list[Match]:
    return [
        match(eth_type=0x0800, ipv4_dst=(number << 8, 0xFFFFFF00), metadata=(5 << 36, 0xFFFFF << 36))
        for number in range(count)
    ]


def ports(count: int = COUNT) -> list[Match]:
    return [match(eth_type=0x86DD, ip_proto=17, udp_dst=number) for number in range(count)]


@pytest.mark.parametrize("matches", [hosts(), networks(), ports()], ids=["hosts", "networks", "ports"])
def test_rules_that_differ_in_one_field_are_cut_evenly(matches: list[Match]) -> None:
    slices = list(cut(rules(*matches)))
    assert len(slices) >= COUNT // SLICE
    assert max(len(part.rules) for part in slices) <= 1.5 * SLICE


def test_one_cookie_is_cut_into_a_bounded_number_of_slices() -> None:
    slices = list(cut(rules(*hosts(4 * MOST_SLICES * SLICE))))
    assert len(slices) == MOST_SLICES
    assert max(len(part.rules) for part in slices) <= 8 * SLICE


def test_pages_of_a_body_are_slices_of_their_own_in_their_order() -> None:
    paged = [replace(rule, cookie=7 + number // SLICE) for number, rule in enumerate(rules(*hosts()))]
    slices = list(cut(paged))
    assert [rule for part in slices for rule in part.rules] == paged
    assert [part.query for part in slices] == [Query(CookieMask(7 + page, ALL_ONES)) for page in range(len(slices))]
    assert len(slices) == COUNT // SLICE


def test_few_rules_are_read_by_cookie_alone() -> None:
    few = rules(*hosts(SLICE))
    assert list(cut(few)) == [Slice(tuple(few))]


def test_rules_that_fit_no_slice_come_first() -> None:
    odd = rules(match(eth_type=0x0806), match())
    first, *others = cut([*rules(*hosts()), *odd])
    assert first == Slice(tuple(odd))
    assert all(rule.match for rule in others)


def test_rules_that_cannot_be_told_apart_stay_together() -> None:
    alike = [Rule(30, number, (), 7) for number in range(2 * SLICE)]
    assert list(cut(alike)) == [Slice(tuple(alike))]


def test_a_request_brings_back_hardly_more_than_its_slice() -> None:
    everything = [*rules(*hosts()), *rules(*networks(), table=50), *rules(*ports())]
    for part in cut(everything):
        assert len(brought_back(part.query, everything)) <= 1.2 * len(part.rules)


mixed = st.lists(
    st.builds(
        lambda table, context, fields: Rule(table, 1, match(**context, **fields), 7),
        st.sampled_from([30, 50]),
        st.sampled_from([{}, {"eth_type": 0x0800}, {"eth_type": 0x86DD, "ip_proto": 6}]),
        st.fixed_dictionaries(
            {},
            optional={
                "metadata": st.integers(0, 2**64 - 1),
                "eth_src": st.integers(0, 2**48 - 1),
                "eth_dst": st.tuples(st.just(1), st.sampled_from([1, 3, 2**40 + 1])),
            },
        ),
    ),
    min_size=1,
    max_size=30,
)


@given(mixed)
def test_every_rule_is_in_one_slice_that_brings_it_back(some: list[Rule]) -> None:
    many = some * (2 * SLICE // len(some) + 1)
    slices = list(cut(many))
    assert sorted(map(repr, (rule for part in slices for rule in part.rules))) == sorted(map(repr, many))
    for part in slices:
        assert len(brought_back(part.query, part.rules)) == len(part.rules)
