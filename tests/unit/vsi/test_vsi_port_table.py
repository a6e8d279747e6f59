"""The table of VSI ports: names and numbers as switches show them, and what a look-up costs."""

from __future__ import annotations

from dataclasses import replace

from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.vsi_ports import VsiPortPattern
from ryu_apps.evb.vsi.vsi_port_table import UNKNOWN, VsiPortTable
from tests.worlds.effort import calls
from tests.worlds.vswitch import SERVER1, server_fabric


def table(*names: str) -> VsiPortTable:
    """Ports of these names, numbered from 7."""
    made = VsiPortTable(server_fabric())
    made.shown(SERVER1, dict(enumerate(names, 7)))
    return made


def numbers(of: VsiPortTable) -> dict[str, int]:
    return {found.name: found.port_no for found in of.interfaces(SERVER1)}


def name_at(of: VsiPortTable, number: int) -> str | None:
    found = of.at(PortId(SERVER1, number))
    return None if found is None else found.name


def test_ports_are_found_by_name_and_by_number() -> None:
    taps = table("tapb", "tapa", "eth9")
    assert numbers(taps) == {"tapa": 8, "tapb": 7}
    assert (name_at(taps, 7), name_at(taps, 8), name_at(taps, 9)) == ("tapb", "tapa", None)


def test_a_name_that_appears_at_another_number_is_there_alone() -> None:
    taps = table("tapa", "tapb")
    assert taps.changed(PortId(SERVER1, 9), "tapa") == {"tapa": 7}
    assert (name_at(taps, 7), name_at(taps, 9)) == (None, "tapa")
    assert taps.changed(PortId(SERVER1, 7), "") == {}, "its old number is reported as gone afterwards"
    assert numbers(taps) == {"tapa": 9, "tapb": 8}


def test_a_number_that_gets_another_name_has_lost_the_one_before() -> None:
    taps = table("tapa")
    assert taps.changed(PortId(SERVER1, 7), "tapc") == {"tapa": 7, "tapc": None}
    assert numbers(taps) == {"tapc": 7}
    assert taps.changed(PortId(SERVER1, 7), "eth9") == {"tapc": 7}
    assert taps.changed(PortId(SERVER1, 7), "eth9") == {}
    assert name_at(taps, 7) is None


def test_of_two_ports_that_are_shown_with_one_name_one_counts() -> None:
    taps = table("tapa", "tapa")
    assert numbers(taps) == {"tapa": 8}
    assert (name_at(taps, 7), name_at(taps, 8)) == (None, "tapa")


def test_ports_that_are_assumed_after_a_restart_have_no_number_until_their_switch_shows_them() -> None:
    taps = table()
    for name in ("tapa", "tapb", "eth9"):
        taps.assume(SERVER1, name)
    assert numbers(taps) == {"tapa": UNKNOWN, "tapb": UNKNOWN}
    assert name_at(taps, UNKNOWN) is None
    assert taps.shown(SERVER1, {7: "tapb"}) == {"tapa": UNKNOWN, "tapb": UNKNOWN}
    assert numbers(taps) == {"tapb": 7}


def test_a_look_up_builds_nothing_and_asks_no_pattern() -> None:
    fabric = server_fabric()
    patterns = (*(VsiPortPattern(f"net{number}-*") for number in range(40)), VsiPortPattern("tap*"))
    server = replace(fabric.switches[SERVER1], vsi_ports=patterns)
    taps = VsiPortTable(replace(fabric, switches={**fabric.switches, SERVER1: server}))
    taps.shown(SERVER1, {7: "tapa", 8: "tapb"})
    found = taps.at(PortId(SERVER1, 8))
    assert found is not None and found.name == "tapb"
    assert taps.at(PortId(SERVER1, 8)) is taps.interface(SERVER1, "tapb") is found
    assert calls(lambda: taps.at(PortId(SERVER1, 8))) < len(patterns)
