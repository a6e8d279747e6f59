"""Moments at which two things happen at once, each found by somebody who looked for it."""

from __future__ import annotations

import pytest

from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import CookieKind, Table
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vdp import VdpError, VdpMode
from tests.unit.vcm.test_move import gate_ports
from tests.worlds.bridge import HV1, HV2, HV3, OPEN_2, S1, S2, Vm, World, two_switches
from tests.worlds.rest import RestWorld, station_mac

VM = Vm(7)


class AtUplink(Vm):
    """A VM that uses the MAC address of a station's uplink, as macvtap in passthru mode does."""

    port: PortId = HV1

    @property
    def mac(self) -> int:
        return station_mac(self.port)


@pytest.fixture
def world() -> RestWorld:
    world = RestWorld()
    world.connect()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    return world


def let_staging_through(world: World) -> None:
    """Held switches carry out what is staged; gates stay held."""
    staging = [apply for apply in world.held if apply.mode is Mode.STAGE]
    world.held = [apply for apply in world.held if apply.mode is not Mode.STAGE]
    for apply in staging:
        world._apply(apply)


def test_flip_that_overtakes_another_tells_the_first_owner(world: RestWorld) -> None:
    world.hold.update((S1, S2))
    for port in (HV2, HV3):
        world.ask(port, VM, VdpMode.ASSOCIATE, migrating=True)
        let_staging_through(world)
    world.release()
    world.advance(0.1)
    vsi = world.engine.registry.named(VM.text)
    assert vsi is not None and list(vsi.attachments) == [HV3]
    assert world.sent[HV1][-1].MODE is VdpMode.DEASSOCIATE


def test_source_that_leaves_while_the_flip_waits_does_not_hinder_it(world: RestWorld) -> None:
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    world.hold.add(S2)
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    world.release()
    assert world.answer(HV3).success and gate_ports(world) == {HV3}


def test_gate_does_not_go_back_to_a_source_that_has_left(world: RestWorld) -> None:
    empty = World()
    empty.connect()
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    world.hold.add(S2)
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    world.refuse[S2, Mode.ATOMIC] = "refused"
    world.release()
    assert world.snapshot() == empty.snapshot()


def test_gates_of_one_switch_share_a_lane(world: RestWorld) -> None:
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    world.hold.update((S1, S2))
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    world.ask(HV3, VM, VdpMode.DEASSOCIATE)
    assert len({apply.lane for apply in world.held if apply.mode is Mode.ATOMIC}) == 1


def test_vm_may_use_the_address_of_its_own_uplink(world: RestWorld) -> None:
    world.agree(HV1)
    vm = AtUplink(9)
    for _ in range(10):
        world.ask(HV1, vm, VdpMode.ASSOCIATE)
        world.advance(1.0)
    assert world.answer(HV1).success
    assert world.engine.stations[HV1].counters["not_the_station"] == 0


def test_vm_may_not_use_the_address_of_another_station(world: RestWorld) -> None:
    world.agree(HV1)
    world.ask(HV2, AtUplink(9), VdpMode.PREASSOCIATE_RR)
    assert world.answer(HV2).error is VdpError.INVALID_VID_GROUP_MAC


def test_switch_that_refuses_what_it_should_hold_is_brought_up_once_more() -> None:
    world = World()
    world.refuse[S1, Mode.BULK] = "table full"
    world.connect()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert HV1 not in world.sent
    world.advance(6.0)
    assert world.engine.bringup.ready(S1) and world.answer(HV1).success


def test_station_that_knows_that_its_vm_left_may_have_it_back_at_once(world: RestWorld) -> None:
    world.ask(HV3, VM, VdpMode.ASSOCIATE, migrating=True)
    world.advance(0.2)
    world.ask(HV1, VM, VdpMode.ASSOCIATE, migrating=True)
    assert world.answer(HV1).success and gate_ports(world) == {HV1}


def test_restart_waits_for_keep_alives_as_long_as_was_agreed(world: RestWorld) -> None:
    world.agree(HV1, rka=20)
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.restart_controller()
    world.advance(15.0)
    assert world.engine.registry.named(VM.text) is not None


def test_longer_timers_count_from_when_they_are_agreed(world: RestWorld) -> None:
    world.advance(1.9)
    world.agree(HV1, rka=20)
    world.advance(10.0)
    assert world.engine.registry.named(VM.text) is not None


def test_type_that_a_refused_change_has_kept_is_in_use(world: RestWorld) -> None:
    world.refuse[S1, Mode.STAGE] = "refused"
    world.ask(HV1, Vm(7, type=OPEN_2), VdpMode.ASSOCIATE)
    assert VsiTypeKey(1, 1) in {key for _, key in world.engine.types.in_use()}


@pytest.mark.parametrize("room", range(0, 40, 3))
def test_no_switch_ever_holds_more_than_its_budget(room: int) -> None:
    empty = World()
    empty.connect()
    budget = max(len(table.rules) for table in empty.tables.values()) + room
    world = World(fabric=two_switches(max_rules=budget))
    world.connect()
    for number, port in enumerate((HV1, HV3, HV2, HV1, HV3), start=1):
        world.ask(port, Vm(number), VdpMode.ASSOCIATE)
        assert all(len(table.rules) <= budget for table in world.tables.values())


def test_change_that_overtakes_an_associate_is_put_in_force_and_nothing_goes_before() -> None:
    world = World()
    world.connect()
    world.hold.add(S2)
    world.ask(HV1, Vm(2), VdpMode.ASSOCIATE)
    world.hold.add(S1)
    world.ask(HV1, Vm(2, type=OPEN_2), VdpMode.ASSOCIATE)
    world.release()
    assert world.answer(HV1).success
    (gate,) = {rule.cookie for key, rule in world.rules(S1, CookieKind.GATE).items() if key.table == Table.INGRESS}
    (body,) = {rule.cookie for rule in world.rules(S1, CookieKind.VSI_BODY).values()}
    assert gate & ((1 << 44) - 1) == body & ((1 << 44) - 1)
    attachment = world.engine.registry.vsi(Vm(2).vsi_id).attachments[HV1]
    assert attachment.holding.program.vsi_type.key == OPEN_2 and len(world.sent[HV1]) == 1
