"""VEB and VEPA: reflective relay by the setting of a port, and by agreement with its station."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.topology.evb_settings import ReflectiveRelay
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.wire.vdp import VdpMode
from tests.unit.pipeline.test_forwarding import BROADCAST, send, station_says
from tests.unit.switches.test_lost_state import UNKNOWN
from tests.worlds.bridge import HV1, NMS, NMS_MAC, S1, Vm, World, two_switches

A, B = Vm(1), Vm(2)
AGREED, ALWAYS, NEVER = ReflectiveRelay.AGREED, ReflectiveRelay.ALWAYS, ReflectiveRelay.NEVER


def fabric(setting: ReflectiveRelay) -> Fabric:
    """Two switches, with this setting at the port of hv1."""
    usual = two_switches()
    ports = dict(usual.switches[S1].interfaces)
    ports[HV1.port_no] = replace(ports[HV1.port_no], reflective_relay=setting)
    return replace(usual, switches={**usual.switches, S1: replace(usual.switches[S1], interfaces=ports)})


def world_of(setting: ReflectiveRelay) -> World:
    world = World(fabric(setting))
    world.connect()
    for vm in (A, B):
        world.ask(HV1, vm, VdpMode.ASSOCIATE)
    return world


def relays(world: World) -> bool:
    """Neighbours behind the uplink of hv1 reach each other; what they send to others arrives, whatever the setting."""
    assert send(world, HV1, A.mac, NMS_MAC) == [(NMS, NMS_MAC)]
    assert (HV1, A.mac) not in send(world, HV1, A.mac, BROADCAST)
    reached = send(world, HV1, A.mac, B.mac) == [(HV1, B.mac)]
    assert ((HV1, B.mac) in send(world, HV1, A.mac, BROADCAST)) == reached
    return reached


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("setting", ReflectiveRelay)
def test_neighbours_behind_one_uplink_reach_each_other_as_it_is_set_and_agreed(
    setting: ReflectiveRelay, asked: bool
) -> None:
    world = world_of(setting)
    station_says(world, HV1, relay=asked)
    on = setting is ALWAYS or (setting is AGREED and asked)
    assert relays(world) == on
    station_says(world, HV1, relay=not asked)
    assert relays(world) == (setting is ALWAYS or (setting is AGREED and not asked))


@pytest.mark.parametrize("known", [True, False], ids=["records", "no records"])
def test_a_port_that_is_set_to_veb_is_one_after_a_restart(known: bool) -> None:
    world = world_of(AGREED)
    station_says(world, HV1, relay=True)
    assert relays(world)
    if not known:
        world.store = {key: record for key, record in UNKNOWN.items() if record is not None}
    world.fabric = fabric(NEVER)
    world.restart_controller()
    assert not relays(world)
    for vm in (A, B):
        world.ask(HV1, vm, VdpMode.ASSOCIATE)
    world.fabric = fabric(AGREED)
    world.restart_controller()
    assert not relays(world), "the record of an earlier agreement is gone"
    station_says(world, HV1, relay=True)
    assert relays(world)
