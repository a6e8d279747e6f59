"""Sets of addresses: those of all associated VSIs of some types, or with some labels.

A rule names a set by ``$`` and the name that its file defines.  Inside a rule it is an alternative of an address
field, beside addresses and networks: a value in the bits above those of an address, so that no address and no set
ever covers the other.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, TypeGuard

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.fields import MAX_ALTERNATIVES, Alternatives, Masked, parse_field

#: Fields whose values may be a set: addresses of IP packets.
ADDRESS_FIELDS = ("ipv4_src", "ipv4_dst", "ipv6_src", "ipv6_dst")
#: Name of a set or of a label.
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}\Z")
#: First bit of the name of a set in an alternative, above those of the longest address.
_SHIFT = 128
_MASK = ((1 << 8 * 32) - 1) << _SHIFT
_NUMBER_OCTETS = 8


def is_reference(written: object) -> TypeGuard[str]:
    """True for a value that names a set."""
    return isinstance(written, str) and written.startswith("$")


def parse_value(field: str, written: object) -> Alternatives:
    """Parse the value of one field in a rule: as :func:`~ryu_apps.evb.policy.fields.parse_field`, or sets.

    Raises:
        ValueError: the message is the reason of a diagnostic.
    """
    items = written if isinstance(written, list) else [written]
    if not any(map(is_reference, items)):
        return parse_field(field, written)
    if field not in ADDRESS_FIELDS:
        raise ValueError(f"a set such as {written} may stand in {', '.join(ADDRESS_FIELDS)}, not in {field}")
    found: dict[Masked, None] = {}
    for item in items:
        parsed = (_reference(item),) if is_reference(item) else parse_field(field, item)
        found.update(dict.fromkeys(parsed))
    if len(found) > MAX_ALTERNATIVES:
        raise ValueError(f"more than {MAX_ALTERNATIVES} alternatives")
    return tuple(found)


def _reference(written: str) -> Masked:
    name = written[1:]
    if not NAME.match(name):
        raise ValueError(f"{written} names no set: a letter, then up to 31 letters, digits, _ or - were expected")
    return Masked(int.from_bytes(name.encode()) << _SHIFT, _MASK)


def referenced(alternative: Masked) -> str | None:
    """Return the name of the set for which an alternative stands; None: it stands for addresses."""
    if alternative.mask != _MASK:
        return None
    name = alternative.value >> _SHIFT
    return name.to_bytes((name.bit_length() + 7) // 8).decode()


class TypeSelector(NamedTuple):
    """A VSI type; ``version`` is None for all versions."""

    type_id: int
    version: int | None = None

    def __str__(self) -> str:
        return str(self.type_id) if self.version is None else f"{self.type_id}/{self.version}"

    def selects(self, key: VsiTypeKey) -> bool:
        """True for a type that it names."""
        return key.type_id == self.type_id and self.version in (None, key.version)


@dataclass(frozen=True, slots=True)
class AddressSet:
    """The addresses of all associated VSIs of some types, or with some labels; each part is sorted."""

    types: tuple[TypeSelector, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def meaning(self) -> object:
        """JSON-serialisable content."""
        return {"types": [str(selector) for selector in self.types], "labels": list(self.labels)}

    def number(self, field: str) -> int:
        """Return 64 bits made of the content and a field.

        Two files that define the same set share its members in the switches; a member as source is not one as
        destination.
        """
        content = json.dumps([field, self.meaning])
        return int.from_bytes(sha256(content.encode()).digest()[:_NUMBER_OCTETS])

    def selects(self, key: VsiTypeKey, labels: tuple[str, ...]) -> bool:
        """True for VSIs of a type with these labels."""
        return any(selector.selects(key) for selector in self.types) or not set(labels).isdisjoint(self.labels)
