"""A connection to the leader of a database, which remembers the rows of one table that have changed."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from uuid import UUID

from ovs.db.idl import Idl, Row, SchemaHelper

from ryu_apps.stores.ovsdb.json_reader import install

#: Milliseconds after which a server that says nothing is asked, and after as many again given up; the library's least.
_PROBE = 1000
#: Milliseconds between attempts to connect, at least and at most.
_BACKOFF = 100, 250
#: Rows between two turns of other work: a first reading has thousands.
_ROWS_A_TURN = 50


class FollowedTable(Idl):
    """A copy of tables, from the leader alone.

    Followers pass writes on, which takes a round trip more, and a client of one does not see a dead leader.
    """

    def __init__(self, remotes: Sequence[str], helper: SchemaHelper, table: str) -> None:
        """
        Args:
            remotes: servers, as ``tcp:HOST:PORT``, ``ssl:HOST:PORT`` or ``unix:PATH``.
            helper: the tables and columns to copy.
            table: name of the table whose changes are remembered.
        """
        install()
        super().__init__(",".join(remotes), helper, leader_only=True)
        # The library does not probe UNIX sockets, and a server that is stopped keeps the connection.
        self._session.reconnect.set_probe_interval(_PROBE)
        self._session.reconnect.set_backoff(*_BACKOFF)
        self._followed = table
        self._touched: set[UUID] = set()
        self._reloaded = False
        self._turn = 0

    @property
    def ready(self) -> bool:
        """The leader is connected and has shown everything."""
        connected = self._session.is_connected() and self._last_seqno == self._session.get_seqno()
        return bool(connected and self.state == self.IDL_S_MONITORING)

    # --- calls of the library ---
    def restart_fsm(self) -> None:
        """Begin to read a server; called when a connection is there."""
        # If the server does not know what was read last, the library forgets all rows, and tells of none.
        self._reloaded = True
        super().restart_fsm()

    def notify(self, event: str, row: Row, updates: Row | None = None) -> None:
        """Note a row that has changed."""
        if row._table.name == self._followed:
            self._touched.add(row.uuid)

    def cooperative_yield(self) -> None:
        """Give way to other threads at times; called for each row."""
        self._turn += 1
        if self._turn % _ROWS_A_TURN == 0:
            time.sleep(0)

    # --- changes ---
    def removed(self, known: Collection[UUID]) -> list[UUID]:
        """Return rows that have gone, of all that were known; :meth:`changed` follows."""
        rows = self.tables[self._followed].rows
        if not self._reloaded:
            return [uuid for uuid in self._touched if uuid not in rows]
        if self.ready:
            self._reloaded = False
        return [uuid for uuid in known if uuid not in rows]

    def changed(self) -> Iterator[Row]:
        """Yield the rows that are new or have changed since the last time."""
        rows = self.tables[self._followed].rows
        for uuid in sorted(self._touched & rows.keys(), key=str):
            self.cooperative_yield()
            yield rows[uuid]
        self._touched.clear()
