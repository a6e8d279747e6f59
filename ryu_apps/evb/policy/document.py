"""YAML text to plain values with line and column of each.

YAML 1.2 through ruamel.yaml's composer: `52:54:00:12:34:56` is text, not a sexagesimal number, and a
key given twice is a mistake.  The text is untrusted: nesting, size and the expansion of aliases are
bounded, tags other than YAML's own are refused, and bad input never raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ryu_apps.evb.policy.diagnostic import Diagnostic, Position, error

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
#: Tags of plain scalars; scalars with a tag such as timestamp stay text.
_SCALAR_TAGS = {_TAG + kind for kind in ("null", "bool", "int", "float", "str", "timestamp", "merge", "value")}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*|0x[0-9a-fA-F]+|0o[0-7]+)\Z")


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
        root = _compose(text)
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        document.complain(_place(mark), _sentence(problem))
    except Exception as problem:
        # For malformed escapes, directives and tags the scanner raises exceptions of many types.
        mark = getattr(problem, "position", None)
        place = _place_of_offset(text, mark) if isinstance(mark, int) else Position()
        document.complain(place, f"not YAML: {' '.join(str(problem).split()) or type(problem).__name__}")
    else:
        document.data = None if root is None else _Reader(document).value(root, ())
        if document.data is None and not document.diagnostics:
            document.complain(Position(), "file is empty")
    return document


class _BoundedComposer(Composer):
    """Composer with a bound on nesting: it recurses once a level and would exceed Python's recursion limit."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader)
        self.warn_double_anchors = False  # YAML allows it, and a warning would go to the terminal
        self.level = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.level += 1
        if self.level > MAX_DEPTH:
            raise ComposerError(
                problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=self.parser.peek_event().start_mark
            )
        try:
            return super().compose_node(parent, index)
        finally:
            self.level -= 1


def _compose(text: str) -> Node | None:
    yaml = YAML(typ="rt")
    yaml.Composer = _BoundedComposer
    node: Node | None = yaml.compose(text)
    return node


class _Reader:
    """Converts nodes to values; counts the values, those of expanded aliases included."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._left = MAX_VALUES
        self._open: set[int] = set()

    def value(self, node: Node, path: Path) -> Any:
        """The plain value of a node; None after a diagnostic."""
        place = _place(node.start_mark)
        self._document.values[path] = place
        self._left -= 1
        if self._left < 0:
            if self._left == -1:
                self._document.complain(place, f"more than {MAX_VALUES} values, aliases included")
            return None
        if id(node) in self._open:
            self._document.complain(place, "an alias must not contain itself")
            return None
        if isinstance(node, ScalarNode):
            return self._scalar(node, place)
        self._open.add(id(node))
        try:
            return self._collection(node, path, place)
        finally:
            self._open.discard(id(node))

    def _collection(self, node: Node, path: Path, place: Position) -> Any:
        tag = str(node.tag)
        if isinstance(node, MappingNode) and tag == _TAG + "map":
            return self._mapping(node, path)
        if isinstance(node, SequenceNode) and tag == _TAG + "seq":
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value) if self._left >= 0]
        self._document.complain(place, f"tag {tag.replace(_TAG, '!!')} is not supported")
        return None

    def _mapping(self, node: MappingNode, path: Path) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if self._left < 0:
                break
            place = _place(key_node.start_mark)
            if not isinstance(key_node, ScalarNode):
                self._document.complain(place, "a key must be a plain word or number")
                continue
            key = self._scalar(key_node, place)
            if key in found:
                first = self._document.keys[(*path, key)]
                self._document.complain(place, f"duplicate key {key!r}, first given on line {first.line}")
                continue
            self._document.keys[(*path, key)] = place
            found[key] = self.value(value_node, (*path, key))
        return found

    def _scalar(self, node: ScalarNode, place: Position) -> Any:
        text, tag = str(node.value), str(node.tag)
        if len(text) > MAX_SCALAR:
            self._document.complain(place, f"text longer than {MAX_SCALAR} characters")
            return None
        if tag not in _SCALAR_TAGS:
            self._document.complain(place, f"tag {tag.replace(_TAG, '!!')} is not supported")
            return None
        return _plain(tag.removeprefix(_TAG), text)


def _plain(tag: str, text: str) -> Any:
    if tag == "null":
        return None
    if tag == "bool" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if tag == "int" and _INT.match(text):
        return int(text, 0)
    if tag == "float":
        try:
            return float(text)
        except ValueError:
            return text
    return text


def _as_number(part: Any) -> tuple[float, ...]:
    """The number of a fractional key: pydantic reports it as text in the path."""
    try:
        return (float(part),) if isinstance(part, str) else ()
    except ValueError:
        return ()


def _place(mark: Any) -> Position:
    return Position() if mark is None else Position(mark.line + 1, mark.column + 1)


def _place_of_offset(text: str, offset: int) -> Position:
    before = text[:offset]
    return Position(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)


def _sentence(problem: MarkedYAMLError) -> str:
    parts = [part for part in (problem.context, problem.problem) if part]
    return "not YAML: " + ", ".join(" ".join(str(part).split()) for part in parts)
