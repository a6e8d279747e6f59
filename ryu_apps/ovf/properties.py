"""The properties of a CIM instance in XML: one element each, in the namespace of its class (DSP0230).

Whatever is not known is a mistake: a restriction that was overlooked would be a hole.
"""

from __future__ import annotations

from collections.abc import Collection

from ryu_apps.evb.policy.diagnostic import Diagnostic
from ryu_apps.ovf.markup import MAX_TEXT, Element

#: Properties that only name an instance; in every class that we read.
NAMING = frozenset({"Caption", "Description", "ElementName", "InstanceID", "Generation"})


class Properties:
    """Properties of an instance by name; mistakes are added to ``found``.

    Args:
        element: the instance.
        namespaces: of the class and of those it derives from.
        known: its properties.
        arrays: those that may come more than once.
    """

    def __init__(
        self,
        element: Element,
        namespaces: tuple[str, ...],
        known: Collection[str],
        arrays: Collection[str] = (),
    ) -> None:
        self.element = element
        self.found: list[Diagnostic] = []
        self._values: dict[str, list[Element]] = {}
        for child in element.children:
            namespace, name = child.name
            if namespace not in namespaces:
                self.found += misunderstood(child)
            elif name not in known:
                self.found.append(child.error(f"{child.shown} is not known here"))
            elif child.words:
                self._add(name, child, arrays)

    def _add(self, name: str, child: Element, arrays: Collection[str]) -> None:
        values = self._values.setdefault(name, [])
        if values and name not in arrays:
            self.found.append(child.error(f"{child.shown} is already given on line {values[0].place.line}"))
        else:
            values.append(child)

    def complain(self, element: Element, reason: str) -> None:
        """Record an error."""
        self.found.append(element.error(reason))

    def warn(self, element: Element, reason: str) -> None:
        """Record what is not taken over."""
        self.found.append(element.warning(reason))

    def all(self, name: str) -> list[Element]:
        """The elements of an array, none if it has no value."""
        return self._values.get(name, [])

    def one(self, name: str) -> Element | None:
        """The element of a property, None if it has no value."""
        return next(iter(self.all(name)), None)

    def text(self, *names: str) -> str:
        """The first of these properties that has a value; "" if none does, or it is too long, which is recorded."""
        element = next((candidate for name in names for candidate in self.all(name)), None)
        if element is None:
            return ""
        if len(element.words) > MAX_TEXT:
            self.complain(element, f"{element.shown}: text longer than {MAX_TEXT} characters")
            return ""
        return element.words

    def number(self, name: str, low: int, high: int) -> int | None:
        """The value of an integer property.

        Returns:
            None if there is no value, or none within bounds; that is recorded.
        """
        element = self.one(name)
        if element is None:
            return None
        text = element.words
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(high)) and low <= int(text) <= high):
            self.complain(element, f"{element.shown}: {text!r} is not a number from {low} to {high}")
            return None
        return int(text)

    def flag(self, name: str) -> bool | None:
        """The value of a boolean property; None if there is no value, or something else, which is recorded."""
        element = self.one(name)
        if element is None:
            return None
        if element.words not in ("true", "false", "1", "0"):
            self.complain(element, f"{element.shown}: {element.words!r} is neither true nor false")
            return None
        return element.words in ("true", "1")


def misunderstood(element: Element) -> list[Diagnostic]:
    """Return an error for an unknown element, unless it may be ignored (DSP0243, ``ovf:required``)."""
    if (element.attribute("required") or "").strip() in ("false", "0"):
        return []
    return [element.error(f"{element.shown} is not known here, and is not said to be dispensable (ovf:required)")]
