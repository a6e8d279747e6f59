"""Rows of the database: the newest call of each hook for each step of a VSI at a port, until it has gone from there.

They are written in the transactions that write and end the calls.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, NamedTuple

from ryu_apps.nms.hooks import Step

TABLE = """
CREATE TABLE step (hook TEXT NOT NULL, vsi TEXT NOT NULL, bridge TEXT NOT NULL, port TEXT NOT NULL, step TEXT NOT NULL,
    id TEXT NOT NULL, state TEXT NOT NULL, told REAL NOT NULL, ended REAL, error TEXT,
    PRIMARY KEY (hook, vsi, bridge, port, step)) STRICT;
CREATE INDEX step_state ON step (state);
CREATE INDEX step_id ON step (hook, id);
"""
COLUMNS = "hook, vsi, bridge, port, step, state, told, ended, error"
#: States: not made or to be made again; made; given up.
WAITING, DONE, FAILED = "waiting", "done", "failed"


class StepRow(NamedTuple):
    """A call of a hook.

    Attributes:
        state: ``waiting``, ``done`` or ``failed``.
        told, ended: Unix time in seconds at which its event came, and at which it was made or given up.
        error: of the newest attempt that has failed.
    """

    hook: str
    vsi: str
    bridge: str
    port: str
    step: str
    state: str
    told: float
    ended: float | None
    error: str | None


def begin(database: sqlite3.Connection, hook: str, body: Mapping[str, Any], now: float) -> None:
    """Write that a call waits."""
    place = str(body.get("vsi")), str(body.get("bridge")), str(body.get("port"))
    if body.get("step") == Step.RELEASE.value:
        database.execute("DELETE FROM step WHERE hook = ? AND vsi = ? AND bridge = ? AND port = ?", (hook, *place))
    row = (hook, *place, str(body.get("step")), str(body.get("id")), WAITING, now)
    database.execute("INSERT OR REPLACE INTO step VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)", row)


def end(database: sqlite3.Connection, hook: str, call: str, error: str | None, now: float) -> None:
    """Write that a call was made (``error`` None), or is given up; ``call`` is its id."""
    state = DONE if error is None else FAILED
    changed = "UPDATE step SET state = ?, ended = ?, error = ? WHERE hook = ? AND id = ?"
    database.execute(changed, (state, now, error, hook, call))


def fail(database: sqlite3.Connection, hook: str, call: str, error: str) -> None:
    """Write that an attempt has failed; there will be another one."""
    database.execute("UPDATE step SET error = ? WHERE hook = ? AND id = ?", (error, hook, call))


def prune(database: sqlite3.Connection, before: float, most: int) -> None:
    """Delete calls from before a time, and the oldest of those that have ended beyond a bound."""
    database.execute("DELETE FROM step WHERE told < ?", (before,))
    newest = "SELECT rowid FROM step WHERE ended IS NOT NULL ORDER BY ended DESC LIMIT ?"
    database.execute(f"DELETE FROM step WHERE ended IS NOT NULL AND rowid NOT IN ({newest})", (most,))
