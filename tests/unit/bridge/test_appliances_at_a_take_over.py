"""Appliances when another bridge takes over, the file is read again, or VIDs are left to the bridge."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.events.switch import PortChanged
from ryu_apps.evb.flow.rule import Group
from ryu_apps.evb.topology.appliance import Probing
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vdp import VdpMode
from tests.property.test_followed_engine import LIFE, attachments, engine, foundations
from tests.unit.bridge.test_appliance_probes import arrived, patient
from tests.unit.vsi.test_hardware_appliances import BOTH, hardware
from tests.worlds.bridge import Vm
from tests.worlds.counting import udp
from tests.worlds.steered import (
    APPLIANCES,
    BLOCKED,
    PASSING,
    ROUTED,
    ROUTER,
    ROUTER_MACS,
    Bump,
    SteeredWorld,
    host_mac,
    router,
    three_switches,
)

RR, ASSOCIATE, DEASSOCIATE = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
AT_1, AT_2, AT_3, HOST_3 = PortId(1, 1), PortId(2, 1), PortId(3, 1), PortId(3, 4)
CLIENT, LENIENT, BUMP = Vm(7, BLOCKED), Vm(8, PASSING), Bump(40)
PEER = 0x0A006403


def wanted(of: Engine) -> dict[int, tuple[object, frozenset[Group]]]:
    """Rules and groups that each switch should have."""
    states = {dpid: of.wanted(dpid) for dpid in of.fabric.switches}
    return {dpid: (state.rules, frozenset(state.groups)) for dpid, state in states.items()}


def way(world: SteeredWorld, vm: Vm, port: PortId) -> list[str] | None:
    """The instances that a frame for a VM has passed on its way to a port; None: it has not come."""
    frame = udp(host_mac(3), vm.mac, src_ip=PEER, dst_ip=int(vm.address))
    ends = [copy.port for copy in world.deliver(HOST_3, frame)]
    return list(world.passages) if ends == [port] else None


# --- a standby ------------------------------------------------------------------------------------
@pytest.mark.parametrize("state", ["active", "staged elsewhere", "moved", "silent", "port down", "gone"])
def test_a_standby_that_leads_has_the_instances_of_its_leader(state: str) -> None:
    fw = replace(APPLIANCES[0], probing=Probing(1.0, 3))
    world = SteeredWorld(fabric=replace(patient(three_switches()), appliances=(fw, APPLIANCES[1])))
    world.connect()
    warm = engine(world, {}, follows=True)
    known: dict[str, bytes] = {}
    for port, vm in ((AT_1, CLIENT), (AT_1, LENIENT), (AT_2, BUMP), (AT_2, router("r1"))):
        world.ask(port, vm, ASSOCIATE)
        after = attachments(world.store)
        warm.follow({key: after.get(key) for key in known.keys() | after.keys() if known.get(key) != after.get(key)})
        known = after
    if state in ("staged elsewhere", "moved"):
        world.ask(AT_3, BUMP, RR)
    if state == "moved":
        world.ask(AT_3, BUMP, ASSOCIATE)
    if state == "silent":
        for _ in range(5):
            world.advance(1.0)
            arrived(world)
    if state == "port down":
        world.feed(PortChanged(AT_2, False))
    if state == "gone":
        world.ask(AT_2, BUMP, DEASSOCIATE)
    after = attachments(world.store)
    if foundations(world.store):
        # As a standby does when they have changed.
        warm, known = engine(world, foundations(world.store), follows=True), {}
    warm.follow({key: after.get(key) for key in known.keys() | after.keys() if known.get(key) != after.get(key)})
    warm.lead(dict(world.store), LIFE, world.now)
    assert wanted(warm) == wanted(world.engine)
    used = {name for each in warm.fabric.appliances for name in warm.steering.in_use(each)}
    assert ("one" in used) is (state in ("active", "staged elsewhere", "moved"))


def test_a_standby_that_leads_knows_hardware_whose_link_is_down() -> None:
    world = SteeredWorld(fabric=hardware())
    world.connect()
    world.feed(PortChanged(BOTH, False))
    warm = engine(world, foundations(world.store), follows=True)
    warm.lead(dict(world.store), LIFE, world.now)
    assert wanted(warm) == wanted(world.engine)
    assert "one" not in warm.steering.in_use(APPLIANCES[0])


# --- null VIDs ------------------------------------------------------------------------------------
def test_a_client_and_a_router_that_leave_their_vid_to_the_bridge() -> None:
    world = SteeredWorld()
    world.connect()
    client, gateway = Vm(7, ROUTED, 0), Vm(ROUTER_MACS["r1"] & 0xFFFF, ROUTER, 0)
    world.routes = {int(client.address): client.mac, PEER: host_mac(3)}
    world.ask(AT_1, client, ASSOCIATE)
    assert way(world, client, AT_1) is None, "on_failure: block"
    world.ask(AT_2, gateway, ASSOCIATE)
    assert way(world, client, AT_1) == ["r1"]
    for mode in (RR, ASSOCIATE):
        world.ask(AT_3, gateway, mode)
        assert way(world, client, AT_1) == ["r1"]
    world.ask(AT_2, client, RR)
    world.ask(AT_2, client, ASSOCIATE)
    assert way(world, client, AT_2) == ["r1"]


# --- a file that is read again --------------------------------------------------------------------
def test_an_appliance_becomes_hardware_and_a_vm_again_when_the_file_is_read_again() -> None:
    world = SteeredWorld(fabric=replace(patient(three_switches()), appliances=APPLIANCES))
    world.connect()
    for port, vm in ((AT_1, CLIENT), (AT_2, BUMP)):
        world.ask(port, vm, ASSOCIATE)
    assert way(world, CLIENT, AT_1) == ["one"]
    vms = world.fabric
    world.fabric = hardware()
    world.restart_controller()
    (reason,) = world.engine.not_restored.values()
    assert "that of a leg of appliance 'fw' at a host port" in reason, "so the file is refused while it is associated"
    world.fabric = vms
    world.restart_controller()
    world.ask(AT_2, BUMP, DEASSOCIATE)
    world.fabric = hardware()
    world.restart_controller()
    assert world.engine.steering.in_use(APPLIANCES[0]).keys() == {"one", "two"}
    assert [copy.port for copy in world.deliver(HOST_3, udp(host_mac(3), CLIENT.mac, dst_ip=int(CLIENT.address)))]
    world.fabric = vms
    world.restart_controller()
    assert way(world, CLIENT, AT_1) is None
    world.ask(AT_2, BUMP, ASSOCIATE)
    assert way(world, CLIENT, AT_1) == ["one"]
