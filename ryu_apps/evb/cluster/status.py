"""The cluster as one member knows it, for REST and metrics."""

from __future__ import annotations

from dataclasses import dataclass

from ryu_apps.evb.cluster.members import StandbyStatus


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """The cluster as one member knows it.

    Attributes:
        name: of this member.
        leads: this member leads.
        leader: name of the leader; empty: none is known.
        address: URL of the leader's REST resources, with a slash at the end; empty: not known.
        generation: of the leader, or of the last one.
        since: Unix time at which it began to lead, by its clock; 0.0: not known.
        reason: for which this member claimed the lease, as in ``lead.begun``; empty: it does not lead.
        lost: number of times at which this member has lost the lead, without having given it up.
        silent: seconds since the lease was last seen to change.
        standbys: as the leader knows them; empty at others.
    """

    name: str
    leads: bool
    leader: str
    address: str
    generation: int
    since: float
    reason: str
    lost: int
    silent: float
    standbys: tuple[StandbyStatus, ...]
