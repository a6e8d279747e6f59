"""One move as a table: reserve, copy, suspend, associate, resume, let go; and from every step back to a clean state.

A move contains no cluster: its inputs are nodes to try and results of steps, its outputs are steps (:class:`Do`).
``orchestrator`` chooses the nodes.

Nothing is taken for a success before it is reported as one.  Until the VM has been resumed at its destination, a halt
takes everything back; from then on the VM is there, and what is left is to clear up behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import Enum
from typing import Any

from ryu_apps.evb.protocol.table import DocumentedRow, TransitionTable
from ryu_apps.vcm.move_events import (
    LIVE_LADDERS,
    Begin,
    DeadlinePassed,
    Do,
    Exhausted,
    GrantedNetwork,
    Halt,
    Ladder,
    Lapsed,
    MoveEvent,
    MoveStep,
    Note,
    SourceLost,
    Start,
    StepDone,
    StepFailed,
)

__all__ = [
    "LIVE_LADDERS",
    "Begin",
    "DeadlinePassed",
    "Do",
    "Exhausted",
    "GrantedNetwork",
    "Halt",
    "Ladder",
    "Lapsed",
    "Move",
    "MoveEvent",
    "MoveState",
    "MoveStep",
    "Note",
    "SourceLost",
    "Start",
    "StepDone",
    "StepFailed",
    "documented_rows",
]

#: Seconds that a bridge may take to answer; what has not been granted by then counts as refused.
PATIENCE = 10.0
#: Seconds between two attempts to run a VM at its source again, and how many there are.
RETURN_INTERVAL, RETURN_ATTEMPTS = 1.0, 5


# --- the machine ------------------------------------------------------------------------------------
class MoveState(Enum):
    """States of a move; the values are the rendered table's."""

    WAITING = "waiting"
    RESERVING = "reserving"
    RESERVED = "reserved"
    COPYING = "copying"
    BOOTING = "booting"
    SUSPENDING = "suspending"
    DEASSOCIATING_SOURCE = "de-associating source"
    ASSOCIATING = "associating"
    RESUMING = "resuming"
    CLEARING = "source clears up"
    CANCELLING = "cancelling"
    RELEASING = "releasing"
    ROLLING_BACK = "rolling back"
    WITHDRAWING = "withdrawing"
    RETURNING = "returning"
    DONE = "done"
    HALTED = "halted"
    REFUSED = "refused"
    FAILED = "failed"


class MoveInput(Enum):
    """Inputs of the tables: events after the guards; the values are the rendered table's."""

    BEGIN = "try a node"
    EXHAUSTED = "no node left"
    START = "start"
    DONE = "step done"
    FAILED = "step failed"
    FAILED_AGAIN = "step failed too often"
    LATE = "no answer in time"
    LAPSED = "reservation lapsed"
    LOST = "source is dead"
    HALT = "halt"


(
    _WAITING,
    _RESERVING,
    _RESERVED,
    _COPYING,
    _BOOTING,
    _SUSPENDING,
    _DEASSOCIATING_SOURCE,
    _ASSOCIATING,
    _RESUMING,
    _CLEARING,
    _CANCELLING,
    _RELEASING,
    _ROLLING_BACK,
    _WITHDRAWING,
    _RETURNING,
    _DONE,
    _HALTED,
    _REFUSED,
    _FAILED,
) = MoveState

ENDS = frozenset({_DONE, _HALTED, _REFUSED, _FAILED})
#: In these the VM is, or may be, underway: it runs at neither end.
_UNDERWAY = frozenset(
    {_BOOTING, _SUSPENDING, _DEASSOCIATING_SOURCE, _ASSOCIATING, _RESUMING, _ROLLING_BACK, _WITHDRAWING, _RETURNING}
)


class Move:
    """One VM on its way.

    Attributes:
        vm, source: the VM, and the node it runs at.
        way: ladder.
        target: the place to try first, None for none in particular.
        home: it goes back to ``target``, and to nowhere else.
        kept: its reservation is kept until it is to be used.
        state, since: present state, and when it was entered.
        node: the destination in hand, or the last one; empty before the first.
        network: of the VM at ``node``, if the bridge has chosen it; None: not known.
        tried: nodes that have not worked, with the reason.
        halted: a halt has come; it ends in a clean state.
        turned: it was suspended, and resumed at the source.
        deadline: when to feed :class:`DeadlinePassed`, None if nothing is awaited.
        log: steps and results.
    """

    def __init__(
        self, vm: str, source: str, way: Ladder, target: str | None = None, home: bool = False, kept: bool = False
    ) -> None:
        self.vm = vm
        self.source = source
        self.way = way
        self.target = target
        self.home = home
        self.kept = kept
        self.state = _WAITING
        self.since = 0.0
        self.node = ""
        self.network: GrantedNetwork | None = None
        self.tried: dict[str, str] = {}
        self.halted = False
        self.turned = False
        self.deadline: float | None = None
        self.log: list[Note] = []
        self._awaited: MoveStep | None = None
        self._returns = 0

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
        return self.state in _UNDERWAY

    @property
    def places(self) -> frozenset[str]:
        """The nodes that have to have room for the VM."""
        if self.state is _DONE:
            return frozenset({self.node})
        if self.state is _WAITING or self.ended:
            return frozenset({self.source})
        return frozenset({self.source, self.node})

    # --- guards: from event to input ---
    def _input(self, event: MoveEvent, now: float) -> MoveInput | None:
        match event:
            case StepDone(step, node):
                return MoveInput.DONE if (step, node) == (self._awaited, self.node) else None
            case StepFailed(step, node):
                return self._failure() if (step, node) == (self._awaited, self.node) else None
            case Lapsed(node):
                return MoveInput.LAPSED if node == self.node and self._has_row(MoveInput.LAPSED) else None
            case SourceLost():
                return None if self.ended or self.way is Ladder.RESTART else MoveInput.LOST
            case DeadlinePassed():
                return MoveInput.LATE if self.deadline is not None and self.deadline <= now else None
        return _PLAIN[type(event)]

    def _failure(self) -> MoveInput:
        if self.state is _RETURNING and self._returns >= RETURN_ATTEMPTS:
            return MoveInput.FAILED_AGAIN
        return MoveInput.FAILED

    def _has_row(self, given: MoveInput) -> bool:
        return (self.state, given) in TABLES[self.way]

    # --- actions: the tables' verbs ---
    def _reserve(self, begin: Begin, now: float) -> list[Do]:
        """Pre-Associate with Resource Reservation there, start the patience."""
        self.node, self.network = begin.node, None
        return self._do(MoveStep.RESERVE, now, PATIENCE)

    def _hold(self, event: StepDone, now: float) -> list[Do]:
        """Keep the reservation until it is used or released."""
        self.network = event.network
        return self._rest(now, "reserved" if event.network is None else f"reserved, {event.network}")

    def _next(self, event: StepFailed | Lapsed, now: float) -> list[Do]:
        """Note why not this one."""
        reason = event.reason if isinstance(event, StepFailed) else "the reservation has lapsed"
        return self._give_up(now, reason)

    def _copy(self, _: Start, now: float) -> list[Do]:
        """Copy the memory, the VM runs on."""
        return self._do(MoveStep.COPY, now)

    def _suspend(self, _: StepDone, now: float) -> list[Do]:
        """Suspend the VM, hand the last pages over."""
        return self._do(MoveStep.SUSPEND, now)

    def _let_go(self, _: StepDone, now: float) -> list[Do]:
        """De-Associate at the source."""
        return self._do(MoveStep.LET_GO, now)

    def _boot(self, _: Start | SourceLost, now: float) -> list[Do]:
        """Make the VM anew at the destination."""
        return self._do(MoveStep.BOOT, now)

    def _associate(self, _: StepDone | SourceLost, now: float) -> list[Do]:
        """Associate at the destination, start the patience."""
        return self._do(MoveStep.ASSOCIATE, now, PATIENCE)

    def _resume(self, event: StepDone, now: float) -> list[Do]:
        """Let the VM run at the destination."""
        self.network = event.network or self.network
        return self._do(MoveStep.RESUME, now)

    def _finish(self, event: StepDone | StepFailed | SourceLost, now: float) -> list[Do]:
        """Nothing is left to do."""
        return self._rest(now, f"done, but the source: {event.reason}" if isinstance(event, StepFailed) else "done")

    def _cancel(self, event: Halt | Lapsed, now: float) -> list[Do]:
        """Stop copying."""
        if isinstance(event, Halt):
            self.halted = True
        else:
            self.tried[self.node] = "the reservation has lapsed"
        return self._do(MoveStep.CANCEL, now)

    def _release(self, event: StepDone | StepFailed | Halt | DeadlinePassed | SourceLost, now: float) -> list[Do]:
        """De-Associate at the destination."""
        self._blame(event)
        return self._do(MoveStep.RELEASE, now)

    def _remember(self, _: Halt, now: float) -> list[Do]:
        """Wait for the step to end."""
        self.halted = True
        self.log.append(Note(now, self.node, "halted"))
        return []

    def _too_late(self, _: Halt, now: float) -> list[Do]:
        """The VM is at its destination: go on."""
        self.log.append(Note(now, self.node, "too late to halt"))
        return []

    def _put_back(self, _: StepDone | StepFailed | DeadlinePassed | SourceLost, now: float) -> list[Do]:
        """Let the VM run at its source again; if that is dead, forget what was booted."""
        self._returns += 1
        self.turned = True
        return self._do(MoveStep.DISCARD if self.way is Ladder.RESTART else MoveStep.RETURN, now)

    def _try_again(self, event: StepFailed, now: float) -> list[Do]:
        """Try once more in a second."""
        self._rest(now, f"not back yet: {event.reason}")
        self.deadline = now + RETURN_INTERVAL
        return []

    def _back(self, _: StepDone | StepFailed, now: float) -> list[Do]:
        """It is as if nothing had been."""
        self._returns = 0
        return self._rest(now, "taken back")

    def _end_halted(self, event: Halt, now: float) -> list[Do]:
        """Nothing is left to take back."""
        self.halted = True
        return self._rest(now, event.reason)

    def _end_refused(self, event: Exhausted, now: float) -> list[Do]:
        """Log what was tried."""
        return self._rest(now, event.reason)

    def _end_failed(self, event: StepFailed, now: float) -> list[Do]:
        """Log that the VM runs nowhere."""
        return self._rest(now, f"runs nowhere: {event.reason}")

    def _stay(self, _: MoveEvent, __: float) -> list[Do]:
        """Nothing."""
        return []

    # --- what actions share ---
    def _do(self, step: MoveStep, now: float, patience: float | None = None) -> list[Do]:
        self._awaited = step
        self.deadline = None if patience is None else now + patience
        self.log.append(Note(now, self.node, step.value))
        return [Do(self.vm, step, self.node, self.source)]

    def _rest(self, now: float, words: str) -> list[Do]:
        self._awaited = None
        self.deadline = None
        self.log.append(Note(now, self.node, words))
        return []

    def _give_up(self, now: float, reason: str) -> list[Do]:
        self.tried[self.node] = reason
        return self._rest(now, reason)

    def _blame(self, event: MoveEvent) -> None:
        """Remember why a destination is given up, unless it is by our own wish."""
        match event:
            case Halt():
                self.halted = True
            case StepFailed(reason=reason) if self.state not in (_CANCELLING, _ROLLING_BACK):
                self.tried[self.node] = reason
            case DeadlinePassed():
                self.tried[self.node] = f"no answer in {PATIENCE:g} s"


_PLAIN = {
    Begin: MoveInput.BEGIN,
    Exhausted: MoveInput.EXHAUSTED,
    Start: MoveInput.START,
    Halt: MoveInput.HALT,
}

# --- the tables ---------------------------------------------------------------------------------------
_Rows = dict[tuple[MoveState, MoveInput], tuple[Callable[[Move, Any, float], list[Do]], MoveState]]

#: The same on every way: until there is a reservation, from Associate to resume, and back.
_COMMON: _Rows = {
    (_WAITING, MoveInput.BEGIN): (Move._reserve, _RESERVING),
    (_WAITING, MoveInput.EXHAUSTED): (Move._end_refused, _REFUSED),
    (_WAITING, MoveInput.HALT): (Move._end_halted, _HALTED),
    (_RESERVING, MoveInput.DONE): (Move._hold, _RESERVED),
    (_RESERVING, MoveInput.FAILED): (Move._next, _WAITING),
    (_RESERVING, MoveInput.LATE): (Move._release, _RELEASING),
    (_RESERVING, MoveInput.HALT): (Move._release, _RELEASING),
    (_RESERVED, MoveInput.LAPSED): (Move._next, _WAITING),
    (_RESERVED, MoveInput.HALT): (Move._release, _RELEASING),
    # The way back of what has not been suspended.
    (_CANCELLING, MoveInput.DONE): (Move._release, _RELEASING),
    (_CANCELLING, MoveInput.FAILED): (Move._release, _RELEASING),
    (_CANCELLING, MoveInput.HALT): (Move._remember, _CANCELLING),
    (_RELEASING, MoveInput.DONE): (Move._back, _WAITING),
    (_RELEASING, MoveInput.FAILED): (Move._back, _WAITING),
    (_RELEASING, MoveInput.HALT): (Move._remember, _RELEASING),
    # Associate is the one trigger.
    (_ASSOCIATING, MoveInput.DONE): (Move._resume, _RESUMING),
    (_ASSOCIATING, MoveInput.FAILED): (Move._release, _WITHDRAWING),
    (_ASSOCIATING, MoveInput.LATE): (Move._release, _WITHDRAWING),
    (_ASSOCIATING, MoveInput.HALT): (Move._remember, _ROLLING_BACK),
    (_RESUMING, MoveInput.FAILED): (Move._release, _WITHDRAWING),
    (_RESUMING, MoveInput.HALT): (Move._too_late, _RESUMING),
    # The way back of what has been suspended, or booted.
    (_ROLLING_BACK, MoveInput.DONE): (Move._release, _WITHDRAWING),
    (_ROLLING_BACK, MoveInput.FAILED): (Move._release, _WITHDRAWING),
    (_ROLLING_BACK, MoveInput.LATE): (Move._release, _WITHDRAWING),
    (_ROLLING_BACK, MoveInput.HALT): (Move._stay, _ROLLING_BACK),
    (_WITHDRAWING, MoveInput.DONE): (Move._put_back, _RETURNING),
    (_WITHDRAWING, MoveInput.FAILED): (Move._put_back, _RETURNING),
    (_WITHDRAWING, MoveInput.HALT): (Move._remember, _WITHDRAWING),
    (_RETURNING, MoveInput.DONE): (Move._back, _WAITING),
    (_RETURNING, MoveInput.FAILED): (Move._try_again, _RETURNING),
    (_RETURNING, MoveInput.LATE): (Move._put_back, _RETURNING),
    (_RETURNING, MoveInput.FAILED_AGAIN): (Move._end_failed, _FAILED),
    (_RETURNING, MoveInput.HALT): (Move._remember, _RETURNING),
    **{(end, MoveInput.HALT): (Move._stay, end) for end in (_DONE, _HALTED, _REFUSED, _FAILED)},
}

#: A living VM, until it is suspended.
_ALIVE: _Rows = {
    (_RESERVED, MoveInput.START): (Move._copy, _COPYING),
    (_COPYING, MoveInput.DONE): (Move._suspend, _SUSPENDING),
    (_COPYING, MoveInput.FAILED): (Move._release, _RELEASING),
    (_COPYING, MoveInput.LAPSED): (Move._cancel, _CANCELLING),
    (_COPYING, MoveInput.HALT): (Move._cancel, _CANCELLING),
    (_SUSPENDING, MoveInput.FAILED): (Move._release, _WITHDRAWING),
    (_SUSPENDING, MoveInput.HALT): (Move._remember, _ROLLING_BACK),
}

#: The destination associates the moment it has the last pages; the source de-associates afterwards.
_MINIMIZE_LATENCY: _Rows = {
    (_SUSPENDING, MoveInput.DONE): (Move._associate, _ASSOCIATING),
    (_RESUMING, MoveInput.DONE): (Move._let_go, _CLEARING),
    (_CLEARING, MoveInput.DONE): (Move._finish, _DONE),
    (_CLEARING, MoveInput.FAILED): (Move._finish, _DONE),
    (_CLEARING, MoveInput.HALT): (Move._too_late, _CLEARING),
}

#: The source has de-associated, confirmed, before the destination associates: never two owners.
_SAFEST_EXCHANGE: _Rows = {
    (_SUSPENDING, MoveInput.DONE): (Move._let_go, _DEASSOCIATING_SOURCE),
    (_DEASSOCIATING_SOURCE, MoveInput.DONE): (Move._associate, _ASSOCIATING),
    (_DEASSOCIATING_SOURCE, MoveInput.FAILED): (Move._release, _WITHDRAWING),
    (_DEASSOCIATING_SOURCE, MoveInput.HALT): (Move._remember, _ROLLING_BACK),
    (_RESUMING, MoveInput.DONE): (Move._finish, _DONE),
}

#: The source is dead, or dies in the middle of it.
_RESTART: _Rows = {
    (_RESERVED, MoveInput.START): (Move._boot, _BOOTING),
    (_BOOTING, MoveInput.DONE): (Move._associate, _ASSOCIATING),
    (_BOOTING, MoveInput.FAILED): (Move._release, _WITHDRAWING),
    (_BOOTING, MoveInput.HALT): (Move._remember, _ROLLING_BACK),
    (_RESUMING, MoveInput.DONE): (Move._finish, _DONE),
    (_RESERVED, MoveInput.LOST): (Move._boot, _BOOTING),
    (_COPYING, MoveInput.LOST): (Move._boot, _BOOTING),
    # It is not known whether all of the last pages have come.
    (_SUSPENDING, MoveInput.LOST): (Move._release, _WITHDRAWING),
    # They have.
    (_DEASSOCIATING_SOURCE, MoveInput.LOST): (Move._associate, _ASSOCIATING),
    (_CLEARING, MoveInput.LOST): (Move._finish, _DONE),
    (_RETURNING, MoveInput.LOST): (Move._put_back, _RETURNING),
    **{
        (state, MoveInput.LOST): (Move._stay, state)
        for state in (
            _WAITING,
            _RESERVING,
            _CANCELLING,
            _RELEASING,
            _ASSOCIATING,
            _RESUMING,
            _ROLLING_BACK,
            _WITHDRAWING,
        )
    },
}

TABLES: dict[Ladder, TransitionTable[Move, MoveState, MoveInput, Do]] = {
    Ladder.MINIMIZE_LATENCY: TransitionTable("move, minimize latency", {**_COMMON, **_ALIVE, **_MINIMIZE_LATENCY}),
    Ladder.SAFEST_EXCHANGE: TransitionTable("move, safest exchange", {**_COMMON, **_ALIVE, **_SAFEST_EXCHANGE}),
    Ladder.RESTART: TransitionTable("move, source dead", {**_COMMON, **_RESTART}),
}


def documented_rows() -> Iterator[DocumentedRow]:
    """The tables in words, rows that several ways have in common once."""
    parts = (
        ("", _COMMON),
        ("", _ALIVE),
        (Ladder.MINIMIZE_LATENCY.value, _MINIMIZE_LATENCY),
        (Ladder.SAFEST_EXCHANGE.value, _SAFEST_EXCHANGE),
        ("source dead", _RESTART),
    )
    for words, rows in parts:
        for row in TransitionTable[Move, MoveState, MoveInput, Do](words, rows).rows():
            yield replace(row, input=f"{row.input} ({words})") if words else row
