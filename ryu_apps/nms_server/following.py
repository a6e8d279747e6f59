"""Follows the events of bridges, and turns steps of VSIs into calls of hooks.

The place in a stream is written together with the calls that it leads to.  So after a restart, or a broken connection,
each event leads to its calls once; a call itself may be made more than once.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Mapping

from ryu_apps.nms.hooks import told
from ryu_apps.nms.schema import HookSection
from ryu_apps.nms_server.bridge import BridgeClient, BridgeError, PushedEvent
from ryu_apps.nms_server.database import Database

LOG = logging.getLogger(__name__)

#: Seconds until a stream is opened again, and between two looks whether a full queue has room.
_AGAIN, _NAP = 1.0, 0.1


class Follower:
    """Follows one member of a bridge.

    Attributes:
        error: why its events are not followed; None: they are.
        url: of the member.
        place: name of its place in the database.
    """

    def __init__(self, bridge: BridgeClient, url: str, hooks: Mapping[str, HookSection], database: Database) -> None:
        self.error: str | None = "not asked yet"
        self.url = url
        self._bridge = bridge
        self._hooks = hooks
        self._database = database
        self.place = f"{bridge.name} {url}"

    def run(self, stopped: threading.Event) -> None:
        """Follow until ``stopped``."""
        while not stopped.is_set():
            try:
                self._follow(stopped)
                self.error = "the stream has ended"
            except (BridgeError, sqlite3.Error) as error:
                if self.error is None:
                    LOG.warning("events of %s: %s", self._bridge.name, error)
                self.error = str(error)
            stopped.wait(_AGAIN)

    def _follow(self, stopped: threading.Event) -> None:
        last = self._database.place(self.place)
        if last is None:
            # What happens between this question and the stream is not lost.
            last = self._newest()
            self._database.note(self.place, last, {})
        for pushed in self._bridge.follow(self.url, last):
            self.error = None
            if stopped.is_set() or not self._take(pushed, stopped):
                return

    def _newest(self) -> str:
        events = self._bridge.get("/evb/events?limit=100000")
        newest = events[-1]["id"] if isinstance(events, list) and events else None
        if not isinstance(newest, str):
            raise BridgeError(f"{self.url}: no events")
        return newest

    def _take(self, pushed: PushedEvent, stopped: threading.Event) -> bool:
        """Deal with an event; returns False if that has to be done again."""
        if pushed.name == "gap":
            LOG.warning("events of %s are missing: %s", self._bridge.name, pushed.data)
            self._database.note(self.place, pushed.id or self._database.place(self.place) or "", {}, gap=True)
            return True
        if not isinstance(pushed.data, dict) or not pushed.id:
            return True
        calls = told(self._hooks, self._bridge.name, {**pushed.data, "id": pushed.id})
        # The bridge keeps what is not read, and tells how much of it is not kept any more.
        while any(self._database.waiting(name) >= self._hooks[name].queue for name in calls):
            if stopped.wait(_NAP):
                return False
        self._database.note(self.place, pushed.id, calls)
        return True
