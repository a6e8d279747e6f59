"""Nouns that the layers share: VSI types, bindings, the phases of an association."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from ryu_apps.evb.topology.fabric import PortId

__all__ = ["Binding", "Phase", "PortId", "VsiBinding", "VsiTypeKey"]


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
