"""YAML text to the events of libyaml, the C parser that PyYAML wraps.

PyYAML's own parser, which it has where libyaml is missing, takes twenty times as long and judges some texts otherwise:
without libyaml, nothing is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yaml import MarkedYAMLError
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from ryu_apps.evb.policy.diagnostic import Position

try:
    from yaml._yaml import CParser
except ImportError as missing:
    raise ImportError("PyYAML is installed without libyaml: install its wheel, or Debian's python3-yaml") from missing

#: Nesting far above that of real files.
MAX_DEPTH = 32


def read_events(text: str) -> tuple[list[Any], dict[int, int]]:
    """The nodes of the only document, and for the index of each alias that of the node it stands for.

    Raises:
        MarkedYAMLError, ReaderError, UnicodeEncodeError: the text is not YAML.
    """
    found: list[Any] = []
    anchors: dict[str, int] = {}
    targets: dict[int, int] = {}
    level = 0
    next_event: Callable[[], Any] = CParser(text).get_event
    # Millions of events: comparing classes is several times as fast as isinstance().
    while (event := next_event()) is not None:
        kind = type(event)
        if kind is MappingEndEvent or kind is SequenceEndEvent:
            level -= 1
        elif kind is AliasEvent:
            if event.anchor not in anchors:
                raise refusal(event, f"undefined alias {event.anchor!r}")
            targets[len(found)] = anchors[event.anchor]
        elif kind is ScalarEvent or kind is MappingStartEvent or kind is SequenceStartEvent:
            if kind is not ScalarEvent:
                level += 1
                if level > MAX_DEPTH:
                    raise too_deep(event)
            if event.anchor is not None:
                anchors[event.anchor] = len(found)
        elif kind is DocumentStartEvent and found:
            raise refusal(event, "more than one document")
        else:
            continue
        found.append(event)
    return found, targets


def place_of(mark: Any) -> Position:
    """The position of a mark of libyaml, whose lines and columns count from 0."""
    return Position(mark.line + 1, mark.column + 1)


def too_deep(event: Event) -> MarkedYAMLError:
    """The error for a node that begins below :data:`MAX_DEPTH` others."""
    return refusal(event, f"nested deeper than {MAX_DEPTH} levels")


def refusal(event: Event, reason: str) -> MarkedYAMLError:
    """An error at an event, as those of libyaml."""
    mark: Any = event.start_mark
    return MarkedYAMLError(problem=reason, problem_mark=mark)


def sentence(problem: MarkedYAMLError) -> str:
    """Return the reason of a diagnostic on one line."""
    parts = [part for part in (problem.context, problem.problem) if part]
    return "not YAML: " + ", ".join(" ".join(str(part).split()) for part in parts)
