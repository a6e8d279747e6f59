"""Instances of appliances at host ports: hardware through which frames of VSIs are led."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from ryu_apps.evb.event_catalogue.bridge import ApplianceInstanceChanged
from ryu_apps.evb.events.switch import FrameReceived, PortChanged
from ryu_apps.evb.flow.actions import TABLES
from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.simulation.switch import forward
from ryu_apps.evb.topology.appliance import Appliance, Probing
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vdp import VdpError, VdpMode
from tests.unit.bridge.test_appliance_probes import arrived, patient, returned, to_controller
from tests.worlds.bridge import VLAN, Delivered, Vm
from tests.worlds.counting import BROADCAST, udp
from tests.worlds.steered import (
    APPLIANCES,
    BLOCKED,
    LEGS,
    PASSING,
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
AT_1, AT_2, AT_3, HOST_1, HOST_3 = PortId(1, 1), PortId(2, 1), PortId(3, 1), PortId(1, 4), PortId(3, 4)
#: Both legs of "one" are at a port of switch 2, those of "two" at ports of switches 1 and 3; a router is at switch 2.
BOTH, INNER, OUTER, GATEWAY = PortId(2, 50), PortId(1, 51), PortId(3, 52), PortId(2, 53)
CLIENT, LENIENT, ROUTED_CLIENT = Vm(7, BLOCKED), Vm(8, PASSING), Vm(9, ROUTED)
PEER = 0x0A006403


def hardware(appliances: tuple[Appliance, ...] = APPLIANCES) -> Fabric:
    """Three switches in a line, with two bumps in the wire and a router at host ports."""
    ports = {
        BOTH: Interface(BOTH.port_no, "balancer", Role.HOST, tagged_vlans=LEGS["one"]),
        INNER: Interface(INNER.port_no, "inner", Role.HOST, native_vlan=LEGS["two"][0]),
        OUTER: Interface(OUTER.port_no, "outer", Role.HOST, native_vlan=LEGS["two"][1]),
        GATEWAY: Interface(GATEWAY.port_no, "gateway", Role.HOST, native_vlan=VLAN, macs=(ROUTER_MACS["r1"],)),
    }
    fabric = replace(patient(three_switches()), appliances=appliances)
    for port, interface in ports.items():
        switch = fabric.switches[port.dpid]
        changed = replace(switch, interfaces=switch.interfaces | {port.port_no: interface})
        fabric = replace(fabric, switches=fabric.switches | {port.dpid: changed})
    return fabric


class HardwareWorld(SteeredWorld):
    """A world whose bumps in the wire send from the port of the other leg."""

    def _deliver(self, port: PortId, frame: Mapping[str, int]) -> list[Delivered]:
        ports = {LEGS["two"][0]: INNER, LEGS["two"][1]: OUTER}
        vid = frame.get("vlan_vid", 0) & 0xFFF
        untagged = dict(frame) | ({"vlan_vid": 0} if vid in ports else {})
        return super()._deliver(ports.get(vid, port), untagged)

    def _inspected(self, copy: Delivered) -> dict[str, int] | None:
        native = {INNER: LEGS["two"][0], OUTER: LEGS["two"][1]}.get(copy.port)
        fields = dict(copy.fields) | ({"vlan_vid": VLAN_PRESENT | native} if native else {})
        return super()._inspected(copy._replace(fields=fields))


@pytest.fixture
def world() -> HardwareWorld:
    world = HardwareWorld(fabric=hardware())
    world.routes = {PEER: host_mac(3), int(ROUTED_CLIENT.address): ROUTED_CLIENT.mac}
    world.connect()
    for vm in (CLIENT, LENIENT, ROUTED_CLIENT):
        world.ask(AT_1, vm, ASSOCIATE)
    return world


def both_ways(world: SteeredWorld, vm: Vm, home: PortId) -> list[list[str]]:
    """The instances that a frame from a VM has gone through, and one to it; both come to their destination."""
    found = []
    out = udp(vm.mac, host_mac(3), src_ip=int(vm.address), dst_ip=PEER)
    back = udp(host_mac(3), vm.mac, src_ip=PEER, dst_ip=int(vm.address))
    for port, frame, end in ((home, out, HOST_3), (HOST_3, back, home)):
        assert [copy.port for copy in world.deliver(port, frame)] == [end], (frame, world.passages)
        found.append(list(world.passages))
    return found


def passes(world: SteeredWorld, vm: Vm) -> bool:
    """True if a frame for a VM comes to it."""
    frame = udp(host_mac(3), vm.mac, src_ip=PEER, dst_ip=int(vm.address))
    return [copy.port for copy in world.deliver(HOST_3, frame)] == [AT_1]


def link(world: SteeredWorld, port: PortId, up: bool) -> None:
    (world.cut.discard if up else world.cut.add)(port)
    world.feed(PortChanged(port, up))


@pytest.mark.parametrize(("vm", "instance"), [(CLIENT, "one"), (ROUTED_CLIENT, "r1")])
def test_both_directions_go_through_hardware_at_a_host_port_wherever_the_client_moves(
    world: HardwareWorld, vm: Vm, instance: str
) -> None:
    link(world, INNER, False)
    assert both_ways(world, vm, AT_1) == [[instance], [instance]]
    for home in (AT_2, AT_3):
        world.ask(home, vm, RR)
        world.ask(home, vm, ASSOCIATE)
        assert both_ways(world, vm, home) == [[instance], [instance]]


def test_the_legs_of_an_instance_may_be_at_two_ports_of_two_switches(world: HardwareWorld) -> None:
    link(world, BOTH, False)
    assert both_ways(world, CLIENT, AT_1) == [["two"], ["two"]]


def test_several_instances_share_the_traffic(world: HardwareWorld) -> None:
    used = set()
    for low in range(8):
        world.deliver(AT_1, udp(CLIENT.mac, host_mac(3), src_ip=int(CLIENT.address), dst_ip=0x0A006400 | low))
        used.update(world.passages)
    assert used == {"one", "two"}


def test_a_link_that_is_down_is_a_failure_of_its_instance_as_the_type_says(world: HardwareWorld) -> None:
    for port in (BOTH, OUTER):
        assert passes(world, CLIENT) and world.passages
        link(world, port, False)
    assert not passes(world, CLIENT) and world.passages == [], "on_failure: block"
    assert passes(world, LENIENT) and world.passages == [], "on_failure: pass"
    link(world, BOTH, True)
    assert passes(world, CLIENT) and world.passages == ["one"]
    told = [event for event in world.happened if isinstance(event, ApplianceInstanceChanged)]
    assert [(event.port, event.vsi, event.in_use, event.left) for event in told] == [
        (BOTH, None, False, 1),
        (OUTER, None, False, 0),
        (BOTH, None, True, 1),
    ]


def test_a_controller_that_starts_finds_the_links_as_they_are(world: HardwareWorld) -> None:
    for port in (BOTH, OUTER):
        link(world, port, False)
    world.restart_controller()
    assert not passes(world, CLIENT) and passes(world, LENIENT) and world.passages == []
    link(world, OUTER, True)
    world.restart_controller()
    assert passes(world, CLIENT) and world.passages == ["two"]


@pytest.mark.parametrize("hardware_there", [True, False])
def test_before_its_switch_is_heard_a_controller_leads_nothing_to_a_link_that_was_down(hardware_there: bool) -> None:
    """At another switch this traffic passes without an instance, and goes on while the controller is replaced."""
    world = HardwareWorld(fabric=hardware() if hardware_there else patient(three_switches()))
    world.connect()
    world.ask(AT_1, LENIENT, ASSOCIATE)
    port = BOTH if hardware_there else AT_2
    if hardware_there:
        link(world, OUTER, False)
    else:
        world.ask(AT_2, Bump(40), ASSOCIATE)
    assert passes(world, LENIENT) and world.passages
    for up in (False, True):
        link(world, port, up)
        for connecting in ((1,), (1, 2)):
            world.restart_controller(True, *connecting)
            assert passes(world, LENIENT) and bool(world.passages) is up
        world.connect(3)
    kept = {key for key in world.store if key.startswith("instance-down/")}
    assert len(kept) == hardware_there, "that of another port"


def test_a_link_that_fails_while_no_controller_is_there_is_noticed_when_its_switch_connects(
    world: HardwareWorld,
) -> None:
    world.cut |= {BOTH, OUTER}
    world.restart_controller()
    assert not passes(world, CLIENT) and passes(world, LENIENT) and world.passages == []


def test_traffic_of_other_types_and_broadcasts_do_not_go_through_it(world: HardwareWorld) -> None:
    world.ask(AT_2, Vm(10, PLAIN), ASSOCIATE)
    assert both_ways(world, Vm(10, PLAIN), AT_2) == [[], []]
    for port, vid in ((BOTH, LEGS["one"][0]), (BOTH, LEGS["one"][1]), (INNER, 0)):
        frame = udp(CLIENT.mac, BROADCAST) | {"vlan_vid": vid and VLAN_PRESENT | vid, "in_port": port.port_no}
        assert forward(world.tables[port.dpid], frame) == []


def test_no_vsi_takes_the_place_of_hardware(world: HardwareWorld) -> None:
    (legs,) = world.ask(AT_2, Bump(40), ASSOCIATE)
    (address,) = world.ask(AT_3, router("r1"), ASSOCIATE)
    assert legs.status.error is VdpError.INSUFFICIENT_RESOURCES
    assert address.status.error is VdpError.INVALID_VID_GROUP_MAC
    assert world.ask(AT_2, router("r2"), ASSOCIATE)[-1].status.success


def test_the_address_of_a_router_at_a_host_port_is_no_proof_at_another(world: HardwareWorld) -> None:
    forged = udp(ROUTER_MACS["r1"], ROUTED_CLIENT.mac, src_ip=PEER, dst_ip=int(ROUTED_CLIENT.address))
    assert world.deliver(HOST_1, forged) == [] and world.deliver(AT_2, forged) == []
    assert [copy.port for copy in world.deliver(GATEWAY, forged)] == [AT_1]


# --- probes ---------------------------------------------------------------------------------------
def test_hardware_that_hangs_with_its_link_up_is_found_by_probes() -> None:
    def probed(appliance: Appliance) -> Appliance:
        address = IPv4Address("10.0.100.81")
        instances = tuple(each._replace(address=address) if each.mac else each for each in appliance.instances)
        return replace(appliance, instances=instances[:1], probing=Probing(1.0, 3))

    world = SteeredWorld(fabric=hardware(tuple(map(probed, APPLIANCES))))
    world.connect()
    silent: list[str] = []
    for hangs, rounds in ((False, 8), (True, 4), (False, 1)):
        for _ in range(rounds):
            world.advance(1.0)
            for port, fields in [] if hangs else arrived(world):
                assert port in (BOTH, GATEWAY)
                for data in to_controller(world, port, returned(fields)):
                    world.feed(FrameReceived(port, data))
            world.frames[:] = [frame for frame in world.frames if frame.port.port_no != TABLES]
        steering = world.engine.steering
        silent.append("".join(name for each in world.fabric.appliances for name in steering.in_use(each)))
    assert silent == ["oner1", "", "oner1"]
