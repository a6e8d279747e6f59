"""Nouns that the layers share: VSI types, bindings, the phases of an association."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

from ryu_apps.evb.topology.fabric import PortId

__all__ = [
    "AN_HOUR",
    "CONTROL_GROUPS",
    "EVERYTHING",
    "NOTHING",
    "Binding",
    "Interest",
    "MulticastGroup",
    "Phase",
    "PortId",
    "Retention",
    "VsiBinding",
    "VsiTypeKey",
    "Wish",
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


@dataclass(frozen=True, slots=True)
class VsiBinding:
    """Everything the policy of one VSI depends on besides its type.

    Attributes:
        vsi_index: 20-bit index that stands for the VSI in metadata and cookies.
        generation: 24-bit number of the association that installs the rules.
        bindings: resolved filter entries.
        addresses: IP addresses known to belong to the VM; empty when nobody told us.
    """

    vsi_index: int
    generation: int
    bindings: tuple[Binding, ...]
    addresses: tuple[IPv4Address | IPv6Address, ...] = ()

    @property
    def macs(self) -> tuple[int, ...]:
        """The distinct MAC addresses, in filter order."""
        return tuple(dict.fromkeys(one.mac for one in self.bindings if one.mac is not None))


class Phase(Enum):
    """What the switches hold for a VSI at one port."""

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

#: Groups of the link itself, which everybody receives at all times: they need no membership (RFC 4541 2.1.2).
CONTROL_GROUPS = IPv4Network("224.0.0.0/24"), IPv6Network("ff02::/16")


def is_control(group: MulticastGroup) -> bool:
    """Whether frames to a group reach everybody."""
    return any(group in network for network in CONTROL_GROUPS)


class Wish(NamedTuple):
    """Which sources of a group somebody wants to hear (RFC 3376 3.1: a filter mode and a source list).

    Attributes:
        exclude: all sources but these; else these only.
    """

    exclude: bool
    sources: frozenset[MulticastGroup] = frozenset()

    def wants(self, source: MulticastGroup | None) -> bool:
        """Whether frames from a source are wanted; None: from one that nobody has named."""
        return (source in self.sources) is not self.exclude

    @property
    def nothing(self) -> bool:
        """Whether it is no wish at all."""
        return not self.exclude and not self.sources


#: A group whatever the source.
EVERYTHING = Wish(True)
NOTHING = Wish(False)


class Interest(NamedTuple):
    """One group that a VSI is to receive, by one of its addresses."""

    binding: Binding
    group: MulticastGroup
    wish: Wish


class Retention(NamedTuple):
    """How long what was counted of VSIs that are nowhere any more is remembered.

    Attributes:
        secs: since the last of its counters was read to the end.
        vsis: so many of them, the newest.
    """

    secs: int = 3600
    vsis: int = 100


#: Unless the configuration says otherwise.
AN_HOUR = Retention()
