"""The database as the leader of its cluster shows it: records, the serial number, and who wrote last."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from ovs.db.idl import Row, SchemaHelper

from ryu_apps.evb.store import StoreChanges, Versioned
from ryu_apps.stores.ovsdb.followed import FollowedTable

SCHEMA = Path(__file__).with_name("evbridge.ovsschema")


class Replica(FollowedTable):
    """A copy of the database.

    Attributes:
        records: key -> value and version, as of the last :meth:`take`.
    """

    def __init__(self, remotes: Sequence[str]) -> None:
        helper = SchemaHelper(location=str(SCHEMA))
        helper.register_all()
        super().__init__(remotes, helper, "Record")
        self.records: dict[str, Versioned] = {}
        self._keys: dict[UUID, str] = {}
        self._rows: dict[str, Row] = {}

    @property
    def store_row(self) -> Row | None:
        """The row that has the number of transactions; None: the database is new."""
        return next(iter(self.tables["Store"].rows.values()), None)

    @property
    def serial(self) -> int:
        """Number of the last transaction; 0: the database is new."""
        row = self.store_row
        return 0 if row is None else int(row.serial)

    def writers(self) -> dict[UUID, Row]:
        """Name -> row of the writers."""
        return {row.name: row for row in self.tables["Writer"].rows.values()}

    def last_of(self, writer: UUID) -> int:
        """Number of the last transaction of a writer; 0: none."""
        row = self.writers().get(writer)
        return 0 if row is None else int(row.serial)

    def row(self, key: str) -> Row | None:
        """The row of a record."""
        return self._rows.get(key)

    def take(self) -> StoreChanges:
        """Carry what was received over to the records; returns what has changed."""
        before: dict[str, Versioned | None] = {}
        for uuid in self.removed(self._keys):
            if (key := self._keys.pop(uuid, None)) is not None:
                before[key] = self.records.pop(key)
                del self._rows[key]
        for row in self.changed():
            key = row.key
            before.setdefault(key, self.records.get(key))
            self._keys[row.uuid], self._rows[key] = key, row
            self.records[key] = Versioned(b64decode(row.value), row.version)
        changed = (key for key, found in before.items() if self.records.get(key) != found)
        return {key: self.records[key].value if key in self.records else None for key in changed}
