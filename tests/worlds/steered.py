"""A world of three switches in a line, with appliances through which frames of VMs are led.

Instances are played by the world: a bump in the wire sends what comes to one leg out of the other, a router sends it to
the owner of its destination, and neither passes what :attr:`SteeredWorld.refused` says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.topology.appliance import Appliance, ApplianceInstance
from ryu_apps.evb.topology.evb_settings import ReflectiveRelay
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.evb.wire.filter_info import FilterInfo, Vid
from ryu_apps.evb.wire.vdp import ASSOCIATIONS, Association, RequestStatus, VdpMode
from tests.worlds.bridge import BRISK, VLAN, Delivered, Vm, World
from tests.worlds.written_types import loaded_types

PASSED = 4000
#: Legs, inside and outside, by instance.
LEGS = {"one": (4001, 4002), "two": (4003, 4004)}
ROUTER_MACS = {"r1": 0x525400000051, "r2": 0x525400000052}
#: Types: clients of the bump in the wire that block or pass without it, of which only some traffic is chosen; clients
#: of the routers; a type without; instances of either; of an appliance that is not configured; with any address.
BLOCKED, PASSING, SOME, ROUTED, PLAIN, BUMP, ROUTER, LOST, LOOSE = (VsiTypeKey(90 + number, 1) for number in range(9))

_OPEN = "from_vm: {default: allow}\nto_vm: {default: allow}\n"
_LOOSE = f"anti_spoofing: {{mac: false, ip: false, arp: false}}\n{_OPEN}"
POLICIES = loaded_types(
    {
        BLOCKED: f"appliance: {{through: fw}}\nstatistics: {{}}\n{_OPEN}",
        PASSING: f"appliance: {{through: fw, on_failure: pass}}\n{_OPEN}",
        SOME: "appliance:\n  through: fw\n  traffic:\n    - {protocol: udp, peer_port: 443}\n"
        f"    - {{peer: [10.9.0.0/16, 'fd00:9::/32'], protocol: icmp}}\n{_OPEN}",
        ROUTED: f"appliance: {{through: routers}}\n{_OPEN}",
        PLAIN: _OPEN,
        BUMP: f"appliance: {{instance_of: fw}}\n{_LOOSE}",
        ROUTER: f"appliance: {{instance_of: routers}}\n{_LOOSE}",
        LOOSE: _LOOSE,
        LOST: f"appliance: {{through: elsewhere}}\n{_OPEN}",
    },
    "steered",
)
APPLIANCES = (
    Appliance(1, "fw", VLAN, tuple(ApplianceInstance(name, *legs) for name, legs in LEGS.items()), PASSED),
    Appliance(2, "routers", VLAN, tuple(ApplianceInstance(name, mac=mac) for name, mac in ROUTER_MACS.items())),
)


def host_mac(dpid: int) -> int:
    """The address of the end system at a switch."""
    return 0x525400000100 | dpid


def three_switches() -> Fabric:
    """Three switches in a line; each has three stations with reflective relay, and an end system."""

    def switch(dpid: int) -> Switch:
        vids = (*(vid for legs in LEGS.values() for vid in legs), PASSED)
        ports = [
            *(
                Interface(
                    *(number, f"hv{dpid}{number}", Role.STATION),
                    native_vlan=VLAN,
                    tagged_vlans=vids,
                    timers=BRISK,
                    reflective_relay=ReflectiveRelay.ALWAYS,
                )
                for number in (1, 2, 3)
            ),
            Interface(4, f"host{dpid}", Role.HOST, native_vlan=VLAN, macs=(host_mac(dpid),)),
            *(
                Interface(10 + peer, f"s{peer}", Role.TRUNK, peer=PortId(peer, 10 + dpid))
                for peer in (dpid - 1, dpid + 1)
                if 1 <= peer <= 3
            ),
        ]
        return Switch(dpid, f"s{dpid}", {port.port_no: port for port in ports})

    return replace(Fabric({dpid: switch(dpid) for dpid in (1, 2, 3)}), appliances=APPLIANCES)


@dataclass(slots=True)
class Bump(Vm):
    """An instance that is a bump in the wire."""

    instance: str = "one"
    type: VsiTypeKey = BUMP

    def tlv(self, mode: VdpMode, **status: bool) -> Association:
        """Its association TLV: both of its VIDs, with any address."""
        info = FilterInfo.of(*map(Vid, LEGS[self.instance]))
        return ASSOCIATIONS[mode](RequestStatus(**status), *self.type, self.vsi_id, info)


class WholeVlan(Vm):
    """A VM that owns the whole VLAN of the clients."""

    def tlv(self, mode: VdpMode, **status: bool) -> Association:
        """Its association TLV."""
        return ASSOCIATIONS[mode](RequestStatus(**status), *self.type, self.vsi_id, FilterInfo.of(Vid(self.vid)))


def router(name: str) -> Vm:
    """An instance that is a router."""
    return Vm(ROUTER_MACS[name] & 0xFFFF, ROUTER)


@dataclass
class SteeredWorld(World):
    """A world with appliances.

    Attributes:
        passages: name of each instance that a frame of the last :meth:`deliver` has come to, in order.
        refused: frames that the instances do not pass.
        routes: addresses of end systems by the destination's address, for routers.
    """

    fabric: Fabric = field(default_factory=three_switches)
    policies: PolicySet = field(default_factory=lambda: POLICIES)
    passages: list[str] = field(default_factory=list)
    refused: Callable[[Mapping[str, int]], bool] = field(default=lambda frame: False)
    routes: dict[int, int] = field(default_factory=dict)

    def deliver(self, port: PortId, frame: Mapping[str, int]) -> list[Delivered]:
        """Carry a frame, through appliances where they are on its way; returns the copies at other edge ports."""
        self.passages = []
        return self._deliver(port, frame)

    def _deliver(self, port: PortId, frame: Mapping[str, int]) -> list[Delivered]:
        out: list[Delivered] = []
        for copy in self.carry(port, frame):
            assert len(self.passages) < 9, "the frame is in a loop"
            onward = self._inspected(copy)
            if onward is None:
                out.append(copy)
            elif not self.refused(onward):
                out += self._deliver(copy.port, onward)
        return out

    def _inspected(self, copy: Delivered) -> dict[str, int] | None:
        """The frame as an instance sends it on; None: it has not come to an instance."""
        vid, fields = copy.fields["vlan_vid"] & 0xFFF, dict(copy.fields)
        for name, legs in LEGS.items():
            if vid in legs:
                self.passages.append(name)
                return fields | {"vlan_vid": VLAN_PRESENT | legs[1 - legs.index(vid)]}
        for name, mac in ROUTER_MACS.items():
            if fields["eth_dst"] == mac:
                self.passages.append(name)
                return fields | {"eth_src": mac, "eth_dst": self.routes[fields["ipv4_dst"]], "vlan_vid": 0}
        return None
