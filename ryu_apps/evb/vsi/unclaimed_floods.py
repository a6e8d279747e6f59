"""Broadcasts to VSIs that have yet to claim their rules: the rules of broadcasts are shared, and composed anew.

A switch shows to whom it sends copies.  Those of them that no record explains stay members until they are claimed, at
this port or another one, or until the time for that is over.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from ryu_apps.evb.events.effect import GATE_LANE, Mode
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.flood_reader import shown_members
from ryu_apps.evb.vsi.gatekeeper import Gatekeeper
from ryu_apps.evb.vsi.pending import PendingChanges
from ryu_apps.evb.vsi.registry import Registry


class UnclaimedFloods:
    """Members of broadcasts that no record explains, at all switches."""

    def __init__(
        self,
        gatekeeper: Gatekeeper,
        registry: Registry,
        pending: PendingChanges,
        ended: Container[tuple[int, int]],
    ) -> None:
        """
        Args:
            ended: index and generation of programs that this controller has removed.
        """
        self._gatekeeper = gatekeeper
        self._registry = registry
        self._pending = pending
        self._ended = ended

    def read(self, dpid: int, rules: Iterable[Rule]) -> None:
        """Take up the members that a switch shows, in place of those that it has shown before."""
        known = {(vid, member.mac) for vsi in self._registry for _, vid, member in vsi.members}
        shown = [found for found in shown_members(rules, self._ended) if (found.vid, found.member.mac) not in known]
        # The switch itself is compared next, which includes its own part.
        self._send({**self._gatekeeper.adopt_members(dpid, shown), dpid: RuleChange()})

    def drop(self, dpid: int) -> None:
        """Remove the members of a switch that were not claimed."""
        self._send(self._gatekeeper.drop_members(dpid))

    def _send(self, changes: dict[int, RuleChange]) -> None:
        for dpid, change in sorted(changes.items()):
            self._pending.send_if_up(dpid, change, Mode.ATOMIC, GATE_LANE)
