"""Accounts of all VSIs: lookup, retention and records."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.bridge import CountersNotRestored
from ryu_apps.evb.model import AN_HOUR, Retention
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.record_kinds import STATISTICS
from ryu_apps.evb.services.statistics.entries import statistics_of
from ryu_apps.evb.services.statistics.schema import ExtractionText
from ryu_apps.evb.vsi.records.attachment import RecordError
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.vsi.statistics.sums import DepartedSums, GroupSums
from ryu_apps.evb.vsi.statistics.totals import Account, decode, encode


class Accounts:
    """Accounts, one for each VSI, or for each of its ports if the NMS carries its totals; oldest first."""

    def __init__(self, retention: Retention = AN_HOUR) -> None:
        self._by_key: dict[str, Account] = {}
        self._retention = retention
        self._departed = DepartedSums()
        #: Accounts without counters, in the order in which they lost them, and the time at which that was seen.
        self._left: dict[str, float | None] = {}

    def __iter__(self) -> Iterator[Account]:
        return iter(self._by_key.values())

    def of(self, vsi: str | None) -> list[Account]:
        """Return the accounts of a VSI, or all."""
        return [account for account in self if vsi in (None, account.vsi)]

    def open(self, attachment: Attachment, vsi_type: VsiType) -> Account:
        """Return the account of a VSI at a port and make it the VSI's newest."""
        wanted = statistics_of(vsi_type)
        assert wanted is not None
        port = attachment.port if wanted.extraction is ExtractionText.NMS else None
        account = Account(attachment.text, port, vsi_type.key)
        key = _key(account)
        account = self._by_key[key] = self._by_key.pop(key, account)
        return account

    def left(self, account: Account) -> None:
        """Record that an account has no counters any more."""
        key = _key(account)
        self._left.pop(key, None)
        self._left[key] = None

    @property
    def unsettled(self) -> bool:
        """True if an account lost its counters since :meth:`expire`, which has yet to start its retention."""
        return None in self._left.values()

    @property
    def pending(self) -> bool:
        """True if an account is to be written, or :meth:`expire` has to start its retention."""
        return bool(self._by_key) and (self.unsettled or bool(self.changed()))

    @property
    def deadline(self) -> float | None:
        """Time at which the first retention ends; None: there is none, or :meth:`expire` has to start it first."""
        first = next(iter(self._left.values()), None)
        return None if first is None else first + self._retention.secs

    def expire(self, now: float) -> dict[str, bytes | None]:
        """Remove accounts whose retention has ended, and the oldest beyond the limit; returns the changes of records.

        Accounts of ports go at once: what is counted there later would be added twice, since the NMS has the old total.
        """
        idle = {key: when for key, when in self._left.items() if not self._by_key[key].tallies}
        self._left = {key: now if when is None else when for key, when in idle.items()}
        surplus = len(self._left) - self._retention.vsis
        over = [key for turn, key in enumerate(self._left) if turn < surplus or self._is_over(key, now)]
        sums = self._departed.add(self._by_key[key] for key in over)
        for key in over:
            del self._left[key], self._by_key[key]
        return {**dict.fromkeys(over), **sums}

    def changed(self) -> list[Account]:
        """Return the accounts that differ from their records."""
        return [account for account in self if account.changed]

    def _is_over(self, key: str, now: float) -> bool:
        when = self._left[key]
        return self._by_key[key].port is not None or when is None or when + self._retention.secs <= now

    def write(self, accounts: Collection[Account]) -> dict[str, bytes | None]:
        """Return the changes that write some accounts."""
        changes: dict[str, bytes | None] = {}
        for account in accounts:
            changes[_key(account)] = encode(account)
            account.changed = False
        return changes

    def sums(self) -> GroupSums:
        """Return the sums of all groups, of all VSIs that have ever been there."""
        return self._departed.all(self)

    def restore(self, records: Mapping[str, bytes], sums: Mapping[str, bytes]) -> list[LogEvent]:
        """Restore the accounts and the sums from their records; returns an event for each that cannot be read."""
        unread = self._departed.restore(sums)
        failures: list[LogEvent] = [CountersNotRestored(key, reason) for key, reason in unread.items()]
        for key, data in records.items():
            try:
                self._by_key[key] = decode(data)
            except RecordError as error:
                failures.append(CountersNotRestored(key, str(error)))
        return failures


def _key(account: Account) -> str:
    """Key of the record of an account."""
    return STATISTICS.key(account.vsi + ("" if account.port is None else f"@{account.port}"))
