"""XML text to elements that remember where they stand, and elements to text.

The text may come from anyone.  A document type declaration is refused before it can declare anything, so no entity
expands and nothing is fetched; size, depth and the number of elements are bounded; nothing here raises for bad input.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.saxutils import escape, quoteattr
from xml.sax.xmlreader import Locator

from defusedxml.common import DefusedXmlException
from defusedxml.expatreader import DefusedExpatParser

from ryu_apps.evb.policy.diagnostic import Diagnostic, Position, error, warning
from ryu_apps.ovf.names import OVF, PREFIXES, canonical

#: Bounds that no honest descriptor comes near (its disks are files of their own).
MAX_CHARACTERS = 8_000_000
MAX_DEPTH = 64
MAX_ELEMENTS = 200_000
#: Longest text that is taken over; a policy file has the same bound.
MAX_TEXT = 1_000

#: What XML 1.0 cannot say, not even as a reference.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: Namespace and local name.
QualifiedName = tuple[str, str]


@dataclass(slots=True)
class Element:
    """One element of a document.

    Attributes:
        file: where it was read from, for diagnostics.
        place: where its start tag begins.
        name: namespace and local name.
        attributes: by namespace and local name; attributes without a prefix have no namespace.
        children: in document order.
        text: all character data directly inside, in one piece.
        end: where its end tag begins.
    """

    file: str
    place: Position
    name: QualifiedName
    attributes: Mapping[QualifiedName, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""
    end: Position = Position()

    @property
    def shown(self) -> str:
        """The name as a reader of the document would say it."""
        namespace, local = self.name
        prefix = next((prefix for prefix, uri in PREFIXES.items() if uri == namespace and namespace != OVF), None)
        return f"{prefix}:{local}" if prefix else local

    @property
    def words(self) -> str:
        """The text with white space collapsed, as for ``xs:token``."""
        return " ".join(self.text.split())

    def attribute(self, local: str) -> str | None:
        """An attribute of the envelope's namespace; exporters also write it without a prefix."""
        return self.attributes.get((OVF, local), self.attributes.get(("", local)))

    def all(self, *names: QualifiedName) -> Iterator[Element]:
        """The children of any of these names."""
        return (child for child in self.children if child.name in names)

    def first(self, name: QualifiedName) -> Element | None:
        """The first child of that name."""
        return next(self.all(name), None)

    def error(self, reason: str) -> Diagnostic:
        """A mistake at this element that keeps the file from being used."""
        return error(self.file, self.place, reason)

    def warning(self, reason: str) -> Diagnostic:
        """Return a warning at this element: a part of it is not imported."""
        return warning(self.file, self.place, reason)


def read_markup(file: str, text: str) -> tuple[Element | None, list[Diagnostic]]:
    """Parse one XML text.

    Args:
        file: its name, for diagnostics.
        text: characters; whatever encoding its declaration names has been dealt with.

    Returns:
        the root element, or None and one diagnostic.
    """
    if len(text) > MAX_CHARACTERS:
        return None, [error(file, Position(), f"file is larger than {MAX_CHARACTERS} characters")]
    parser = DefusedExpatParser(namespaceHandling=1, forbid_dtd=True)
    builder = _Builder(file, parser)
    parser.setContentHandler(builder)
    try:
        # A lone surrogate cannot be handed to expat, and is no character of XML.
        parser.feed(_NOT_XML.sub("\0", text.removeprefix("\ufeff")))
        parser.close()
    except SAXParseException as problem:
        place = Position(problem.getLineNumber() or 1, (problem.getColumnNumber() or 0) + 1)
        return None, [error(file, place, f"not XML: {problem.getMessage()}")]
    except DefusedXmlException:
        return None, [error(file, builder.here, "a document type declaration is refused: it can declare entities")]
    except _TooMuch as problem:
        return None, [error(file, builder.here, str(problem))]
    return builder.root, []


class _TooMuch(Exception):
    """A bound was met."""


class _Builder(ContentHandler):
    """Makes the elements; counts them."""

    def __init__(self, file: str, locator: Locator) -> None:
        super().__init__()
        self.root: Element | None = None
        self._file = file
        self._at = locator
        self._open: list[tuple[Element, list[str]]] = []
        self._left = MAX_ELEMENTS

    @property
    def here(self) -> Position:
        """Position of the parser."""
        return Position(self._at.getLineNumber() or 1, (self._at.getColumnNumber() or 0) + 1)

    def startElementNS(self, name: Any, qname: Any, attrs: Any) -> None:  # noqa: N802 - SAX calls it that
        self._left -= 1
        if self._left < 0:
            raise _TooMuch(f"more than {MAX_ELEMENTS} elements")
        if len(self._open) == MAX_DEPTH:
            raise _TooMuch(f"nested deeper than {MAX_DEPTH} levels")
        attributes = {_named(name): value for name, value in attrs.items()}
        element = Element(self._file, self.here, _named(name), attributes)
        if self._open:
            self._open[-1][0].children.append(element)
        else:
            self.root = element
        self._open.append((element, []))

    def characters(self, content: str) -> None:
        self._open[-1][1].append(content)

    def endElementNS(self, name: Any, qname: Any) -> None:  # noqa: N802 - SAX calls it that
        element, pieces = self._open.pop()
        element.text = "".join(pieces)
        element.end = self.here


def _named(name: tuple[str | None, str]) -> QualifiedName:
    return canonical(name[0] or ""), name[1]


class MarkupNode(NamedTuple):
    """An element to be written; names have the prefixes of :data:`PREFIXES`, or none for the envelope's own."""

    name: str
    content: str | tuple[MarkupNode, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()


def write_markup(root: MarkupNode, namespaces: Mapping[str, str]) -> str:
    """The document with this root.

    Args:
        root: what to write.
        namespaces: prefix -> namespace; the prefix "" is the default.
    """
    declared = tuple((f"xmlns:{prefix}" if prefix else "xmlns", uri) for prefix, uri in namespaces.items())
    lines = _lines(root._replace(attributes=(*declared, *root.attributes)), "")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + "".join(f"{line}\n" for line in lines)


def _lines(node: MarkupNode, indent: str) -> Iterator[str]:
    tag = node.name + "".join(f" {name}={quoteattr(value)}" for name, value in node.attributes)
    if isinstance(node.content, str):
        yield f"{indent}<{tag}>{escape(node.content, {chr(13): '&#13;'})}</{node.name}>"
    elif not node.content:
        yield f"{indent}<{tag}/>"
    else:
        yield f"{indent}<{tag}>"
        for child in node.content:
            yield from _lines(child, indent + "  ")
        yield f"{indent}</{node.name}>"


def unwritable(text: str) -> bool:
    """Return True if a text has characters that XML cannot express."""
    return _NOT_XML.search(text) is not None
