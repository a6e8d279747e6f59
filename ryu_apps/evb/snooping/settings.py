"""What an operator may say of snooping for all VLANs and for single ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ryu_apps.evb.snooping.timers import MembershipTimers


@dataclass(frozen=True, slots=True)
class Querying:
    """The querier of a VLAN: whether it is on, and its timers."""

    on: bool = True
    timers: MembershipTimers = MembershipTimers()


@dataclass(frozen=True, slots=True)
class Snooping:
    """All queriers.

    Attributes:
        usual: what holds for VLANs that are not named.
        vlans: by VID.
    """

    usual: Querying = Querying()
    vlans: Mapping[int, Querying] = field(default_factory=dict)

    def querying(self, vid: int) -> Querying:
        """What holds for a VLAN."""
        return self.vlans.get(vid, self.usual)


#: Nothing said: every VLAN in which somebody is snooped has a querier.
USUAL = Snooping()
