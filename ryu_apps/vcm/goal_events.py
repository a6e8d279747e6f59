"""Events of a goal that is being pursued, and options of its moves."""

from __future__ import annotations

from dataclasses import dataclass

from ryu_apps.vcm.bridge_room import BridgeRoom
from ryu_apps.vcm.move_events import DeadlinePassed, Ladder, Lapsed, StepDone, StepFailed


@dataclass(frozen=True, slots=True)
class Go:
    """Begin."""


@dataclass(frozen=True, slots=True)
class StepAnswer:
    """Result of a step of a VM, or the loss of its reservation."""

    vm: str
    event: StepDone | StepFailed | Lapsed


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


@dataclass(frozen=True, slots=True)
class RoomAsked:
    """The bridge was asked again, and has answered what it has left."""

    room: BridgeRoom


OrchestratorEvent = Go | StepAnswer | Use | ReleasePlaces | NodeLost | HaltGoal | RoomAsked | DeadlinePassed


@dataclass(frozen=True, slots=True)
class MoveLimits:
    """Options of carrying out a plan.

    Attributes:
        way: which ladder.
        delay: seconds between a reservation and its use.
        ahead: reserve for all VMs before the first one moves; the delay counts from the last answer.
        restarts: most VMs of dead nodes that start at a time; 0: no bound.
        probes: the best nodes, so many of them, are probed before the first of those that would do is reserved.
    """

    way: Ladder = Ladder.MINIMIZE_LATENCY
    delay: float = 0.0
    ahead: bool = False
    probes: int = 0
    restarts: int = 0
