"""Instances of appliances whose legs are VSIs of their own, what they say to all, and the rules that are reserved."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from ryu_apps.evb.event_catalogue.bridge import ApplianceInstanceChanged
from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.metered_gate import gate_meter_id, gate_number, opened
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.simulation.switch import forward
from ryu_apps.evb.topology.appliance import Appliance, ApplianceInstance
from ryu_apps.evb.topology.fabric import Converge
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import GateMode
from ryu_apps.evb.vsi.reservation import ResourceKind, SwitchResource
from ryu_apps.evb.wire.filter_info import FilterInfo, Vid
from ryu_apps.evb.wire.vdp import ASSOCIATIONS, Association, RequestStatus, VdpMode
from tests.worlds.bridge import VLAN, Vm, with_gates
from tests.worlds.counting import BROADCAST, udp
from tests.worlds.steered import (
    APPLIANCES,
    BLOCKED,
    BUMP,
    PLAIN,
    ROUTED,
    ROUTER_MACS,
    Bump,
    SteeredWorld,
    host_mac,
    router,
    three_switches,
)

RR, ASSOCIATE, DEASSOCIATE = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
AT_1, AT_2, AT_3, HOST_3 = PortId(1, 1), PortId(2, 1), PortId(3, 1), PortId(3, 4)
CLIENT = Vm(7, BLOCKED)


@dataclass(slots=True)
class Leg(Vm):
    """One leg of a bump in the wire as a VSI of its own."""

    type: VsiTypeKey = BUMP

    def tlv(self, mode: VdpMode, **status: bool) -> Association:
        """Its association TLV."""
        return ASSOCIATIONS[mode](RequestStatus(**status), *self.type, self.vsi_id, FilterInfo.of(Vid(self.vid)))


@pytest.fixture
def world() -> SteeredWorld:
    world = SteeredWorld()
    world.connect()
    world.ask(AT_1, CLIENT, ASSOCIATE)
    return world


def ways(world: SteeredWorld) -> list[list[PortId]]:
    """Ports at which a frame from the client is delivered, and one to it."""
    ends = {"src_ip": int(CLIENT.address), "dst_ip": 0x0A006403}, {"src_ip": 0x0A006403, "dst_ip": int(CLIENT.address)}
    out = udp(CLIENT.mac, host_mac(3), **ends[0]), udp(host_mac(3), CLIENT.mac, **ends[1])
    return [[copy.port for copy in world.deliver(*each)] for each in ((AT_1, out[0]), (HOST_3, out[1]))]


def test_an_instance_is_in_use_when_both_legs_are_active(world: SteeredWorld) -> None:
    inner, outer = Leg(60, vid=4001), Leg(61, vid=4002)
    world.ask(AT_2, inner, ASSOCIATE)
    assert ways(world) == [[], []]
    world.ask(AT_2, outer, ASSOCIATE)
    assert ways(world) == [[HOST_3], [AT_1]] and world.passages == ["one"]
    world.ask(AT_2, inner, DEASSOCIATE)
    assert ways(world) == [[], []]
    told = [(event.in_use, event.left) for event in world.happened if isinstance(event, ApplianceInstanceChanged)]
    assert told == [(True, 1), (False, 0)]


def test_the_legs_of_an_instance_move_one_after_the_other(world: SteeredWorld) -> None:
    inner, outer = Leg(60, vid=4001), Leg(61, vid=4002)
    for leg in (inner, outer):
        world.ask(AT_2, leg, ASSOCIATE)
    for leg in (inner, outer):
        world.ask(AT_3, leg, RR)
        world.ask(AT_3, leg, ASSOCIATE)
    assert ways(world) == [[HOST_3], [AT_1]]
    assert not any(isinstance(event, ApplianceInstanceChanged) and not event.in_use for event in world.happened)


def test_what_an_instance_says_to_all_does_not_leave_its_switch(world: SteeredWorld) -> None:
    world.ask(AT_2, Bump(40), ASSOCIATE)
    for vid in (4001, 4002):
        frame = udp(CLIENT.mac, BROADCAST) | {"vlan_vid": VLAN_PRESENT | vid, "in_port": AT_2.port_no}
        assert forward(world.tables[2], frame) == []


@pytest.mark.parametrize("kind", [BLOCKED, PLAIN])
def test_the_gates_of_a_client_have_reserved_rules(world: SteeredWorld, kind: VsiTypeKey) -> None:
    """Other switches have reserved what an Associate adds to their table of destinations, and no more."""
    before = {dpid: (in_forward(world, dpid), reserved(world, dpid)) for dpid in (1, 3)}
    world.ask(AT_2, Vm(8, kind), ASSOCIATE)
    for dpid, (rules, booked) in before.items():
        assert in_forward(world, dpid) - rules == reserved(world, dpid) - booked > 0


def reserved(world: SteeredWorld, dpid: int) -> int:
    """The number of rules that a switch has reserved in FORWARD."""
    return world.engine.ledger.used(dpid, SwitchResource(ResourceKind.TABLE, Table.FORWARD))


def in_forward(world: SteeredWorld, dpid: int) -> int:
    """The number of rules of a switch in FORWARD."""
    return sum(key.table == Table.FORWARD for key in world.tables[dpid].rules)


# --- another configuration ------------------------------------------------------------------------
ROUTER = ApplianceInstance("new", mac=CLIENT.mac)


@pytest.mark.parametrize(
    ("appliances", "reason"),
    [
        ((), "there is no appliance 'fw' for VLAN 100"),
        ((replace(APPLIANCES[0], vid=200),), "there is no appliance 'fw' for VLAN 100"),
        ((APPLIANCES[0], Appliance(3, "new", VLAN, (ROUTER,))), "its address in VID 100 is that of a router"),
        (
            (Appliance(1, "fw", VLAN, APPLIANCES[0].instances, 4000), Appliance(2, "x", 7, (ROUTER,), VLAN)),
            "VLAN 100 is that",
        ),
    ],
)
def test_a_vsi_with_which_appliances_do_not_go_is_not_restored(
    world: SteeredWorld, appliances: tuple[Appliance, ...], reason: str
) -> None:
    """So a configuration that is read anew is refused with this reason (``lost``)."""
    world.fabric = replace(world.fabric, appliances=appliances)
    world.restart_controller()
    (told,) = world.engine.not_restored.values()
    assert reason in told


def test_instances_that_come_and_go_by_the_configuration_leave_clients_alone(world: SteeredWorld) -> None:
    world.ask(AT_2, Bump(40), ASSOCIATE)
    fewer = replace(APPLIANCES[0], instances=APPLIANCES[0].instances[:1])
    for appliances in ((fewer,), (Appliance(1, "a", 7, (ROUTER,)), replace(APPLIANCES[0], number=2))):
        world.fabric = replace(world.fabric, appliances=appliances)
        world.restart_controller()
        assert ways(world) == [[HOST_3], [AT_1]] and world.passages == ["one"]
        assert not world.engine.not_restored


# --- moves with copies to both ends ---------------------------------------------------------------
def moving(gate: GateMode) -> SteeredWorld:
    """The client is at switch 1 and staged at 3; the instance is between the two."""
    world = SteeredWorld(
        fabric=replace(with_gates(three_switches(), gate), converge=Converge.COPY), forward_in_flight=2
    )
    world.connect()
    for port, vm, mode in ((AT_1, CLIENT, ASSOCIATE), (AT_2, Bump(40), ASSOCIATE), (AT_3, CLIENT, RR)):
        world.ask(port, vm, mode)
    return world


def inspected() -> dict[str, int]:
    """A frame for the client, as the instance sends it on."""
    frame = udp(host_mac(2), CLIENT.mac, src_ip=0x0A006403, dst_ip=int(CLIENT.address))
    return frame | {"vlan_vid": VLAN_PRESENT | 4002}


@pytest.mark.parametrize("gate", [GateMode.RULES, GateMode.METER])
def test_frames_that_have_passed_are_copied_to_both_ends_of_a_move(gate: GateMode) -> None:
    world = moving(gate)
    assert [copy.port for copy in world.carry(AT_2, inspected())] == [AT_1], "the other end is staged"
    world.hold.add(2)
    world.ask(AT_3, CLIENT, ASSOCIATE)
    assert world.held, "the switch of the instance has not followed yet"
    (copy,) = world.carry(AT_2, inspected())
    assert copy.port == AT_3 and copy.fields["vlan_vid"] & 0xFFF in (0, VLAN)


def test_an_open_meter_is_enough_for_copies_of_what_has_passed() -> None:
    world = moving(GateMode.METER)
    meters = world.tables[3].meters
    (number,) = {number for meter in meters if (number := gate_number(meter)) is not None}
    meters[gate_meter_id(number)] = opened(number)
    delivered = {copy.port: copy.fields["vlan_vid"] & 0xFFF for copy in world.carry(AT_2, inspected())}
    assert delivered.keys() == {AT_1, AT_3} and set(delivered.values()) <= {0, VLAN}


# --- other pods -----------------------------------------------------------------------------------
def test_the_address_of_a_router_is_no_proof_at_a_port_towards_other_pods() -> None:
    fabric, border = three_switches(), PortId(3, 70)
    ports = fabric.switches[3].interfaces | {70: Interface(70, "to-b", Role.HOST, native_vlan=VLAN, uplink=True)}
    world = SteeredWorld(
        fabric=replace(fabric, switches=fabric.switches | {3: replace(fabric.switches[3], interfaces=ports)})
    )
    world.connect()
    vm = Vm(7, ROUTED)
    world.routes = {int(vm.address): vm.mac}
    for port, each in ((AT_1, vm), (AT_2, router("r1"))):
        world.ask(port, each, ASSOCIATE)
    for source, passages in ((0x525400000999, ["r1"]), (ROUTER_MACS["r1"], []), (ROUTER_MACS["r2"], [])):
        delivered = world.deliver(border, udp(source, vm.mac, src_ip=0x0A006403, dst_ip=int(vm.address)))
        assert (world.passages, [copy.port for copy in delivered]) == (passages, [AT_1] if passages else [])
