"""Load balancers of the fabric: a virtual address, and the back ends that serve it.

Plain data, standard library only, as :mod:`ryu_apps.evb.topology.fabric`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address

#: The highest number of a load balancer: each number has 64 groups of back ends in a switch.
MOST_BALANCERS = 0x1FFF


class TransportProtocol(Enum):
    """Transport protocol of a load balancer (value: as in configurations)."""

    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, slots=True)
class Backend:
    """One back end: a VM or an end system at a host port.

    Attributes:
        name: operator's name, unique in its load balancer.
        mac: its MAC address, as a 48-bit integer, in the load balancer's VLAN.
        addresses: its IP addresses; connections over an IP version without one go to other back ends.
        port: TCP or UDP port on which it listens.
        weight: share of new connections in relation to the other back ends; 1..255.
    """

    name: str
    mac: int
    addresses: tuple[IPv4Address | IPv6Address, ...]
    port: int
    weight: int = 1

    def address(self, version: int) -> IPv4Address | IPv6Address | None:
        """The first address of an IP version, None if there is none."""
        return next((address for address in self.addresses if address.version == version), None)


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """One virtual service.

    Attributes:
        number: 1 to :data:`MOST_BALANCERS`, unique in the fabric (:func:`.numbers_of`).
        name: operator's name.
        vid, mac, addresses, protocol, port: VLAN, and the virtual address to which clients connect.
        backends: the servers behind it.
        max_connections: limit, for each switch, of connections of end systems at host ports.
        opening, idle, closing: seconds without a frame until a connection of theirs expires: before the handshake
            is complete (TCP), from then on, and after a FIN or RST.
    """

    number: int
    name: str
    vid: int
    mac: int
    addresses: tuple[IPv4Address | IPv6Address, ...]
    protocol: TransportProtocol
    port: int
    backends: tuple[Backend, ...]
    max_connections: int = 10_000
    opening: int = 10
    idle: int = 3600
    closing: int = 120
