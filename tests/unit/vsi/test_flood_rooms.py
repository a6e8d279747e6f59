"""Room for broadcasts at switches of OpenFlow 1.3 alone: reserved for a VID, by all of its VSIs together."""

from __future__ import annotations

import pytest

from ryu_apps.evb.events.switch import SwitchCapacity
from ryu_apps.evb.pipeline.flood import FloodMember
from ryu_apps.evb.pipeline.flood_classes import MAX_MEMBERS, ClassFlood
from ryu_apps.evb.pipeline.gate import to_vm_metadata
from ryu_apps.evb.pipeline.tables import FLOOD_GROUP, Table
from ryu_apps.evb.vsi.reservation import GROUPS, RULES, ResourceKind, SwitchResource
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.southbound.encode import group_add
from tests.unit.switches.test_openflow13 import POLICY_FILES, world_of
from tests.worlds.bridge import (
    HV1,
    HV2,
    HV3,
    S1,
    S2,
    VLAN,
    Vm,
    World,
    two_switches,
    with_vlans,
    without_extensions,
)


def reserved(world: World, dpid: int) -> dict[str, int]:
    """Reserved amounts: rules and groups for floods, and all groups."""
    floods = [amounts for (kind, _), amounts in world.engine.ledger.reservations(dpid).items() if kind == "flood"]
    return {
        "rules": sum(amounts[RULES] for amounts in floods),
        "groups": sum(amounts[GROUPS] for amounts in floods),
        "all groups": world.engine.ledger.used(dpid, GROUPS),
    }


def flooding(world: World, dpid: int) -> tuple[int, int]:
    """Rules and groups of a switch for floods of VSIs."""
    table = world.tables[dpid]
    rules = [rule for rule in table.rules.values() if rule.table in (Table.FLOOD_PAGE, Table.FLOOD_STRIPPED)]
    return len(rules), sum(group_id >= FLOOD_GROUP for group_id in table.groups)


def test_room_for_broadcasts_is_reserved_once_for_a_vid_and_is_enough() -> None:
    world = world_of(S1, S2, vlans=(200,))
    nothing, before = reserved(world, S1), flooding(world, S1)
    first, second, other = Vm(1), Vm(2), Vm(3, vid=200)
    for vm, rules, groups in ((first, 26, 13), (second, 26, 13), (other, 39, 26)):
        world.ask(HV1, vm, VdpMode.ASSOCIATE)
        assert world.answer(HV1).success
        assert reserved(world, S1) == {"rules": rules, "groups": groups, "all groups": groups}
        used = flooding(world, S1)
        assert used[0] - before[0] <= rules and used[1] - before[1] <= groups
    assert not reserved(world, S2)["rules"]
    flooded = SwitchResource(ResourceKind.TABLE, Table.FLOOD_PAGE)
    promises = world.engine.ledger.reservations(S1)
    assert {kind for (kind, _), amounts in promises.items() if amounts.get(flooded)} == {"flood"}
    world.restart_controller()
    assert reserved(world, S1)["rules"] == 39
    for vm, rules in ((first, 39), (second, 13), (other, 0)):
        world.ask(HV1, vm, VdpMode.DEASSOCIATE)
        assert reserved(world, S1)["rules"] == rules
    assert reserved(world, S1) == nothing and flooding(world, S1) == before


def test_a_vid_without_room_for_its_broadcasts_is_refused() -> None:
    fabric = without_extensions(with_vlans(two_switches(), 200), S1)
    world = World(fabric, policies=POLICY_FILES, capacity=SwitchCapacity(groups=20))
    world.connect()
    for vm, accepted in ((Vm(1), True), (Vm(2), True), (Vm(3, vid=200), False)):
        world.ask(HV1, vm, VdpMode.PREASSOCIATE_RR)
        assert world.answer(HV1).success == accepted
    refused = [event.reason for event in world.happened if getattr(event, "reason", None)]
    assert refused == ["the budget of groups of the switch is spent"]


def test_a_vid_has_no_more_addresses_than_a_group_has_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ryu_apps.evb.vsi.flood_rooms.MAX_MEMBERS", 2)
    world = world_of(S1)
    for port, vm, accepted in ((HV1, Vm(1), True), (HV2, Vm(2), True), (HV1, Vm(3), False), (HV3, Vm(3), True)):
        world.ask(port, vm, VdpMode.PREASSOCIATE_RR)
        assert world.answer(port).success == accepted
    world.ask(HV1, Vm(1), VdpMode.DEASSOCIATE)
    world.ask(HV1, Vm(4), VdpMode.PREASSOCIATE_RR)
    assert world.answer(HV1).success


def test_the_largest_group_fits_into_a_message() -> None:
    flood = ClassFlood(VLAN, (), frozenset())
    for number in range(MAX_MEMBERS):
        flood.add(FloodMember(to_vm_metadata(1, number, 1), number, classes=frozenset({1})))
    (group,) = flood.groups()
    assert len(group_add(group)) == int.from_bytes(group_add(group)[2:4])
