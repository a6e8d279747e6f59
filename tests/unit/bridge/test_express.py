"""Associates that look certain and are not: nothing is sent ahead of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.topology.fabric import PortId
from ryu_apps.evb.topology.station_limits import StationLimits
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, Vm, World, two_switches
from tests.worlds.counting import PLAIN
from tests.worlds.vswitch import STATION1, STATION2
from tests.worlds.vswitches import VswitchWorld, vswitch_fabric

#: Long enough that a flip is prepared.
IDLE = 0.05


def staged(world: World, port: PortId, vm: Vm) -> None:
    """Stage a VM, and wait until its flip is prepared."""
    world.ask(port, vm, VdpMode.PREASSOCIATE_RR)
    assert world.answer(port).success
    world.advance(IDLE)


def owner_of(world: World, vm: Vm) -> PortId | None:
    vsi = world.engine.registry.named(vm.text)
    return None if vsi is None or vsi.owner is None else vsi.owner.port


def test_a_vswitch_that_has_become_smaller_refuses_what_was_staged_before() -> None:
    world = VswitchWorld()
    world.connect()
    vms = {STATION1: Vm(1, PLAIN), STATION2: Vm(2, PLAIN)}
    for port, vm in vms.items():
        world.plug_in(vm, PortId(port.dpid, 5))
        staged(world, port, vm)
    world.fabric = vswitch_fabric(max_vsis=1)
    world.restart_controller()
    # A keep-alive of what is in force is not decided about; it says what the station repeats.
    staged(world, STATION2, vms[STATION2])
    world.ask(STATION2, vms[STATION2], VdpMode.ASSOCIATE)
    assert not world.answer(STATION2).success
    assert world.foreseen == 0 and owner_of(world, vms[STATION2]) is None


@pytest.mark.parametrize("limits", [StationLimits(vsis=("mac:*",)), StationLimits(types=("9/*",)), StationLimits()])
def test_a_port_that_has_been_limited_refuses_what_was_staged_before(limits: StationLimits) -> None:
    world, vm = World(), Vm(1)
    world.connect()
    staged(world, HV1, vm)
    world.fabric = two_switches()
    interfaces = world.fabric.switches[HV1.dpid].interfaces
    interfaces[HV1.port_no] = replace(interfaces[HV1.port_no], limits=limits)
    world.restart_controller()
    # A keep-alive of what is in force is not decided about; it says what the station repeats.
    staged(world, HV1, vm)
    world.ask(HV1, vm, VdpMode.ASSOCIATE)
    admitted = limits == StationLimits()
    assert world.answer(HV1).success is admitted
    assert world.foreseen == admitted and (owner_of(world, vm) is not None) is admitted
