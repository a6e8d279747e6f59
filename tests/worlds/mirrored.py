"""A world with a mirror at one switch, which the other switch reaches by its trunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from tests.worlds.bridge import S1, Delivered, World, two_switches
from tests.worlds.written_types import loaded_types

#: The port of the mirror, and the VID of copies on trunks.
IDS, REMOTE = PortId(S1, 9), 4001
#: Types: both directions; one of them each; both, with a policy that lets little pass; not copied; all that a type may
#: have besides; a mirror that is not configured.
BOTH, SENT, RECEIVED, STRICT, PLAIN, RICH, LOST = (VsiTypeKey(70 + number, 1) for number in range(7))

_OPEN = "from_vm: {default: allow}\nto_vm: {default: allow}\n"
_BODIES = {
    BOTH: f"mirror: {{to: ids}}\n{_OPEN}",
    SENT: f"mirror: {{to: ids, direction: from_vm}}\n{_OPEN}",
    RECEIVED: f"mirror: {{to: ids, direction: to_vm}}\n{_OPEN}",
    STRICT: "mirror: {to: ids}\nfrom_vm: {rules: [{rule: {udp_dst: 53, actions: {allow: 1}}}]}\n",
    PLAIN: _OPEN,
    RICH: "mirror: {to: ids}\nstatistics: {}\nfirewall: {to_vm: {default: allow}}\n"
    "bandwidth: {from_vm: {rate: 1000}, to_vm: {rate: 1000}}\nlabels: [rich]\nsets: {peers: {labels: [rich]}}\n"
    "network: {vlan: [100, 200], pcp: 5}\nfrom_vm: {default: allow}\n"
    "to_vm: {rules: [{rule: {ipv4_src: $peers, actions: {allow: 1}}}]}\n",
    LOST: f"mirror: {{to: elsewhere}}\n{_OPEN}",
}


POLICIES = loaded_types(_BODIES, "mirrored")


def with_mirror(fabric: Fabric, remote_vlan: int | None = REMOTE) -> Fabric:
    """The same fabric with a mirror."""
    switch = fabric.switches[IDS.dpid]
    port = Interface(IDS.port_no, "ids", Role.MIRROR, remote_vlan=remote_vlan)
    changed = replace(switch, interfaces={**switch.interfaces, IDS.port_no: port})
    return replace(fabric, switches={**fabric.switches, IDS.dpid: changed})


@dataclass
class MirrorWorld(World):
    """A world in which copies arrive at a mirror."""

    fabric: Fabric = field(default_factory=lambda: with_mirror(two_switches()))
    policies: PolicySet = field(default_factory=lambda: POLICIES)

    def sent_by(self, port: PortId, frame: Mapping[str, int]) -> tuple[list[Delivered], list[PortId]]:
        """Carry a frame; returns the copies at the mirror, and the ports at which it is delivered."""
        out = self.carry(port, frame)
        return [copy for copy in out if copy.port == IDS], sorted(copy.port for copy in out if copy.port != IDS)
