"""The arithmetic of totals: what a reading adds, what a counter that begins anew adds, and what a record keeps."""

from __future__ import annotations

import msgpack
import pytest

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import Direction
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.records.attachment import RecordError
from ryu_apps.evb.vsi.statistics.totals import (
    Account,
    AccountKey,
    CounterReading,
    CounterValue,
    Tally,
    decode,
    encode,
    since,
)

FROM, TO = Direction.FROM_VM, Direction.TO_VM
OLD, NEW = VsiTypeKey(1, 1), VsiTypeKey(1, 2)


def reading(packets: int, octets: int, age: float) -> CounterReading:
    return CounterReading(CounterValue(packets, octets), age)


def account(*tallies: Tally, type: VsiTypeKey = OLD) -> Account:
    return Account("vsi", None, type, tallies=list(tallies))


def tally(type: VsiTypeKey = OLD) -> Tally:
    return Tally(
        1,
        7,
        3,
        {0: AccountKey(type, FROM, 0, True), 1: AccountKey(type, TO, 0, True), 2: AccountKey(type, FROM, 1, False)},
    )


@pytest.mark.parametrize(
    ("last", "now", "fresh"),
    [
        (None, reading(5, 300, 1.0), CounterValue(5, 300)),
        (reading(5, 300, 1.0), reading(5, 300, 2.0), CounterValue(0, 0)),
        (reading(5, 300, 1.0), reading(8, 500, 2.0), CounterValue(3, 200)),
        (reading(5, 300, 1.0), reading(5, 300, 1.0), CounterValue(0, 0)),
        # Begun anew: it shows less, or as much and more but is younger.
        (reading(5, 300, 1.0), reading(2, 100, 2.0), CounterValue(2, 100)),
        (reading(5, 300, 9.0), reading(7, 500, 2.0), CounterValue(7, 500)),
    ],
)
def test_a_reading_adds_what_has_come_since(
    last: CounterReading | None, now: CounterReading, fresh: CounterValue
) -> None:
    assert since(last, now) == fresh


def test_passed_and_refused_are_kept_apart() -> None:
    one = tally()
    counts = account(one)
    for slot, packets in ((0, 3), (1, 4), (2, 5)):
        counts.take(one, slot, reading(packets, 60 * packets, 1.0))
    assert (counts.total(FROM), counts.total(TO)) == (CounterValue(3, 180), CounterValue(4, 240))
    assert (counts.refused(FROM), counts.refused(TO)) == (CounterValue(5, 300), CounterValue())


def test_two_programs_count_for_one_account_while_both_exist() -> None:
    source, destination = tally(), tally()
    counts = account(source, destination)
    for packets, other in ((3, 0), (5, 2), (5, 4)):
        counts.take(source, 0, reading(packets, 60 * packets, 1.0))
        counts.take(destination, 0, reading(other, 60 * other, 1.0))
    assert counts.total(FROM) == CounterValue(9, 540)


def test_a_counter_that_nobody_has_asked_for_adds_nothing() -> None:
    one = tally()
    counts = account(one)
    counts.take(one, 9, reading(1, 60, 1.0))
    assert counts.counts == {} and not counts.changed


def test_the_base_of_the_nms_is_part_of_the_total() -> None:
    counts = account()
    counts.base = {TO: CounterValue(10, 1000)}
    assert (counts.total(TO), counts.total(FROM)) == (CounterValue(10, 1000), CounterValue())


def test_rules_of_a_type_are_told_apart_as_long_as_one_of_its_programs_counts() -> None:
    old = tally(OLD)
    counts = account(old)
    counts.take(old, 0, reading(3, 180, 1.0))
    new = tally(NEW)
    counts.tallies.append(new)
    counts.become(NEW)
    counts.take(new, 0, reading(1, 60, 1.0))
    assert set(counts.counts) == {AccountKey(OLD, FROM, 0, True), AccountKey(NEW, FROM, 0, True)}
    assert counts.earlier(FROM) == CounterValue(3, 180)
    counts.tallies.remove(old)
    counts.become(NEW)
    assert set(counts.counts) == {AccountKey(None, FROM, 0, True), AccountKey(NEW, FROM, 0, True)}
    assert counts.earlier(FROM) == CounterValue(3, 180)
    assert counts.total(FROM) == CounterValue(4, 240)


def test_a_record_keeps_totals_and_readings_together() -> None:
    one = tally()
    counts = Account("vsi", PortId(1, 2), NEW, base={TO: CounterValue(1, 2)}, tallies=[one])
    for slot, packets in ((0, 3), (1, 4), (2, 5)):
        counts.take(one, slot, reading(packets, 60 * packets, 1.5))
    counts.become(NEW)
    again = decode(encode(counts))
    assert (again.vsi, again.port, again.type) == (counts.vsi, counts.port, counts.type)
    assert (again.counts, again.base) == (counts.counts, counts.base)
    (restored,) = again.tallies
    assert (restored.dpid, restored.vsi_index, restored.generation) == (1, 7, 3)
    assert (restored.keys, restored.last, restored.retired) == (one.keys, one.last, 0)


@pytest.mark.parametrize("data", [b"", b"\x91\x63", msgpack.packb([2]), msgpack.packb([1, "vsi"]), b"\xc1"])
def test_a_record_that_cannot_be_read_says_so(data: bytes) -> None:
    with pytest.raises(RecordError):
        decode(data)
