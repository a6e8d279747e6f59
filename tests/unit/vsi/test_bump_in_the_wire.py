"""A firewall VM as a bump in the wire: a VSI in each of two VLANs, without MAC addresses, between which it bridges."""

from __future__ import annotations

from pathlib import Path

import pytest

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.filter_info import FilterInfo, Vid
from ryu_apps.evb.wire.vdp import ASSOCIATIONS, RequestStatus, VdpMode
from ryu_apps.sources import read_sources
from tests.worlds.bridge import NMS_MAC, VLAN, Vm
from tests.worlds.counting import PLAIN, POLICIES, udp
from tests.worlds.vswitch import NMS, SERVER1, SERVER2, STATION1, STATION2, server_fabric
from tests.worlds.vswitches import DISTRIBUTED, OTHER_VLAN, VswitchWorld

RR, A = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE
BRIDGE = VsiTypeKey(36, 1)
POLICY = Path(__file__).parents[3] / "policies" / "transparent_firewall"
#: The VM behind the firewall, and both sides of the firewall: a VSI each.
VM, OUTSIDE, INSIDE = Vm(7, PLAIN, OTHER_VLAN), Vm(20, BRIDGE, VLAN), Vm(21, BRIDGE, OTHER_VLAN)
BEHIND = PortId(SERVER2, 5)
BROADCAST = 0xFFFFFFFFFFFF


@pytest.fixture
def world() -> VswitchWorld:
    loaded, found = load_policies(read_sources([POLICY])[0], SECTIONS)
    assert loaded is not None, found
    whole = DISTRIBUTED._replace(native_vlans=(VLAN, OTHER_VLAN))
    policies = PolicySet({**POLICIES.types, **loaded.types})
    made = VswitchWorld(server_fabric().with_vswitches((whole,)), policies)
    made.connect()
    made.plug_in(VM, BEHIND)
    made.ask(STATION2, VM, A)
    assert made.answer(STATION2).success
    return made


def put_firewall(world: VswitchWorld, station: PortId, outside: PortId, inside: PortId) -> None:
    """Associate both sides of the firewall at a server."""
    for vm, place, name in ((OUTSIDE, outside, "tapout"), (INSIDE, inside, "tapin")):
        world.plug(place, name)
        for mode in (RR, A):
            world.advance(0.01)
            tlv = ASSOCIATIONS[mode](RequestStatus(), *vm.type, vm.vsi_id, FilterInfo.of(Vid(vid=vm.vid)))
            world.send(station, tlv, port_name=name)
            assert world.answer(station).success, (vm, mode)


def reached(world: VswitchWorld, place: PortId, source: int, destination: int) -> set[PortId]:
    """Ports at which a datagram between the VM and the NMS, or a broadcast of theirs, arrives."""
    vm, nms = int(VM.address), 0x0A006401
    addresses = (nms, vm) if source == VM.mac else (vm, nms)
    return {found.port for found in world.carry(place, udp(source, destination, 443, *addresses))}


def is_in_the_way(world: VswitchWorld, outside: PortId, inside: PortId) -> bool:
    """True if frames of both directions go to the firewall, and on from there, broadcasts too."""
    both = ((NMS, NMS_MAC, VM.mac, outside, inside, BEHIND), (BEHIND, VM.mac, NMS_MAC, inside, outside, NMS))
    return all(
        reached(world, sender, source, to) == {near} and reached(world, far, source, to) == {receiver}
        for sender, source, destination, near, far, receiver in both
        for to in (destination, BROADCAST)
    )


def test_nothing_passes_before_the_firewall_is_there(world: VswitchWorld) -> None:
    for sender, source, destination in ((NMS, NMS_MAC, VM.mac), (BEHIND, VM.mac, NMS_MAC)):
        for to in (destination, BROADCAST):
            assert reached(world, sender, source, to) == set()


def test_both_directions_pass_the_firewall_wherever_it_is_and_its_clients_are(world: VswitchWorld) -> None:
    here, there = (PortId(SERVER1, 7), PortId(SERVER1, 8)), (PortId(SERVER2, 7), PortId(SERVER2, 8))
    put_firewall(world, STATION1, *here)
    assert is_in_the_way(world, *here)
    put_firewall(world, STATION2, *there)
    assert is_in_the_way(world, *there)
    put_firewall(world, STATION1, *here)
    assert is_in_the_way(world, *here)
