"""States of a move, and inputs of its tables."""

from __future__ import annotations

from enum import Enum


class MoveState(Enum):
    """States of a move; the values are the rendered table's."""

    WAITING = "waiting"
    PUSHING = "pushing"
    PROBING = "probing"
    RESERVING = "reserving"
    STAGING = "components stage"
    RESERVED = "reserved"
    COPYING = "copying"
    BOOTING = "booting"
    SUSPENDING = "suspending"
    DEASSOCIATING_SOURCE = "de-associating source"
    ASSOCIATING = "associating"
    ACTIVATING = "components activate"
    RESUMING = "resuming"
    CLEARING = "source clears up"
    SETTLING = "components release"
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

    PUSH = "push to a node"
    PROBE = "probe a node"
    BEGIN = "try a node"
    EXHAUSTED = "no node left"
    START = "start"
    DONE = "step done"
    AWAITED = "step done, components follow"
    FAILED = "step failed"
    FAILED_AGAIN = "step failed too often"
    LATE = "no answer in time"
    LAPSED = "reservation lapsed"
    LOST = "source is dead"
    HALT = "halt"


ENDS = frozenset({MoveState.DONE, MoveState.HALTED, MoveState.REFUSED, MoveState.FAILED})
#: In these the VM is, or may be, underway: it runs at neither end.
UNDERWAY = frozenset(
    {
        MoveState.BOOTING,
        MoveState.SUSPENDING,
        MoveState.DEASSOCIATING_SOURCE,
        MoveState.ASSOCIATING,
        MoveState.ACTIVATING,
        MoveState.RESUMING,
        MoveState.ROLLING_BACK,
        MoveState.WITHDRAWING,
        MoveState.RETURNING,
    }
)
