"""Two VSI types with the same access list, of which one has every service besides; as in ``bench``."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.topology.balancer import Backend, LoadBalancer, TransportProtocol
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.switch import Switch
from tests.worlds.bridge import VLAN, Vm, World, two_switches
from tests.worlds.written_types import loaded_types

PLAIN, EVERYTHING = VsiTypeKey(2, 1), VsiTypeKey(5, 1)
#: The back end of the load balancer, and another VM of its type that is none.
BACKEND = Vm(3, EVERYTHING)
_ACL = """\
anti_spoofing: {ip: false, arp: false}
from_vm: {default: allow}
to_vm:
  default: deny
  rules:
    - rule: {ipv4_src: 10.0.0.1, tcp_dst: 443, actions: {allow: 1}}
    - rule: {eth_type: ipv4, udp_dst: 4000, actions: {allow: 1}}
"""
_SERVICES = """\
firewall: {to_vm: {default: allow}}
load_balancer: {backend_of: [web]}
multicast: {groups: [239.1.0.1]}
statistics: {}
tcp_proxy: {ports: [443]}
"""
TYPES = loaded_types({(2, 1): _ACL, (5, 1): _ACL + _SERVICES}, "measured")
_WEB = LoadBalancer(
    1,
    "web",
    VLAN,
    0x0200000000C8,
    (IPv4Address("10.0.0.200"),),
    TransportProtocol.TCP,
    80,
    (Backend("one", BACKEND.mac, (BACKEND.address,), 80),),
)


def fabric() -> Fabric:
    """Two switches with a TCP proxy each, and a load balancer."""

    def with_proxy(switch: Switch) -> Switch:
        proxy = Interface(4, "proxy", Role.HOST, VLAN, macs=(0x020000000B00 + switch.dpid,), appliance="tcp_proxy")
        return replace(switch, interfaces={**switch.interfaces, 4: proxy})

    switches = {dpid: with_proxy(switch) for dpid, switch in two_switches().switches.items()}
    return Fabric(switches, (_WEB,))


def world_of_services() -> World:
    """A world that is not connected yet."""
    return World(fabric(), TYPES)
