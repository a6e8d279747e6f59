"""Keys ``labels`` and ``sets`` of a policy file, and the check of the sets that its rules name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from ryu_apps.evb.policy.address_set import NAME, TypeSelector
from ryu_apps.evb.policy.diagnostic import Diagnostic, error
from ryu_apps.evb.policy.document import Document, Path
from ryu_apps.evb.policy.model import Acl, VsiType
from ryu_apps.evb.policy.validate import Strict

#: Labels of one type; sets of one file, two bits of a register for each; types and labels of one set.
MAX_LABELS, MAX_SETS, MAX_SELECTORS = 16, 16, 64

_SELECTOR = re.compile(r"([0-9]{1,8})(?:/([0-9]{1,3}))?\Z", re.ASCII)


def _name(written: object) -> str:
    if not isinstance(written, str) or not NAME.match(written):
        raise ValueError("a name was expected: a letter, then up to 31 letters, digits, _ or -")
    return written


def _selector(written: object) -> TypeSelector:
    found = _SELECTOR.match(str(written)) if isinstance(written, int | str) and not isinstance(written, bool) else None
    if found is None or int(found[1]) > 0xFFFFFF or int(found[2] or 0) > 0xFF:
        raise ValueError("a type ID was expected, with or without a version, such as 100 or 100/2")
    return TypeSelector(int(found[1]), int(found[2]) if found[2] else None)


LabelText = Annotated[str, PlainValidator(_name), WithJsonSchema({"type": "string"})]
SelectorText = Annotated[TypeSelector, PlainValidator(_selector), WithJsonSchema({"type": ["string", "integer"]})]


class SetSection(Strict):
    """The VSIs whose addresses are a set: those of some types, and those with some labels."""

    types: Annotated[list[SelectorText], Field(max_length=MAX_SELECTORS)] = Field(default_factory=list)
    labels: Annotated[list[LabelText], Field(max_length=MAX_SELECTORS)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _not_empty(self) -> SetSection:
        if not self.types and not self.labels:
            raise ValueError("a set has types, labels or both")
        return self


def undefined_sets(vsi_type: VsiType, acl: Acl, path: Path, document: Document) -> Iterator[Diagnostic]:
    """Errors about sets that the rules of a direction name and the file does not define."""
    defined = dict(vsi_type.sets)
    for index, rule in enumerate(acl.rules):
        for field, name in rule.references:
            if name not in defined:
                place = document.value_place((*path, "rules", index, "rule", field))
                yield error(document.file, place, f"${name} is not defined: sets has no {name!r}")
