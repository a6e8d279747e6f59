"""Owners of MAC and IP addresses: end systems, load balancers, appliances, bridge ports, stations and other VSIs."""

from __future__ import annotations

from collections.abc import Callable, Container

from ryu_apps.evb.model import Binding
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.vsi.registry import Attachment, Registry
from ryu_apps.evb.wire.ip import IpAddress

#: First addresses of blocks of virtual routers, the number of bits that vary, and the protocol:
#: RFC 5798 7.3 (CARP has the same); Cisco's HSRP, HSRP version 2, HSRP for IPv6 and GLBP.
_VIRTUAL_ROUTERS = (
    (0x00005E000100, 8, "VRRP"),
    (0x00005E000200, 8, "VRRP"),
    (0x00000C07AC00, 8, "HSRP"),
    (0x00000C9FF000, 12, "HSRP"),
    (0x000573A00000, 12, "HSRP"),
    (0x0007B4000000, 24, "GLBP"),
)


class AddressOwners:
    """Lookup of the owner of an address other than the VSI that requests it.

    Args:
        bridge: addresses of the bridge's own ports, 48 bits.
        station_elsewhere: True for a MAC address of the station of another port than the attachment's.
    """

    def __init__(
        self,
        fabric: Fabric,
        registry: Registry,
        bridge: Container[int],
        station_elsewhere: Callable[[Attachment, int], bool],
    ) -> None:
        self._registry = registry
        self._balancers = fabric.balancers
        self._bridge = bridge
        self._station_elsewhere = station_elsewhere
        hosts = [one for port in fabric.ports(Role.HOST) if (one := fabric.interface(port))]
        self._host_macs = frozenset(mac for host in hosts for mac in host.macs)
        self._fabric = fabric
        self._configured = {
            (vid, address): host.name for host in hosts for vid in host.vids for address in host.addresses
        }

    def binding(self, attachment: Attachment, instance_of: str, binding: Binding) -> str | None:
        """Return the owner of a (VID, MAC), None if it is free or the VSI's own.

        Args:
            instance_of: appliance of which the VSI is an instance; empty: of none.
        """
        mac = binding.mac
        if mac is not None and (owner := self._mac(attachment, mac)):
            return owner
        # A frame with this address as source has passed the appliance.
        appliance = self._fabric.router_of(*binding)
        if appliance is not None and appliance != instance_of:
            return f"a router of appliance {appliance!r}"
        other = self._registry.conflict(attachment, binding)
        return other.text if other else None

    def address(self, attachment: Attachment, macs: Container[int | None], vid: int, address: IpAddress) -> str | None:
        """Return the owner of an IP address in a VLAN, None if it is free or the VSI's own (``macs``)."""
        if host := self._configured.get((vid, address)):
            return f"the end system {host}"
        for balancer in self._balancers:
            if balancer.vid != vid:
                continue
            if address in balancer.addresses:
                return f"the load balancer {balancer.name}"
            for backend in balancer.backends:
                if address in backend.addresses and backend.mac not in macs:
                    return f"the back end {backend.name} of {balancer.name}"
        other = self._registry.addressed(attachment, vid, address)
        return other.text if other else None

    def _mac(self, attachment: Attachment, mac: int) -> str | None:
        if mac in self._host_macs:
            return "a configured end system"
        if mac in self._bridge:
            return "a port of the bridge"
        if balancer := next((balancer for balancer in self._balancers if balancer.mac == mac), None):
            return f"the load balancer {balancer.name}"
        for first, bits, protocol in _VIRTUAL_ROUTERS:
            if mac >> bits == first >> bits:
                return f"virtual routers ({protocol})"
        return "another station" if self._station_elsewhere(attachment, mac) else None
