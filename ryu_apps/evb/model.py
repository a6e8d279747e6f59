"""Values that the layers share: VSI types, bindings, phases of an association, source filters of groups."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

from ryu_apps.evb.topology.port_id import PortId

__all__ = [
    "ALL_SOURCES",
    "AN_HOUR",
    "CONTROL_GROUPS",
    "NO_SOURCES",
    "Binding",
    "MulticastGroup",
    "Phase",
    "PortId",
    "Retention",
    "SourceFilter",
    "Subscription",
    "VsiBinding",
    "VsiTypeKey",
    "is_control",
]


class VsiTypeKey(NamedTuple):
    """VSI Type ID (24 bits) and version (8 bits): the name of a port profile."""

    type_id: int
    version: int

    def __str__(self) -> str:
        return f"{self.type_id}/{self.version}"


class Binding(NamedTuple):
    """One resolved filter entry: a VID and, unless the filter names only the VID, a MAC address.

    ``mac`` is a 48-bit integer or None (filter formats without a MAC).
    """

    vid: int
    mac: int | None


class Minimum(NamedTuple):
    """Reserved rates of a VSI, kbit/s."""

    from_vm: int = 0
    to_vm: int = 0


class VsiClaims(NamedTuple):
    """The part of a VSI's data that its station requests, as in :class:`VsiBinding`."""

    bindings: tuple[Binding, ...]
    addresses: tuple[IPv4Address | IPv6Address, ...] = ()
    priorities: tuple[tuple[Binding, int], ...] = ()
    vsi_port: str = ""


class GateMeter(NamedTuple):
    """The meter by which the gate of a VSI opens.

    Attributes:
        number: of the meter, 1 or more, among those of the gates of its switch.
        both: frames to the VM pass it too; False: only those from the VM.
    """

    number: int
    both: bool


@dataclass(frozen=True, slots=True)
class VsiBinding:
    """The data of one VSI from which its rules are compiled, besides its type.

    Attributes:
        vsi_index: 20-bit index of the VSI in metadata and cookies.
        generation: 24-bit number of the association that installs the rules; part of the cookie.
        bindings: resolved filter entries.
        addresses: IP addresses of the VM, from organizational TLVs or announcements; empty if unknown.
        priorities: default PCP of each binding that has one.
        vsi_port: name of the VSI port behind which the VM is; empty: it is behind the port of its station.
        gate_meter: None: its gate has no meter.
    """

    vsi_index: int
    generation: int
    bindings: tuple[Binding, ...]
    addresses: tuple[IPv4Address | IPv6Address, ...] = ()
    priorities: tuple[tuple[Binding, int], ...] = ()
    vsi_port: str = ""
    gate_meter: GateMeter | None = None

    @property
    def claims(self) -> VsiClaims:
        """The part that the station requests."""
        return VsiClaims(self.bindings, self.addresses, self.priorities, self.vsi_port)

    @property
    def vids(self) -> tuple[int, ...]:
        """Its VLANs."""
        return tuple(dict.fromkeys(pair.vid for pair in self.bindings))

    @property
    def macs(self) -> tuple[int, ...]:
        """The distinct MAC addresses, in filter order."""
        return tuple(dict.fromkeys(binding.mac for binding in self.bindings if binding.mac is not None))


class Phase(Enum):
    """State of the rules of a VSI at one port."""

    NONE = "none"
    PREASSOCIATED = "preassociated"
    """Validated; no rule anywhere."""
    STAGING = "staging"
    STAGED = "staged"
    """Body confirmed and read back; no gate."""
    ACTIVATING = "activating"
    ACTIVE = "active"
    """Gate confirmed."""
    RELEASING = "releasing"


MulticastGroup = IPv4Address | IPv6Address

#: Link-local groups: forwarded to all ports at all times, without membership (RFC 4541 2.1.2).
CONTROL_GROUPS = IPv4Network("224.0.0.0/24"), IPv6Network("ff02::/16")


def is_control(group: MulticastGroup) -> bool:
    """True for a link-local group, whose frames are forwarded to all ports."""
    return any(group in network for network in CONTROL_GROUPS)


class SourceFilter(NamedTuple):
    """The filter mode and the source list of a group (RFC 3376 3.1).

    Attributes:
        exclude: mode EXCLUDE, all sources but these; else mode INCLUDE, these sources only.
    """

    exclude: bool
    sources: frozenset[MulticastGroup] = frozenset()

    def passes(self, source: MulticastGroup | None) -> bool:
        """True if frames from a source pass; None stands for any source outside the list."""
        return (source in self.sources) is not self.exclude

    @property
    def empty(self) -> bool:
        """True for INCLUDE of no source: the group is not received."""
        return not self.exclude and not self.sources


#: A group from all sources.
ALL_SOURCES = SourceFilter(True)
NO_SOURCES = SourceFilter(False)


class Subscription(NamedTuple):
    """One group that a VSI receives at one of its bindings."""

    binding: Binding
    group: MulticastGroup
    source_filter: SourceFilter


class Retention(NamedTuple):
    """Limits on the totals that are kept of VSIs without any association.

    Attributes:
        secs: seconds since the last of the VSI's counters was read completely.
        vsis: number of VSIs; beyond it the oldest are dropped.
    """

    secs: int = 3600
    vsis: int = 100


#: The default.
AN_HOUR = Retention()
