"""Which VSI manager is served from where: the Manager ID TLV of a request to a source of VSI types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from ryu_apps.evb.policy.offer import HttpSource
from ryu_apps.evb.wire.vdp import ManagerId

#: All zeros: the station leaves the choice to the bridge.
NOBODY = ManagerId()


class Here(Enum):
    """A manager that nobody is asked about."""

    LOCAL = "local"
    """Its types are those of the local directory."""
    REFUSED = "refuse"
    """It is not served at all."""


@dataclass(frozen=True, slots=True)
class VsiManagers:
    """The managers of a configuration.

    Attributes:
        listed: those that it speaks of.
        unlisted: what the others get.
    """

    listed: Mapping[ManagerId, HttpSource | Here] = field(default_factory=dict)
    unlisted: Here = Here.LOCAL

    def source(self, manager_id: ManagerId) -> HttpSource | Here:
        """Where the types of a manager are."""
        return self.listed.get(manager_id, Here.LOCAL if manager_id == NOBODY else self.unlisted)


#: What there is without a configuration.
ALL_LOCAL = VsiManagers()
