"""One move as a table: reserve, copy, suspend, associate, resume, let go; and from every step back to a clean state.

A move knows no cluster: it is told where to try, says what is to be done (:class:`Do`), and is told how that went.
Which place to try next is its owner's business, ``orchestrator``.

Nothing is taken for a success before it is reported as one.  Until the VM has been resumed at its destination, a halt
takes everything back; from then on the VM is there, and what is left is to clear up behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from ryu_apps.evb.protocol.table import DocumentedRow, Table

__all__ = [
    "Begin",
    "Do",
    "Done",
    "Exhausted",
    "Failed",
    "Halt",
    "Lapsed",
    "Move",
    "MoveState",
    "Note",
    "SourceLost",
    "Start",
    "Step",
    "Tick",
    "Way",
    "documented_rows",
]

#: Seconds that a bridge may take to answer; what has not been granted by then counts as refused.
PATIENCE = 10.0
#: Seconds between two attempts to run a VM at its source again, and how many there are.
RETURN_INTERVAL, RETURN_ATTEMPTS = 1.0, 5


class Way(Enum):
    """The ladders of the founding paper; and a VM that starts anew because its node is dead."""

    MINIMIZE_LATENCY = "minimize-latency"
    SAFEST_EXCHANGE = "safest-exchange"
    RESTART = "restart"


class Step(Enum):
    """What somebody has to do with hypervisors."""

    RESERVE = "reserve"
    """Pre-Associate with Resource Reservation at the node."""
    COPY = "copy"
    """Memory from the source to the node, while the VM runs."""
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


# --- events -----------------------------------------------------------------------------------------
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
class Done:
    """A step at a node has succeeded."""

    step: Step
    node: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A step at a node was refused, or went wrong."""

    step: Step
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
class Tick:
    """The deadline has come."""


Event = Begin | Exhausted | Start | Done | Failed | Lapsed | SourceLost | Halt | Tick


# --- outputs ----------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Do:
    """Carry out a step, and tell :class:`Done` or :class:`Failed`; steps of one VM in the order in which they came.

    Attributes:
        node: the destination.
        source: where the VM was.
    """

    vm: str
    step: Step
    node: str
    source: str


@dataclass(frozen=True, slots=True)
class Note:
    """A line of a move's story: when (monotonic seconds), where, what."""

    t: float
    node: str
    text: str


# --- the machine ------------------------------------------------------------------------------------
class MoveState(Enum):
    """Where a move stands; the names are the rendered table's."""

    WAITING = "waiting"
    RESERVING = "reserving"
    RESERVED = "reserved"
    COPYING = "copying"
    BOOTING = "booting"
    SUSPENDING = "suspending"
    LETTING_GO = "source lets go"
    ASSOCIATING = "associating"
    RESUMING = "resuming"
    CLEARING = "source clears up"
    CANCELLING = "cancelling"
    RELEASING = "releasing"
    TURNING = "to be turned back"
    WITHDRAWING = "withdrawing"
    RETURNING = "returning"
    DONE = "done"
    HALTED = "halted"
    REFUSED = "refused"
    STRANDED = "stranded"


class Input(Enum):
    """What an event amounts to, after the guards; the names are the rendered table's."""

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
    _LETTING_GO,
    _ASSOCIATING,
    _RESUMING,
    _CLEARING,
    _CANCELLING,
    _RELEASING,
    _TURNING,
    _WITHDRAWING,
    _RETURNING,
    _DONE,
    _HALTED,
    _REFUSED,
    _STRANDED,
) = MoveState

ENDS = frozenset({_DONE, _HALTED, _REFUSED, _STRANDED})
#: In these the VM is, or may be, underway: it runs at neither end.
_UNDERWAY = frozenset({_BOOTING, _SUSPENDING, _LETTING_GO, _ASSOCIATING, _RESUMING, _TURNING, _WITHDRAWING, _RETURNING})


class Move:
    """One VM on its way.

    Attributes:
        vm, source: who, and from where.
        way: how.
        target: the place to try first, None for none in particular.
        home: it goes back to ``target``, and to nowhere else.
        kept: its reservation is not used until somebody says so.
        state, since: where it stands, and since when.
        node: the destination in hand, or the last one; empty before the first.
        tried: nodes that have not worked, and why.
        halted: a halt has come; it ends in a clean state.
        turned: it was suspended in vain.
        deadline: when to feed :class:`Tick`, None if nothing is awaited.
        story: what happened.
    """

    def __init__(
        self, vm: str, source: str, way: Way, target: str | None = None, home: bool = False, kept: bool = False
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
        self.tried: dict[str, str] = {}
        self.halted = False
        self.turned = False
        self.deadline: float | None = None
        self.story: list[Note] = []
        self._awaited: Step | None = None
        self._returns = 0

    def feed(self, event: Event, now: float) -> list[Do]:
        """Take one event; an answer that nobody waits for any more changes nothing.

        Raises:
            ProtocolError: the event has no meaning in this state.
        """
        given = self._input(event, now)
        if given is None:
            return []
        if given is Input.LOST:
            self.way, self.kept = Way.RESTART, False
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
    def _input(self, event: Event, now: float) -> Input | None:
        match event:
            case Done(step, node):
                return Input.DONE if (step, node) == (self._awaited, self.node) else None
            case Failed(step, node):
                return self._failure() if (step, node) == (self._awaited, self.node) else None
            case Lapsed(node):
                return Input.LAPSED if node == self.node and self._has_row(Input.LAPSED) else None
            case SourceLost():
                return None if self.ended or self.way is Way.RESTART else Input.LOST
            case Tick():
                return Input.LATE if self.deadline is not None and self.deadline <= now else None
        return _PLAIN[type(event)]

    def _failure(self) -> Input:
        if self.state is _RETURNING and self._returns >= RETURN_ATTEMPTS:
            return Input.FAILED_AGAIN
        return Input.FAILED

    def _has_row(self, given: Input) -> bool:
        return (self.state, given) in TABLES[self.way]

    # --- actions: the tables' verbs ---
    def _reserve(self, begin: Begin, now: float) -> list[Do]:
        """Pre-Associate with Resource Reservation there, start the patience."""
        self.node = begin.node
        return self._do(Step.RESERVE, now, PATIENCE)

    def _hold(self, _: Done, now: float) -> list[Do]:
        """Keep the reservation until it is used or released."""
        return self._rest(now, "reserved")

    def _next(self, event: Failed | Lapsed, now: float) -> list[Do]:
        """Note why not this one."""
        reason = event.reason if isinstance(event, Failed) else "the reservation has lapsed"
        return self._give_up(now, reason)

    def _copy(self, _: Start, now: float) -> list[Do]:
        """Copy the memory, the VM runs on."""
        return self._do(Step.COPY, now)

    def _suspend(self, _: Done, now: float) -> list[Do]:
        """Suspend the VM, hand the last pages over."""
        return self._do(Step.SUSPEND, now)

    def _let_go(self, _: Done, now: float) -> list[Do]:
        """De-Associate at the source."""
        return self._do(Step.LET_GO, now)

    def _boot(self, _: Start | SourceLost, now: float) -> list[Do]:
        """Make the VM anew at the destination."""
        return self._do(Step.BOOT, now)

    def _associate(self, _: Done | SourceLost, now: float) -> list[Do]:
        """Associate at the destination, start the patience."""
        return self._do(Step.ASSOCIATE, now, PATIENCE)

    def _resume(self, _: Done, now: float) -> list[Do]:
        """Let the VM run at the destination."""
        return self._do(Step.RESUME, now)

    def _finish(self, event: Done | Failed | SourceLost, now: float) -> list[Do]:
        """Nothing is left to do."""
        return self._rest(now, f"done, but the source: {event.reason}" if isinstance(event, Failed) else "done")

    def _cancel(self, event: Halt | Lapsed, now: float) -> list[Do]:
        """Stop copying."""
        if isinstance(event, Halt):
            self.halted = True
        else:
            self.tried[self.node] = "the reservation has lapsed"
        return self._do(Step.CANCEL, now)

    def _release(self, event: Done | Failed | Halt | Tick | SourceLost, now: float) -> list[Do]:
        """De-Associate at the destination."""
        self._blame(event)
        return self._do(Step.RELEASE, now)

    def _remember(self, _: Halt, now: float) -> list[Do]:
        """Wait for the step to end."""
        self.halted = True
        self.story.append(Note(now, self.node, "halted"))
        return []

    def _too_late(self, _: Halt, now: float) -> list[Do]:
        """The VM is at its destination: go on."""
        self.story.append(Note(now, self.node, "too late to halt"))
        return []

    def _put_back(self, _: Done | Failed | Tick | SourceLost, now: float) -> list[Do]:
        """Let the VM run at its source again; if that is dead, forget what was booted."""
        self._returns += 1
        self.turned = True
        return self._do(Step.DISCARD if self.way is Way.RESTART else Step.RETURN, now)

    def _try_again(self, event: Failed, now: float) -> list[Do]:
        """Try once more in a second."""
        self._rest(now, f"not back yet: {event.reason}")
        self.deadline = now + RETURN_INTERVAL
        return []

    def _back(self, _: Done | Failed, now: float) -> list[Do]:
        """It is as if nothing had been."""
        self._returns = 0
        return self._rest(now, "taken back")

    def _end_halted(self, event: Halt, now: float) -> list[Do]:
        """Nothing is left to take back."""
        self.halted = True
        return self._rest(now, event.reason)

    def _end_refused(self, event: Exhausted, now: float) -> list[Do]:
        """Say what was tried."""
        return self._rest(now, event.reason)

    def _end_stranded(self, event: Failed, now: float) -> list[Do]:
        """Say that the VM runs nowhere."""
        return self._rest(now, f"runs nowhere: {event.reason}")

    def _stay(self, _: Event, __: float) -> list[Do]:
        """Nothing."""
        return []

    # --- what actions share ---
    def _do(self, step: Step, now: float, patience: float | None = None) -> list[Do]:
        self._awaited = step
        self.deadline = None if patience is None else now + patience
        self.story.append(Note(now, self.node, step.value))
        return [Do(self.vm, step, self.node, self.source)]

    def _rest(self, now: float, words: str) -> list[Do]:
        self._awaited = None
        self.deadline = None
        self.story.append(Note(now, self.node, words))
        return []

    def _give_up(self, now: float, reason: str) -> list[Do]:
        self.tried[self.node] = reason
        return self._rest(now, reason)

    def _blame(self, event: Event) -> None:
        """Remember why a destination is given up, unless it is by our own wish."""
        match event:
            case Halt():
                self.halted = True
            case Failed(reason=reason) if self.state not in (_CANCELLING, _TURNING):
                self.tried[self.node] = reason
            case Tick():
                self.tried[self.node] = f"no answer in {PATIENCE:g} s"


_PLAIN = {
    Begin: Input.BEGIN,
    Exhausted: Input.EXHAUSTED,
    Start: Input.START,
    Halt: Input.HALT,
}

# --- the tables ---------------------------------------------------------------------------------------
_Rows = dict[tuple[MoveState, Input], tuple[Callable[[Move, Any, float], list[Do]], MoveState]]

#: The same on every way: until there is a reservation, from Associate to resume, and back.
_COMMON: _Rows = {
    (_WAITING, Input.BEGIN): (Move._reserve, _RESERVING),
    (_WAITING, Input.EXHAUSTED): (Move._end_refused, _REFUSED),
    (_WAITING, Input.HALT): (Move._end_halted, _HALTED),
    (_RESERVING, Input.DONE): (Move._hold, _RESERVED),
    (_RESERVING, Input.FAILED): (Move._next, _WAITING),
    (_RESERVING, Input.LATE): (Move._release, _RELEASING),
    (_RESERVING, Input.HALT): (Move._release, _RELEASING),
    (_RESERVED, Input.LAPSED): (Move._next, _WAITING),
    (_RESERVED, Input.HALT): (Move._release, _RELEASING),
    # The way back of what has not been suspended.
    (_CANCELLING, Input.DONE): (Move._release, _RELEASING),
    (_CANCELLING, Input.FAILED): (Move._release, _RELEASING),
    (_CANCELLING, Input.HALT): (Move._remember, _CANCELLING),
    (_RELEASING, Input.DONE): (Move._back, _WAITING),
    (_RELEASING, Input.FAILED): (Move._back, _WAITING),
    (_RELEASING, Input.HALT): (Move._remember, _RELEASING),
    # Associate is the one trigger.
    (_ASSOCIATING, Input.DONE): (Move._resume, _RESUMING),
    (_ASSOCIATING, Input.FAILED): (Move._release, _WITHDRAWING),
    (_ASSOCIATING, Input.LATE): (Move._release, _WITHDRAWING),
    (_ASSOCIATING, Input.HALT): (Move._remember, _TURNING),
    (_RESUMING, Input.FAILED): (Move._release, _WITHDRAWING),
    (_RESUMING, Input.HALT): (Move._too_late, _RESUMING),
    # The way back of what has been suspended, or booted.
    (_TURNING, Input.DONE): (Move._release, _WITHDRAWING),
    (_TURNING, Input.FAILED): (Move._release, _WITHDRAWING),
    (_TURNING, Input.LATE): (Move._release, _WITHDRAWING),
    (_TURNING, Input.HALT): (Move._stay, _TURNING),
    (_WITHDRAWING, Input.DONE): (Move._put_back, _RETURNING),
    (_WITHDRAWING, Input.FAILED): (Move._put_back, _RETURNING),
    (_WITHDRAWING, Input.HALT): (Move._remember, _WITHDRAWING),
    (_RETURNING, Input.DONE): (Move._back, _WAITING),
    (_RETURNING, Input.FAILED): (Move._try_again, _RETURNING),
    (_RETURNING, Input.LATE): (Move._put_back, _RETURNING),
    (_RETURNING, Input.FAILED_AGAIN): (Move._end_stranded, _STRANDED),
    (_RETURNING, Input.HALT): (Move._remember, _RETURNING),
    **{(end, Input.HALT): (Move._stay, end) for end in (_DONE, _HALTED, _REFUSED, _STRANDED)},
}

#: A living VM, until it is suspended.
_ALIVE: _Rows = {
    (_RESERVED, Input.START): (Move._copy, _COPYING),
    (_COPYING, Input.DONE): (Move._suspend, _SUSPENDING),
    (_COPYING, Input.FAILED): (Move._release, _RELEASING),
    (_COPYING, Input.LAPSED): (Move._cancel, _CANCELLING),
    (_COPYING, Input.HALT): (Move._cancel, _CANCELLING),
    (_SUSPENDING, Input.FAILED): (Move._release, _WITHDRAWING),
    (_SUSPENDING, Input.HALT): (Move._remember, _TURNING),
}

#: The destination associates the moment it holds the last pages; the source lets go afterwards.
_MINIMIZE_LATENCY: _Rows = {
    (_SUSPENDING, Input.DONE): (Move._associate, _ASSOCIATING),
    (_RESUMING, Input.DONE): (Move._let_go, _CLEARING),
    (_CLEARING, Input.DONE): (Move._finish, _DONE),
    (_CLEARING, Input.FAILED): (Move._finish, _DONE),
    (_CLEARING, Input.HALT): (Move._too_late, _CLEARING),
}

#: The source has let go, confirmed, before the destination associates: never two owners.
_SAFEST_EXCHANGE: _Rows = {
    (_SUSPENDING, Input.DONE): (Move._let_go, _LETTING_GO),
    (_LETTING_GO, Input.DONE): (Move._associate, _ASSOCIATING),
    (_LETTING_GO, Input.FAILED): (Move._release, _WITHDRAWING),
    (_LETTING_GO, Input.HALT): (Move._remember, _TURNING),
    (_RESUMING, Input.DONE): (Move._finish, _DONE),
}

#: The source is dead, or dies in the middle of it.
_RESTART: _Rows = {
    (_RESERVED, Input.START): (Move._boot, _BOOTING),
    (_BOOTING, Input.DONE): (Move._associate, _ASSOCIATING),
    (_BOOTING, Input.FAILED): (Move._release, _WITHDRAWING),
    (_BOOTING, Input.HALT): (Move._remember, _TURNING),
    (_RESUMING, Input.DONE): (Move._finish, _DONE),
    (_RESERVED, Input.LOST): (Move._boot, _BOOTING),
    (_COPYING, Input.LOST): (Move._boot, _BOOTING),
    # It is not known whether all of the last pages have come.
    (_SUSPENDING, Input.LOST): (Move._release, _WITHDRAWING),
    # They have.
    (_LETTING_GO, Input.LOST): (Move._associate, _ASSOCIATING),
    (_CLEARING, Input.LOST): (Move._finish, _DONE),
    (_RETURNING, Input.LOST): (Move._put_back, _RETURNING),
    **{
        (state, Input.LOST): (Move._stay, state)
        for state in (
            _WAITING,
            _RESERVING,
            _CANCELLING,
            _RELEASING,
            _ASSOCIATING,
            _RESUMING,
            _TURNING,
            _WITHDRAWING,
        )
    },
}

TABLES: dict[Way, Table[Move, MoveState, Input, Do]] = {
    Way.MINIMIZE_LATENCY: Table("move, minimize latency", {**_COMMON, **_ALIVE, **_MINIMIZE_LATENCY}),
    Way.SAFEST_EXCHANGE: Table("move, safest exchange", {**_COMMON, **_ALIVE, **_SAFEST_EXCHANGE}),
    Way.RESTART: Table("move, source dead", {**_COMMON, **_RESTART}),
}


def documented_rows() -> Iterator[DocumentedRow]:
    """The tables in words, rows that several ways have in common once."""
    parts = (
        ("", _COMMON),
        ("", _ALIVE),
        (Way.MINIMIZE_LATENCY.value, _MINIMIZE_LATENCY),
        (Way.SAFEST_EXCHANGE.value, _SAFEST_EXCHANGE),
        ("source dead", _RESTART),
    )
    for words, rows in parts:
        for row in Table[Move, MoveState, Input, Do](words, rows).rows():
            yield replace(row, input=f"{row.input} ({words})") if words else row
