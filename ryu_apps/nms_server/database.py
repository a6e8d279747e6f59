"""Knowledge of the NMS in one SQLite file: totals and samples of VSIs, places in event streams, calls of hooks."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ryu_apps.nms.totals import Numbers, Reading, VsiTotals
from ryu_apps.nms_server import step_rows
from ryu_apps.nms_server.step_rows import COLUMNS, DONE, TABLE, StepRow

#: Version of the tables.
_SCHEMA = 2
_TABLES = """
CREATE TABLE vsi (vsi TEXT PRIMARY KEY, seen REAL NOT NULL, bridge TEXT, port TEXT, totals TEXT NOT NULL) STRICT;
CREATE INDEX vsi_seen ON vsi (seen);
CREATE TABLE sample (vsi TEXT NOT NULL, t REAL NOT NULL, bridge TEXT NOT NULL, port TEXT,
    from_packets INTEGER NOT NULL, from_octets INTEGER NOT NULL,
    to_packets INTEGER NOT NULL, to_octets INTEGER NOT NULL) STRICT;
CREATE INDEX sample_of ON sample (vsi, t);
CREATE INDEX sample_at ON sample (t);
CREATE TABLE place (bridge TEXT PRIMARY KEY, event TEXT NOT NULL, missed INTEGER NOT NULL) STRICT;
CREATE TABLE call (number INTEGER PRIMARY KEY AUTOINCREMENT, hook TEXT NOT NULL, body TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL DEFAULT 0) STRICT;
CREATE INDEX call_of ON call (hook, number);
CREATE TABLE roll_out (number INTEGER PRIMARY KEY AUTOINCREMENT, policies TEXT NOT NULL, state TEXT NOT NULL,
    begun REAL NOT NULL, before INTEGER, refusals TEXT NOT NULL DEFAULT '{}', open INTEGER DEFAULT 1) STRICT;
CREATE UNIQUE INDEX roll_out_open ON roll_out (open) WHERE open = 1;
CREATE TABLE served (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER) STRICT;
INSERT INTO served VALUES (1, NULL);
CREATE TABLE hook (hook TEXT PRIMARY KEY, done INTEGER NOT NULL, failed INTEGER NOT NULL, error TEXT) STRICT;
"""


_ROLL_OUTS = "SELECT number, policies, state, begun, before, refusals FROM roll_out"


class Seen(NamedTuple):
    """A VSI with its totals, and where a bridge has shown it last.

    Attributes:
        seen: Unix time in seconds.
        bridge, port: None: it is active nowhere.
    """

    vsi: str
    seen: float
    bridge: str | None
    port: str | None
    totals: VsiTotals


class Sample(NamedTuple):
    """Totals of a VSI at one time, Unix time in seconds."""

    t: float
    bridge: str
    port: str | None
    total: Numbers


class Call(NamedTuple):
    """A call of a hook that is to be made."""

    number: int
    hook: str
    body: str
    attempts: int
    due: float

    @property
    def id(self) -> str:
        """Id of the call, which is the same in each attempt."""
        return str(json.loads(self.body).get("id"))


class RollOutRow(NamedTuple):
    """A roll-out of policies.

    Attributes:
        policies, refusals: JSON objects: texts by name, reasons by bridge.
        begun: Unix time in seconds.
        before: number of the one whose policies were served before; None: there were none.
    """

    number: int
    policies: str
    state: str
    begun: float
    before: int | None
    refusals: str


class HookStatus(NamedTuple):
    """Calls of a hook: those that wait, have been made, and were given up; the reason of the last failure."""

    waiting: int
    done: int
    failed: int
    error: str | None


class Database:
    """The file; any thread may use it.

    Args:
        path: of the file, which is made if it is missing.
        clock: Unix time in seconds.

    Raises:
        sqlite3.Error: it cannot be used, or is of another version.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._database.executescript(f"BEGIN; {_TABLES} {TABLE} PRAGMA user_version = {_SCHEMA}; COMMIT;")
        elif version == 1:
            self._database.executescript(f"BEGIN; {TABLE} PRAGMA user_version = {_SCHEMA}; COMMIT;")
        elif version != _SCHEMA:
            raise sqlite3.DatabaseError(f"tables of version {version}, not {_SCHEMA}")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def _rows(self, question: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(question, values).fetchall()

    # --- statistics ---
    def totals(self, vsi: str) -> VsiTotals:
        """Return the totals of a VSI; of an unknown one they are nothing."""
        found = self.vsi(vsi)
        return VsiTotals() if found is None else found.totals

    def vsi(self, vsi: str) -> Seen | None:
        """Return a VSI; None: it is not known."""
        rows = self._rows("SELECT vsi, seen, bridge, port, totals FROM vsi WHERE vsi = ?", vsi)
        return _seen(rows[0]) if rows else None

    def vsis(self, after: str, limit: int) -> list[Seen]:
        """Return the VSIs behind a text, in the order of their texts."""
        question = "SELECT vsi, seen, bridge, port, totals FROM vsi WHERE vsi > ? ORDER BY vsi LIMIT ?"
        return list(map(_seen, self._rows(question, after, limit)))

    def add(self, found: Iterable[tuple[Seen, Sample | None]], place: tuple[str, str] | None = None) -> None:
        """Write the totals of VSIs, a sample of those that have changed, and the place up to which they were read."""
        with self._changing() as database:
            if place is not None:
                _set_place(database, *place)
            for seen, sample in found:
                row = (seen.vsi, seen.seen, seen.bridge, seen.port, _totals_text(seen.totals))
                database.execute("INSERT OR REPLACE INTO vsi VALUES (?, ?, ?, ?, ?)", row)
                if sample is not None:
                    values = (seen.vsi, sample.t, sample.bridge, sample.port, *sample.total)
                    database.execute("INSERT INTO sample VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def prune(self, before: float, max_samples: int, max_vsis: int) -> None:
        """Delete samples and VSIs from before a time, and the oldest beyond a bound."""
        with self._changing() as database:
            database.execute("DELETE FROM sample WHERE t < ?", (before,))
            (samples,) = database.execute("SELECT count(*) FROM sample").fetchone()
            if samples > max_samples:
                oldest = "DELETE FROM sample WHERE rowid IN (SELECT rowid FROM sample ORDER BY t LIMIT ?)"
                database.execute(oldest, (samples - max_samples,))
            database.execute("DELETE FROM vsi WHERE seen < ?", (before,))
            newest = "DELETE FROM vsi WHERE vsi NOT IN (SELECT vsi FROM vsi ORDER BY seen DESC LIMIT ?)"
            database.execute(newest, (max_vsis,))
            step_rows.prune(database, before, max_samples)

    def series(self, vsi: str, since: float, until: float, limit: int) -> list[Sample]:
        """Return samples of a VSI within a time, oldest first."""
        question = "SELECT * FROM sample WHERE vsi = ? AND t > ? AND t <= ? ORDER BY t LIMIT ?"
        return [Sample(row[1], row[2], row[3], row[4:8]) for row in self._rows(question, vsi, since, until, limit)]

    # --- events and hooks ---
    def place(self, bridge: str) -> str | None:
        """Return the id of the last event of a bridge that was dealt with, or the time up to which it was read."""
        rows = self._rows("SELECT event FROM place WHERE bridge = ?", bridge)
        return rows[0][0] if rows else None

    def missed(self, bridge: str) -> int:
        """Return the number of gaps in the events of a bridge."""
        rows = self._rows("SELECT missed FROM place WHERE bridge = ?", bridge)
        return rows[0][0] if rows else 0

    def note(self, bridge: str, event: str, calls: Mapping[str, Mapping[str, Any]], gap: bool = False) -> None:
        """Write the calls that an event leads to and the place behind it, both or neither."""
        with self._changing() as database:
            _set_place(database, bridge, event, gap)
            for hook, body in calls.items():
                database.execute("INSERT INTO call (hook, body) VALUES (?, ?)", (hook, json.dumps(body)))
                step_rows.begin(database, hook, body, self._clock())

    def waiting(self, hook: str) -> int:
        """Return the number of calls of a hook that have not been made."""
        found: int = self._rows("SELECT count(*) FROM call WHERE hook = ?", hook)[0][0]
        return found

    def next_call(self, hook: str) -> Call | None:
        """Return the oldest call of a hook."""
        rows = self._rows("SELECT * FROM call WHERE hook = ? ORDER BY number LIMIT 1", hook)
        return Call(*rows[0]) if rows else None

    def ended(self, call: Call, error: str | None) -> None:
        """Delete a call that was made (``error`` None), or is given up."""
        with self._changing() as database:
            database.execute("DELETE FROM call WHERE number = ?", (call.number,))
            counted = (
                "INSERT INTO hook VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET done = done + ?, failed = failed + ?"
            )
            done, failed = int(error is None), int(error is not None)
            database.execute(counted, (call.hook, done, failed, error, done, failed))
            if error is not None:
                database.execute("UPDATE hook SET error = ? WHERE hook = ?", (error, call.hook))
            step_rows.end(database, call.hook, call.id, error, self._clock())

    def postpone(self, call: Call, due: float, error: str) -> None:
        """Note that a call has failed, and when it is made again, Unix time in seconds."""
        with self._changing() as database:
            database.execute("UPDATE call SET attempts = attempts + 1, due = ? WHERE number = ?", (due, call.number))
            noted = "INSERT INTO hook VALUES (?, 0, 0, ?) ON CONFLICT DO UPDATE SET error = ?"
            database.execute(noted, (call.hook, error, error))
            step_rows.fail(database, call.hook, call.id, error)

    def hook(self, hook: str) -> HookStatus:
        """Return the counts of a hook."""
        rows = self._rows("SELECT done, failed, error FROM hook WHERE hook = ?", hook)
        return HookStatus(self.waiting(hook), *(rows[0] if rows else (0, 0, None)))

    def steps(self, vsi: str, bridge: str, port: str) -> list[StepRow]:
        """Return the newest call of each hook for each step of a VSI at a port."""
        question = f"SELECT {COLUMNS} FROM step WHERE vsi = ? AND bridge = ? AND port = ? ORDER BY told"
        return [StepRow(*row) for row in self._rows(question, vsi, bridge, port)]

    def not_done(self, limit: int) -> list[StepRow]:
        """Return calls that wait or were given up, oldest first."""
        question = f"SELECT {COLUMNS} FROM step WHERE state != '{DONE}' ORDER BY told LIMIT ?"
        return [StepRow(*row) for row in self._rows(question, limit)]

    # --- roll-outs ---
    def begin_roll_out(self, policies: str, state: str, begun: float, kept: int) -> int | None:
        """Write a new roll-out and return its number; None: another one is open.  No more than ``kept`` stay."""
        try:
            with self._changing() as database:
                (before,) = database.execute("SELECT number FROM served").fetchone()
                added = "INSERT INTO roll_out (policies, state, begun, before) VALUES (?, ?, ?, ?)"
                number = database.execute(added, (policies, state, begun, before)).lastrowid
                oldest = "DELETE FROM roll_out WHERE number <= ? AND number IS NOT ?"
                database.execute(oldest, ((number or 0) - kept, before))
                return number
        except sqlite3.IntegrityError:
            return None

    def advance(
        self,
        number: int,
        state: str,
        refusals: Mapping[str, Any],
        serves: int | None = None,
        serving: bool = False,
        final: bool = False,
    ) -> None:
        """Write the next state of a roll-out, and whose policies are served then.

        Args:
            serves: number of the roll-out; None: none, if ``serving``, or else as before.
            final: nothing more happens.
        """
        with self._changing() as database:
            changed = "UPDATE roll_out SET state = ?, refusals = ?, open = ? WHERE number = ?"
            database.execute(changed, (state, json.dumps(refusals), None if final else 1, number))
            if serves is not None or serving:
                database.execute("UPDATE served SET number = ?", (serves,))

    def roll_out(self, number: int) -> RollOutRow | None:
        """Return a roll-out; None: it is not known."""
        return self._roll_out("number = ?", number)

    def open_roll_out(self) -> RollOutRow | None:
        """Return the roll-out that is not over; None: there is none."""
        return self._roll_out("open = 1")

    def served(self) -> RollOutRow | None:
        """Return the roll-out whose policies are served; None: there are none."""
        return self._roll_out("number = (SELECT number FROM served)")

    def roll_outs(self) -> list[RollOutRow]:
        """Return all roll-outs, oldest first."""
        return [RollOutRow(*row) for row in self._rows(f"{_ROLL_OUTS} ORDER BY number")]

    def _roll_out(self, which: str, *values: object) -> RollOutRow | None:
        rows = self._rows(f"{_ROLL_OUTS} WHERE {which}", *values)
        return RollOutRow(*rows[0]) if rows else None


def _set_place(database: sqlite3.Connection, name: str, place: str, gap: bool = False) -> None:
    added = "INSERT INTO place VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET event = ?, missed = missed + ?"
    database.execute(added, (name, place, int(gap), place, int(gap)))


def _seen(row: tuple[Any, ...]) -> Seen:
    vsi, seen, bridge, port, text = row
    written = json.loads(text)
    known = {name: Reading(place, _numbers(total), _numbers(base)) for name, (place, total, base) in written[2].items()}
    return Seen(vsi, seen, bridge, port, VsiTotals(_numbers(written[0]), _numbers(written[1]), known))


def _totals_text(totals: VsiTotals) -> str:
    return json.dumps([totals.total, totals.last, totals.known])


def _numbers(written: list[int]) -> Numbers:
    first, second, third, fourth = written
    return first, second, third, fourth
