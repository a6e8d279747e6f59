"""Roll-outs of policy sets to bridges: checked at each of them, then served to all, and taken back if one refuses.

The NMS is the VSI manager of its bridges.  A roll-out changes which set it serves, and has the bridges ask anew.  Its
state is in the database before each step, so a restart goes on with it.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from enum import Enum
from hashlib import sha256
from typing import Any, NamedTuple

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.diagnostic import has_errors
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.nms_server.bridge import BridgeClient, BridgeError
from ryu_apps.nms_server.database import Database, RollOutRow

LOG = logging.getLogger(__name__)

#: Seconds between two looks for a roll-out, and roll-outs that are kept.
_NAP, KEPT = 0.1, 100


class RollOutState(Enum):
    """States of a roll-out, in their order; ``DONE``, ``REFUSED`` and ``TAKEN_BACK`` are final."""

    CHECKING = "checking"
    """Each bridge is asked whether it could have the policies."""
    SWAPPING = "swapping"
    """They are served, and each bridge is told."""
    TAKING_BACK = "taking back"
    """A bridge has refused; what was served before is served again, and each bridge is told."""
    DONE = "done"
    REFUSED = "refused"
    """A bridge could not have them; nothing has changed."""
    TAKEN_BACK = "taken back"

    @property
    def is_final(self) -> bool:
        """True if nothing more happens."""
        return self in (RollOutState.DONE, RollOutState.REFUSED, RollOutState.TAKEN_BACK)


class RollOutError(Exception):
    """A set that is not rolled out; ``mistakes`` are in its policies."""

    def __init__(self, reason: str, mistakes: Iterable[str] = ()) -> None:
        super().__init__(reason)
        self.mistakes = list(mistakes)


class Served(NamedTuple):
    """A policy file that is served; ``etag`` marks this version of it."""

    text: bytes
    etag: str


class RollOuts:
    """All roll-outs, and the set that is served."""

    def __init__(self, bridges: Iterable[BridgeClient], database: Database) -> None:
        self._bridges = tuple(bridges)
        self._database = database
        self._lock = threading.Lock()
        self._number: int | None = None
        self._types: Mapping[VsiTypeKey, Served] = {}

    def begin(self, policies: Mapping[str, str], now: float) -> int:
        """Begin to roll a set out; returns its number.

        Args:
            policies: name of a file -> text.
            now: Unix time in seconds.

        Raises:
            RollOutError: another one is not over; the policies have mistakes.
        """
        loaded = _load(policies)
        before = self._database.served()
        _refuse_changes(before, loaded)
        number = self._database.begin_roll_out(json.dumps(dict(policies)), RollOutState.CHECKING.value, now, KEPT)
        if number is None:
            raise RollOutError("another roll-out is not over")
        return number

    def policy(self, key: VsiTypeKey) -> Served | None:
        """Return the file of a type in the set that is served; None: it has no such type."""
        with self._lock:
            row = self._database.served()
            if (None if row is None else row.number) != self._number:
                self._number = None if row is None else row.number
                self._types = {} if row is None else _served(row)
            return self._types.get(key)

    def run(self, stopped: threading.Event) -> None:
        """Carry roll-outs out until ``stopped``."""
        while not stopped.is_set():
            try:
                row = self._database.open_roll_out()
                if row is not None:
                    self.step(row)
                    continue
            except sqlite3.Error as error:
                LOG.error("roll-outs: %s", error)
            stopped.wait(_NAP)

    def step(self, row: RollOutRow) -> None:
        """Do what a roll-out is about to do, and write its next state."""
        state = RollOutState(row.state)
        if state is RollOutState.CHECKING:
            refusals = self._check(row)
            after = RollOutState.REFUSED if refusals else RollOutState.SWAPPING
            serves = None if refusals else row.number
            self._database.advance(row.number, after.value, refusals, serves=serves, final=after.is_final)
        elif state is RollOutState.SWAPPING:
            refusals = self._tell()
            if refusals:
                after, serves = RollOutState.TAKING_BACK, row.before
                self._database.advance(row.number, after.value, refusals, serves=serves, serving=True)
            else:
                self._database.advance(row.number, RollOutState.DONE.value, {}, final=True)
        else:
            # A bridge that does not answer asks again when its types' lifetime ends.
            self._tell()
            self._database.advance(row.number, RollOutState.TAKEN_BACK.value, json.loads(row.refusals), final=True)
        after_it = self._database.roll_out(row.number)
        LOG.info("roll-out %d: %s", row.number, after_it.state if after_it is not None else "gone")

    def _check(self, row: RollOutRow) -> dict[str, list[str]]:
        """Ask each bridge whether it could have the policies; returns the reasons of those that could not."""
        body = {"policies": [{"name": name, "text": text} for name, text in json.loads(row.policies).items()]}
        refusals: dict[str, list[str]] = {}
        for bridge in self._bridges:
            try:
                found = bridge.post("/evb/vsitypes/check", body)
                mistakes = [str(line) for line in found["mistakes"]]
            except BridgeError as error:
                mistakes = [str(error)]
            except (LookupError, TypeError) as error:
                mistakes = [f"/evb/vsitypes/check: {type(error).__name__} {error}"]
            if mistakes:
                refusals[bridge.name] = mistakes
        return refusals

    def _tell(self) -> dict[str, list[str]]:
        """Have each bridge ask for its types anew; returns the reasons of those that refuse."""
        refusals = {}
        for bridge in self._bridges:
            try:
                bridge.post("/evb/vsitypes/reload", {})
            except BridgeError as error:
                refusals[bridge.name] = [str(error)]
        return refusals


def _load(policies: Mapping[str, str]) -> PolicySet:
    loaded, found = load_policies(policies.items(), SECTIONS)
    if loaded is None:
        raise RollOutError("mistakes in the policies", [str(line) for line in found if has_errors([line])])
    if not loaded.types:
        raise RollOutError("no policies")
    return loaded


def _refuse_changes(before: RollOutRow | None, loaded: PolicySet) -> None:
    """Refuse other content under the version that is served: bridges that have it would not take it."""
    if before is None:
        return
    known, _ = load_policies(json.loads(before.policies).items(), SECTIONS)
    for key, vsi_type in (known.types if known is not None else {}).items():
        new = loaded.types.get(key)
        if new is not None and new.digest != vsi_type.digest:
            mistake = f"{new.file}: VSI type {key} has another content: give it a new version"
            raise RollOutError("mistakes in the policies", [mistake])


def _served(row: RollOutRow) -> dict[VsiTypeKey, Served]:
    loaded, _ = load_policies(json.loads(row.policies).items(), SECTIONS)
    found = {}
    for key, vsi_type in (loaded.types if loaded is not None else {}).items():
        text = vsi_type.text.encode()
        found[key] = Served(text, sha256(text).hexdigest()[:32])
    return found


def roll_out_json(row: RollOutRow, whole: bool = False) -> dict[str, Any]:
    """A roll-out for REST; ``whole``: with its policies."""
    shown = {
        "id": row.number,
        "state": row.state,
        "begun": row.begun,
        "before": row.before,
        "refusals": json.loads(row.refusals),
    }
    return {**shown, "policies": json.loads(row.policies)} if whole else shown
