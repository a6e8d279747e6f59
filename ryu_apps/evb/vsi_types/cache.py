"""VSI types fetched from VSI managers, and their records; the cache is bounded and evicts the least recently used.

A type that a VSI uses is never evicted: it is in force.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, field

import msgpack

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.loader import load_offered
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.policy.offer import HttpSource, Validators
from ryu_apps.evb.record_kinds import VSI_TYPE
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.vsi.records.attachment import RecordError

#: Types, and octets of policy files, that are kept.
MAX_TYPES, MAX_OCTETS = 1024, 64_000_000
#: Seconds for which a manager that has failed is not asked again about a type that is cached.
RETRY = 5.0


@dataclass(eq=False, slots=True)
class Cached:
    """One type as its manager sent it.

    Attributes:
        url: its address.
        checked: time of the manager's last confirmation, monotonic seconds; None: not since the controller started.
        lifetime: seconds from then on in which the manager is not asked.
        asked: time of the last failed query since then.
        refused: reason why the manager's present version cannot replace this one; None: it can, or it is the same.
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
        """True if the manager may have another version by now."""
        return self.refused is not None or self._expired(now)

    def due(self, now: float) -> bool:
        """True if the manager is to be asked before a VSI uses the type."""
        return self._expired(now) and (self.asked is None or now >= self.asked + RETRY)

    def validated(self, source: HttpSource, now: float, refused: str | None = None) -> None:
        """Record that the manager has answered."""
        self.checked, self.lifetime, self.asked, self.refused = now, source.lifetime, None, refused

    def _expired(self, now: float) -> bool:
        return self.checked is None or now >= self.checked + self.lifetime

    def record(self) -> bytes:
        """Encode the record for the store."""
        encoded = msgpack.packb(
            [VSI_TYPE.schema, self.url, list(self.vsi_type.key), *self.validators, self.vsi_type.text]
        )
        assert isinstance(encoded, bytes)
        return encoded


def read_record(data: bytes) -> Cached:
    """Decode the record of a type, written before the controller was restarted.

    Raises:
        RecordError: damaged, of another schema, or not a valid policy any more.
    """
    try:
        schema, url, key, etag, last_modified, text = msgpack.unpackb(data)
        if schema != VSI_TYPE.schema:
            raise RecordError(f"schema {schema}, not {VSI_TYPE.schema}")
        vsi_type, mistakes = load_offered(url, text, VsiTypeKey(*key), SECTIONS)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise RecordError(str(error)) from error
    if vsi_type is None:
        raise RecordError(str(mistakes[0]))
    return Cached(url, vsi_type, Validators(etag, last_modified), stored=True)


@dataclass
class TypeCache:
    """Cached types by URL, least recently used first."""

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
        """Return the type of a URL and make it the most recently used."""
        found = self._known.pop(url, None)
        if found is not None:
            self._known[url] = found
        return found

    def put(self, cached: Cached, in_use: Set[str]) -> bool:
        """Keep a type, in place of that of the same URL; False: there is no room beside the types in use."""
        self.drop(cached.url)
        size = _size(cached)
        for other in list(self._known.values()):
            if len(self._known) < self.max_types and self._octets + size <= self.max_octets:
                break
            if other.url not in in_use and not other.stored:
                self.drop(other.url)
        if len(self._known) >= self.max_types or self._octets + size > self.max_octets:
            return False
        self.restore(cached)
        return True

    def restore(self, cached: Cached) -> None:
        """Keep a type that is in force."""
        self._known[cached.url] = cached
        self._octets += _size(cached)

    def drop(self, url: str) -> None:
        """Remove the type of a URL."""
        gone = self._known.pop(url, None)
        if gone is not None:
            self._octets -= _size(gone)


def _size(cached: Cached) -> int:
    return len(cached.vsi_type.text)
