"""The accounts of all VSIs: which is whose, how long they are remembered, and their records."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from ryu_apps.evb.io import Happened
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.services.statistics.entries import statistics_of
from ryu_apps.evb.services.statistics.schema import Extraction
from ryu_apps.evb.vsi.record import RecordError
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.vsi.totals import Account, decode, encode

#: What the keys of the records begin with.
PREFIX = "statistics/"
#: Accounts of VSIs that are nowhere any more that are remembered, the newest.
MAX_DEPARTED = 1000


class Accounts:
    """One for each VSI, or for each of its ports if the NMS carries its totals; those that began first come first."""

    def __init__(self) -> None:
        self._by_key: dict[str, Account] = {}

    def __iter__(self) -> Iterator[Account]:
        return iter(self._by_key.values())

    def of(self, vsi: str | None) -> list[Account]:
        """Those of a VSI, or all."""
        return [account for account in self if vsi in (None, account.vsi)]

    def open(self, attachment: Attachment, vsi_type: VsiType) -> Account:
        """The account that a VSI has at a port, which is now its newest."""
        wanted = statistics_of(vsi_type)
        assert wanted is not None
        port = attachment.port if wanted.extraction is Extraction.NMS else None
        key = PREFIX + attachment.text + ("" if port is None else f"@{port}")
        account = self._by_key.pop(key, None) or Account(attachment.text, port, vsi_type.key)
        self._by_key[key] = account
        return account

    def changed(self) -> list[Account]:
        """Those whose record is not what they are."""
        return [account for account in self if account.changed]

    def write(self, accounts: Collection[Account]) -> dict[str, bytes | None]:
        """The records of some accounts; those that nobody needs any more go."""
        changes: dict[str, bytes | None] = {}
        for key in self._departed():
            del self._by_key[key]
            changes[key] = None
        for key, account in self._by_key.items():
            if account in accounts:
                changes[key] = encode(account)
                account.changed = False
        return changes

    def restore(self, records: Mapping[str, bytes]) -> list[Happened]:
        """Take up what an earlier life has written."""
        told = []
        for key, data in records.items():
            try:
                self._by_key[key] = decode(data)
            except RecordError as error:
                told.append(Happened("statistics.not_restored", detail={"record": key, "reason": str(error)}))
        return told

    def _departed(self) -> list[str]:
        """Those of ports that their VSI has left, and the oldest of VSIs that are nowhere."""
        idle = [key for key, account in self._by_key.items() if not account.tallies]
        at_ports = [key for key in idle if self._by_key[key].port is not None]
        gone = [key for key in idle if self._by_key[key].port is None]
        return at_ports + gone[: max(0, len(gone) - MAX_DEPARTED)]
