"""Events about a cluster of bridges with one store: who leads."""

from __future__ import annotations

from ryu_apps.evb.event_catalogue.base import LogEvent, event


@event("lead.begun")
class LeadBegun(LogEvent):
    """This member leads from now on: it becomes MASTER of the switches and answers stations.

    Attributes:
        generation: 16 hexadecimal digits.
        before: name of the leader before; empty: there was none, or it has given the lead up.
        reason: ``free``: no member had the lease; ``lapsed``: it was not renewed in time; ``gone``: the process of the
            leader before is gone.
    """

    generation: str
    before: str
    reason: str


@event("lead.ended")
class LeadEnded(LogEvent):
    """This member leads no more: it is a standby, answers no station and changes no switch."""

    reason: str


@event("lead.followed")
class LeaderFollowed(LogEvent):
    """Another member leads.

    Attributes:
        generation: 16 hexadecimal digits.
        address: URL of its REST resources; empty: not configured.
    """

    leader: str
    generation: str
    address: str


@event("lead.missing")
class LeaderMissing(LogEvent):
    """This member knows of no leader, and cannot become it: the store does not answer."""

    reason: str
