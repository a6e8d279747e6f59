"""VSI types that VSI managers have told, and their records: bounded, the least recently used goes first.

What VSIs use stays, whatever the bounds: it is in force.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, field

import msgpack

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.loader import load_offered
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.policy.offer import HttpSource, Validators
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.vsi.records.attachment import RecordError

#: What the keys of these records begin with.
PREFIX = "type/"
SCHEMA = 1
#: Types, and octets of policy files, that are kept.
MAX_TYPES, MAX_OCTETS = 1024, 64_000_000
#: Seconds for which a manager that has failed is not asked again about what is known of old.
RETRY = 5.0


@dataclass(eq=False, slots=True)
class Cached:
    """One type as its manager told it.

    Attributes:
        url: where from.
        checked: when the manager last vouched for it, monotonic seconds; None: not in this life of the bridge.
        lifetime: seconds from then on in which it is not asked.
        asked: when the manager was asked in vain since.
        refused: why what it offers now cannot replace this; None: it can, or it is this.
        stored: the store has it.
    """

    url: str
    vsi_type: VsiType
    validators: Validators
    lifetime: float = 0.0
    checked: float | None = None
    asked: float | None = None
    refused: str | None = None
    stored: bool = False

    def stale(self, now: float) -> bool:
        """Whether the manager may think otherwise by now."""
        return self.refused is not None or self._expired(now)

    def due(self, now: float) -> bool:
        """Whether to ask the manager before it is used anew."""
        return self._expired(now) and (self.asked is None or now >= self.asked + RETRY)

    def validated(self, source: HttpSource, now: float, refused: str | None = None) -> None:
        """The manager has been asked and has answered."""
        self.checked, self.lifetime, self.asked, self.refused = now, source.lifetime, None, refused

    def _expired(self, now: float) -> bool:
        return self.checked is None or now >= self.checked + self.lifetime

    def record(self) -> bytes:
        """What the store keeps of it."""
        encoded = msgpack.packb([SCHEMA, self.url, list(self.vsi_type.key), *self.validators, self.vsi_type.text])
        assert isinstance(encoded, bytes)
        return encoded


def read_record(data: bytes) -> Cached:
    """A type that an earlier life of the bridge has stored.

    Raises:
        RecordError: damaged, of another schema, or no policy by today's rules.
    """
    try:
        schema, url, key, etag, last_modified, text = msgpack.unpackb(data)
        if schema != SCHEMA:
            raise RecordError(f"schema {schema}, not {SCHEMA}")
        vsi_type, mistakes = load_offered(url, text, VsiTypeKey(*key), SECTIONS)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise RecordError(str(error)) from error
    if vsi_type is None:
        raise RecordError(str(mistakes[0]))
    return Cached(url, vsi_type, Validators(etag, last_modified), stored=True)


@dataclass
class TypeCache:
    """All of them, by URL, least recently used first."""

    max_types: int = MAX_TYPES
    max_octets: int = MAX_OCTETS
    _known: dict[str, Cached] = field(default_factory=dict)
    _octets: int = 0

    def __iter__(self) -> Iterator[Cached]:
        return iter(self._known.values())

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, url: object) -> bool:
        return url in self._known

    def get(self, url: str) -> Cached | None:
        """What is known of a URL, which is now the most recently used."""
        found = self._known.pop(url, None)
        if found is not None:
            self._known[url] = found
        return found

    def put(self, one: Cached, in_use: Set[str]) -> bool:
        """Keep a type, in place of what was known of its URL; False: there is no room beside what is in use."""
        self.drop(one.url)
        size = _size(one)
        for other in list(self._known.values()):
            if len(self._known) < self.max_types and self._octets + size <= self.max_octets:
                break
            if other.url not in in_use and not other.stored:
                self.drop(other.url)
        if len(self._known) >= self.max_types or self._octets + size > self.max_octets:
            return False
        self.restore(one)
        return True

    def restore(self, one: Cached) -> None:
        """Keep a type that is in force."""
        self._known[one.url] = one
        self._octets += _size(one)

    def drop(self, url: str) -> None:
        """Forget what is known of a URL."""
        gone = self._known.pop(url, None)
        if gone is not None:
            self._octets -= _size(gone)


def _size(one: Cached) -> int:
    return len(one.vsi_type.text)
