"""Rerouting when links fail and return, without a loop while the switches change over.

Groups towards one switch leave out a dead link by themselves.  Beyond that the routes change in steps, each confirmed
by all switches before the next: first to what the old and the new routes have in common, then to the new ones.  In
either step the switches that have changed use a part of the routes of those that have not, or the other way round,
and a part of routes without loops has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgpack

from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.switches import ReroutingFinished
from ryu_apps.evb.events.effect import GATE_LANE, Apply, Mode
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.plan import difference, merge, rule_set
from ryu_apps.evb.record_kinds import LINKS_DOWN
from ryu_apps.evb.tokens import TokenOwner, TokenTable
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.graph import Routes, TrunkGraph
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.topology.port_id import PortId


class Rerouting(TokenOwner):
    """Routes of a fabric, kept up with its links.

    Attributes:
        down: ports towards other switches that are known to be down.
        miswired: those that are connected to another port than the configuration says.
        refused: called with switch and time when a switch has refused its part of a step.
    """

    def __init__(
        self,
        fabric: Fabric,
        wiring: TrunkGraph,
        routed: Callable[[int], RuleChange],
        rewire: Callable[[], dict[int, RuleChange]],
        tokens: TokenTable,
        effects: EffectSink,
        up: set[int],
    ) -> None:
        """
        Args:
            routed: rules and groups of a switch that follow from the routes in force, whatever VSIs there are.
            rewire: changes of each switch that follow from new routes because of VSIs.
            up: the switches that may be changed step by step.
        """
        self.down: set[PortId] = set()
        self.miswired: frozenset[PortId] = frozenset()
        self.refused: Callable[[int, float], None] = lambda dpid, now: None
        self._trunks = frozenset(fabric.ports(Role.TRUNK))
        self._wiring = wiring
        self._routed = routed
        self._rewire = rewire
        self._tokens = tokens
        self._effects = effects
        self._up = up
        self._waiting: set[int] = set()
        self._changing = False

    def restore(self, record: bytes | None) -> None:
        """Take up what was down before the controller was restarted; a record that cannot be read is ignored."""
        try:
            known = {PortId(*port) for port in msgpack.unpackb(record)} if record else set()
        except (ValueError, TypeError, msgpack.UnpackException):
            return
        self.down = known & self._trunks
        self._wiring.routes = self._wiring.plan(self.down)

    def record(self) -> dict[str, bytes | None]:
        """Return the record of the ports that are down, for the store."""
        return {LINKS_DOWN.key(): msgpack.packb(sorted(self.down)) if self.down else None}

    def heard(self, dpid: int, ports: Mapping[int, bool]) -> frozenset[PortId]:
        """Note the link states that a switch reports; returns the changed ports towards other switches."""
        before = set(self.down)
        for port_no, up in ports.items():
            port = PortId(dpid, port_no)
            if port in self._trunks:
                (self.down.discard if up else self.down.add)(port)
        return frozenset(self.down ^ before)

    def advance(self) -> None:
        """Send the next step, unless one is on its way or none is needed."""
        if not self._waiting:
            for step in self._next_step():
                self._effects.put(step)
        if self._changing and not self._waiting:
            self._changing = False
            self._effects.put(ReroutingFinished())

    def confirmed(self, dpid: int, token: int, now: float) -> None:
        """Go on when the last switch has carried out its part of a step."""
        self._waiting.discard(token)
        self.advance()

    def rejected(self, dpid: int, token: int, reason: str, now: float) -> None:
        """Go on without a switch that has refused its part or is lost; it gets the routes when it is compared."""
        self._waiting.discard(token)
        self.refused(dpid, now)
        self.advance()

    def _next_step(self) -> list[Apply]:
        steps: list[Apply] = []
        while not steps:
            routes, wanted = self._wiring.routes, self._wiring.plan(self.down | self.miswired)
            if routes == wanted:
                return []
            common = routes.common(wanted)
            steps = list(self._take(common if common != routes else wanted))
        self._waiting = {step.token for step in steps}
        self._changing = True
        return steps

    def _take(self, routes: Routes) -> Iterator[Apply]:
        before = {dpid: self._routed(dpid) for dpid in self._up}
        self._wiring.routes = routes
        others = self._rewire()
        for dpid in sorted(before):
            old, new = before[dpid], self._routed(dpid)
            changed = tuple(group for group in new.groups if group not in old.groups)
            change = difference(rule_set(old.add), rule_set(new.add))
            if whole := merge(RuleChange(groups=changed), change, others.get(dpid, RuleChange())):
                yield Apply(dpid, self._tokens.take(self), whole, Mode.ATOMIC, GATE_LANE)
