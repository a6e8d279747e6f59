"""vSwitches while the bridge runs: their limits, their VLANs apart, and a configuration that is read anew."""

from __future__ import annotations

import pytest

from ryu_apps.evb.event_catalogue.vsis import VsiNotPermitted
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.station_limits import StationLimits
from ryu_apps.evb.wire.filter_info import FilterInfo, MacVid
from ryu_apps.evb.wire.vdp import ASSOCIATIONS, RequestStatus, VdpError, VdpMode
from tests.worlds.bridge import VLAN, Vm
from tests.worlds.counting import BY_NMS, PLAIN
from tests.worlds.vswitch import HV, SERVER1, SERVER2, STATION1, STATION2, server_fabric
from tests.worlds.vswitches import DISTRIBUTED, OTHER_VLAN, SINGLE, UNLIMITED, VswitchWorld, vswitch_fabric

RR, A, D = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
VM, OTHER, THIRD = Vm(7, PLAIN), Vm(8, PLAIN), Vm(9, PLAIN)
APART = Vm(10, PLAIN, OTHER_VLAN)
TAP, FAR_TAP, TAP_APART = PortId(SERVER1, 7), PortId(SERVER2, 5), PortId(SERVER1, 8)


def connected(limits: StationLimits = UNLIMITED, max_vsis: int | None = None) -> VswitchWorld:
    world = VswitchWorld(vswitch_fabric(limits, max_vsis))
    world.connect()
    return world


def refusal(world: VswitchWorld, station: PortId, vm: Vm, mode: VdpMode = RR) -> VdpError | None:
    """The error of the answer; None: it is granted."""
    world.ask(station, vm, mode)
    status = world.answer(station)
    return None if status.success else VdpError(status.error)


def test_members_of_a_distributed_vswitch_are_one_switch_and_another_vswitch_is_apart() -> None:
    world = connected()
    for station, vm, tap in ((STATION1, VM, TAP), (STATION2, OTHER, FAR_TAP), (STATION1, APART, TAP_APART)):
        world.plug_in(vm, tap)
        assert refusal(world, station, vm, A) is None
    assert world.talk(TAP, VM, OTHER, 1) == world.talk(FAR_TAP, OTHER, VM, 1) == 1
    assert world.talk(TAP, VM, APART, 1) == world.talk(TAP_APART, APART, VM, 1) == 0


def test_a_vlan_of_a_vswitch_is_admitted_at_its_members_alone() -> None:
    world = connected()
    assert refusal(world, STATION1, APART) is None
    assert refusal(world, STATION2, APART) is VdpError.INVALID_VID_GROUP_MAC
    assert refusal(world, STATION2, Vm(11, PLAIN, 300)) is VdpError.INVALID_VID_GROUP_MAC


@pytest.mark.parametrize(
    ("limits", "error", "told"),
    [
        (StationLimits(types=("42/*",)), VdpError.OTHER_FAILURE, ("types", "40/1")),
        (StationLimits(vsis=("aaaa*",)), VdpError.OTHER_FAILURE, ("vsis", VM.text)),
        (StationLimits(macs=("02:*",)), VdpError.INVALID_VID_GROUP_MAC, ("macs", "52:54:00:00:00:07")),
    ],
)
def test_limits_hold_at_every_member_and_in_no_other_vlan(
    limits: StationLimits, error: VdpError, told: tuple[str, str]
) -> None:
    world = connected(limits)
    assert refusal(world, STATION1, VM) is refusal(world, STATION2, VM) is error
    events = [event for event in world.happened if isinstance(event, VsiNotPermitted)]
    assert [(event.limit, event.value) for event in events] == [told, told]
    assert refusal(world, STATION1, APART) is None, "the other vSwitch has none"
    assert refusal(world, HV, VM) is None, "the hypervisor with a VEPA is in no vSwitch"


def test_a_permitted_type_is_granted() -> None:
    world = connected(StationLimits(types=("42/*",)))
    assert refusal(world, STATION1, Vm(7, BY_NMS)) is None


def test_a_full_vswitch_refuses_another_vsi_and_moves_its_own() -> None:
    world = connected(max_vsis=2)
    for station, vm, tap in ((STATION1, VM, TAP), (STATION2, OTHER, FAR_TAP)):
        world.plug_in(vm, tap)
        assert refusal(world, station, vm, A) is None
    assert refusal(world, STATION1, THIRD) is refusal(world, STATION2, THIRD) is VdpError.INSUFFICIENT_RESOURCES
    assert refusal(world, STATION1, APART) is None, "another vSwitch has room"
    assert refusal(world, STATION2, VM) is None, "it is counted once while it moves"
    assert refusal(world, STATION2, VM, D) is None
    assert refusal(world, STATION2, OTHER, D) is None
    assert refusal(world, STATION1, THIRD) is None


def test_a_vsi_is_in_one_vswitch() -> None:
    tagged = SINGLE._replace(native_vlans=(), tagged_vlans=(OTHER_VLAN,))
    world = VswitchWorld(server_fabric().with_vswitches((DISTRIBUTED, tagged)))
    world.connect()
    world.advance(0.01)
    info = FilterInfo.of(MacVid(VLAN, VM.mac), MacVid(OTHER_VLAN, VM.mac))
    world.send(STATION1, ASSOCIATIONS[RR](RequestStatus(), *VM.type, VM.vsi_id, info), VM.address)
    assert world.answer(STATION1).error == VdpError.INVALID_VID_GROUP_MAC
