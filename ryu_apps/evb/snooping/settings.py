"""Configuration of multicast snooping, for all VLANs and for single ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ryu_apps.evb.snooping.timers import MembershipTimers


@dataclass(frozen=True, slots=True)
class Querying:
    """Configuration of the querier of a VLAN."""

    on: bool = True
    timers: MembershipTimers = MembershipTimers()


@dataclass(frozen=True, slots=True)
class Snooping:
    """All queriers.

    Attributes:
        usual: configuration of VLANs that are not in ``vlans``.
        vlans: VID -> configuration.
    """

    usual: Querying = Querying()
    vlans: Mapping[int, Querying] = field(default_factory=dict)

    def querying(self, vid: int) -> Querying:
        """The configuration of a VLAN."""
        return self.vlans.get(vid, self.usual)


#: The default: every VLAN with a snooped VSI has a querier.
USUAL = Snooping()
