"""Reservations: rules, tables, meters and bandwidth, on all switches that they concern or on none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.event_catalogue.vsis import VdpRefused
from ryu_apps.evb.events.switch import SwitchCapacity
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.bandwidth import Way
from ryu_apps.evb.vsi.reservation import METERS, RULES, ResourceKind, SwitchResource
from ryu_apps.evb.wire.vdp import VdpError, VdpMode
from tests.worlds.bridge import HV1, HV2, HV3, HV4, S1, S2, Vm, two_switches
from tests.worlds.limited import BOTH, GREEDY, RESERVED, SENDING, SPEED, SPEEDS, LimitedWorld

FIRST, SECOND = Vm(7, type=RESERVED), Vm(8, type=RESERVED)
#: The preferred link between the switches, as each sends by it.
TRUNKS = Way(PortId(S1, 11), sent=True), Way(PortId(S2, 11), sent=True)


def new_world(capacity: SwitchCapacity | None = None, fabric: Fabric | None = None) -> LimitedWorld:
    world = LimitedWorld(capacity=capacity or SwitchCapacity(speeds=SPEEDS), fabric=fabric or two_switches(Timers()))
    world.connect()
    return world


def refused(world: LimitedWorld, port: PortId, vm: Vm, mode: VdpMode = VdpMode.PREASSOCIATE_RR) -> str | None:
    """The reason for which a request is refused with error 2; None: it is granted."""
    world.ask(port, vm, mode)
    error = world.answer(port).error
    assert error in (VdpError.SUCCESS, VdpError.INSUFFICIENT_RESOURCES)
    reasons = [event.reason for event in world.happened if isinstance(event, VdpRefused)]
    return str(reasons[-1]) if error else None


def rates(world: LimitedWorld) -> list[int]:
    return [world.engine.ledger.bandwidth.used(way) for way in TRUNKS]


def nothing_reserved(world: LimitedWorld) -> bool:
    ledger = world.engine.ledger
    used = [amount.used for dpid in (S1, S2) for amount in ledger.amounts(dpid).values()]
    ports = [port for dpid in (S1, S2) for port in ledger.bandwidth.ports(dpid)]
    return not any(used) and not any(port.sent or port.received for port in ports)


# --- what switches hold ---------------------------------------------------------------------------
def test_meters_beyond_those_of_the_switch_are_refused() -> None:
    base = new_world().engine.wanted.budgeted(S1)[METERS]
    world = new_world(SwitchCapacity(meters=base + 3))
    assert refused(world, HV1, Vm(7, type=BOTH)) is None
    assert "meters" in str(refused(world, HV2, Vm(8, type=BOTH)))
    assert refused(world, HV2, Vm(9, type=SENDING)) is None
    assert world.engine.ledger.used(S1, METERS) == 3
    assert refused(world, HV3, Vm(8, type=BOTH)) is None, "the other switch has room"


@pytest.mark.parametrize("table", [Table.ACL_FROM, Table.INGRESS, Table.METERED_TO])
def test_each_table_has_a_room_of_its_own(table: Table) -> None:
    resource = SwitchResource(ResourceKind.TABLE, table)
    roomy = new_world()
    base = roomy.engine.wanted.budgeted(S1).get(resource, 0)
    roomy.ask(HV1, Vm(7, type=BOTH), VdpMode.PREASSOCIATE_RR)
    needed = roomy.engine.ledger.used(S1, resource)
    assert needed > 0
    for room, fits in ((needed, True), (needed - 1, False)):
        tables = dict.fromkeys(Table, 10_000) | {table: base + room}
        world = new_world(SwitchCapacity(tables=tables))
        reason = refused(world, HV1, Vm(7, type=BOTH))
        assert (reason is None) == fits and nothing_reserved(world) != fits
        assert fits or f"rules in table {table:d}" in str(reason)


def test_rules_are_counted_by_table_and_in_all() -> None:
    world = new_world()
    world.ask(HV1, Vm(7, type=BOTH), VdpMode.PREASSOCIATE_RR)
    for dpid in (S1, S2):
        amounts = world.engine.ledger.amounts(dpid)
        by_table = sum(amount.used for resource, amount in amounts.items() if resource.kind is ResourceKind.TABLE)
        assert by_table == amounts[RULES].used > 0


# --- bandwidth ------------------------------------------------------------------------------------
def test_a_minimum_is_reserved_at_the_port_and_on_the_trunks() -> None:
    world = new_world()
    assert refused(world, HV1, FIRST) is None
    used = world.engine.ledger.bandwidth.used
    assert [used(Way(HV1, sent)) for sent in (False, True)] == [400, 600]
    assert rates(world) == [400, 600]
    assert used(Way(PortId(S1, 12), sent=True)) == 0, "the second link is in use when the first is down"


def test_what_the_port_of_a_station_cannot_carry_is_refused() -> None:
    world = new_world(fabric=faster_trunks())
    assert refused(world, HV1, FIRST) is None
    assert refused(world, HV1, SECOND) == (
        f"port {HV1} sends 400 kbit/s at most besides what is reserved, 600 are wanted"
    )
    assert refused(world, HV2, SECOND) is None


def test_what_a_trunk_cannot_carry_is_refused() -> None:
    world = new_world()
    assert refused(world, HV1, FIRST) is None
    assert str(PortId(S2, 11)) in str(refused(world, HV2, SECOND))
    assert refused(world, HV3, SECOND) is None, "it sends where the other one receives"
    assert rates(world) == [SPEED, SPEED]
    world.ask(HV1, FIRST, VdpMode.DEASSOCIATE)
    assert rates(world) == [600, 400]


def test_a_vm_that_moves_is_counted_once() -> None:
    world = new_world()
    vm = Vm(7, type=GREEDY)
    assert refused(world, HV1, vm, VdpMode.ASSOCIATE) is None
    assert refused(world, HV3, vm) is None
    assert rates(world) == [601, 601]
    assert refused(world, HV3, vm, VdpMode.ASSOCIATE) is None
    world.ask(HV1, vm, VdpMode.DEASSOCIATE)
    assert rates(world) == [601, 600]
    world.ask(HV3, vm, VdpMode.DEASSOCIATE)
    assert nothing_reserved(world)


def test_a_vsi_whose_filter_changes_is_counted_once() -> None:
    world = new_world()
    vm = Vm(7, type=GREEDY)
    assert refused(world, HV1, vm, VdpMode.ASSOCIATE) is None
    world.advance(0.01)
    world.send(HV1, vm.tlv(VdpMode.ASSOCIATE), vm.address + 1)
    assert not world.answer(HV1).error
    assert rates(world) == [600, 601]


def test_a_vm_that_would_not_fit_at_the_destination_stays_where_it_is() -> None:
    world = new_world(fabric=faster_trunks())
    other = Vm(8, type=GREEDY)
    assert refused(world, HV1, FIRST, VdpMode.ASSOCIATE) is None
    assert refused(world, HV4, other, VdpMode.ASSOCIATE) is None
    assert refused(world, HV4, FIRST) is not None
    vsi = world.engine.registry.named(FIRST.text)
    assert vsi is not None and vsi.owner is not None and vsi.owner.port == HV1


def test_a_minimum_needs_a_port_of_known_speed() -> None:
    world = new_world(SwitchCapacity())
    assert refused(world, HV1, FIRST) == f"the speed of port {HV1} is not known"
    assert refused(world, HV1, Vm(9, type=BOTH)) is None
    assert nothing_reserved(new_world(SwitchCapacity()))


def test_a_configured_speed_has_precedence() -> None:
    world = new_world(SwitchCapacity(speeds=dict.fromkeys(SPEEDS, 1)), configured(SPEED, SPEED))
    assert refused(world, HV1, FIRST) is None
    assert refused(world, HV2, SECOND) is not None


def test_reservations_outlive_the_controller_and_end_with_the_vsi() -> None:
    world = new_world()
    world.ask(HV1, FIRST, VdpMode.ASSOCIATE)
    before = {dpid: world.engine.ledger.amounts(dpid) for dpid in (S1, S2)}
    world.restart_controller()
    assert {dpid: world.engine.ledger.amounts(dpid) for dpid in (S1, S2)} == before and rates(world) == [400, 600]
    assert refused(world, HV2, SECOND) is not None
    world.ask(HV1, FIRST, VdpMode.DEASSOCIATE)
    assert nothing_reserved(world)


def configured(station: int | None, trunk: int | None) -> Fabric:
    """The two switches with speeds in the configuration: of ports of stations, and of trunks."""
    fabric = two_switches(Timers())
    return replace(
        fabric,
        switches={
            dpid: replace(
                switch,
                interfaces={
                    number: replace(port, speed=trunk if port.peer else station)
                    for number, port in switch.interfaces.items()
                },
            )
            for dpid, switch in fabric.switches.items()
        },
    )


def faster_trunks() -> Fabric:
    return configured(None, 10 * SPEED)
