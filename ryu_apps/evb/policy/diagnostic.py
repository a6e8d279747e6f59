"""Diagnostics of an operator's files: one line a mistake with its position, in the format of compilers.

Loaders do not stop at the first mistake and do not raise for bad input; they return diagnostics.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple


class Severity(Enum):
    """Severity of a diagnostic; a file with an error is not used."""

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
    """A diagnostic of severity ERROR."""
    return Diagnostic(file, place.line, place.column, Severity.ERROR, reason)


def warning(file: str, place: Position, reason: str) -> Diagnostic:
    """A diagnostic of severity WARNING: the file is valid, but probably not as intended."""
    return Diagnostic(file, place.line, place.column, Severity.WARNING, reason)


def utf8(file: str, data: bytes) -> str | Diagnostic:
    """The text of a file, or an error at the first octet that is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as problem:
        before = data[: problem.start]
        place = Position(before.count(b"\n") + 1, problem.start - (before.rfind(b"\n") + 1) + 1)
        return error(file, place, "not UTF-8 text")


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """True if any diagnostic is an error."""
    return any(diagnostic.severity is Severity.ERROR for diagnostic in diagnostics)


def in_reading_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Diagnostics sorted by file, line and column, without duplicates."""
    return sorted(
        set(diagnostics),
        key=lambda diagnostic: (
            diagnostic.file,
            diagnostic.line,
            diagnostic.column,
            diagnostic.severity.value,
            diagnostic.reason,
        ),
    )
