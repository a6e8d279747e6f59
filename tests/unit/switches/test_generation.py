"""Generations: each life has a newer one, and one that was superseded begins without its grants."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.evb.generation import begin_life, following, left_to, newer, taken_over
from ryu_apps.evb.record_kinds import ATTACHMENT, DEPARTED, GENERATION, STATION, STATISTICS
from ryu_apps.evb.switches.recovery import KEY, UNKNOWN

KNOWN = b"recovering"
generations = st.integers(0, 2**64 - 1)
clocks = st.integers(0, 2**45)
salts = st.integers(0, 2**16 - 1)


def stored(changes: dict[str, bytes | None]) -> dict[str, bytes]:
    return {key: value for key, value in changes.items() if value is not None}


@given(generations, st.integers(1, 2**63 - 1))
def test_newer_is_the_sign_of_the_distance(one: int, distance: int) -> None:
    other = (one + distance) % 2**64
    assert newer(other, one) and not newer(one, other) and not newer(one, one)


@given(generations, salts)
def test_the_next_one_is_newer(before: int, salt: int) -> None:
    assert newer(following(before, salt), before)
    assert following(before, salt) % 2**16 == salt


@given(clocks, clocks, salts, salts)
def test_each_life_is_newer_whatever_the_clock_says(first: int, second: int, salt: int, other: int) -> None:
    before = begin_life({}, first, salt, UNKNOWN)
    after = begin_life(stored(dict(before.changes)), second, other, UNKNOWN)
    assert newer(after.generation, before.generation)
    assert not before.remembers and after.remembers


@given(generations, clocks, salts)
def test_a_life_is_newer_than_what_superseded_the_last_one(seen: int, clock: int, salt: int) -> None:
    assert newer(begin_life(stored(left_to(seen)), clock, salt, UNKNOWN).generation, seen)
    assert newer(begin_life(stored(taken_over(seen)), clock, salt, UNKNOWN).generation, seen)


def test_with_right_clocks_the_later_start_is_newer_without_any_store() -> None:
    assert newer(
        begin_life({}, 1_700_000_000_001, 0, UNKNOWN).generation,
        begin_life({}, 1_700_000_000_000, 0xFFFF, UNKNOWN).generation,
    )


def test_grants_of_a_superseded_life_are_left_out_and_nothing_else() -> None:
    records = {
        **stored(left_to(7)),
        ATTACHMENT.key("vsi@1:1"): b"grant",
        DEPARTED.key("vsi"): b"departed",
        STATION.key("1:1"): b"station",
        STATISTICS.key("vsi"): b"counts",
    }
    changes = dict(begin_life(records, 1, 0, UNKNOWN).changes)
    assert {key for key, value in changes.items() if value is None} == {
        ATTACHMENT.key("vsi@1:1"),
        DEPARTED.key("vsi"),
    }
    assert changes[KEY] == UNKNOWN[KEY], "rules without a record stay for a while"
    after = stored({**records, **changes})
    again = dict(begin_life({**after, ATTACHMENT.key("new@1:1"): b"grant"}, 2, 0, UNKNOWN).changes)
    assert set(again) == {GENERATION.key()}, "only once"


@pytest.mark.parametrize(
    "record",
    [b"", b"\xc1", b"x", msgpack.packb([1, "7", False]), msgpack.packb([1, -1, False]), msgpack.packb([2, 7, 1])],
)
def test_a_record_that_cannot_be_read_is_a_lost_one(record: bytes) -> None:
    life = begin_life({GENERATION.key(): record, ATTACHMENT.key("a"): b"grant"}, 5, 3, UNKNOWN)
    assert life.generation == 5 << 16 | 3 and not life.remembers
    assert set(life.changes) == {GENERATION.key()}
