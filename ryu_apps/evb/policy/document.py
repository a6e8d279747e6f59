"""YAML text to plain values with line and column of each.

libyaml reads the syntax.  Scalars are those of YAML 1.2: `52:54:00:12:34:56` is text, not a sexagesimal number, and so
is `yes`.  A key given twice is a mistake.  The text is untrusted: nesting, size and the expansion of aliases are
bounded, tags other than YAML's own are refused, and bad input never raises.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml import MarkedYAMLError
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)
from yaml.reader import ReaderError

from ryu_apps.evb.policy.diagnostic import Diagnostic, Position, error
from ryu_apps.evb.policy.scalars import KINDS, plain, tagged

#: Bounds far above the size of real files.
MAX_CHARACTERS = 16_000_000
MAX_DEPTH = 32
MAX_VALUES = 1_000_000
MAX_SCALAR = 1_000

#: Path of a value: mapping keys and list indices from the top.
Path = tuple[Any, ...]
#: Path of a mistake and its reason.
Finding = tuple[Path, str]

_TAG = "tag:yaml.org,2002:"


@dataclass(slots=True)
class Document:
    """One parsed file.

    Attributes:
        file: its name, for diagnostics.
        data: plain dicts, lists and scalars; None if the text could not be read.
        values: path -> position of the value.
        keys: path of a value -> position of its mapping key.
        diagnostics: mistakes in the text as YAML.
    """

    file: str
    data: Any = None
    values: dict[Path, Position] = field(default_factory=dict)
    keys: dict[Path, Position] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def key_place(self, path: Iterable[Any]) -> Position:
        """Position of the key of ``path``; parts that are not in the file are left out."""
        known = self.resolve(path)
        return self.keys.get(known) or self.values.get(known, Position())

    def value_place(self, path: Iterable[Any]) -> Position:
        """Position of the value of ``path``; parts that are not in the file are left out."""
        return self.values.get(self.resolve(path), Position())

    def resolve(self, path: Iterable[Any]) -> Path:
        """The longest path in the file that takes the given parts in order, skipping unknown ones."""
        known: Path = ()
        for part in path:
            for key in (part, *_as_number(part)):
                if (*known, key) in self.values:
                    known = (*known, key)
                    break
        return known

    def complain(self, place: Position, reason: str) -> None:
        """Record an error."""
        self.diagnostics.append(error(self.file, place, reason))


def read_document(file: str, text: str) -> Document:
    """Parse one YAML text; all mistakes are in the document's diagnostics."""
    document = Document(file)
    if len(text) > MAX_CHARACTERS:
        document.complain(Position(), f"file is larger than {MAX_CHARACTERS} characters")
        return document
    try:
        document.data = _Reader(document, *_events(text)).text()
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        document.complain(Position() if mark is None else _inside(text, _place(mark)), _sentence(problem))
    except ReaderError as problem:
        place = _place_of_octet(text, problem.position)
        document.complain(place, f"not YAML: character {problem.character:#x}: {problem.reason}")
    except UnicodeEncodeError as problem:
        document.complain(_place_of_offset(text, problem.start), f"not YAML: {problem.reason}")
    else:
        if document.data is None and not document.diagnostics:
            document.complain(Position(), "file is empty")
    return document


def _events(text: str) -> tuple[list[Any], dict[int, int]]:
    """The nodes of the only document, and for the index of each alias that of the node it stands for.

    Raises:
        MarkedYAMLError, ReaderError, UnicodeEncodeError: the text is not YAML.
    """
    found: list[Event] = []
    anchors: dict[str, int] = {}
    targets: dict[int, int] = {}
    level = 0
    for event in yaml.parse(text, yaml.CBaseLoader):
        level += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if level > MAX_DEPTH:
            raise _too_deep(event)
        if isinstance(event, DocumentStartEvent) and found:
            raise _refusal(event, "more than one document")
        if isinstance(event, AliasEvent):
            if event.anchor not in anchors:
                raise _refusal(event, f"undefined alias {event.anchor!r}")
            targets[len(found)] = anchors[event.anchor]
        elif isinstance(event, NodeEvent) and event.anchor is not None:
            anchors[event.anchor] = len(found)
        if isinstance(event, NodeEvent | CollectionEndEvent):
            found.append(event)
    return found, targets


class _Reader:
    """Converts events to values; counts the values, those of expanded aliases included."""

    def __init__(self, document: Document, events: list[Any], targets: dict[int, int]) -> None:
        self._document = document
        self._events = events
        self._targets = targets
        self._next = 0
        self._left = MAX_VALUES
        #: Indexes of the collections around the next value: one that comes again contains itself.
        self._open: list[int] = []

    def text(self) -> Any:
        """The value of the whole text; None if it has none, and after a diagnostic.

        Raises:
            MarkedYAMLError: a bound is exceeded.
        """
        return self._value(()) if self._events else None

    def _value(self, path: Path) -> Any:
        index = self._next
        if index in self._targets:
            self._next = self._targets[index]
            found = self._value(path)
            self._next = index + 1
            return found
        event = self._events[index]
        self._next += 1
        place = _place(event.start_mark)
        self._document.values[path] = place
        self._left -= 1
        if self._left < 0:
            raise _refusal(event, f"more than {MAX_VALUES} values, aliases included")
        if isinstance(event, ScalarEvent):
            return self._scalar(event, place)
        if index in self._open:
            self._document.complain(place, "an alias must not contain itself")
            return None
        if len(self._open) == MAX_DEPTH:
            raise _too_deep(event)
        self._open.append(index)
        found = self._collection(event, path, place)
        self._open.pop()
        return found

    def _collection(self, event: CollectionStartEvent, path: Path, place: Position) -> Any:
        is_mapping = isinstance(event, MappingStartEvent)
        if event.tag not in (None, "!", _TAG + ("map" if is_mapping else "seq")):
            self._document.complain(place, _unsupported(event.tag))
            self._next -= 1
            self._skip()
            return None
        found = self._mapping(path) if is_mapping else self._sequence(path)
        self._next += 1
        return found

    def _sequence(self, path: Path) -> list[Any]:
        found: list[Any] = []
        while not isinstance(self._events[self._next], CollectionEndEvent):
            found.append(self._value((*path, len(found))))
        return found

    def _mapping(self, path: Path) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        while not isinstance(self._events[self._next], CollectionEndEvent):
            event = self._events[self._targets.get(self._next, self._next)]
            place = _place(event.start_mark)
            self._skip()
            if not isinstance(event, ScalarEvent):
                self._document.complain(place, "a key must be a plain word or number")
                self._skip()
                continue
            key = self._scalar(event, place)
            if key in found:
                first = self._document.keys[(*path, key)]
                self._document.complain(place, f"duplicate key {key!r}, first given on line {first.line}")
                self._skip()
                continue
            self._document.keys[(*path, key)] = place
            found[key] = self._value((*path, key))
        return found

    def _skip(self) -> None:
        """Go to the event after the next node."""
        level = 0
        while True:
            event = self._events[self._next]
            self._next += 1
            level += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if level == 0:
                return

    def _scalar(self, event: ScalarEvent, place: Position) -> Any:
        if len(event.value) > MAX_SCALAR:
            self._document.complain(place, f"text longer than {MAX_SCALAR} characters")
            return None
        if event.tag in (None, "!"):
            return plain(event.value) if event.implicit[0] else event.value
        kind = event.tag.removeprefix(_TAG)
        if kind not in KINDS:
            self._document.complain(place, _unsupported(event.tag))
            return None
        return tagged(kind, event.value)


def _unsupported(tag: str) -> str:
    return f"tag {tag.replace(_TAG, '!!')} is not supported"


def _too_deep(event: Event) -> MarkedYAMLError:
    return _refusal(event, f"nested deeper than {MAX_DEPTH} levels")


def _refusal(event: Event, reason: str) -> MarkedYAMLError:
    mark: Any = event.start_mark
    return MarkedYAMLError(problem=reason, problem_mark=mark)


def _as_number(part: Any) -> tuple[float, ...]:
    """The number of a fractional key: pydantic reports it as text in the path."""
    try:
        return (float(part),) if isinstance(part, str) else ()
    except ValueError:
        return ()


def _place(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1)


def _inside(text: str, place: Position) -> Position:
    """The place, or the end of a text without a last line break: libyaml counts a line after it."""
    lines = text.splitlines() or [""]
    return place if place.line <= len(lines) or text.endswith("\n") else Position(len(lines), len(lines[-1]) + 1)


def _place_of_octet(text: str, offset: int) -> Position:
    return _place_of_offset(text, len(text.encode()[:offset].decode(errors="ignore")))


def _place_of_offset(text: str, offset: int) -> Position:
    before = text[:offset]
    return Position(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)


def _sentence(problem: MarkedYAMLError) -> str:
    parts = [part for part in (problem.context, problem.problem) if part]
    return "not YAML: " + ", ".join(" ".join(str(part).split()) for part in parts)
