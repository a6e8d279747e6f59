"""Events and outputs of the station VDP machine (``vdp_station``)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ryu_apps.evb.protocol.table import Tick
from ryu_apps.evb.wire.filter_info import FilterInfo
from ryu_apps.evb.wire.vdp import Association, ResponseStatus, VdpMode


# --- events -------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class StationRequest:
    """A request of the hypervisor for this mode; modes may rise or stay until De-Associate.

    ``filter_info`` is a changed filter, None for the same.  ``suspended``: the VM does not run here now; this
    request and its repetitions have the S bit.
    """

    mode: VdpMode
    filter_info: FilterInfo | None = None
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class ResponseReceived:
    """An association TLV of the bridge with this VSI's identity."""

    association: Association


@dataclass(frozen=True, slots=True)
class Suspend:
    """Requests cannot be sent: the link is down or no bridge is known."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Requests can be sent again; the last one is repeated."""


VdpStationEvent = StationRequest | ResponseReceived | Suspend | Resume | Tick


# --- outputs ------------------------------------------------------------------------------------
class RequestOutcome(Enum):
    """Result of a request, or end of the VSI."""

    GRANTED = "granted"
    KEPT = "refused, still associated"
    REFUSED = "refused"
    MISMATCHED = "answer does not match the request"
    TIMED_OUT = "no answer"
    WITHDRAWN = "withdrawn by the bridge"
    LEFT = "de-associated"


@dataclass(frozen=True, slots=True)
class Send:
    """Send this request to the bridge."""

    association: Association


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice to the hypervisor.

    Attributes:
        outcome: result.
        mode: of the answered request, or in force when the VSI ended.
        association: the VSI's request, with VIDs that the bridge filled in.
        status: the bridge's answer, None without one.
    """

    outcome: RequestOutcome
    mode: VdpMode
    association: Association
    status: ResponseStatus | None = None


VdpStationOutput = Send | Notice
