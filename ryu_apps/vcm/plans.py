"""From a goal to an ordered list of moves, each with its place and the reasons for it, and what cannot be helped.

A plan is a forecast: it takes every first choice for granted.  ``orchestrator`` carries it out and finds out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import combinations
from types import MappingProxyType

from ryu_apps.vcm.assignment import assign
from ryu_apps.vcm.inventory import Inventory, InventoryVm, Level, Occupancy, Purpose, natural
from ryu_apps.vcm.placement import PlacementQuestion, Ranking, rank

__all__ = ["Goal", "GoalError", "GoalKind", "Plan", "PlannedMove", "in_order", "make_plan", "strain"]


class GoalKind(Enum):
    """Kinds of goals; the values are the command's words."""

    EVACUATE = "evacuate"
    """No VM at a node, at a switch or in a power domain: it is going to be switched off."""
    PROTECT = "protect"
    """A place kept elsewhere for every VM of it, for the day it fails."""
    FAIL_OVER = "fail-over"
    """It is dead: its VMs start elsewhere, where places are kept if they are."""
    REBALANCE = "rebalance"
    """Groups spread better and load more even than it is."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal for a node, switch or power domain; ``subject`` is empty for all of the cluster."""

    kind: GoalKind
    subject: str = ""

    def __str__(self) -> str:
        return f"{self.kind.value} {self.subject}".rstrip()


class GoalError(Exception):
    """A goal that means nothing in this inventory: the operator's mistake."""


@dataclass(frozen=True, slots=True)
class PlannedMove:
    """A VM from where it is to the first choice; ``ranking`` has the others and what is against the rest.

    Attributes:
        target: None: there is no place for it.
        ties: appliances at the switch that it leaves, to which its open connections stay tied until they end.
        searched: the target is the one with which most VMs have a place, rather than the best one for this VM.
    """

    vm: str
    source: str
    target: str | None
    ranking: Ranking
    ties: tuple[str, ...] = ()
    searched: bool = False

    @property
    def words(self) -> str:
        """Reasons for the target, or why there is none."""
        if self.target is None:
            return self.ranking.refusal
        words = next(candidate.words for candidate in self.ranking.candidates if candidate.node == self.target)
        best = self.ranking.candidates[0].node
        return f"{words}; not {best}, so that more VMs have a place" if self.searched and best != self.target else words


@dataclass(frozen=True, slots=True)
class Plan:
    """Moves in order.

    Attributes:
        leaving: nodes that no VM may go to, and why.
        down: switches that no path may use.
        parallel: most moves at a time.
        dead: nodes that are dead, or for whose death the plan is made.
    """

    goal: Goal
    moves: tuple[PlannedMove, ...]
    leaving: Mapping[str, str] = field(default_factory=dict)
    down: frozenset[str] = frozenset()
    parallel: int = 2
    dead: frozenset[str] = frozenset()

    @property
    def stuck(self) -> tuple[PlannedMove, ...]:
        """Those that should move and have no place."""
        return tuple(move for move in self.moves if move.target is None)


def make_plan(
    inventory: Inventory,
    goal: Goal,
    occupancy: Occupancy | None = None,
    parallel: int = 2,
    avoid: Mapping[str, str] = MappingProxyType({}),
    down: frozenset[str] = frozenset(),
    dead: frozenset[str] = frozenset(),
) -> Plan:
    """Plan for a goal.

    Args:
        occupancy: who is where; None: where the inventory says.
        avoid: nodes that are out of the question whatever the goal, and why.
        down: switches that no path may use, for any goal.
        dead: nodes that are dead, whatever the goal.

    Raises:
        GoalError: there is no such node, switch or power domain.
    """
    now = occupancy or Occupancy(inventory)
    if goal.kind is GoalKind.REBALANCE:
        return Plan(goal, tuple(_rebalance(inventory, now, avoid, down)), avoid, down, parallel, dead)
    nodes = affected(inventory, goal)
    leaving = {**dict.fromkeys(nodes, _REASONS[goal.kind].format(goal.subject)), **avoid}
    down = inventory.with_servers(down | {goal.subject} & set(inventory.switches))
    dead |= frozenset() if goal.kind is GoalKind.EVACUATE else frozenset(nodes)
    question = _Question(inventory, goal, nodes, leaving, down, dead)
    vms = in_order(inventory, [name for node in nodes for name in now.at(node)])
    moves = question.one_by_one(vms, now)
    stuck = sum(move.target is None for move in moves)
    if stuck:
        found = assign(vms, now, question.rank, question.take, more_than=len(moves) - stuck)
        moves = question.as_found(found, vms, now) if found else moves
    return Plan(goal, tuple(moves), leaving, down, parallel, dead)


@dataclass(frozen=True, slots=True)
class _Question:
    """Places for the VMs of a goal."""

    inventory: Inventory
    goal: Goal
    nodes: tuple[str, ...]
    leaving: Mapping[str, str]
    down: frozenset[str]
    dead: frozenset[str]

    def rank(self, vm: InventoryVm, now: Occupancy) -> Ranking:
        """Rank the nodes for one VM."""
        return rank(PlacementQuestion(self.inventory, now, vm, self.leaving, self.down, self.dead))

    def take(self, now: Occupancy, vm: InventoryVm, target: str) -> Occupancy:
        """Occupy a place; what is protected stays where it is and weighs on both nodes."""
        kept = [self._source(vm, now)] if self.goal.kind is GoalKind.PROTECT else []
        return now.with_vm(vm.name, *kept, target)

    def one_by_one(self, vms: Iterable[InventoryVm], now: Occupancy) -> list[PlannedMove]:
        """Each VM takes the best place that is left."""
        moves = []
        for vm in vms:
            ranking = self.rank(vm, now)
            target = ranking.candidates[0].node if ranking.candidates else None
            moves.append(self._move(vm, now, target, ranking))
            now = now if target is None else self.take(now, vm, target)
        return moves

    def as_found(
        self, found: list[tuple[InventoryVm, str]], vms: Iterable[InventoryVm], now: Occupancy
    ) -> list[PlannedMove]:
        """Each VM takes the place that the search has found for it; the others have none."""
        moves = []
        for vm, target in found:
            moves.append(replace(self._move(vm, now, target, self.rank(vm, now)), searched=True))
            now = self.take(now, vm, target)
        placed = {vm.name for vm, _ in found}
        return moves + [self._move(vm, now, None, self.rank(vm, now)) for vm in vms if vm.name not in placed]

    def _move(self, vm: InventoryVm, now: Occupancy, target: str | None, ranking: Ranking) -> PlannedMove:
        source = self._source(vm, now)
        # A VM that is protected stays, and the connections of a dead node are lost.
        ties = _ties(self.inventory, vm, source, target) if self.goal.kind is GoalKind.EVACUATE else ()
        return PlannedMove(vm.name, source, target, ranking, ties)

    def _source(self, vm: InventoryVm, now: Occupancy) -> str:
        return min(now.places[vm.name] & set(self.nodes), key=natural)


def _ties(inventory: Inventory, vm: InventoryVm, source: str, target: str | None) -> tuple[str, ...]:
    """Return the appliances to which the open connections of a VM stay tied when it moves to another switch."""
    if target is None or inventory.nodes[source].switch == inventory.nodes[target].switch:
        return ()
    return vm.local


_REASONS = {
    GoalKind.EVACUATE: "{} is to be empty",
    GoalKind.PROTECT: "{} is what might fail",
    GoalKind.FAIL_OVER: "{} is dead",
}


def affected(inventory: Inventory, goal: Goal) -> tuple[str, ...]:
    """The nodes that a goal's subject stands for.

    Raises:
        GoalError: it is nothing of the inventory.
    """
    subject = goal.subject
    if subject in inventory.nodes:
        return (subject,)
    if subject in inventory.switches:
        return inventory.nodes_of(subject)
    found = sorted((name for name, node in inventory.nodes.items() if node.power == subject), key=natural)
    if not subject:
        raise GoalError(f"{goal}: the name of a node, a switch or a power domain is missing")
    if not found:
        raise GoalError(f"{goal}: {inventory.name} has no node, switch or power domain of that name")
    return tuple(found)


def in_order(inventory: Inventory, names: Iterable[str]) -> list[InventoryVm]:
    """By purpose: infrastructure, then appliances, so that those who need them can go near; then the large ones."""
    needed = {name for vm in inventory.vms.values() for name in vm.reaches}

    def key(vm: InventoryVm) -> tuple[object, ...]:
        rank = min(vm.purpose.rank, Purpose.APPLIANCE.rank if vm.name in needed else vm.purpose.rank)
        return rank, -vm.size.memory_mib, -vm.size.slots, natural(vm.name)

    return sorted((inventory.vms[name] for name in dict.fromkeys(names)), key=key)


# --- rebalancing -------------------------------------------------------------------------------------
#: A move has to even out this much, in squared percent, to be worth its blackout.
_WORTH_IT = 200


def strain(inventory: Inventory, occupancy: Occupancy) -> tuple[int, int, int, int]:
    """Cost of a distribution: pairs of a group on one node, in one power domain, at one switch; unevenness of load.

    Compared from the left; the last is the sum of squares of how full the nodes are, in percent.
    """
    pairs = [_pairs(inventory, occupancy, level) for level in Level]
    return (*pairs, sum(_percent(inventory, occupancy, name) ** 2 for name in inventory.nodes))  # type: ignore[return-value]


def _pairs(inventory: Inventory, occupancy: Occupancy, level: Level) -> int:
    at = {
        name: {inventory.nodes[node].domain(level) for node in nodes} - {None}
        for name, nodes in occupancy.places.items()
    }
    groups: dict[str, list[str]] = {}
    for name in at:
        group = inventory.vms[name].group
        if group is not None:
            groups.setdefault(group, []).append(name)
    return sum(bool(at[vm] & at[other]) for names in groups.values() for vm, other in combinations(names, 2))


def _percent(inventory: Inventory, occupancy: Occupancy, node: str) -> int:
    used, capacity = occupancy.used(node), inventory.nodes[node].capacity
    return max(100 * used.memory_mib // capacity.memory_mib, 100 * used.slots // capacity.slots)


def _rebalance(
    inventory: Inventory, now: Occupancy, avoid: Mapping[str, str], down: frozenset[str]
) -> Iterator[PlannedMove]:
    """The best single move, again and again, each VM at most once."""
    moved: set[str] = set()
    while True:
        found = _best_move(inventory, now, moved, avoid, down)
        if found is None:
            return
        yield found
        moved.add(found.vm)
        assert found.target is not None
        now = now.with_vm(found.vm, found.target)


def _best_move(
    inventory: Inventory, now: Occupancy, moved: set[str], avoid: Mapping[str, str], down: frozenset[str]
) -> PlannedMove | None:
    bearable = strain(inventory, now)
    *pairs, load = bearable
    best, found = (*pairs, load - _WORTH_IT), None
    movable = [name for name, vm in inventory.vms.items() if vm.purpose is not Purpose.INFRASTRUCTURE]
    for vm in in_order(inventory, [name for name in movable if name not in moved]):
        (source, *others) = now.places[vm.name]
        # What is on its way is left alone; what is at a dead node does not run, and starting it is another goal.
        if others or source in avoid:
            continue
        ranking = rank(PlacementQuestion(inventory, now, vm, avoid, down))
        for candidate in ranking.candidates:
            then = strain(inventory, now.with_vm(vm.name, candidate.node))
            if then < best:
                ties = _ties(inventory, vm, source, candidate.node)
                best, found = then, PlannedMove(vm.name, source, candidate.node, ranking, ties)
    return found
