"""One move as a table: from the OVF that is pushed to the source that lets go, and from every step back.

Steps: push, probe, reserve, copy, suspend, associate, resume, let go.

A move contains no cluster: its inputs are nodes to try and results of steps, its outputs are steps (:class:`Do`).
``orchestrator`` chooses the nodes.

Nothing is taken for a success before it is reported as one.  Until the VM has been resumed at its destination, a halt
takes everything back; from then on the VM is there, and what is left is to clear up behind it.
"""

from __future__ import annotations

from ryu_apps.vcm.move_actions import MoveActions
from ryu_apps.vcm.move_events import (
    Begin,
    DeadlinePassed,
    Do,
    Exhausted,
    Halt,
    Ladder,
    Lapsed,
    MoveEvent,
    Probe,
    Push,
    SourceLost,
    Start,
    StepDone,
    StepFailed,
)
from ryu_apps.vcm.move_states import ENDS, UNDERWAY, MoveInput, MoveState
from ryu_apps.vcm.move_tables import TABLES

#: Attempts to run a VM at its source again.
RETURN_ATTEMPTS = 5


class Move(MoveActions):
    """One VM on its way: events to rows of the tables."""

    def feed(self, event: MoveEvent, now: float) -> list[Do]:
        """Take one event; an answer that is not awaited any more changes nothing.

        Raises:
            ProtocolError: the event has no meaning in this state.
        """
        given = self._input(event, now)
        if given is None:
            return []
        if given is MoveInput.LOST:
            self.way, self.kept = Ladder.RESTART, False
        before = self.state
        todo = TABLES[self.way].step(self, given, event, now)
        if self.state is not before:
            self.since = now
        return todo

    @property
    def ended(self) -> bool:
        """Nothing more happens."""
        return self.state in ENDS

    @property
    def underway(self) -> bool:
        """The VM may be running at neither end."""
        return self.state in UNDERWAY

    @property
    def places(self) -> frozenset[str]:
        """The nodes that have to have room for the VM."""
        if self.state is MoveState.DONE:
            return frozenset({self.node})
        if self.state is MoveState.WAITING or self.ended:
            return frozenset({self.source})
        return frozenset({self.source, self.node})

    # --- guards: from event to input ---
    def _input(self, event: MoveEvent, now: float) -> MoveInput | None:
        match event:
            case StepDone(step, node):
                return self._success() if (step, node) == (self.awaited, self.node) else None
            case StepFailed(step, node):
                return self._failure() if (step, node) == (self.awaited, self.node) else None
            case Lapsed(node):
                return MoveInput.LAPSED if node == self.node and self._has_row(MoveInput.LAPSED) else None
            case SourceLost():
                return None if self.ended or self.way is Ladder.RESTART else MoveInput.LOST
            case DeadlinePassed():
                return MoveInput.LATE if self.deadline is not None and self.deadline <= now else None
        return _PLAIN[type(event)]

    def _success(self) -> MoveInput:
        wanted = self.coordination.steps if self.coordination is not None else frozenset()
        follows = not wanted.isdisjoint(_FOLLOWS.get(self.state, ())) and self._has_row(MoveInput.AWAITED)
        return MoveInput.AWAITED if follows else MoveInput.DONE

    def _failure(self) -> MoveInput:
        if self.state is MoveState.RETURNING and self.returns >= RETURN_ATTEMPTS:
            return MoveInput.FAILED_AGAIN
        return MoveInput.FAILED

    def _has_row(self, given: MoveInput) -> bool:
        return (self.state, given) in TABLES[self.way]


#: State -> steps of components that follow its success, where the ladder has a row for that.
_FOLLOWS = {
    MoveState.RESERVING: ("stage",),
    MoveState.ASSOCIATING: ("activate", "fix-up"),
    MoveState.RESUMING: ("release",),
    MoveState.CLEARING: ("release",),
}
_PLAIN = {
    Push: MoveInput.PUSH,
    Probe: MoveInput.PROBE,
    Begin: MoveInput.BEGIN,
    Exhausted: MoveInput.EXHAUSTED,
    Start: MoveInput.START,
    Halt: MoveInput.HALT,
}
