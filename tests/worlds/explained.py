"""A bridge with VSIs of several types, for explanations of frames: active, staged, tagged, firewall, load balancer."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.topology.balancer import Backend, LoadBalancer, TransportProtocol
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.switch import GateMode
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, HV2, HV3, HV4, VLAN, Vm, two_switches, with_vlans
from tests.worlds.rest import RestWorld

ROOT = Path(__file__).parents[2]
#: Types of the repository, and two of a load balancer.
FILES = ("policies/visitor/visitor.yaml", "policies/web_server/web_server.yaml")
FILES = (*FILES, "policies/web_server_stateful/web_server_stateful.yaml")
VISITOR, WEB, STATEFUL = VsiTypeKey(4, 1), VsiTypeKey(1, 1), VsiTypeKey(10, 1)
BACKEND, CUSTOMER = VsiTypeKey(40, 1), VsiTypeKey(41, 1)
_OPEN = "from_vm: {default: allow}\nto_vm: {default: allow}\n"
_BALANCED = {
    "farm.yaml": f"version: 1\nvsi_type: {{type_id: 40, version: 1, name: farm}}\n{_OPEN}"
    "load_balancer: {backend_of: [web]}\n",
    "customer.yaml": f"version: 1\nvsi_type: {{type_id: 41, version: 1, name: customer}}\n{_OPEN}load_balancer: {{}}\n",
}

TAGGED = 200
WEB_MAC, WEB_ADDRESS = 0x0200000064C8, "10.0.100.200"
#: Active at hv1, hv3, hv2, hv4, hv2; staged at hv4; tagged at hv1 and hv3.
GUEST, SERVER, WALLED = Vm(1, VISITOR), Vm(2, WEB), Vm(3, STATEFUL)
FARM, BUYER, NEWCOMER = Vm(4, BACKEND), Vm(5, CUSTOMER), Vm(6, VISITOR)
RED, BLUE = Vm(7, VISITOR, TAGGED), Vm(8, VISITOR, TAGGED)


def policies() -> PolicySet:
    """The types, with the file names that they have in the repository."""
    sources = [(name, (ROOT / name).read_text()) for name in FILES]
    found, mistakes = load_policies([*sources, *_BALANCED.items()], SECTIONS)
    assert found is not None, mistakes
    return found


def fabric(gate: GateMode = GateMode.RULES) -> Fabric:
    """Two switches with two VLANs and a load balancer."""
    given = with_vlans(two_switches(), TAGGED).switches
    switches = {dpid: replace(switch, gate=gate) for dpid, switch in given.items()}
    backend = Backend("farm", FARM.mac, (ip_address("10.0.100.4"),), 8080, 1)
    balancer = LoadBalancer(1, "web", VLAN, WEB_MAC, (ip_address(WEB_ADDRESS),), TransportProtocol.TCP, 80, (backend,))
    return Fabric(switches, (balancer,))


def explained_world(gate: GateMode = GateMode.RULES) -> RestWorld:
    """The bridge with its VSIs."""
    world = RestWorld(fabric=fabric(gate), policies=policies(), offered=policies())
    world.connect()
    at = {HV1: (GUEST, RED), HV2: (WALLED, BUYER), HV3: (SERVER, BLUE), HV4: (FARM,)}
    for port, vms in at.items():
        for vm in vms:
            world.ask(port, vm, VdpMode.ASSOCIATE)
            assert world.answer(port).success, world.answer(port)
    world.ask(HV4, NEWCOMER, VdpMode.PREASSOCIATE_RR)
    assert world.answer(HV4).success
    return world
