"""Plans of copies of frames to a VM that moves: the switches that copy, so that both ends get exactly one.

A switch that is neither end copies a frame if its ways to the two ends have no hop in common, and sends it on once if
they are the same.  All frames that may be sent are followed over all equally short paths.  If one would come twice, or
not at all, or could not be told from a frame that has not parted, there is no plan.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from ryu_apps.evb.topology.graph import Routes, TrunkGraph


class CopyPlan(NamedTuple):
    """Copies to both ends of a move.

    Attributes:
        copying: the switches that send a copy to either end.
        guarded: each end -> its ports by which copies come in.  The end that does not deliver drops them there, or it
            would send them on to the other one, which has its own.
    """

    copying: tuple[int, ...]
    guarded: dict[int, tuple[int, ...]]


class _Unsuitable(Exception):
    """These routes give some frame not exactly one copy at each end."""


class _Arrivals(NamedTuple):
    """The least and the most copies of a frame that reach an end, over all equally short paths."""

    least: int
    most: int

    def plus(self, other: _Arrivals) -> _Arrivals:
        return _Arrivals(self.least + other.least, self.most + other.most)


_NONE, _ONE = _Arrivals(0, 0), _Arrivals(1, 1)


class CopyPlans:
    """Plans of a fabric, kept until its routes change."""

    def __init__(self, wiring: TrunkGraph) -> None:
        self._wiring = wiring
        self._routes: Routes | None = None
        self._known: dict[tuple[int, int], CopyPlan | None] = {}

    def between(self, one: int, other: int) -> CopyPlan | None:
        """Return the plan for a move between two switches, in either direction; None: there is none."""
        if self._routes is not self._wiring.routes:
            self._routes = self._wiring.routes
            self._known.clear()
        ends = min(one, other), max(one, other)
        if ends not in self._known:
            self._known[ends] = _plan(self._wiring, ends)
        return self._known[ends]


def _plan(wiring: TrunkGraph, ends: tuple[int, int]) -> CopyPlan | None:
    if ends[1] not in wiring.others(ends[0]):
        return None
    try:
        copying = frozenset(_copying(wiring, ends))
        return CopyPlan(tuple(sorted(copying)), dict(_guarded(wiring, ends, copying)))
    except _Unsuitable:
        return None


def _copying(wiring: TrunkGraph, ends: tuple[int, int]) -> Iterator[int]:
    for dpid in wiring.others(ends[0]):
        if dpid not in ends:
            first, second = (set(wiring.hops(dpid, end)) for end in ends)
            if first.isdisjoint(second):
                yield dpid
            elif first != second:
                raise _Unsuitable


def _guarded(
    wiring: TrunkGraph, ends: tuple[int, int], copying: frozenset[int]
) -> Iterator[tuple[int, tuple[int, ...]]]:
    seen: defaultdict[tuple[int, int], set[bool]] = defaultdict(set)
    for delivering in ends:
        walk = _Walk(wiring, ends, copying, delivering, seen)
        for source in wiring.others(delivering):
            if walk.arrivals(source, None, parted=False, length=0) != _ONE:
                raise _Unsuitable
    if any(len(kinds) > 1 for kinds in seen.values()):
        raise _Unsuitable
    for end in ends:
        ports = [
            port for trunk in wiring.trunks(end) if seen.get((end, trunk.neighbour)) == {True} for port in trunk.ports
        ]
        yield end, tuple(ports)


class _Walk:
    """Frames to a VM that is delivered to at one end, and guarded at the other."""

    def __init__(
        self,
        wiring: TrunkGraph,
        ends: tuple[int, int],
        copying: frozenset[int],
        delivering: int,
        seen: defaultdict[tuple[int, int], set[bool]],
    ) -> None:
        self._wiring = wiring
        self._ends = ends
        self._copying = copying
        self._delivering = delivering
        self._seen = seen

    def arrivals(self, dpid: int, before: int | None, parted: bool, length: int) -> _Arrivals:
        """Return how many copies of a frame at a switch come to the end that delivers.

        Args:
            before: the neighbour that it has come from; None: it has come in at this switch.
            parted: a switch has sent one copy of it to each end.
            length: links that it has crossed.
        """
        if length > len(self._wiring.numbers):
            raise _Unsuitable
        if dpid in self._ends and before is not None:
            self._seen[dpid, before].add(parted)
        if dpid == self._delivering:
            return _ONE
        if dpid in self._ends:
            # A copy ends at the guard; whatever else comes is sent on.
            return _NONE if parted else self._towards(self._delivering, dpid, before, parted, length)
        if dpid not in self._copying:
            return self._towards(self._delivering, dpid, before, parted, length)
        both = (self._towards(end, dpid, before, True, length) for end in self._ends)
        first, second = both
        return first.plus(second)

    def _towards(self, end: int, dpid: int, before: int | None, parted: bool, length: int) -> _Arrivals:
        found = [self._sent(hop, dpid, before, parted, length) for hop in self._wiring.hops(dpid, end)]
        if not found:
            raise _Unsuitable
        return _Arrivals(min(each.least for each in found), max(each.most for each in found))

    def _sent(self, hop: int, dpid: int, before: int | None, parted: bool, length: int) -> _Arrivals:
        if hop != before:
            return self.arrivals(hop, dpid, parted, length + 1)
        # A switch sends nothing out of the port by which it came; by a parallel link it would.
        (trunk,) = (trunk for trunk in self._wiring.trunks(dpid) if trunk.neighbour == hop)
        if len(trunk.ports) > 1:
            raise _Unsuitable
        return _NONE
