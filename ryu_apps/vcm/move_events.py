"""Ladders and steps of a move, the events that its machine takes, and what it gives out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Ladder(Enum):
    """The ladders of the founding paper; and a VM that starts anew because its node is dead."""

    MINIMIZE_LATENCY = "minimize-latency"
    SAFEST_EXCHANGE = "safest-exchange"
    RESTART = "restart"


#: Ladders of a VM that runs.
LIVE_LADDERS = (Ladder.MINIMIZE_LATENCY, Ladder.SAFEST_EXCHANGE)


class MoveStep(Enum):
    """Steps that an agent carries out with hypervisors."""

    PUSH = "push"
    """The VM's OVF to the hypervisor at the node, which configures the VM from it."""
    PROBE = "probe"
    """Plain Pre-Associate at the node, and De-Associate if it is granted: nothing stays reserved."""
    RESERVE = "reserve"
    """Pre-Associate with Resource Reservation at the node."""
    COPY = "copy"
    """Disk, if need be, and memory from the source to the node, while the VM runs."""
    CANCEL = "cancel"
    """Stop copying."""
    SUSPEND = "suspend"
    """Stop the VM at the source, hand the last pages over."""
    LET_GO = "let go"
    """De-Associate at the source."""
    BOOT = "boot"
    """Make the VM anew at the node from its storage; it does not run yet."""
    ASSOCIATE = "associate"
    """Associate at the node."""
    RESUME = "resume"
    """Let the VM run at the node."""
    RELEASE = "release"
    """De-Associate at the node, which never had the VM running."""
    RETURN = "return"
    """Back to the source: associated there, if it is not, and running."""
    DISCARD = "discard"
    """Forget what was booted at the node."""
    AWAIT_STAGE = "await stage"
    """Wait until the NMS says that all its components have staged the VM at the node."""
    AWAIT_ACTIVATE = "await activate"
    """Likewise: have activated it, and taken what came after it was staged."""
    AWAIT_RELEASE = "await release"
    """Likewise: have released it at the source."""


#: Steps of components, in the words of an NMS.
COMPONENT_STEPS = frozenset({"stage", "activate", "fix-up", "release"})


@dataclass(frozen=True, slots=True)
class Coordination:
    """Steps of components that an NMS tells, which moves wait for.

    Attributes:
        bridge: name of the bridge at the NMS.
        steps: of ``stage``, ``activate``, ``fix-up`` and ``release``.
        deadline: seconds for each.
    """

    bridge: str
    steps: frozenset[str] = COMPONENT_STEPS
    deadline: float = 30.0


# --- events ---
@dataclass(frozen=True, slots=True)
class Push:
    """Push the VM's OVF to this node."""

    node: str


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask the bridge for this node, without a reservation."""

    node: str


@dataclass(frozen=True, slots=True)
class Begin:
    """Try this node."""

    node: str


@dataclass(frozen=True, slots=True)
class Exhausted:
    """There is no node left to try."""

    reason: str


@dataclass(frozen=True, slots=True)
class Start:
    """Use the reservation."""


@dataclass(frozen=True, slots=True)
class GrantedNetwork:
    """Network that the bridge has answered for a VM: its VID at that node, and its priority, None for none."""

    vid: int
    pcp: int | None = None

    def __str__(self) -> str:
        return f"VLAN {self.vid}" if self.pcp is None else f"VLAN {self.vid}, PCP {self.pcp}"


@dataclass(frozen=True, slots=True)
class StepDone:
    """A step at a node has succeeded.

    Attributes:
        network: of the bridge's answer to a VM without a VID of its own, if it is known.
    """

    step: MoveStep
    node: str
    network: GrantedNetwork | None = None


@dataclass(frozen=True, slots=True)
class StepFailed:
    """A step at a node was refused, or went wrong."""

    step: MoveStep
    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class Lapsed:
    """The bridge has taken the reservation at a node back."""

    node: str


@dataclass(frozen=True, slots=True)
class SourceLost:
    """The source is dead."""


@dataclass(frozen=True, slots=True)
class Halt:
    """Back to a clean state."""

    reason: str = "halted"


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The deadline has come."""


MoveEvent = (
    Push | Probe | Begin | Exhausted | Start | StepDone | StepFailed | Lapsed | SourceLost | Halt | DeadlinePassed
)


# --- outputs ---
@dataclass(frozen=True, slots=True)
class Do:
    """Carry out a step, and answer with :class:`StepDone` or :class:`StepFailed`; steps of one VM in order.

    Attributes:
        node: the destination.
        source: where the VM was.
        datastore: that its disk is copied to; empty: the destination reaches the disk where it is.
    """

    vm: str
    step: MoveStep
    node: str
    source: str
    datastore: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A line of a move's log: time (monotonic seconds), node and text."""

    t: float
    node: str
    text: str
