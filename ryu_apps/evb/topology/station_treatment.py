"""Treatment of the requests of a station, and the kinds of stations that differ in it.

Plain data, standard library only, as :mod:`ryu_apps.evb.topology.fabric`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Takeover(Enum):
    """Condition of a takeover of a VSI that is alive at another port."""

    ANNOUNCED = "announced"
    """A Pre-Associate since its present owner became its owner, or the M bit."""
    RESERVED = "reserved"
    """A Pre-Associate since then that was granted with a reservation."""
    ANY = "any"


class StationKind(Enum):
    """Kind of the EVB station at a port; a preset of the treatment of its requests."""

    EVB = "evb"
    """A station as 802.1Q describes it."""
    LIBVIRT = "libvirt"
    """libvirt over lldpad, which ignores a refused Associate, and repeats null VIDs that were filled in."""
    AUTO = "auto"
    """Requests of the form of libvirt's are treated as those of libvirt, all others as those of a station."""


#: ``StationTreatment.notify_displaced`` of a station that is never notified.
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class StationTreatment:
    """Treatment of the requests of a station.

    Attributes:
        keep_null_vids: answer null VIDs as they are; else answer the VIDs for which they stand.
        notify_displaced: seconds from the move of a VSI to the De-Associate for the station that it has left;
            ``NEVER``: only the station ends its association.
        stage_on_preassociate: stage at a plain Pre-Associate too.
        ignores_refusals: after a Pre-Associate, the hypervisor runs the VM whatever its Associate is answered.
    """

    keep_null_vids: bool = False
    notify_displaced: float = 0.0
    stage_on_preassociate: bool = False
    ignores_refusals: bool = False


#: libvirt's own De-Associate follows about 2 s after a move; an earlier one of the bridge makes it associate again.
OF_LIBVIRT = StationTreatment(True, 30.0, True, True)
