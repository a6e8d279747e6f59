"""The cluster: who leads, redirection to the leader, and the transfer of the lead."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from ryu_apps.evb.cluster.members import StandbyStatus
from ryu_apps.evb.cluster.status import ClusterStatus
from ryu_apps.evb.generation import text
from ryu_apps.evb.policy.validate import Strict
from ryu_apps.rest.bridge import Bridge, Reply, RestError


class StandbyJson(TypedDict):
    """A standby as the leader hears it."""

    name: str
    lag: float | None
    heard: float
    switches: int
    version: str


class ClusterJson(TypedDict):
    """A member's view of its cluster."""

    name: str
    leads: bool
    leader: str | None
    address: str | None
    generation: str
    since: float | None
    reason: str | None
    lost: int
    silent: float
    standbys: list[StandbyJson]


#: A lead that is given up, and the member that is to have it; null: any.
TransferredJson = TypedDict("TransferredJson", {"from": str, "to": str | None})


#: Seconds since the last report of a standby for which the lead is given to it.
_ALIVE = 5.0


class Transfer(Strict):
    """The member that is to lead; left out: any."""

    to: Annotated[str, Field(max_length=64)] | None = None


def cluster_json(status: ClusterStatus | None) -> ClusterJson | None:
    """A member's view of its cluster; None: the bridge is alone."""
    if status is None:
        return None
    return {
        "name": status.name,
        "leads": status.leads,
        "leader": status.leader or None,
        "address": status.address or None,
        "generation": text(status.generation),
        "since": status.since or None,
        "reason": status.reason or None,
        "lost": status.lost,
        "silent": round(status.silent, 3),
        "standbys": [_standby_json(standby) for standby in status.standbys],
    }


def _standby_json(standby: StandbyStatus) -> StandbyJson:
    return {
        "name": standby.name,
        "lag": None if standby.lag is None else round(standby.lag, 3),
        "heard": round(standby.heard, 3),
        "switches": standby.switches,
        "version": standby.version,
    }


def refer_to_leader(status: ClusterStatus, path: str) -> RestError:
    """Return the answer of a member that does not lead: 307 to the leader, or 503.

    Args:
        path: of the request, with its query.
    """
    if status.leader == status.name:
        return RestError(503, "this member has just begun to lead", **{"Retry-After": "1"})
    if status.leader and status.address:
        place = status.address + path.lstrip("/")
        return RestError(307, f"{status.leader} leads the cluster", Location=place)
    if status.leader:
        return RestError(503, f"{status.leader} leads the cluster, whose address is not configured there")
    return RestError(503, "no member of the cluster leads at the moment", **{"Retry-After": "1"})


def transfer(bridge: Bridge, now: float, body: Transfer) -> Reply[TransferredJson]:
    """Give the lead up to a standby.

    Raises:
        RestError: 409, the bridge is no member of a cluster, or there is no such standby, or it is not alive.
    """
    status = bridge.cluster(now)
    if status is None:
        raise RestError(409, "this bridge is no member of a cluster")
    alive = [standby.name for standby in status.standbys if standby.heard < _ALIVE]
    if not alive or body.to not in (None, *alive):
        wanted = "no standby" if body.to is None else f"no standby {body.to!r}"
        raise RestError(
            409, f"{wanted} has reported within {_ALIVE:g} s; those that have: {', '.join(alive) or 'none'}"
        )
    bridge.transfer(body.to or "")
    return Reply(202, {"from": status.name, "to": body.to})
