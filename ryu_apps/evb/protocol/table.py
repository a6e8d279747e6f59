"""Transition tables of the protocol machines: (state, input) -> (action, next state).

A machine converts an event to an *input* with a small guard; the table has action and next state.  Only the
table changes states, so it is rendered as documentation (:meth:`TransitionTable.rows`).  A pair that is not in
the table raises :class:`ProtocolError`.

Every machine has the same interface::

    outputs = machine.feed(event, now)    # now: monotonic seconds
    machine.deadline                      # feed Tick() at this time; None: no timer runs
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["DocumentedRow", "ProtocolError", "Tick", "TransitionTable", "earliest"]


@dataclass(frozen=True, slots=True)
class Tick:
    """The machine's ``deadline`` has been reached; without effect before it."""


class ProtocolError(Exception):
    """An input that the table does not permit in the machine's state.

    Attributes:
        machine, state, input: names as in the table.
    """

    def __init__(self, machine: str, state: str, given: str) -> None:
        super().__init__(f"{machine}: {given!r} is not permitted in state {state!r}")
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
"""``action(machine, event, now)``; the rendered table has the first line of its docstring."""


@dataclass(frozen=True, slots=True)
class DocumentedRow:
    """One row of the rendered table."""

    state: str
    input: str
    action: str
    next: str


class TransitionTable(Generic[M, S, I, O]):
    """The transitions of one class of machines; immutable, shared by all instances."""

    def __init__(self, name: str, rows: Mapping[tuple[S, I], tuple[TableAction[M, O], S]]) -> None:
        self.name = name
        self._rows = dict(rows)

    def step(self, machine: M, given: I, event: object, now: float) -> list[O]:
        """Carry out one row on a machine.

        Raises:
            ProtocolError: the table has no row for the machine's state and this input; nothing is changed.
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
        """The rows for the documentation, in the order of the source."""
        for (state, given), (action, following) in self._rows.items():
            meaning = (action.__doc__ or "").strip().partition("\n")[0]
            yield DocumentedRow(state.value, given.value, meaning, following.value)


def earliest(*deadlines: float | None) -> float | None:
    """The first of some deadlines, None if none is set."""
    first: float | None = None
    for deadline in deadlines:
        if deadline is not None and (first is None or deadline < first):
            first = deadline
    return first
