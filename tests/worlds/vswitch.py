"""A rack switch and the switches of two servers on a fake clock: taps come and go, under any number.

The rack has a hypervisor with a VEPA, and the NMS; each server has its station at port 2 of its own switch.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ryu_apps.evb.events.switch import PortChanged
from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.topology.evb_settings import ReflectiveRelay
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.evb.topology.vsi_ports import VsiPortPattern
from tests.worlds.bridge import BRISK, NMS_MAC, VLAN, Delivered, Vm
from tests.worlds.rest import RestWorld

RACK, SERVER1, SERVER2 = 1, 0x11, 0x12
STATION1, STATION2 = PortId(SERVER1, 2), PortId(SERVER2, 2)
HV, NMS = PortId(RACK, 1), PortId(RACK, 3)


def server_fabric(port_names: str = "tap{mac}") -> Fabric:
    """The rack and two servers."""
    rack = [
        Interface(1, "hv3", Role.STATION, native_vlan=VLAN, timers=BRISK),
        Interface(3, "nms", Role.HOST, native_vlan=VLAN, macs=(NMS_MAC,)),
        *(Interface(20 + number, f"vs{number}", Role.TRUNK, peer=PortId(0x10 + number, 1)) for number in (1, 2)),
    ]
    servers = {dpid: _server(dpid, port_names) for dpid in (SERVER1, SERVER2)}
    return Fabric({RACK: Switch(RACK, "s1", {port.port_no: port for port in rack}), **servers})


def _server(dpid: int, port_names: str) -> Switch:
    number = dpid & 0xF
    ports = {
        1: Interface(1, "s1", Role.TRUNK, peer=PortId(RACK, 20 + number)),
        2: Interface(
            *(2, f"hv{number}", Role.STATION),
            timers=BRISK,
            reflective_relay=ReflectiveRelay.NEVER,
            port_names=port_names,
        ),
    }
    return Switch(dpid, f"vs{number}", ports, vsi_ports=(VsiPortPattern("tap*", VLAN),))


def tap_of(vm: Vm) -> str:
    """The name of a VM's tap."""
    return f"tap{vm.mac:012x}"


@dataclass
class ServerWorld(RestWorld):
    """The world of the servers.

    Attributes:
        taps: name of the port at each place.
    """

    fabric: Fabric = field(default_factory=server_fabric)
    taps: dict[PortId, str] = field(default_factory=dict)

    def plug(self, place: PortId, name: str) -> None:
        """A tap appears, without a link: nobody uses it yet."""
        self.taps[place] = name
        if place.dpid in self.engine.bringup.switches:
            self.feed(PortChanged(place, False, name=name))

    def unplug(self, place: PortId) -> None:
        """A tap disappears."""
        del self.taps[place]
        if place.dpid in self.engine.bringup.switches:
            self.feed(PortChanged(place, False))

    def names_at(self, dpid: int) -> dict[int, str]:
        configured = {number: f"port{number}" for number in self.fabric.switches[dpid].interfaces}
        return configured | {place.port_no: name for place, name in self.taps.items() if place.dpid == dpid}

    def _ends_at(self, dpid: int) -> dict[int, Interface]:
        taps = {place.port_no: name for place, name in self.taps.items() if place.dpid == dpid}
        return super()._ends_at(dpid) | {number: Interface(number, name, Role.VSI) for number, name in taps.items()}

    def reached(self, place: PortId, source: int, destination: int, **fields: int) -> list[Delivered]:
        """The places that an untagged frame from a place reaches."""
        frame = {"eth_src": source, "eth_dst": destination, "eth_type": 0x88B5, "vlan_vid": 0, **fields}
        delivered = self.carry(place, frame)
        assert all(not found.fields["vlan_vid"] & VLAN_PRESENT for found in delivered), "the VMs are untagged"
        return delivered
