"""The database as the leader of its cluster shows it: records, the serial number, and who wrote last."""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from ovs.db.idl import Idl, Row, SchemaHelper

from ryu_apps.evb.store import StoreChanges, Versioned
from ryu_apps.stores.ovsdb.json_reader import install

SCHEMA = Path(__file__).with_name("evbridge.ovsschema")
#: Milliseconds after which a server that says nothing is asked, and after as many again given up; the library's least.
_PROBE = 1000
#: Milliseconds between attempts to connect, at least and at most.
_BACKOFF = 100, 250
#: Rows between two turns of other work: a first reading has thousands.
_ROWS_A_TURN = 50


class Replica(Idl):
    """A copy of the database, from the leader alone.

    Followers pass writes on, which takes a round trip more, and a client of one does not see a dead leader.

    Attributes:
        records: key -> value and version, as of the last :meth:`take`.
    """

    def __init__(self, remotes: Sequence[str]) -> None:
        install()
        helper = SchemaHelper(location=str(SCHEMA))
        helper.register_all()
        super().__init__(",".join(remotes), helper, leader_only=True)
        # The library does not probe UNIX sockets, and a server that is stopped keeps the connection.
        self._session.reconnect.set_probe_interval(_PROBE)
        self._session.reconnect.set_backoff(*_BACKOFF)
        self.records: dict[str, Versioned] = {}
        self._keys: dict[UUID, str] = {}
        self._rows: dict[str, Row] = {}
        self._touched: set[UUID] = set()
        self._reloaded = False
        self._turn = 0

    @property
    def ready(self) -> bool:
        """The leader is connected and has shown everything."""
        connected = self._session.is_connected() and self._last_seqno == self._session.get_seqno()
        return bool(connected and self.state == self.IDL_S_MONITORING)

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
        for uuid in self._removed():
            if (key := self._keys.pop(uuid, None)) is not None:
                before[key] = self.records.pop(key)
                del self._rows[key]
        rows = self.tables["Record"].rows
        for uuid in sorted(self._touched & rows.keys(), key=str):
            self.cooperative_yield()
            row = rows[uuid]
            key = row.key
            before.setdefault(key, self.records.get(key))
            self._keys[uuid], self._rows[key] = key, row
            self.records[key] = Versioned(b64decode(row.value), row.version)
        self._touched.clear()
        changed = (key for key, found in before.items() if self.records.get(key) != found)
        return {key: self.records[key].value if key in self.records else None for key in changed}

    def restart_fsm(self) -> None:
        """Begin to read a server; called by the library when a connection is there."""
        # If the server does not know what was read last, the library forgets all rows, and tells of none.
        self._reloaded = True
        super().restart_fsm()

    def notify(self, event: str, row: Row, updates: Row | None = None) -> None:
        """Note a row that has changed; called by the library."""
        if row._table.name == "Record":
            self._touched.add(row.uuid)

    def cooperative_yield(self) -> None:
        """Give way to other threads at times; called by the library for each row."""
        self._turn += 1
        if self._turn % _ROWS_A_TURN == 0:
            time.sleep(0)

    def _removed(self) -> list[UUID]:
        rows = self.tables["Record"].rows
        if not self._reloaded:
            return [uuid for uuid in self._touched if uuid not in rows]
        if self.ready:
            self._reloaded = False
        return [uuid for uuid in self._keys if uuid not in rows]
