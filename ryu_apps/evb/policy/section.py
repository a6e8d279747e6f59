"""Sections of a policy file that services add, each checked and resolved by its service.

The loader gets them as an argument and depends on no service.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, get_type_hints

from ryu_apps.evb.policy.diagnostic import Diagnostic
from ryu_apps.evb.policy.document import Document
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.policy.validate import Strict


def _no_mistake(vsi_type: VsiType, value: Any, document: Document) -> Iterable[Diagnostic]:
    return ()


@dataclass(frozen=True, slots=True)
class Section:
    """One optional key of a policy file.

    Attributes:
        name: the key.
        schema: model of its value.
        resolve: converts the checked section and its document to the value that the service uses.
        meaning: that value as JSON-serialisable data; types whose meanings are equal are the same type.
        mistakes: diagnostics about the value in relation to the rest of the type.
        replaces_acl_default: the service itself filters frames, so a direction without an ACL in the file forwards
            all of them to it.
    """

    name: str
    schema: type[Strict]
    resolve: Callable[[Any, Document], Any]
    meaning: Callable[[Any], object]
    mistakes: Callable[[VsiType, Any, Document], Iterable[Diagnostic]] = _no_mistake
    replaces_acl_default: bool = False

    @property
    def value(self) -> type:
        """The class of what :attr:`resolve` returns."""
        found: type = get_type_hints(self.resolve)["return"]
        return found
