"""The S bit at the source: frames from the VM stop at once, those to it do not, and an abort lets them in again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import CLIENT, CLIENT_MAC, HV1, HV3, OPEN_2, S1, S2, Vm, World, world_with_vms

VM = Vm(7)


@pytest.fixture
def world() -> World:
    return world_with_vms({HV1: VM})


def passes(world: World, port: PortId, to_vm: bool) -> bool:
    """True if a frame from the VM at a port reaches the client, or one to it the port."""
    source, destination = (CLIENT_MAC, VM.mac) if to_vm else (VM.mac, CLIENT_MAC)
    frame = {"eth_src": source, "eth_dst": destination, "eth_type": 0x88B5, "vlan_vid": 0}
    arrived = world.carry(CLIENT if to_vm else port, frame)
    return [copy.port for copy in arrived] == [port if to_vm else CLIENT]


def suspend(world: World, port: PortId = HV1, **status: bool) -> None:
    assert world.ask(port, VM, VdpMode.ASSOCIATE, suspended=True, **status)
    assert world.answer(port).success


@pytest.mark.parametrize("migrating", [False, True])
def test_suspended_source_is_silent_and_still_receives(world: World, migrating: bool) -> None:
    assert passes(world, HV1, to_vm=False)
    before = world.snapshot()
    suspend(world, migrating=migrating)
    assert not passes(world, HV1, to_vm=False)
    assert passes(world, HV1, to_vm=True)
    assert world.snapshot()[S2] == before[S2], "other switches do not change"
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert passes(world, HV1, to_vm=False)
    assert world.snapshot() == before


def test_keep_alives_with_the_s_bit_change_nothing(world: World) -> None:
    suspend(world)
    world.applied.clear()
    for _ in range(5):
        world.advance(1.0)
        suspend(world)
    assert world.applied == []
    assert not passes(world, HV1, to_vm=False)


def test_associate_that_ends_the_suspension_is_answered_when_the_switch_has_confirmed(world: World) -> None:
    suspend(world)
    world.hold.add(S1)
    answers = len(world.sent[HV1])
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert len(world.sent[HV1]) == answers
    world.release()
    assert len(world.sent[HV1]) > answers and world.answer(HV1).success
    assert passes(world, HV1, to_vm=False)


def test_de_associate_overtakes_an_associate_that_waits(world: World) -> None:
    suspend(world)
    world.hold.add(S1)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    world.release()
    world.advance(1.0)
    world.release()
    assert world.engine.registry.vsi(VM.vsi_id) is None
    assert not passes(world, HV1, to_vm=False)


def test_suspension_again_overtakes_an_associate_that_waits(world: World) -> None:
    suspend(world)
    world.hold.add(S1)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.ASSOCIATE, suspended=True)
    world.release()
    assert not passes(world, HV1, to_vm=False)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert passes(world, HV1, to_vm=False)


@pytest.mark.parametrize("restart", ["controller", "switch"])
def test_restart_leaves_a_suspended_source_silent(world: World, restart: str) -> None:
    suspend(world)
    if restart == "controller":
        world.restart_controller()
    else:
        world.restart_switch(S1)
    assert not passes(world, HV1, to_vm=False)
    assert passes(world, HV1, to_vm=True)
    suspend(world)
    assert not passes(world, HV1, to_vm=False)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert passes(world, HV1, to_vm=False)
    world.restart_controller()
    assert passes(world, HV1, to_vm=False)


def test_move_opens_the_destination_and_a_return_the_source(world: World) -> None:
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR, migrating=True)
    suspend(world)
    world.ask(HV3, VM, VdpMode.ASSOCIATE, migrating=True)
    assert passes(world, HV3, to_vm=False) and not passes(world, HV1, to_vm=False)
    world.advance(1.0)
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR, migrating=True)
    world.ask(HV1, VM, VdpMode.ASSOCIATE, migrating=True)
    assert passes(world, HV1, to_vm=False) and not passes(world, HV3, to_vm=False)


def test_abort_at_the_destination_leaves_the_source_silent_until_it_associates(world: World) -> None:
    before = world.snapshot()
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR, migrating=True)
    suspend(world)
    world.ask(HV3, VM, VdpMode.DEASSOCIATE)
    assert not passes(world, HV1, to_vm=False)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert passes(world, HV1, to_vm=False)
    world.advance(1.0)
    assert world.snapshot() == before


@pytest.mark.parametrize("late", [False, True])
def test_gate_that_a_switch_refuses_returns_silent(world: World, late: bool) -> None:
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR, migrating=True)
    if not late:
        suspend(world)
    world.hold.add(S2)
    world.ask(HV3, VM, VdpMode.ASSOCIATE, migrating=True)
    if late:
        suspend(world)
    (gate,) = [apply for apply in world.held if apply.dpid == S2]
    world.refuse[S2, gate.mode] = "no room"
    world.release()
    assert not world.answer(HV3).success
    assert not passes(world, HV1, to_vm=False) and passes(world, HV1, to_vm=True)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert passes(world, HV1, to_vm=False)


def test_another_type_for_a_suspended_vm_stays_silent_until_it_runs(world: World) -> None:
    suspend(world)
    changed = replace(VM, type=OPEN_2)
    world.ask(HV1, changed, VdpMode.ASSOCIATE, suspended=True)
    assert world.answer(HV1).success
    assert not passes(world, HV1, to_vm=False)
    world.ask(HV1, changed, VdpMode.ASSOCIATE)
    assert passes(world, HV1, to_vm=False)


def test_first_associate_with_the_s_bit_opens_the_gate() -> None:
    world = World()
    world.connect()
    suspend(world, HV3)
    suspend(world, HV3)
    assert passes(world, HV3, to_vm=False)


def test_expiry_of_a_suspended_source_leaves_nothing(world: World) -> None:
    empty = World()
    empty.connect()
    suspend(world)
    world.advance(60.0)
    assert world.engine.registry.vsi(VM.vsi_id) is None
    assert world.snapshot() == empty.snapshot()


def test_pre_associate_of_a_suspended_source_and_its_return(world: World) -> None:
    suspend(world)
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    assert not passes(world, HV1, to_vm=True)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert passes(world, HV1, to_vm=False)
