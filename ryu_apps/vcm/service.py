"""A cluster manager that others drive: goals come in one after the other, steps are handed out, answers come back.

An :class:`Orchestrator` is about one plan; this keeps the places between two of them, which step has been handed
out and not been answered, and which nodes are dead.  Pure as the rest: time is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ryu_apps.evb.protocol.table import earliest
from ryu_apps.vcm.acquired import AcquiredVms, with_acquired
from ryu_apps.vcm.bridge_room import BridgeRoom
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
from ryu_apps.vcm.inventory import Inventory, InventoryVm, Occupancy
from ryu_apps.vcm.move_events import DeadlinePassed, Do, GrantedNetwork, Lapsed, StepDone, StepFailed
from ryu_apps.vcm.move_states import MoveState
from ryu_apps.vcm.orchestrator import Orchestrator
from ryu_apps.vcm.placement import PlacementQuestion, Ranking, rank
from ryu_apps.vcm.plans import Goal, GoalError, GoalKind, Plan, affected, make_plan
from ryu_apps.vcm.storage import copied_to
from ryu_apps.vcm.triggers import Observation, OperatorPolicy, Triggers

__all__ = ["GoalRun", "ManagerService", "NameTaken", "Unknown"]


class Unknown(Exception):
    """There is nothing of that name or number; the text says what."""


class NameTaken(Exception):
    """It cannot be done now; the text says why."""


@dataclass
class GoalRun:
    """A goal and how far it has got.

    Attributes:
        number: counts from 1.
        policy: that has started it; empty: a request has.
        handed: steps that were handed out and not answered, in order, by their numbers.
    """

    number: int
    plan: Plan
    orchestrator: Orchestrator
    policy: str = ""
    handed: dict[int, Do] = field(default_factory=dict)
    _steps: int = 0

    @property
    def open(self) -> bool:
        """True while an answer, an event or a reservation that is kept may still change something."""
        return not all(move.ended for move in self.orchestrator.moves)

    def feed(self, event: OrchestratorEvent, now: float) -> None:
        """Take an event, hand out what follows."""
        for do in self.orchestrator.feed(event, now):
            self._steps += 1
            self.handed[self._steps] = do


class ManagerService:
    """Goals on one inventory.

    Attributes:
        inventory: every VM where it was when the newest goal began.
        pursuits: all goals so far, but for those that are forgotten.
        forgotten: the first goals, so many, are over and not known any more.
        dead: nodes that were said to be.
        triggers: policies that start goals.
    """

    def __init__(self, inventory: Inventory, policies: Iterable[OperatorPolicy] = ()) -> None:
        self.inventory = inventory
        self.triggers = Triggers(policies)
        self.pursuits: list[GoalRun] = []
        self.forgotten = 0
        self.dead: set[str] = set()
        self._acquired: AcquiredVms = {}

    # --- what can be asked ---
    @property
    def deadline(self) -> float | None:
        """Deadline at which to call :meth:`tick`, None if nothing is awaited."""
        moves = self.pursuits[-1].orchestrator.deadline if self.pursuits else None
        return earliest(moves, self.triggers.deadline)

    def pursuit(self, number: int) -> GoalRun:
        """One goal.

        Raises:
            Unknown: there is no such goal.
        """
        if 1 <= number <= self.forgotten:
            raise Unknown(f"goal {number} is over, and not in the journal any more")
        if not 1 <= number <= self.goals:
            raise Unknown(f"there is no goal {number}")
        return self.pursuits[number - self.forgotten - 1]

    @property
    def goals(self) -> int:
        """Number of all goals so far."""
        return self.forgotten + len(self.pursuits)

    @property
    def is_busy(self) -> bool:
        """True while a goal is open."""
        return bool(self.pursuits) and self.pursuits[-1].open

    @property
    def occupancy(self) -> Occupancy:
        """Load of every node now: where VMs run, and where places are kept for them."""
        return self.pursuits[-1].orchestrator.occupancy if self.pursuits else Occupancy(self.inventory)

    def rank(self, vm: str) -> Ranking:
        """Every node, with what is for and against it.

        Raises:
            Unknown: there is no such VM.
        """
        who = self.inventory.vms[self._known(vm)]
        dead = frozenset(self.dead)
        return rank(PlacementQuestion(self.inventory, self.occupancy, who, self._out(), self._down(), dead))

    def descriptor(self, vm: str) -> str:
        """The OVF that a step ``push`` is about; empty: the VM has none.

        Raises:
            Unknown: there is no such VM.
        """
        return self.inventory.vms[self._known(vm)].ovf

    # --- what can be done ---
    def pursue(self, goal: Goal, settings: MoveLimits, parallel: int, now: float, policy: str = "") -> GoalRun:
        """Begin a goal.

        Args:
            policy: that has started it, if one has.

        Raises:
            GoalError: it means nothing here.
            Conflict: another one is not over.
        """
        if self.is_busy:
            raise NameTaken(f"goal {self.pursuits[-1].number} is not over")
        inventory = with_acquired(self.as_it_is(), self._acquired)
        dead = frozenset(self.dead)
        plan = make_plan(inventory, goal, parallel=parallel, avoid=self._out(), down=self._down(), dead=dead)
        if goal.kind is GoalKind.FAIL_OVER:
            self.dead.update(affected(inventory, goal))
        pursuit = GoalRun(self.goals + 1, plan, Orchestrator(inventory, plan, settings, self.dead), policy)
        self.inventory = inventory
        self.pursuits.append(pursuit)
        pursuit.feed(Go(), now)
        return pursuit

    def answered(
        self, number: int, step: int, failure: str | None, now: float, network: GrantedNetwork | None = None
    ) -> GoalRun:
        """A step has been done, or has failed for a reason.

        Args:
            network: that the bridge has answered, if it was told.

        Raises:
            Unknown: there is no such goal.
            Conflict: that step was not handed out, or has been answered.
        """
        pursuit = self.pursuit(number)
        do = pursuit.handed.pop(step, None)
        if do is None:
            raise NameTaken(f"no answer to step {step} is awaited")
        # One that was given up and is asked for again: what counts is how it goes then.
        if do not in pursuit.handed.values():
            event = StepDone(do.step, do.node, network) if failure is None else StepFailed(do.step, do.node, failure)
            pursuit.feed(StepAnswer(do.vm, event), now)
        return pursuit

    def lapsed(self, number: int, vm: str, node: str, now: float) -> GoalRun:
        """The bridge has taken a reservation back."""
        return self._tell(number, StepAnswer(self._known(vm), Lapsed(node)), now)

    def lost(self, number: int, node: str, now: float) -> GoalRun:
        """A node is dead."""
        if node not in self.inventory.nodes:
            raise Unknown(f"there is no node {node!r}")
        pursuit = self._tell(number, NodeLost(node), now)
        self.dead.add(node)
        return pursuit

    def revived(self, node: str) -> None:
        """A node that was dead is not any more; from the next goal on."""
        if node not in self.inventory.nodes:
            raise Unknown(f"there is no node {node!r}")
        self.dead.discard(node)

    def use(self, number: int, vms: tuple[str, ...], now: float) -> GoalRun:
        """Reservations that are kept are to be used: of these VMs, or of all."""
        return self._tell(number, Use(tuple(map(self._known, vms))), now)

    def release(self, number: int, vms: tuple[str, ...], now: float) -> GoalRun:
        """They are to be given up."""
        return self._tell(number, ReleasePlaces(tuple(map(self._known, vms))), now)

    def halt(self, number: int, undo: bool, now: float) -> GoalRun:
        """Take back what is under way; and what is done, if so wanted."""
        return self._tell(number, HaltGoal(undo), now)

    def acquired(self, found: AcquiredVms) -> None:
        """Descriptors were acquired: steps of the next goal are with them.

        Raises:
            UnfitError: they are not those of VMs which may run; nothing has changed.
        """
        changed = with_acquired(self.inventory, found)
        self._acquired = found
        if not self.is_busy:
            self.inventory = changed

    def asked(self, room: BridgeRoom, now: float) -> None:
        """The bridge was asked for the room that it has left: rankings are made with it, and policies look at it."""
        self.inventory = replace(self.inventory, room=room)
        known = {name: room.switches[name].left for name in self.inventory.switches if name in room.switches}
        left = {name: amounts["rules"] for name, amounts in known.items() if "rules" in amounts}
        self.triggers.observe(Observation(rules_left=left), now)
        if self.is_busy:
            self.pursuits[-1].feed(RoomAsked(room), now)

    def tick(self, now: float) -> None:
        """The deadline has come."""
        if self.pursuits:
            self.pursuits[-1].feed(DeadlinePassed(), now)
        self.triggers.look(now)
        self.begin_waiting(now)

    def observe(self, seen: Observation, now: float) -> None:
        """Take what was measured or reported; policies may start goals.

        Raises:
            Unknown: there is no such node, switch or power domain.
        """
        for subject in seen.failed:
            self._subject(subject)
        for name in seen.load.keys() - self.inventory.nodes.keys():
            raise Unknown(f"there is no node {name!r}")
        for name in seen.rules_left.keys() - set(self.inventory.switches):
            raise Unknown(f"there is no switch {name!r}")
        self.triggers.observe(seen, now)
        self.begin_waiting(now)

    def begin_waiting(self, now: float) -> None:
        """Begin the goals of policies that have fired, one after the other, as far as none is open."""
        while not self.is_busy:
            policy = self.triggers.take()
            if policy is None:
                return
            self.pursue(policy.goal, policy.limits, policy.parallel, now, policy.name)

    def restarted(self, now: float) -> None:
        """The manager was away until now; see :meth:`Orchestrator.restarted`."""
        if self.pursuits:
            self.pursuits[-1].orchestrator.restarted(now)

    # --- small things ---
    def _tell(self, number: int, event: OrchestratorEvent, now: float) -> GoalRun:
        pursuit = self.pursuit(number)
        if not pursuit.open and not (isinstance(event, HaltGoal | NodeLost) and pursuit is self.pursuits[-1]):
            raise NameTaken(f"goal {number} is over")
        pursuit.feed(event, now)
        return pursuit

    def _known(self, vm: str) -> str:
        if vm not in self.inventory.vms:
            raise Unknown(f"there is no VM {vm!r}")
        return vm

    def _out(self) -> dict[str, str]:
        out: dict[str, str] = {}
        for subject, policy in self.triggers.closed:
            nodes = affected(self.inventory, Goal(GoalKind.EVACUATE, subject)) if subject else ()
            out |= dict.fromkeys(nodes, f"maintenance window {policy}")
        return {**out, **{node: f"{node} is dead" for node in sorted(self.dead)}}

    def _subject(self, name: str) -> None:
        try:
            affected(self.inventory, Goal(GoalKind.EVACUATE, name))
        except GoalError:
            raise Unknown(f"there is no node, switch or power domain {name!r}") from None

    def _down(self) -> frozenset[str]:
        """Switches with nodes, all of which are dead: they are taken to be so too."""
        nodes = {switch: self.inventory.nodes_of(switch) for switch in self.inventory.switches}
        return frozenset(switch for switch, found in nodes.items() if found and self.dead.issuperset(found))

    def as_it_is(self) -> Inventory:
        """The inventory with every VM where it is by now."""
        if not self.pursuits:
            return self.inventory
        newest = {move.vm: move for move in self.pursuits[-1].orchestrator.moves}
        places = {name: move.node if move.state is MoveState.DONE else move.source for name, move in newest.items()}
        vms = {name: self._moved(vm, places.get(name, vm.at)) for name, vm in self.inventory.vms.items()}
        return replace(self.inventory, vms=vms)

    def _moved(self, vm: InventoryVm, place: str) -> InventoryVm:
        """A VM at the place where it is by now, with its disk where that was copied to."""
        target = copied_to(self.inventory, self.occupancy, vm, (vm.at, place))
        disk = vm.disk if vm.disk is None or target is None else replace(vm.disk, datastore=target)
        return replace(vm, at=place, disk=disk)
