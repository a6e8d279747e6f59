"""Rules of a sample VSI at a port, by which a switch without extensions is examined before it is sent any rule."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import Binding, VsiBinding, VsiTypeKey
from ryu_apps.evb.pipeline.flood import FloodMember
from ryu_apps.evb.pipeline.flood_classes import ClassFlood, FloodClass
from ryu_apps.evb.pipeline.gate import local_gate, to_vm_metadata
from ryu_apps.evb.policy.model import Acl, VsiType
from ryu_apps.evb.services.body import body_of_type, body_of_vsi
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.switch import Profile

_VID, _MAC, _EPOCH = 1, 0x020000000001, 1
_PLAIN = Profile.OPENFLOW13
_EVERYTHING = Acl(default=True)
#: All checks of anti-spoofing, and nothing that an operator chooses.
_TYPE = VsiType(VsiTypeKey(0, 0), "sample", _EVERYTHING, _EVERYTHING)
_ADDRESSES = IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1")


def sample(interface: Interface) -> Iterator[Rule]:
    """The body, gate and flood rules of a VSI of the simplest type at a station port; none at another port."""
    if interface.role is not Role.STATION:
        return
    vid = interface.native_vlan or next(iter(interface.tagged_vlans), _VID)
    # With a default priority, which an Associate may bring.
    vid_mac = Binding(vid, _MAC)
    binding = VsiBinding(1, 1, (vid_mac,), _ADDRESSES, ((vid_mac, 1),))
    yield from body_of_type(_TYPE, _EPOCH, _PLAIN)
    yield from body_of_vsi(_TYPE, binding, _PLAIN)
    yield from local_gate(interface, binding, _EPOCH).values()
    flood = ClassFlood(vid, (), frozenset({interface.port_no} if vid == interface.native_vlan else ()))
    classes = frozenset(found.number for found in FloodClass)
    flood.add(FloodMember(to_vm_metadata(interface.port_no, 1, _EPOCH), _MAC, classes=classes))
    yield from flood.rules().values()
