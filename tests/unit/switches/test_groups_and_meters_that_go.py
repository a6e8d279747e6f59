"""A switch loses the groups and meters of what evbridge.yaml does not have any more, and none of other applications."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.flow import change as change_of_switch
from ryu_apps.evb.flow.change import FlowTable, RuleChange
from ryu_apps.evb.flow.rule import OWN_GROUPS
from ryu_apps.evb.pipeline import tables
from ryu_apps.evb.switches.audit import INTERVAL
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, S1, Vm, World, islands, two_switches, without_extensions
from tests.worlds.less_configured import FOREIGN_GROUPS, FOREIGN_METERS, balancer, with_services, without_port

BEFORE = with_services(two_switches())
#: What is taken out of the configuration.
LESS = {
    "services": two_switches(),
    "a back end": with_services(two_switches(), backends=2),
    "a port": without_port(BEFORE, 2),
    "trunks": islands(BEFORE),
}


def with_foreign_objects(fabric: Fabric) -> World:
    """A world that is connected, with groups and meters of others in its switches."""
    world = World(fabric)
    for table in world.tables.values():
        table.groups.update((group.group_id, group) for group in FOREIGN_GROUPS)
        table.meters.update((meter.meter_id, meter) for meter in FOREIGN_METERS)
    world.connect()
    return world


def objects(table: FlowTable) -> tuple[list[int], list[int]]:
    """Ids of groups and of meters."""
    return sorted(table.groups), sorted(table.meters)


@pytest.mark.parametrize("taken", LESS)
def test_a_restart_with_less_leaves_what_a_new_switch_would_have(taken: str) -> None:
    world, new = with_foreign_objects(BEFORE), with_foreign_objects(LESS[taken])
    assert objects(world.tables[S1]) != objects(new.tables[S1])
    world.fabric = LESS[taken]
    world.restart_controller()
    # Meters go when no cached flow uses them any more.
    world.advance(INTERVAL + 1)
    assert {dpid: objects(table) for dpid, table in world.tables.items()} == {
        dpid: objects(table) for dpid, table in new.tables.items()
    }
    assert set(FOREIGN_GROUPS) <= set(world.tables[S1].groups.values())
    assert set(FOREIGN_METERS) <= set(world.tables[S1].meters.values())


def test_a_switch_without_extensions_loses_them_too() -> None:
    before, after = (without_extensions(fabric) for fabric in (two_switches(), without_port(two_switches(), 2)))
    world, new = with_foreign_objects(before), with_foreign_objects(after)
    world.fabric = after
    world.restart_controller()
    assert set(world.tables[S1].groups) == set(new.tables[S1].groups)


def test_groups_stay_while_rules_without_a_record_may_be_claimed() -> None:
    world = with_foreign_objects(BEFORE)
    world.ask(HV1, Vm(1), VdpMode.ASSOCIATE)
    world.fabric, before = LESS["services"], dict(world.tables[S1].groups)
    world.restart_controller(remembering=False)
    assert world.engine.bringup.switches[S1].unclaimed and set(world.tables[S1].groups) == set(before)
    world.advance(120.0)
    assert not world.engine.bringup.switches[S1].unclaimed
    assert set(world.tables[S1].groups) == set(with_foreign_objects(LESS["services"]).tables[S1].groups)


def test_no_more_groups_go_with_a_change_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_of_switch, "MOST_GROUPS_THAT_GO", 3)
    change = RuleChange(keep_groups=frozenset({OWN_GROUPS.start}))
    assert change.groups_that_go(OWN_GROUPS[:5]) == list(OWN_GROUPS[1:4])


def test_every_group_of_a_configuration_has_an_id_of_evbridge() -> None:
    first = [number for name, number in vars(tables).items() if name.endswith("_GROUP")]
    assert first and all(number in OWN_GROUPS for number in first)
    world = World(replace(BEFORE, balancers=(replace(balancer(3), number=0x1FFF),)))
    world.connect()
    assert all(group_id in OWN_GROUPS for group_id in world.tables[S1].groups)
