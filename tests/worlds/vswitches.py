"""Two servers of one distributed vSwitch, the first of which is a single one as well, in VLANs apart."""

from __future__ import annotations

from dataclasses import dataclass, field

from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.station_limits import StationLimits
from ryu_apps.evb.topology.vswitches import Vswitch
from tests.worlds.bridge import VLAN, Vm
from tests.worlds.counting import POLICIES, udp
from tests.worlds.vswitch import SERVER1, SERVER2, ServerWorld, server_fabric, tap_of

OTHER_VLAN = 200
DISTRIBUTED = Vswitch("dvs1", (SERVER1, SERVER2), "tap*", (VLAN,))
SINGLE = Vswitch("svs1", (SERVER1,), "tap*", (OTHER_VLAN,))
UNLIMITED = StationLimits()


def vswitch_fabric(limits: StationLimits = UNLIMITED, max_vsis: int | None = None) -> Fabric:
    """The rack; limits are those of the distributed vSwitch."""
    distributed = DISTRIBUTED._replace(limits=limits, max_vsis=max_vsis)
    return server_fabric().with_vswitches((distributed, SINGLE))


@dataclass
class VswitchWorld(ServerWorld):
    """The world of the vSwitches, with types that count."""

    fabric: Fabric = field(default_factory=vswitch_fabric)
    policies: PolicySet = POLICIES

    def plug_in(self, vm: Vm, place: PortId) -> None:
        """The tap of a VM appears."""
        self.plug(place, tap_of(vm))

    def talk(self, place: PortId, sender: Vm, receiver: Vm, times: int) -> int:
        """Send permitted datagrams of 60 octets to another VM; returns the number of copies delivered."""
        frame = udp(sender.mac, receiver.mac, 443, int(receiver.address), int(sender.address))
        return len(self.carry(place, frame, 60, times))
