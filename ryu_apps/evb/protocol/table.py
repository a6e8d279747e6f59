"""What every protocol machine here is made of: one table of (state, input) -> (action, next state).

A machine turns an event into an *input* with a small guard, and the table says the rest.  Because
nothing else changes a state, the table is also the documentation: :meth:`TransitionTable.rows` yields it in
words.  A pair that is not in the table is a :class:`ProtocolError`, never a silent pass.

Knows no protocol, no clock and no I/O.  Every machine has the same face::

    outputs = machine.feed(event, now)    # now: monotonic seconds
    machine.deadline                      # feed Tick() at this time; None: nothing is awaited
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["DocumentedRow", "ProtocolError", "Tick", "TransitionTable", "earliest"]


@dataclass(frozen=True, slots=True)
class Tick:
    """The machine's ``deadline`` has been reached; too early or too often does no harm."""


class ProtocolError(Exception):
    """An input came at a moment at which it has no meaning.

    Attributes:
        machine, state, input: where, in the words of the table.
    """

    def __init__(self, machine: str, state: str, given: str) -> None:
        super().__init__(f"{machine}: {given!r} means nothing in state {state!r}")
        self.machine = machine
        self.state = state
        self.input = given


class _Stateful(Protocol):
    state: Any


M = TypeVar("M", bound=_Stateful)
S = TypeVar("S", bound=Enum)
I = TypeVar("I", bound=Enum)  # noqa: E741 - M, S, I, O: machine, state, input, output
O = TypeVar("O")  # noqa: E741

TableAction = Callable[[M, Any, float], list[O]]
"""``action(machine, event, now)``; its docstring's first line is what the rendered table says."""


@dataclass(frozen=True, slots=True)
class DocumentedRow:
    """One row in words."""

    state: str
    input: str
    action: str
    next: str


class TransitionTable(Generic[M, S, I, O]):
    """The transitions of one kind of machine; immutable, shared by all instances."""

    def __init__(self, name: str, rows: Mapping[tuple[S, I], tuple[TableAction[M, O], S]]) -> None:
        self.name = name
        self._rows = dict(rows)

    def step(self, machine: M, given: I, event: object, now: float) -> list[O]:
        """Carry out one row on a machine.

        Raises:
            ProtocolError: there is no row for the machine's state and this input; nothing changed.
        """
        row = self._rows.get((machine.state, given))
        if row is None:
            raise ProtocolError(self.name, machine.state.value, given.value)
        action, following = row
        outputs = action(machine, event, now)
        machine.state = following
        return outputs

    def __contains__(self, pair: tuple[S, I]) -> bool:
        return pair in self._rows

    def rows(self) -> Iterator[DocumentedRow]:
        """The table in words, in the order in which it was written."""
        for (state, given), (action, following) in self._rows.items():
            meaning = (action.__doc__ or "").strip().partition("\n")[0]
            yield DocumentedRow(state.value, given.value, meaning, following.value)


def earliest(*deadlines: float | None) -> float | None:
    """The first of some deadlines, None if none is set."""
    return min((one for one in deadlines if one is not None), default=None)
