"""Sums over all VSIs that a group of ports has had, such as a vSwitch: they go on when a VSI leaves.

An account has what its VSI has sent and received in each group.  When the account expires, that is added to the sum of
the VSIs that have left, in the writing that deletes the account.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgpack

from ryu_apps.evb.pipeline.tables import Direction
from ryu_apps.evb.record_kinds import SUMS
from ryu_apps.evb.vsi.records.attachment import RecordError
from ryu_apps.evb.vsi.statistics.totals import Account, CounterValue, GroupCount, Verdict


class GroupSums(NamedTuple):
    """Sums of all groups.

    Attributes:
        counts: of those that have any.
        incomplete: groups of which more may have been shown before a restart.
    """

    counts: dict[GroupCount, CounterValue]
    incomplete: frozenset[str]


class DepartedSums:
    """Counts of VSIs whose accounts have expired, by group."""

    def __init__(self) -> None:
        self._counts: dict[GroupCount, CounterValue] = {}

    def add(self, accounts: Iterable[Account]) -> dict[str, bytes | None]:
        """Add accounts that expire; returns the changes of the store."""
        changed: dict[str, None] = {}
        for account in accounts:
            for key, count in account.groups.items():
                self._counts[key] = self._counts.get(key, CounterValue()).plus(count)
                changed[key.group] = None
        return {SUMS.key(group): self._encode(group) for group in changed}

    def all(self, accounts: Iterable[Account]) -> GroupSums:
        """Return the sums of these VSIs and of all that have left."""
        counts, incomplete = dict(self._counts), set[str]()
        for account in accounts:
            for key, count in account.groups.items():
                counts[key] = counts.get(key, CounterValue()).plus(count)
            if not account.complete:
                incomplete |= {tally.group for tally in account.tallies}
        return GroupSums(counts, frozenset(incomplete))

    def restore(self, records: Mapping[str, bytes]) -> dict[str, str]:
        """Restore the counts; returns the keys of records that cannot be read, each with the reason."""
        failures = {}
        for key, data in records.items():
            try:
                self._counts.update(_decode(SUMS.subject_of(key), data))
            except RecordError as error:
                failures[key] = str(error)
        return failures

    def _encode(self, group: str) -> bytes:
        own = {key: count for key, count in self._counts.items() if key.group == group}
        rows = [[int(key.direction), key.verdict.value, *count] for key, count in own.items()]
        encoded = msgpack.packb([SUMS.schema, rows])
        assert isinstance(encoded, bytes)
        return encoded


def _decode(group: str, data: bytes) -> dict[GroupCount, CounterValue]:
    try:
        schema, rows = msgpack.unpackb(data)
        if schema != SUMS.schema:
            raise RecordError(f"schema {schema}, not {SUMS.schema}")
        return dict(_row(group, *row) for row in rows)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise RecordError(str(error)) from error


def _row(group: str, direction: Any, verdict: Any, packets: int, octets: int) -> tuple[GroupCount, CounterValue]:
    return GroupCount(group, Direction(direction), Verdict(verdict)), CounterValue(packets, octets)
