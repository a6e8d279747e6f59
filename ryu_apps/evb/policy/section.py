"""What a service adds to the policy file: a section of its own, checked and resolved like the rest.

The loader is given these; it knows no service by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

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
        schema: what may stand under it.
        resolve: the checked section and its document to the value that the service works with.
        meaning: that value as JSON-serialisable data; types whose meanings are equal are the same type.
        mistakes: what is wrong with the value beside the rest of the type, with its place.
        judges: it decides about frames, so a direction for which the file has no ACL passes all to it.
    """

    name: str
    schema: type[Strict]
    resolve: Callable[[Any, Document], Any]
    meaning: Callable[[Any], object]
    mistakes: Callable[[VsiType, Any, Document], Iterable[Diagnostic]] = _no_mistake
    replaces_acl_default: bool = False
