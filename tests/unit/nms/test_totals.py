"""Totals of a VSI over bridges: they go on when it moves, however its counters are carried, and count nothing twice."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_apps.nms.totals import NOTHING, Numbers, Reading, VsiTotals, reading_of

PORT = "0000000000000001:1"


def count(number: int) -> Numbers:
    return number, 60 * number, 2 * number, 120 * number


def shown(*readings: tuple[str, str | None, int, int]) -> list[int]:
    """Totals after each of some readings: bridge, port, total and base."""
    totals, found = VsiTotals(), []
    for bridge, port, total, base in readings:
        totals = totals.after(bridge, Reading(port, count(total), count(base)))
        found.append(totals.total[0])
        assert totals.total == count(found[-1])
    return found


def test_totals_of_one_bridge_are_its_own() -> None:
    assert shown(("a", PORT, 10, 0), ("a", PORT, 15, 0), ("a", PORT, 15, 0)) == [10, 15, 15]


def test_move_within_a_bridge_that_carries_them_is_no_jump() -> None:
    assert shown(("a", PORT, 10, 0), ("a", PORT, 15, 12), ("a", PORT, 20, 12)) == [10, 15, 20]


@pytest.mark.parametrize(
    ("base", "total", "after"),
    [(0, 4, 14), (10, 14, 14), (12, 16, 16), (5, 9, 14)],
    ids=["not carried", "carried", "carried later than read", "carried in part"],
)
def test_move_to_another_bridge_is_no_jump(base: int, total: int, after: int) -> None:
    assert shown(("a", PORT, 10, 0), ("b", PORT, total, base)) == [10, after]


def test_return_to_a_bridge_that_has_kept_the_former_totals() -> None:
    readings = (("a", PORT, 10, 0), ("a", None, 10, 0), ("b", PORT, 13, 10), ("b", None, 13, 10), ("a", PORT, 15, 13))
    assert shown(*readings) == [10, 10, 13, 13, 15]
    # Without anybody who carries them.
    readings = (("a", PORT, 10, 0), ("a", None, 10, 0), ("b", PORT, 3, 0), ("b", None, 3, 0), ("a", PORT, 12, 0))
    assert shown(*readings) == [10, 10, 13, 13, 25]


def test_what_a_bridge_counted_last_is_counted_once() -> None:
    # Read at both bridges, with what has been counted since the last reading.
    assert shown(("a", PORT, 10, 0), ("a", None, 12, 0), ("b", PORT, 14, 12)) == [10, 12, 14]
    assert shown(("a", PORT, 10, 0), ("b", PORT, 14, 12), ("a", None, 12, 0)) == [10, 14, 14]
    assert shown(("a", PORT, 10, 0), ("b", PORT, 2, 0), ("a", None, 12, 0)) == [10, 12, 14]


def test_bridges_that_show_former_totals_do_not_confuse_the_next_one() -> None:
    gone = (("b", None, 14, 10), ("a", None, 10, 0))
    readings = (("a", PORT, 10, 0), ("a", None, 10, 0), ("b", PORT, 14, 10), *gone, *gone, ("a", PORT, 15, 14))
    assert shown(*readings)[-1] == 15


def test_bridge_that_begins_anew_takes_nothing_away() -> None:
    assert shown(("a", PORT, 10, 0), ("a", PORT, 3, 0), ("a", PORT, 5, 0)) == [10, 13, 15]


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.booleans()), max_size=30))
def test_total_is_what_was_counted_wherever_the_vsi_was(visits: list[tuple[str, int, bool]]) -> None:
    """Each visit: the bridge, what it counts, and whether it is given the totals so far."""
    totals, counted, own, at = VsiTotals(), 0, 0, ""
    bases: dict[str, int] = {}
    for bridge, number, carried in visits:
        if bridge != at:
            if at:
                totals = totals.after(at, Reading(None, count(own), count(bases[at])))
            bases[bridge] = own = own if carried else 0
            at = bridge
        own, counted = own + number, counted + number
        totals = totals.after(bridge, Reading(PORT, count(own), count(bases[bridge])))
        assert totals.total == count(counted)


def test_object_of_a_bridge_is_read() -> None:
    def way(packets: int, base: int) -> dict[str, object]:
        return {"packets": packets, "octets": packets, "base": {"packets": base, "octets": base}}

    account = {"port": PORT, "from_vm": way(3, 1), "to_vm": way(5, 2)}
    assert reading_of(account) == Reading(PORT, (3, 3, 5, 5), (1, 1, 2, 2))
    assert reading_of({**account, "to_vm": None}) is None
    for broken in (-1, "3", None, 1 << 63):
        with pytest.raises((ValueError, TypeError)):
            reading_of({**account, "from_vm": {"packets": broken, "octets": 1, "base": {"packets": 0, "octets": 0}}})
    assert VsiTotals().total == NOTHING
