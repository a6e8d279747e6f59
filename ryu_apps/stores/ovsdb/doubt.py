"""Transactions that were given up although they may have been carried out.

A server that does not answer may have the transaction in its log, and carry it out when others are there again.  Every
transaction expects the serial number of the one before: so one that is in doubt fails as soon as any other one has
succeeded.  If it succeeds first, and no other bridge has written behind it, the next transaction takes it back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from uuid import UUID

from ryu_apps.evb.store import Versioned

Before = Mapping[str, Versioned | None]


class Doubt:
    """All transactions in doubt since the last one that succeeded."""

    def __init__(self) -> None:
        self._sent: dict[UUID, int] = {}
        self._before: dict[str, Versioned | None] = {}

    def __bool__(self) -> bool:
        return bool(self._sent)

    def add(self, writer: UUID, serial: int, before: Before) -> None:
        """Add a transaction.

        Args:
            writer: name under which it was sent, and no other one will be.
            serial: the number that it has if it was carried out.
            before: the records as the callers know them, of all keys that it writes.
        """
        self._sent[writer] = serial
        self._before = {**before, **self._before}

    def taken_back(self, serial: int, last_of: Callable[[UUID], int]) -> Before:
        """Return what the next transaction has to restore.

        Args:
            serial: number of the last transaction in the database.
            last_of: the number of the last transaction of a writer.
        """
        # Behind another one it stays: that writer has seen it, and may have built on it.
        carried_out = any(number == serial and last_of(writer) == number for writer, number in self._sent.items())
        return self._before if carried_out else {}

    def resolve(self) -> None:
        """Forget all: a later transaction has succeeded."""
        self._sent.clear()
        self._before.clear()
