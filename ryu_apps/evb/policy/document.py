"""YAML text to plain values with line and column of each.

libyaml reads the syntax.  Scalars are those of YAML 1.2: `52:54:00:12:34:56` is text, not a sexagesimal number, and so
is `yes`.  A key given twice is a mistake.  The text is untrusted: nesting, size and the expansion of aliases are
bounded, tags other than YAML's own are refused, and bad input never raises.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from yaml import MarkedYAMLError
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)
from yaml.reader import ReaderError

from ryu_apps.evb.policy.diagnostic import Diagnostic, Position, error
from ryu_apps.evb.policy.scalars import KINDS, plain, tagged
from ryu_apps.evb.policy.yaml_events import MAX_DEPTH, place_of, read_events, refusal, sentence, too_deep

#: Bounds far above the size of real files.
MAX_CHARACTERS = 16_000_000
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

    def key_place(self, path: Path) -> Position:
        """Position of the key of ``path``; parts that are not in the file are left out."""
        if exact := self.keys.get(path):
            return exact
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
        document.data = _Reader(document, *read_events(text)).text()
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        document.complain(Position() if mark is None else _inside(text, place_of(mark)), sentence(problem))
    except ReaderError as problem:
        place = _place_of_octet(text, problem.position)
        document.complain(place, f"not YAML: character {problem.character:#x}: {problem.reason}")
    except UnicodeEncodeError as problem:
        document.complain(_place_of_offset(text, problem.start), f"not YAML: {problem.reason}")
    else:
        if document.data is None and not document.diagnostics:
            document.complain(Position(), "file is empty")
    return document


class _Reader:
    """Converts events to values and notes where each begins, also those of expanded aliases."""

    def __init__(self, document: Document, events: list[Any], targets: dict[int, int]) -> None:
        self._document = document
        self._events = events
        self._targets = targets
        self._next = 0
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
        event = self._events[index]
        if type(event) is AliasEvent:
            self._next = self._targets[index]
            found = self._value(path)
            self._next = index + 1
            return found
        self._next = index + 1
        values, mark = self._document.values, event.start_mark
        values[path] = place = Position(mark.line + 1, mark.column + 1)
        if len(values) > MAX_VALUES:
            raise refusal(event, f"more than {MAX_VALUES} values, aliases included")
        if type(event) is ScalarEvent:
            return self._scalar(event, place)
        if index in self._open:
            self._document.complain(place, "an alias must not contain itself")
            return None
        if len(self._open) == MAX_DEPTH:
            raise too_deep(event)
        self._open.append(index)
        found = self._collection(event, path, place)
        self._open.pop()
        return found

    def _collection(self, event: CollectionStartEvent, path: Path, place: Position) -> Any:
        is_mapping = type(event) is MappingStartEvent
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
        while type(self._events[self._next]) is not SequenceEndEvent:
            found.append(self._value((*path, len(found))))
        return found

    def _mapping(self, path: Path) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        events, keys = self._events, self._document.keys
        while type(event := events[self._next]) is not MappingEndEvent:
            if type(event) is AliasEvent:
                event = events[self._targets[self._next]]
            mark = event.start_mark
            place = Position(mark.line + 1, mark.column + 1)
            self._skip()
            if type(event) is not ScalarEvent:
                self._document.complain(place, "a key must be a plain word or number")
                self._skip()
                continue
            key = self._scalar(event, place)
            inner = (*path, key)
            if key in found:
                self._document.complain(place, f"duplicate key {key!r}, first given on line {keys[inner].line}")
                self._skip()
                continue
            keys[inner] = place
            found[key] = self._value(inner)
        return found

    def _skip(self) -> None:
        """Go to the event after the next node."""
        if type(self._events[self._next]) is ScalarEvent:
            self._next += 1
            return
        level = 0
        while True:
            event = self._events[self._next]
            self._next += 1
            level += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if level == 0:
                return

    def _scalar(self, event: ScalarEvent, place: Position) -> Any:
        text = event.value
        if len(text) > MAX_SCALAR:
            self._document.complain(place, f"text longer than {MAX_SCALAR} characters")
            return None
        if event.tag in (None, "!"):
            return plain(text) if event.implicit[0] else text
        kind = event.tag.removeprefix(_TAG)
        if kind not in KINDS:
            self._document.complain(place, _unsupported(event.tag))
            return None
        return tagged(kind, text)


def _unsupported(tag: str) -> str:
    return f"tag {tag.replace(_TAG, '!!')} is not supported"


def _as_number(part: Any) -> tuple[float, ...]:
    """The number of a fractional key: pydantic reports it as text in the path."""
    try:
        return (float(part),) if isinstance(part, str) else ()
    except ValueError:
        return ()


def _inside(text: str, place: Position) -> Position:
    """The place, or the end of a text without a last line break: libyaml counts a line after it."""
    lines = text.splitlines() or [""]
    return place if place.line <= len(lines) or text.endswith("\n") else Position(len(lines), len(lines[-1]) + 1)


def _place_of_octet(text: str, offset: int) -> Position:
    return _place_of_offset(text, len(text.encode()[:offset].decode(errors="ignore")))


def _place_of_offset(text: str, offset: int) -> Position:
    before = text[:offset]
    return Position(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)
