"""Sources of VSI types: the mapping from the Manager ID TLV of a request to the local directory or a URL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from ryu_apps.evb.policy.offer import HttpSource
from ryu_apps.evb.wire.vdp import ManagerId

#: All zeros: the station leaves the choice to the bridge.
NOBODY = ManagerId()


class Here(Enum):
    """A manager whose types are not fetched."""

    LOCAL = "local"
    """Its types are those of the local directory."""
    REFUSED = "refuse"
    """It is not served at all."""


@dataclass(frozen=True, slots=True)
class VsiManagers:
    """The managers of a configuration.

    Attributes:
        listed: managers of the configuration.
        unlisted: treatment of all others.
    """

    listed: Mapping[ManagerId, HttpSource | Here] = field(default_factory=dict)
    unlisted: Here = Here.LOCAL

    def source(self, manager_id: ManagerId) -> HttpSource | Here:
        """Return the source of a manager's types."""
        return self.listed.get(manager_id, Here.LOCAL if manager_id == NOBODY else self.unlisted)


#: The default without a configuration.
ALL_LOCAL = VsiManagers()
