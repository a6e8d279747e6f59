"""What an operator got wrong and where: one line a mistake, as compilers print them.

A loader never stops at the first mistake and never raises for bad input; it returns these.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple


class Severity(Enum):
    """An error keeps the file from being used, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


class Position(NamedTuple):
    """A position in a text; lines and columns count from 1."""

    line: int = 1
    column: int = 1


class Diagnostic(NamedTuple):
    """One mistake.  Sorting puts diagnostics in reading order."""

    file: str
    line: int
    column: int
    severity: Severity
    reason: str

    def __str__(self) -> str:
        warning = "warning: " if self.severity is Severity.WARNING else ""
        return f"{self.file}:{self.line}:{self.column}: {warning}{self.reason}"


def error(file: str, place: Position, reason: str) -> Diagnostic:
    """A mistake that keeps the file from being used."""
    return Diagnostic(file, place.line, place.column, Severity.ERROR, reason)


def warning(file: str, place: Position, reason: str) -> Diagnostic:
    """Something that works but hardly does what its author meant."""
    return Diagnostic(file, place.line, place.column, Severity.WARNING, reason)


def utf8(file: str, data: bytes) -> str | Diagnostic:
    """The text of a file, or where it ceases to be one."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as problem:
        before = data[: problem.start]
        place = Position(before.count(b"\n") + 1, problem.start - (before.rfind(b"\n") + 1) + 1)
        return error(file, place, "not UTF-8 text")


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Is there anything worse than a warning?"""
    return any(one.severity is Severity.ERROR for one in diagnostics)


def in_reading_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """By file, line and column; each one once."""
    return sorted(set(diagnostics), key=lambda one: (one.file, one.line, one.column, one.severity.value, one.reason))
