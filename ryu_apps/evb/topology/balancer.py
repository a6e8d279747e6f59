"""Load balancers of the fabric: an address that no end system has, and the back ends that stand behind it.

Plain data, standard library only, as :mod:`ryu_apps.evb.topology.fabric`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address


class TransportProtocol(Enum):
    """What is balanced (value: as configurations write it)."""

    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, slots=True)
class Backend:
    """One back end: a VM or an end system at a host port.

    Attributes:
        name: operator's name, unique in its load balancer.
        mac: its address, as a 48-bit integer, in the load balancer's VLAN.
        addresses: its own; connections over an IP version it has no address of go to others.
        port: where it listens.
        weight: its share of new connections, in relation to the others; 1..255.
    """

    name: str
    mac: int
    addresses: tuple[IPv4Address | IPv6Address, ...]
    port: int
    weight: int = 1

    def address(self, version: int) -> IPv4Address | IPv6Address | None:
        """Its first address of an IP version; None: it has none."""
        return next((one for one in self.addresses if one.version == version), None)


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """One virtual service.

    Attributes:
        number: 1 or more, unique in the fabric; it may be another one after the configuration has changed.
        name: operator's name.
        vid, mac, addresses, protocol, port: where clients find it.
        backends: who serves them.
        max_connections: that end systems at host ports may have through one switch.
        opening, idle, closing: seconds without a frame until one of theirs is forgotten: before the client has
            answered (TCP), from then on, and after a FIN or RST.
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
