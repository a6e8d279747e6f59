"""Switches of OpenFlow 1.3 alone are examined, by what they tell of their tables, before they are sent a rule."""

from __future__ import annotations

from dataclasses import replace

from ryu_apps.evb.flow.features import SwitchFeatures, TableFeatures, needed
from ryu_apps.evb.flow.match import FIELD_SIZES
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.wire.vdp import VdpMode
from tests.unit.switches.test_openflow13 import world_of
from tests.worlds.bridge import HV1, S1, Vm, World, two_switches, without_extensions


def told(world: World) -> dict[int, TableFeatures]:
    """Every feature of each table in which a switch with a VSI has rules."""
    world.ask(HV1, Vm(1), VdpMode.ASSOCIATE)
    fields, instructions = set(FIELD_SIZES), {"meter", "apply_actions", "write_metadata", "goto_table"}
    actions = {"output", "group", "set_field", "push_vlan", "pop_vlan"}
    return {
        number: TableFeatures(fields, fields, fields, instructions, set(range(64)), actions, fields)
        for number in needed(world.tables[S1].rules.values())
    }


def test_every_table_of_its_rules_is_examined_before_any_is_sent() -> None:
    tables, wanted = told(world_of(S1)), World(without_extensions(two_switches(), S1)).engine.wanted
    assert wanted.unsuitable(S1, SwitchFeatures(tables)) is None
    for number in tables:
        rest = {other: table for other, table in tables.items() if other != number}
        assert wanted.unsuitable(S1, SwitchFeatures(rest)) == f"it has no table {number}"
    # An Associate may bring a default priority.
    poor = {**tables, int(Table.INGRESS): replace(tables[Table.INGRESS], set_fields={"eth_dst"})}
    assert wanted.unsuitable(S1, SwitchFeatures(poor)) == f"table {Table.INGRESS} cannot set vlan_pcp"


def test_a_switch_without_stations_is_examined_for_its_hosts() -> None:
    usual = without_extensions(two_switches(), S1)
    ports = {no: port for no, port in usual.switches[S1].interfaces.items() if port.role is not Role.STATION}
    world = World(replace(usual, switches={**usual.switches, S1: replace(usual.switches[S1], interfaces=ports)}))
    world.connect()
    tables = needed(world.tables[S1].rules.values())
    assert world.engine.wanted.unsuitable(S1, SwitchFeatures(tables)) is None
    del tables[Table.FLOOD_PAGE]
    assert world.engine.wanted.unsuitable(S1, SwitchFeatures(tables)) == f"it has no table {Table.FLOOD_PAGE}"
