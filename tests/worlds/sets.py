"""A world with types whose rules name sets of addresses, and with types whose VSIs are members."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import Binding, VsiTypeKey
from ryu_apps.evb.pipeline.address_sets import FIELDS
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.filter_info import FilterInfo, MacVid
from ryu_apps.evb.wire.vdp import ASSOCIATIONS, Association, RequestStatus, VdpMode
from tests.worlds.bridge import VLAN, Vm, World
from tests.worlds.written_types import loaded_types

#: Types of members: by a label; by their number alone; by a label, but with no check of IP addresses.
WEB, BATCH, LOOSE = VsiTypeKey(60, 1), VsiTypeKey(61, 1), VsiTypeKey(62, 1)
#: Types that name sets: as source of what the VM receives; in a firewall; as destination of what it sends; both, in one
#: rule, beside a network; the same set as the first one.
DATABASE, GUARDED, CLIENT_OF, PEER, SECOND = (VsiTypeKey(64 + number, 1) for number in range(5))

_WEB_SET = "sets: {web: {labels: [web], types: [61]}}\n"
_BODIES = {
    WEB: "labels: [web]\nfrom_vm: {default: allow}\nto_vm: {default: allow}\n",
    BATCH: "from_vm: {default: allow}\nto_vm: {default: allow}\n",
    LOOSE: "labels: [web]\nanti_spoofing: {ip: false}\nfrom_vm: {default: allow}\nto_vm: {default: allow}\n",
    DATABASE: _WEB_SET
    + """\
from_vm: {default: allow}
to_vm:
  rules:
    - rule: {ipv4_src: $web, tcp_dst: 5432, actions: {allow: 1}}
    - rule: {ipv6_src: $web, tcp_dst: 5432, actions: {allow: 1}}
""",
    GUARDED: _WEB_SET
    + """\
firewall:
  to_vm:
    rules:
      - rule: {ipv4_src: $web, tcp_dst: 5432, actions: {allow: 1}}
""",
    CLIENT_OF: _WEB_SET
    + """\
to_vm: {default: allow}
from_vm:
  rules:
    - rule: {ipv4_dst: $web, actions: {allow: 1}}
    - rule: {ipv6_dst: $web, actions: {allow: 1}}
""",
    PEER: """\
sets: {web: {labels: [web]}, peers: {types: [67/1]}}
from_vm: {default: allow}
to_vm:
  rules:
    - rule: {ipv4_src: [$web, $peers, 192.0.2.0/24], ipv4_dst: $peers, actions: {allow: 1}}
""",
    SECOND: """\
sets: {visitors: {types: [61], labels: [web]}}
from_vm: {default: allow}
to_vm:
  rules:
    - rule: {ipv4_src: $visitors, actions: {allow: 1}}
""",
}


POLICIES = loaded_types(_BODIES, "some")


@dataclass(slots=True)
class MultiVm(Vm):
    """A VM with several addresses as one VSI: each MAC address in each VLAN."""

    macs: tuple[int, ...] = (0x5254000000A1, 0x5254000000A2)
    vids: tuple[int, ...] = (VLAN, 200)
    addresses: tuple[IPv4Address | IPv6Address, ...] = (ip_address("10.0.100.91"), ip_address("10.0.200.91"))

    def tlv(self, mode: VdpMode, **status: bool) -> Association:
        """Its association TLV."""
        info = FilterInfo.of(*(MacVid(vid=vid, mac=mac) for mac in self.macs for vid in self.vids))
        return ASSOCIATIONS[mode](RequestStatus(**status), *self.type, self.vsi_id, info)


@dataclass
class SetWorld(World):
    """A world in which frames are TCP segments between VMs."""

    policies: PolicySet = field(default_factory=lambda: POLICIES)

    def connect_to(self, sender: PortId, receiver: Vm, tcp_dst: int = 5432, **fields: int) -> list[PortId]:
        """Send the first segment of a connection; returns the ports at which it leaves the fabric."""
        segment = {
            "eth_type": 0x0800,
            "ip_proto": 6,
            "tcp_src": 4000,
            "tcp_dst": tcp_dst,
            "tcp_flags": 2,
            "vlan_vid": 0,
        }
        whole = {**segment, "eth_dst": receiver.mac, "ipv4_dst": int(receiver.address), **fields}
        return [copy.port for copy in self.carry(sender, whole)]


def from_vm(vm: Vm, address: IPv4Address | None = None) -> dict[str, int]:
    """Source fields of a frame from a VM."""
    return {"eth_src": vm.mac, "ipv4_src": int(address or vm.address)}


def members(world: World, dpid: int) -> set[tuple[Binding, str]]:
    """Return the members of all sets that a switch has: VID and MAC address, and IP address."""
    return {_member(rule) for rule in world.tables[dpid].rules.values() if rule.table == Table.MEMBERS}


def pairs(vms: Iterable[Vm]) -> set[tuple[Binding, str]]:
    """Members that VMs with one address each are."""
    return {(Binding(vm.vid, vm.mac), str(vm.address)) for vm in vms}


def _member(rule: Rule) -> tuple[Binding, str]:
    found = {field_match.name: field_match.value for field_match in rule.match}
    (name,) = FIELDS.keys() & found.keys()
    version = IPv4Address if FIELDS[name].version == 4 else IPv6Address
    return Binding(found["vlan_vid"] & ~VLAN_PRESENT, found[FIELDS[name].mac]), str(version(found[name]))
