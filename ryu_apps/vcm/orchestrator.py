"""Carries a plan out: several moves at a time with a bound, each to the best place that will have it.

Events in, steps out; time is an argument.  Reservations can be made first and used later, by a start, by the
death of a node, or never.  A halt takes back what is underway; with ``undo`` what is done already moves back too.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from ryu_apps.evb.protocol.table import earliest
from ryu_apps.vcm import move
from ryu_apps.vcm.inventory import Inventory, Occupancy
from ryu_apps.vcm.move import Begin, DeadlinePassed, Do, Exhausted, Ladder, Move, MoveState, SourceLost, Start
from ryu_apps.vcm.placement import PlacementQuestion, rank
from ryu_apps.vcm.plans import GoalKind, Plan

__all__ = [
    "Go",
    "HaltGoal",
    "MoveLimits",
    "NodeLost",
    "Orchestrator",
    "OrchestratorEvent",
    "ReleasePlaces",
    "StepAnswer",
    "Use",
]


# --- events -----------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Go:
    """Begin."""


@dataclass(frozen=True, slots=True)
class StepAnswer:
    """What became of a step of a VM, or of its reservation."""

    vm: str
    event: move.StepDone | move.StepFailed | move.Lapsed


@dataclass(frozen=True, slots=True)
class Use:
    """Use reservations that are kept: of these VMs, or of all."""

    vms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReleasePlaces:
    """Give reservations up that are kept: of these VMs, or of all; also takes back moves of these VMs."""

    vms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeLost:
    """A node is dead: its VMs start elsewhere, where places are kept if they are."""

    node: str


@dataclass(frozen=True, slots=True)
class HaltGoal:
    """Begin nothing any more and take back what is underway; ``undo``: and what is done, newest first."""

    undo: bool = False


OrchestratorEvent = Go | StepAnswer | Use | ReleasePlaces | NodeLost | HaltGoal | DeadlinePassed


@dataclass(frozen=True, slots=True)
class MoveLimits:
    """How a plan is carried out.

    Attributes:
        way: which ladder.
        delay: seconds between a reservation and its use.
        ahead: reserve for all VMs before the first one moves; the delay counts from the last answer.
    """

    way: Ladder = Ladder.MINIMIZE_LATENCY
    delay: float = 0.0
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class _Standing:
    """How all moves stand together.

    Attributes:
        reserving: somebody who is going to move has no reservation yet.
        stirring: moves that are going to change something by themselves.
        moving: of these, those that something is being done to.
        reserved: when the newest reservation that is to be used was made.
    """

    reserving: bool
    stirring: int
    moving: int
    reserved: float


class Orchestrator:
    """One plan being carried out.

    Attributes:
        moves: all of them in the order in which they were taken up, those back included.
        halted: nothing new begins.
    """

    def __init__(
        self,
        inventory: Inventory,
        plan: Plan,
        settings: MoveLimits = MoveLimits(),
        dead: AbstractSet[str] = frozenset(),
    ) -> None:
        """
        Args:
            inventory: as planned with.
            plan: what is wanted; a plan to protect keeps its reservations until :class:`Use` or :class:`NodeLost`.
            settings: how.
            dead: nodes that were so before.
        """
        self.moves: list[Move] = []
        self.halted = False
        self._inventory = inventory
        self._plan = plan
        self._settings = settings
        self._undo = False
        self._dead = set(dead) | (set(plan.leaving) if plan.goal.kind is GoalKind.FAIL_OVER else set())
        for one in plan.moves:
            way = Ladder.RESTART if one.source in self._dead else settings.way
            self.moves.append(Move(one.vm, one.source, way, one.target, kept=plan.goal.kind is GoalKind.PROTECT))

    # --- what can be asked ---
    @property
    def occupancy(self) -> Occupancy:
        """Who weighs on which node now."""
        places = {name: frozenset({vm.at}) for name, vm in self._inventory.vms.items()}
        return Occupancy(self._inventory, {**places, **{one.vm: one.places for one in self.moves}})

    @property
    def settled(self) -> bool:
        """Nothing more happens by itself: every move has ended, or keeps its reservation."""
        return all(one.ended or _keeps(one) for one in self.moves) and not self._undoable()

    @property
    def deadline(self) -> float | None:
        """When to feed :class:`DeadlinePassed`, None if nothing is awaited."""
        standing = self._standing()
        return earliest(*(one.deadline for one in self.moves), *(self._start_at(one, standing) for one in self.moves))

    def newest(self, vm: str) -> Move | None:
        """The newest move of a VM."""
        return next((one for one in reversed(self.moves) if one.vm == vm), None)

    # --- events ---
    def feed(self, event: OrchestratorEvent, now: float) -> list[Do]:
        """Take one event and say what is to be done."""
        return self._take(event, now) + self._go_on(now)

    def _take(self, event: OrchestratorEvent, now: float) -> list[Do]:
        match event:
            case Go():
                return []
            case StepAnswer(vm, answer):
                newest = self.newest(vm)
                return _tell([newest] if newest else [], answer, now)
            case Use(vms):
                for one in self._chosen(vms):
                    one.kept = False
                return []
            case ReleasePlaces(vms):
                return _tell(self._chosen(vms), move.Halt("released"), now)
            case NodeLost(node):
                return self._lose(node, now)
            case HaltGoal(undo):
                self.halted, self._undo = True, self._undo or undo
                return _tell(self._open(), move.Halt(), now)
            case DeadlinePassed():
                return _tell(self._open(), event, now)

    def _open(self) -> list[Move]:
        return [one for one in self.moves if not one.ended]

    def _chosen(self, vms: Iterable[str]) -> list[Move]:
        """Moves that have not ended: of these VMs, or all whose reservations are kept."""
        names = set(vms)
        return [one for one in self._open() if (one.vm in names if names else one.kept)]

    def _lose(self, node: str, now: float) -> list[Do]:
        """VMs of the dead node that have a move use it; the others get one."""
        self._dead.add(node)
        todo, occupancy = [], self.occupancy
        for vm in occupancy.at(node):
            newest = self.newest(vm)
            if newest is not None and not newest.ended:
                if newest.source == node:
                    todo += _tell([newest], SourceLost(), now)
            elif occupancy.places[vm] == {node}:
                self.moves.append(Move(vm, node, Ladder.RESTART))
        return todo

    # --- what follows from where everything stands ---
    def _go_on(self, now: float) -> list[Do]:
        """Begin, start and end moves until nothing more follows."""
        todo: list[Do] = []
        while (found := self._next(now)) is not None:
            one, event = found
            todo += one.feed(event, now)
        return todo

    def _next(self, now: float) -> tuple[Move, move.MoveEvent] | None:
        """The first move that can go on by itself; when all have ended, the first one back."""
        standing = self._standing()
        for one in self.moves:
            event = self._event_for(one, standing, now)
            if event is not None:
                return one, event
        if self._undo and not self._open() and (undoable := self._undoable()):
            done = undoable[-1]
            self.moves.append(Move(done.vm, done.node, self._settings.way, done.source, home=True))
            return self._next(now)
        return None

    def _undoable(self) -> list[Move]:
        """What is done and is to be moved back: the newest move of its VM, its node not dead."""
        return [
            one
            for one in self.moves
            if self._undo and one.state is MoveState.DONE and not one.home
            if one is self.newest(one.vm) and one.source not in self._dead
        ]

    def _event_for(self, one: Move, standing: _Standing, now: float) -> move.MoveEvent | None:
        if one.state is MoveState.WAITING:
            if one.halted or (self.halted and not one.home):
                return move.Halt()
            return self._choose(one, standing) if self._may_begin(one, standing) else None
        start = self._start_at(one, standing)
        return Start() if start is not None and start <= now else None

    def _may_begin(self, one: Move, standing: _Standing) -> bool:
        """Reserving ahead disturbs nobody; otherwise it is the beginning of a move, and these are bounded."""
        return self._settings.ahead or one.kept or standing.stirring < self._plan.parallel

    def _start_at(self, one: Move, standing: _Standing) -> float | None:
        """When a reservation is going to be used; None if that does not depend on time alone."""
        if one.state is not MoveState.RESERVED or one.kept:
            return None
        if one.way is Ladder.RESTART:
            return one.since  # somebody is without this VM
        ahead = self._settings.ahead and not one.home
        if standing.moving >= self._plan.parallel or (ahead and standing.reserving):
            return None
        return (standing.reserved if ahead else one.since) + self._settings.delay

    def _standing(self) -> _Standing:
        reserved = [one for one in self.moves if one.state is MoveState.RESERVED and not one.kept]
        moving = sum(not one.ended and one.state not in _BESIDE for one in self.moves)
        reserving = any(one.state in _WITHOUT and not one.kept for one in self.moves)
        waits = self._settings.ahead and reserving
        return _Standing(
            reserving,
            moving + (0 if waits else len(reserved)),
            moving,
            max((one.since for one in reserved), default=0.0),
        )

    # --- where to ---
    def _choose(self, one: Move, standing: _Standing) -> move.MoveEvent | None:
        """The first choice of the plan as long as it will do, else the best; or the end; or None: not yet."""
        if one.turned and one.way is not Ladder.RESTART:
            return Exhausted(f"not stopped a second time: {_tried(one)}")
        nodes, refusal = self._way_home(one) if one.home else self._ranked(one)
        if nodes:
            return Begin(one.target if one.target in nodes else nodes[0])
        if standing.stirring:
            return None  # when these have moved on there may be room
        return Exhausted(refusal)

    def _ranked(self, one: Move) -> tuple[list[str], str]:
        avoid = dict(self._plan.leaving)
        avoid |= {node: f"{node} is dead" for node in self._dead}
        avoid |= {node: f"tried: {reason}" for node, reason in one.tried.items()}
        ranking = rank(
            PlacementQuestion(self._inventory, self.occupancy, self._inventory.vms[one.vm], avoid, self._plan.down)
        )
        return [candidate.node for candidate in ranking.candidates], ranking.refusal

    def _way_home(self, one: Move) -> tuple[list[str], str]:
        """It was there: whatever is said against it now, room is all it takes."""
        assert one.target is not None
        room = self.occupancy.free(one.target).holds(self._inventory.vms[one.vm].size)
        open_to_it = room and one.target not in self._dead and one.target not in one.tried
        return [one.target] if open_to_it else [], f"no way back to {one.target}: {_tried(one) or 'no room'}"


#: Without a reservation, and perhaps with one soon.
_WITHOUT = (MoveState.WAITING, MoveState.RESERVING, MoveState.RELEASING)
#: Nothing is being done to it.
_BESIDE = (MoveState.WAITING, MoveState.RESERVED)


def _keeps(one: Move) -> bool:
    return one.kept and one.state is MoveState.RESERVED


def _tell(moves: Iterable[Move], event: move.MoveEvent, now: float) -> list[Do]:
    return [step for one in moves for step in one.feed(event, now)]


def _tried(one: Move) -> str:
    return "; ".join(f"{node}: {reason}" for node, reason in one.tried.items())
