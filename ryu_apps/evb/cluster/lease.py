"""The lease on the lead, as two records in the store that the members of a cluster share.

The *lease* names the leader and changes with it.  Each record that a leader writes expects the version of the lease
under which it leads, so that nothing of a former leader gets into the store.  The *beat* changes with every renewal: a
renewal must not alter the version that records which are under way expect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgpack

from ryu_apps.evb.record_kinds import BEAT, LEASE

LEASE_KEY, BEAT_KEY = LEASE.key(), BEAT.key()


@dataclass(frozen=True, slots=True)
class Lease:
    """The holder of the lead.

    Attributes:
        owner: name of the leader; empty: the lease was given up.
        generation: under which the leader, or the last one, is MASTER of the switches.
        address: URL of the leader's REST resources; empty: not known.
        successor: name of the member that is to lead next; empty: any.  Counts only without an owner.
        since: Unix time at which it was claimed, by the clock of the owner; for operators only.
    """

    owner: str
    generation: int
    address: str = ""
    successor: str = ""
    since: float = 0.0

    def encoded(self) -> bytes:
        """Return the record."""
        fields = self.owner, self.generation, self.address, self.successor, self.since
        octets: bytes = msgpack.packb([LEASE.schema, *fields])
        return octets


@dataclass(frozen=True, slots=True)
class Beat:
    """A renewal.

    Attributes:
        number: of the renewals of this lease, from 0.
        patience: seconds for which others wait for the next one.
    """

    number: int
    patience: float

    def encoded(self) -> bytes:
        """Return the record."""
        octets: bytes = msgpack.packb([BEAT.schema, self.number, self.patience])
        return octets


@dataclass(frozen=True, slots=True)
class LeaseView:
    """The lease as the store shows it.

    Attributes:
        lease: None: there is none, or it cannot be read.
        beat: None: there is none, or it cannot be read.
        versions: of both records; 0: there is none.
    """

    lease: Lease | None = None
    beat: Beat | None = None
    versions: tuple[int, int] = (0, 0)

    @property
    def expected(self) -> dict[str, int]:
        """The versions as a commit takes them."""
        return dict(zip((LEASE_KEY, BEAT_KEY), self.versions, strict=True))


def read_view(records: Mapping[str, tuple[bytes, int]]) -> LeaseView:
    """Read the lease.

    Args:
        records: key -> value and version, of these two records at one moment.
    """
    lease, lease_version = records.get(LEASE_KEY, (b"", 0))
    beat, beat_version = records.get(BEAT_KEY, (b"", 0))
    return LeaseView(_lease(lease), _beat(beat), (lease_version, beat_version))


def _lease(record: bytes) -> Lease | None:
    try:
        schema, owner, generation, address, successor, since = msgpack.unpackb(record)
    except (ValueError, TypeError, msgpack.UnpackException):
        return None
    words = (owner, address, successor)
    if schema != LEASE.schema or not isinstance(generation, int) or not all(isinstance(word, str) for word in words):
        return None
    return Lease(owner, generation, address, successor, since) if isinstance(since, float) else None


def _beat(record: bytes) -> Beat | None:
    try:
        schema, number, patience = msgpack.unpackb(record)
    except (ValueError, TypeError, msgpack.UnpackException):
        return None
    if schema != BEAT.schema or not isinstance(number, int) or not isinstance(patience, float):
        return None
    return Beat(number, patience)
