"""A VSI that moves: one owner at any moment, the newest Associate wins, nothing is left behind."""

from __future__ import annotations

import pytest

from ryu_apps.evb.bridge.migrations import MigrationState
from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.pipeline.tables import CookieKind, Table
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.late_switches import PATIENCE
from ryu_apps.evb.wire.vdp import RequestStatus, VdpError, VdpMode
from tests.worlds.bridge import HV1, HV2, HV3, HV4, S1, S2, SELDOM, Vm, World

VM = Vm(7)


@pytest.fixture
def world() -> World:
    world = World()
    world.connect()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    return world


def gate_ports(world: World) -> set[PortId]:
    """The ports whose ingress gate is open for some VSI."""
    return {
        PortId(dpid, field.value)
        for dpid in world.tables
        for key in world.rules(dpid, CookieKind.GATE)
        if key.table == Table.INGRESS
        for field in key.match
        if field.name == "in_port"
    }


@pytest.mark.parametrize("target", [HV2, HV3])
def test_staging_elsewhere_leaves_the_active_port_alone(world: World, target: PortId) -> None:
    gates = {dpid: world.rules(dpid, CookieKind.GATE, CookieKind.MEMBERSHIP) for dpid in world.tables}
    world.ask(target, VM, VdpMode.PREASSOCIATE_RR, migrating=True)
    assert world.answer(target).success
    assert {dpid: world.rules(dpid, CookieKind.GATE, CookieKind.MEMBERSHIP) for dpid in world.tables} == gates
    assert gate_ports(world) == {HV1}


@pytest.mark.parametrize("target", [HV2, HV3])
def test_associate_elsewhere_moves_the_gate_and_tells_the_old_port(world: World, target: PortId) -> None:
    world.ask(target, VM, VdpMode.PREASSOCIATE_RR)
    world.ask(target, VM, VdpMode.ASSOCIATE)
    assert world.answer(target).success
    assert gate_ports(world) == {target}
    told = world.sent[HV1][-1]
    assert told.MODE is VdpMode.DEASSOCIATE and isinstance(told.status, RequestStatus)


@pytest.mark.parametrize("target", [HV2, HV3])
def test_after_a_move_the_tables_are_those_of_a_vsi_that_was_always_there(world: World, target: PortId) -> None:
    world.ask(target, VM, VdpMode.PREASSOCIATE_RR)
    world.ask(target, VM, VdpMode.ASSOCIATE)
    world.ask(target, VM, VdpMode.DEASSOCIATE)
    empty = World()
    empty.connect()
    assert world.snapshot() == empty.snapshot()


def test_source_keeps_no_rule_of_a_vsi_that_left(world: World) -> None:
    world.ask(HV3, VM, VdpMode.ASSOCIATE, migrating=True)
    assert not world.rules(S1, CookieKind.VSI_BODY, CookieKind.TYPE_BODY)
    assert {key.table for key in world.rules(S1, CookieKind.GATE)} == {Table.FORWARD}


def test_crossing_keep_alive_from_the_old_port_does_not_bring_it_back(world: World) -> None:
    world.ask(HV3, VM, VdpMode.ASSOCIATE, migrating=True)
    world.applied.clear()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.sent[HV1][-1].MODE is VdpMode.DEASSOCIATE
    assert world.applied == [] and gate_ports(world) == {HV3}


def test_late_deassociate_from_the_old_port_touches_nothing(world: World) -> None:
    world.ask(HV3, VM, VdpMode.ASSOCIATE, migrating=True)
    world.applied.clear()
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    assert world.answer(HV1).success
    assert world.applied == [] and gate_ports(world) == {HV3}


def test_moving_back_begins_with_a_preassociate_at_any_time(world: World) -> None:
    world.ask(HV3, VM, VdpMode.ASSOCIATE, migrating=True)
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV1).success and gate_ports(world) == {HV1}


def test_ping_pong_of_fifty_moves_leaves_no_trace(world: World) -> None:
    for _ in range(25):
        for port in (HV3, HV1):
            world.ask(port, VM, VdpMode.PREASSOCIATE_RR)
            world.ask(port, VM, VdpMode.ASSOCIATE)
            assert world.answer(port).success and gate_ports(world) == {port}
            world.advance(SELDOM)
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    empty = World()
    empty.connect()
    assert world.snapshot() == empty.snapshot()


def test_abort_after_staging_leaves_nothing_and_hinders_nothing(world: World) -> None:
    before = world.snapshot()
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    world.ask(HV3, VM, VdpMode.DEASSOCIATE)
    assert world.snapshot() == before
    world.ask(HV4, VM, VdpMode.PREASSOCIATE_RR)
    world.ask(HV4, VM, VdpMode.ASSOCIATE)
    assert gate_ports(world) == {HV4}


def test_failed_flip_gives_the_gate_back_to_the_source(world: World) -> None:
    before = world.snapshot()
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    world.refuse[S1, Mode.ATOMIC] = "bundle failed"
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES
    assert gate_ports(world) == {HV1}
    assert world.snapshot() == before


def test_flip_that_takes_too_long_gives_the_gate_back_to_the_source(world: World) -> None:
    before = world.snapshot()
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    world.hold.add(S2)
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    for _ in range(2):
        world.advance(0.7)
        world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES
    world.release()
    assert gate_ports(world) == {HV1}
    assert world.snapshot() == before


def test_overlapping_associates_end_with_the_newest(world: World) -> None:
    world.hold.update((S1, S2))
    world.ask(HV3, VM, VdpMode.ASSOCIATE, migrating=True)
    world.ask(HV4, VM, VdpMode.ASSOCIATE, migrating=True)
    world.release()
    world.release()
    assert world.answer(HV4).success
    assert gate_ports(world) == {HV4}


def test_slow_staging_does_not_win_over_a_newer_associate(world: World) -> None:
    world.hold.add(S2)
    world.ask(HV3, VM, VdpMode.ASSOCIATE, migrating=True)
    world.ask(HV2, VM, VdpMode.ASSOCIATE, migrating=True)
    world.release()
    assert world.answer(HV2).success
    assert gate_ports(world) == {HV2}
    assert world.sent[HV3][-1].MODE is VdpMode.DEASSOCIATE


def test_source_switch_that_is_away_does_not_stop_a_fail_over() -> None:
    world = World()
    world.connect()
    world.advance(60.0)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.disconnect(S1)
    world.advance(PATIENCE)
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV3).success
    world.connect(S1)
    world.advance(0.001)
    assert gate_ports(world) == {HV3}


def test_migration_is_told_step_by_step(world: World) -> None:
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR, migrating=True)
    world.ask(HV3, VM, VdpMode.ASSOCIATE, migrating=True)
    migration = list(world.engine.migrations)[-1]
    assert (migration.source, migration.destination) == (HV1, HV3)
    assert migration.state is MigrationState.COMPLETED and migration.finished
    kinds = [step.kind for _, step in migration.steps if step.port == HV3]
    assert kinds == [
        "vdp.request",
        "flow.staging",
        "flow.staged",
        "vdp.response",
        "vdp.request",
        "flow.activating",
        "flow.activated",
        "vdp.response",
        "vsi.active",
        "vsi.announced",
    ]


def test_aborted_and_refused_migrations_are_told_as_such(world: World) -> None:
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    world.ask(HV3, VM, VdpMode.DEASSOCIATE)
    assert list(world.engine.migrations)[-1].state is MigrationState.ABORTED
    world.refuse[S2, Mode.STAGE] = "full"
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    assert list(world.engine.migrations)[-1].state is MigrationState.REFUSED
