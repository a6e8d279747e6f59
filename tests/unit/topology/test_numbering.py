"""Numbers for groups of switches do not change when others come or go: frames would be led by those of another one."""

from __future__ import annotations

import pytest

from ryu_apps.evb.topology.graph import MOST_SWITCHES, TrunkGraph
from ryu_apps.evb.topology.numbering import numbers_of, numbers_of_switches
from tests.worlds.bridge import S1, S2, two_switches


def test_numbers_of_names_are_their_own_in_the_range_and_different() -> None:
    many = numbers_of((f"name {number}" for number in range(500)), 600)
    assert len(set(many.values())) == 500 and min(many.values()) >= 1 and max(many.values()) <= 600
    assert numbers_of(reversed(many), 600) == many
    few, more = numbers_of("cz", 0x1FFF), numbers_of("abcdz", 0x1FFF)
    assert few.items() <= more.items()


@pytest.mark.parametrize("new", [1, 5, 0x525400000000])
def test_a_way_keeps_its_number_when_a_switch_comes(new: int) -> None:
    known = (3, 7, 0x525400ABCDEF)
    assert (
        numbers_of_switches(known, MOST_SWITCHES).items() <= numbers_of_switches((*known, new), MOST_SWITCHES).items()
    )


def test_switches_whose_numbers_meet_have_different_ones() -> None:
    numbers = numbers_of_switches((1, 1 + MOST_SWITCHES, MOST_SWITCHES, 2 * MOST_SWITCHES), MOST_SWITCHES)
    assert len(set(numbers.values())) == 4 and 1 <= min(numbers.values()) <= max(numbers.values()) <= MOST_SWITCHES


def test_small_datapath_ids_are_their_own_numbers() -> None:
    assert TrunkGraph(two_switches()).numbers == {S1: S1, S2: S2}
