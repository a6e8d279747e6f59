"""A trunk keeps its number when others come or go: a switch has rules with it while it is given new ones."""

from __future__ import annotations

import pytest

from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.graph import MOST_TRUNKS, TrunkGraph
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Switch

MIDDLE = 0x50


def star(links: dict[int, int]) -> TrunkGraph:
    """A switch in the middle with links to others: its port -> the neighbour, whose port is as much."""

    def trunk(number: int, peer: PortId) -> Interface:
        return Interface(number, f"t{number}", Role.TRUNK, peer=peer)

    middle = {number: trunk(number, PortId(dpid, number)) for number, dpid in links.items()}
    others: dict[int, dict[int, Interface]] = {}
    for number, dpid in links.items():
        others.setdefault(dpid, {})[number] = trunk(number, PortId(MIDDLE, number))
    switches = {dpid: Switch(dpid, f"s{dpid:x}", ports) for dpid, ports in ({MIDDLE: middle} | others).items()}
    return TrunkGraph(Fabric(switches))


def numbers(links: dict[int, int]) -> dict[int, int]:
    """Neighbour -> number of its trunk in the middle."""
    return {trunk.neighbour: trunk.ordinal for trunk in star(links).trunks(MIDDLE)}


BEFORE = {3: 0x60, 4: 0x70, 48: 0x30}


@pytest.mark.parametrize("added", [{1: 0x10}, {5: 0x65}, {47: 0x71}, {63: 0x01}, {66: 0x02}, {2: 0x10, 64: 0x11}])
def test_a_trunk_that_is_added_changes_no_other_number(added: dict[int, int]) -> None:
    before, after = numbers(BEFORE), numbers(BEFORE | added)
    assert before == {0x60: 3, 0x70: 4, 0x30: 48}
    assert {neighbour: after[neighbour] for neighbour in before} == before
    assert len(set(after.values())) == len(after) and set(after.values()) <= set(range(1, MOST_TRUNKS + 1))


def test_parallel_links_have_the_number_of_the_first_port() -> None:
    assert numbers({9: 0x60, 3: 0x60, 4: 0x70}) == {0x60: 3, 0x70: 4}


def test_numbers_of_high_ports_are_those_that_are_free() -> None:
    # 64 and 127 would be 1, and 65 is 2.
    assert numbers({1: 0x10, 64: 0x11, 65: 0x12, 127: 0x13}) == {0x10: 1, 0x11: 2, 0x12: 3, 0x13: 4}


def test_a_switch_may_have_as_many_trunks_as_there_are_numbers() -> None:
    assert sorted(numbers({100 + number: 0x100 + number for number in range(MOST_TRUNKS)}).values()) == list(
        range(1, MOST_TRUNKS + 1)
    )
