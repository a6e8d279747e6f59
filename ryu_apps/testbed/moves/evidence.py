"""Evidence of a move: its instants, flow dumps and ladder steps, and its outcome.  Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from ryu_apps.testbed.harness.capture import Sighting
from ryu_apps.testbed.ladder.model import LadderStep


class MoveOutcome(Enum):
    """Outcome of a move; the values are the words of scenario files and reports."""

    COMPLETED = "completed"
    ABORTED = "aborted"
    REFUSED = "refused"


@dataclass(slots=True)
class Marks:
    """Instants of a move in monotonic seconds; 0.0 for what did not happen.

    Attributes:
        begun: before anything.
        suspended: the VM has stopped at the source.
        associating: the destination is about to associate.
        resumed: the VM runs at the destination.
        ended: after everything.
    """

    begun: float = 0.0
    suspended: float = 0.0
    associating: float = 0.0
    resumed: float = 0.0
    ended: float = 0.0


@dataclass(slots=True)
class Evidence:
    """Observations of one move.

    Attributes:
        steps: the cluster manager's and the hypervisors' part of the ladder diagram.
        dumps: flow dumps of the destination's switch: ``before``, ``staged``, ``active``.
        injected: frames sent at the staged port.
        at_staged_port: frames that arrived there before the VM took its place.
    """

    marks: Marks = field(default_factory=Marks)
    steps: list[LadderStep] = field(default_factory=list)
    dumps: dict[str, list[str]] = field(default_factory=dict)
    injected: int = 0
    at_staged_port: list[Sighting] = field(default_factory=list)
    outcome: MoveOutcome = MoveOutcome.COMPLETED
    reason: str = ""
