"""Whose a MAC or IP address is, so that a VSI cannot have it: questions about what is configured and who is where."""

from __future__ import annotations

from collections.abc import Callable, Container

from ryu_apps.evb.model import Binding
from ryu_apps.evb.topology.fabric import Fabric, Role
from ryu_apps.evb.vsi.registry import Attachment, Registry
from ryu_apps.evb.wire.ip import IpAddress

#: First addresses of blocks that routers share among themselves, how many bits number them, and whose they are:
#: RFC 5798 7.3 (CARP has the same); Cisco's HSRP, HSRP version 2, HSRP for IPv6 and GLBP.
_VIRTUAL_ROUTERS = (
    (0x00005E000100, 8, "VRRP"),
    (0x00005E000200, 8, "VRRP"),
    (0x00000C07AC00, 8, "HSRP"),
    (0x00000C9FF000, 12, "HSRP"),
    (0x000573A00000, 12, "HSRP"),
    (0x0007B4000000, 24, "GLBP"),
)


class Belongings:
    """Who has what besides the VSI that asks for it.

    Args:
        bridge: addresses of the bridge's own ports, 48 bits.
        station_elsewhere: whether a MAC address is that of the station of another port than the attachment's.
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
        self._host_macs = frozenset(mac for one in hosts for mac in one.macs)
        self._configured = {(vid, address): one.name for one in hosts for vid in one.vids for address in one.addresses}

    def binding(self, attachment: Attachment, binding: Binding) -> str | None:
        """Who has this (VID, MAC), None if it is free or the VSI's own."""
        mac = binding.mac
        if mac is not None and (owner := self._mac(attachment, mac)):
            return owner
        other = self._registry.conflict(attachment, binding)
        return other.text if other else None

    def address(self, attachment: Attachment, macs: Container[int | None], vid: int, address: IpAddress) -> str | None:
        """Who has this IP address in this VLAN, None if it is free or the VSI's own, whose MAC addresses are given."""
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
        if balancer := next((one for one in self._balancers if one.mac == mac), None):
            return f"the load balancer {balancer.name}"
        for first, bits, protocol in _VIRTUAL_ROUTERS:
            if mac >> bits == first >> bits:
                return f"virtual routers ({protocol})"
        return "another station" if self._station_elsewhere(attachment, mac) else None
