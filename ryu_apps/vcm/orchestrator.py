"""Carries a plan out: several moves at a time with a bound, each to the best place that will have it.

Events in, steps out; time is an argument.  Reservations can be made first and used later, by a start, by the
death of a node, or never.  A halt takes back what is underway; with ``undo`` what is done already moves back too.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from ryu_apps.evb.protocol.table import earliest
from ryu_apps.vcm.goal_events import (
    Go,
    HaltGoal,
    MoveLimits,
    NodeLost,
    OrchestratorEvent,
    ReleasePlaces,
    RoomAsked,
    StepAnswer,
    Use,
)
from ryu_apps.vcm.inventory import Inventory, Occupancy
from ryu_apps.vcm.move import Move
from ryu_apps.vcm.move_events import (
    Begin,
    DeadlinePassed,
    Do,
    Exhausted,
    Halt,
    Ladder,
    MoveEvent,
    MoveStep,
    Note,
    Probe,
    Push,
    SourceLost,
    Start,
)
from ryu_apps.vcm.move_states import MoveState
from ryu_apps.vcm.placement import PlacementQuestion, rank
from ryu_apps.vcm.plans import GoalKind, Plan, in_order
from ryu_apps.vcm.storage import copied_to
from ryu_apps.vcm.turns import waits_for


@dataclass(frozen=True, slots=True)
class _Standing:
    """Summary of the states of all moves.

    Attributes:
        reserving: a VM that is going to move has no reservation yet.
        stirring: moves that are going to change something by themselves.
        moving: of these, those that something is being done to.
        reserved: when the newest reservation that is to be used was made.
        restarting: VMs of dead nodes that are being started.
    """

    reserving: bool
    stirring: int
    moving: int
    reserved: float
    restarting: int


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
        for move in plan.moves:
            way = Ladder.RESTART if move.source in self._dead else settings.way
            kept = plan.goal.kind is GoalKind.PROTECT
            self.moves.append(self._move(move.vm, move.source, way, move.target, kept=kept))

    # --- what can be asked ---
    @property
    def occupancy(self) -> Occupancy:
        """Load of every node now."""
        places = {name: frozenset({vm.at}) for name, vm in self._inventory.vms.items()}
        return Occupancy(self._inventory, {**places, **{move.vm: move.places for move in self.moves}})

    @property
    def settled(self) -> bool:
        """Nothing more happens by itself: every move has ended, or keeps its reservation."""
        return all(move.ended or _keeps(move) for move in self.moves) and not self._undoable()

    @property
    def deadline(self) -> float | None:
        """Deadline at which to feed :class:`DeadlinePassed`, None if nothing is awaited."""
        standing = self._standing()
        return earliest(
            *(move.deadline for move in self.moves), *(self._start_at(move, standing) for move in self.moves)
        )

    def newest(self, vm: str) -> Move | None:
        """The newest move of a VM."""
        return next((move for move in reversed(self.moves) if move.vm == vm), None)

    # --- events ---
    def restarted(self, now: float) -> None:
        """The manager was away until now: what bridges were asked meanwhile may have been answered to nothing."""
        for move in self.moves:
            move.wait_anew(now)

    def feed(self, event: OrchestratorEvent, now: float) -> list[Do]:
        """Take one event and say what is to be done."""
        return [self._with_datastore(do) for do in self._take(event, now) + self._go_on(now)]

    def _with_datastore(self, do: Do) -> Do:
        """A step to a node that the disk has to be copied to says where."""
        if do.step not in (MoveStep.RESERVE, MoveStep.COPY):
            return do
        target = copied_to(self._inventory, self.occupancy, self._inventory.vms[do.vm], (do.source, do.node))
        return replace(do, datastore=target or "")

    def _take(self, event: OrchestratorEvent, now: float) -> list[Do]:
        match event:
            case Go():
                return []
            case StepAnswer(vm, answer):
                newest = self.newest(vm)
                return _tell([newest] if newest else [], answer, now)
            case Use(vms):
                for move in self._chosen(vms):
                    move.kept = False
                return []
            case ReleasePlaces(vms):
                return _tell(self._chosen(vms), Halt("released"), now)
            case NodeLost(node):
                return self._lose(node, now)
            case RoomAsked(room):
                self._inventory = replace(self._inventory, room=room)
                return []
            case HaltGoal(undo):
                self.halted, self._undo = True, self._undo or undo
                return _tell(self._open(), Halt(), now)
            case DeadlinePassed():
                return _tell(self._open(), event, now)

    def _open(self) -> list[Move]:
        return [move for move in self.moves if not move.ended]

    def _chosen(self, vms: Iterable[str]) -> list[Move]:
        """Moves that have not ended: of these VMs, or all whose reservations are kept."""
        names = set(vms)
        return [move for move in self._open() if (move.vm in names if names else move.kept)]

    def _lose(self, node: str, now: float) -> list[Do]:
        """VMs of the dead node that have a move use it; the others get one."""
        self._dead.add(node)
        todo, occupancy = [], self.occupancy
        for vm in (found.name for found in in_order(self._inventory, occupancy.at(node))):
            newest = self.newest(vm)
            if newest is not None and not newest.ended:
                if newest.source == node:
                    todo += _tell([newest], SourceLost(), now)
            elif occupancy.places[vm] == {node}:
                self.moves.append(self._move(vm, node, Ladder.RESTART))
        return todo

    # --- what follows from where everything stands ---
    def _go_on(self, now: float) -> list[Do]:
        """Begin, start and end moves until nothing more follows."""
        todo: list[Do] = []
        while (found := self._next(now)) is not None:
            move, event = found
            todo += move.feed(event, now)
        self._note_waits(now)
        return todo

    def _waits_for(self, move: Move) -> Move | None:
        return waits_for(self._inventory, move, self.moves)

    def _note_waits(self, now: float) -> None:
        """Log whose end a reserved move waits for; once for each."""
        for move in self.moves:
            if move.state is MoveState.RESERVED and not move.kept and (other := self._waits_for(move)) is not None:
                words = f"{WAITS} {other.vm}"
                if move.log[-1].text != words:
                    move.log.append(Note(now, move.node, words))

    def _next(self, now: float) -> tuple[Move, MoveEvent] | None:
        """The first move that can go on by itself; when all have ended, the first one back."""
        standing = self._standing()
        for move in self.moves:
            event = self._event_for(move, standing, now)
            if event is not None:
                return move, event
        if self._undo and not self._open() and (undoable := self._undoable()):
            done = undoable[-1]
            self.moves.append(self._move(done.vm, done.node, self._settings.way, done.source, home=True))
            return self._next(now)
        return None

    def _move(
        self, vm: str, source: str, way: Ladder, target: str | None = None, home: bool = False, kept: bool = False
    ) -> Move:
        return Move(vm, source, way, target, home, kept, self._inventory.coordination)

    def _undoable(self) -> list[Move]:
        """Moves that are done and are to be undone: the newest move of its VM, its node not dead."""
        return [
            move
            for move in self.moves
            if self._undo and move.state is MoveState.DONE and not move.home
            if move is self.newest(move.vm) and move.source not in self._dead
        ]

    def _event_for(self, move: Move, standing: _Standing, now: float) -> MoveEvent | None:
        if move.state is MoveState.WAITING:
            if move.halted or (self.halted and not move.home):
                return Halt()
            return self._choose(move, standing) if self._may_begin(move, standing) else None
        start = self._start_at(move, standing)
        return Start() if start is not None and start <= now else None

    def _may_begin(self, move: Move, standing: _Standing) -> bool:
        """Return True if there is room for one more move; reserving ahead disturbs no VM and is not bounded."""
        return self._settings.ahead or move.kept or standing.stirring < self._plan.parallel

    def _start_at(self, move: Move, standing: _Standing) -> float | None:
        """Time at which a reservation is going to be used; None if that does not depend on time alone."""
        if move.state is not MoveState.RESERVED or move.kept or self._waits_for(move) is not None:
            return None
        if move.way is Ladder.RESTART:
            bound = self._settings.restarts
            # At once, unless bounded: its clients are without this VM.
            return move.since if not bound or standing.restarting < bound else None
        ahead = self._settings.ahead and not move.home
        if standing.moving >= self._plan.parallel or (ahead and standing.reserving):
            return None
        return (standing.reserved if ahead else move.since) + self._settings.delay

    def _standing(self) -> _Standing:
        reserved = [move for move in self.moves if move.state is MoveState.RESERVED and not move.kept]
        moving = sum(not move.ended and move.state not in _BESIDE for move in self.moves)
        reserving = any(move.state in _WITHOUT and not move.kept for move in self.moves)
        waits = self._settings.ahead and reserving
        return _Standing(
            reserving,
            moving + (0 if waits else len(reserved)),
            moving,
            max((move.since for move in reserved), default=0.0),
            sum(move.way is Ladder.RESTART and move.underway for move in self.moves),
        )

    # --- where to ---
    def _choose(self, move: Move, standing: _Standing) -> MoveEvent | None:
        """The first choice of the plan as long as it will do, else the best; or the end; or None: not yet."""
        if move.turned and move.way is not Ladder.RESTART:
            return Exhausted(f"not stopped a second time: {_tried(move)}")
        nodes, refusal = self._way_home(move) if move.home else self._ranked(move)
        if nodes:
            best = [move.target] if move.target in nodes else []
            return self._towards(move, [*best, *(node for node in nodes if node != move.target)])
        if standing.stirring:
            return None  # when these have moved on there may be room
        return Exhausted(refusal)

    def _towards(self, move: Move, nodes: list[str]) -> MoveEvent:
        """The next step towards the best node: its hypervisor has the OVF, and the best ones have been probed.

        A VM that does not run, and one that goes back where it was, are not probed for: a reservation tells the same.
        """
        probes = 0 if move.home or move.way is Ladder.RESTART else self._settings.probes
        for node in nodes[:probes]:
            if node not in move.probed:
                return Probe(node) if self._described(move, node) else Push(node)
        return Begin(nodes[0]) if self._described(move, nodes[0]) else Push(nodes[0])

    def _described(self, move: Move, node: str) -> bool:
        """Return True if the hypervisor needs no OVF, or has it."""
        return not self._inventory.vms[move.vm].ovf or node in move.pushed

    def _ranked(self, move: Move) -> tuple[list[str], str]:
        avoid = dict(self._plan.leaving)
        avoid |= {node: f"{node} is dead" for node in self._dead}
        avoid |= {node: f"tried: {reason}" for node, reason in move.tried.items()}
        vm, dead = self._inventory.vms[move.vm], self._plan.dead | self._dead
        ranking = rank(PlacementQuestion(self._inventory, self.occupancy, vm, avoid, self._plan.down, dead))
        return [candidate.node for candidate in ranking.candidates], ranking.refusal

    def _way_home(self, move: Move) -> tuple[list[str], str]:
        """It was there: whatever is said against it now, room is all it takes."""
        assert move.target is not None
        room = self.occupancy.free(move.target).holds(self._inventory.vms[move.vm].size)
        open_to_it = room and move.target not in self._dead and move.target not in move.tried
        return [move.target] if open_to_it else [], f"no way back to {move.target}: {_tried(move) or 'no room'}"


#: Beginning of the line of a move's log that names a VM which is moved, or started, first.
WAITS = "waits for"
#: Without a reservation, and perhaps with one soon.
_WITHOUT = (
    *(MoveState.WAITING, MoveState.PUSHING, MoveState.PROBING, MoveState.RESERVING, MoveState.STAGING),
    MoveState.RELEASING,
)
#: Nothing is being done to it.
_BESIDE = (MoveState.WAITING, MoveState.RESERVED)


def _keeps(move: Move) -> bool:
    return move.kept and move.state is MoveState.RESERVED


def _tell(moves: Iterable[Move], event: MoveEvent, now: float) -> list[Do]:
    return [step for move in moves for step in move.feed(event, now)]


def _tried(move: Move) -> str:
    return "; ".join(f"{node}: {reason}" for node, reason in move.tried.items())
