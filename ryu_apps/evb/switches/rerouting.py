"""When links fail and return: other ways through the fabric, and no loop while the switches change over.

What is sent to one switch is found by groups that leave out a dead link by themselves.  Beyond that the ways change
in steps, each confirmed by all switches before the next: first to what the old and the new ways have in common, then
to the new ones.  In either step whoever has changed already takes a part of the ways of those who have not, or the
other way round, and a part of ways without loops has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgpack

from ryu_apps.evb.events import Apply, Mode
from ryu_apps.evb.flow.plan import difference, merge, rule_set
from ryu_apps.evb.flow.rule import RuleChange
from ryu_apps.evb.record_kinds import LINKS_DOWN
from ryu_apps.evb.topology.fabric import Fabric, PortId, Role
from ryu_apps.evb.topology.graph import Routes, TrunkGraph

#: All that floods shares a lane with the gates: what is sent later is in force later.
_LANE = 0


class Rerouting:
    """Keeps the routes of a fabric up with its links.

    Attributes:
        down: ports towards other switches that are known to be down.
        strange: those that lead somewhere else than they should.
    """

    def __init__(
        self,
        fabric: Fabric,
        wiring: TrunkGraph,
        routed: Callable[[int], RuleChange],
        rewire: Callable[[], dict[int, RuleChange]],
        next_token: Callable[[], int],
        up: set[int],
    ) -> None:
        """
        Args:
            routed: what a switch holds whoever is there because of the routes in force.
            rewire: what else depends on them: what each switch has to change.
            up: the switches that may be changed step by step.
        """
        self.down: set[PortId] = set()
        self.miswired: frozenset[PortId] = frozenset()
        self._trunks = frozenset(fabric.ports(Role.TRUNK))
        self._wiring = wiring
        self._routed = routed
        self._rewire = rewire
        self._next_token = next_token
        self._up = up
        self._waiting: set[int] = set()
        self._changing = False

    def restore(self, record: bytes | None) -> None:
        """Take up what was down in an earlier life; a record that nobody can read says nothing."""
        try:
            known = {PortId(*one) for one in msgpack.unpackb(record)} if record else set()
        except (ValueError, TypeError, msgpack.UnpackException):
            return
        self.down = known & self._trunks
        self._wiring.routes = self._wiring.plan(self.down)

    def record(self) -> dict[str, bytes | None]:
        """What is down, for the store."""
        return {LINKS_DOWN.key(): msgpack.packb(sorted(self.down)) if self.down else None}

    def heard(self, dpid: int, ports: Mapping[int, bool]) -> frozenset[PortId]:
        """A switch tells which of its ports are up; those towards other switches that are not as they were."""
        before = set(self.down)
        for port_no, up in ports.items():
            port = PortId(dpid, port_no)
            if port in self._trunks:
                (self.down.discard if up else self.down.add)(port)
        return frozenset(self.down ^ before)

    def advance(self) -> list[Apply]:
        """The next step; nothing if one is on its way, or none is needed."""
        if self._waiting:
            return []
        steps: list[Apply] = []
        while not steps:
            routes, wanted = self._wiring.routes, self._wiring.plan(self.down | self.miswired)
            if routes == wanted:
                return []
            common = routes.common(wanted)
            steps = list(self._take(common if common != routes else wanted))
        self._waiting = {one.token for one in steps}
        self._changing = True
        return steps

    def finished(self) -> bool:
        """Whether the switches have just come to the ways that they are to have; said once."""
        over = self._changing and not self._waiting
        self._changing = self._changing and not over
        return over

    def settled(self, token: int) -> bool:
        """A switch has carried out its part of a step, or will not; whether it was one."""
        ours = token in self._waiting
        self._waiting.discard(token)
        return ours

    def _take(self, routes: Routes) -> Iterator[Apply]:
        before = {dpid: self._routed(dpid) for dpid in self._up}
        self._wiring.routes = routes
        others = self._rewire()
        for dpid in sorted(before):
            old, new = before[dpid], self._routed(dpid)
            changed = tuple(group for group in new.groups if group not in old.groups)
            change = difference(rule_set(old.add), rule_set(new.add))
            if whole := merge(RuleChange(groups=changed), change, others.get(dpid, RuleChange())):
                yield Apply(dpid, self._next_token(), whole, Mode.ATOMIC, _LANE)
