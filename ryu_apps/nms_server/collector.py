"""Gathers the totals of VSIs, at intervals: from all bridges, or from a Prometheus that scrapes them."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ryu_apps.nms.schema import StatisticsSection
from ryu_apps.nms.totals import Reading, VsiTotals, reading_of
from ryu_apps.nms_server.bridge import BridgeClient, BridgeError
from ryu_apps.nms_server.database import Database, Sample, Seen
from ryu_apps.nms_server.prometheus import PrometheusClient, PrometheusError

LOG = logging.getLogger(__name__)

#: Bridges that are asked at a time, and rounds between two deletions of what is too old.
_AT_A_TIME, _PRUNED_EVERY = 16, 60
#: Name of the place behind which a Prometheus is asked.
_PLACE = "prometheus"


class Collector:
    """Asks all bridges, or the Prometheus, in rounds.

    Attributes:
        errors: bridge -> why it has not answered last, or the Prometheus not scraped it; None: it has.
        answered: bridge -> Unix time of its last answer, or of what was scraped last, in seconds.
        prometheus_error: why the Prometheus has not answered last; None: it has, or none is asked.
    """

    def __init__(
        self,
        bridges: Iterable[BridgeClient],
        settings: StatisticsSection,
        database: Database,
        clock: Callable[[], float] = time.time,
        prometheus: PrometheusClient | None = None,
    ) -> None:
        """
        Args:
            clock: Unix time in seconds.
            prometheus: asked in the place of the bridges.
        """
        self.prometheus_error: str | None = None
        self._prometheus = prometheus
        self._behind = False
        self.errors: dict[str, str | None] = {}
        self.answered: dict[str, float] = {}
        self._bridges = tuple(bridges)
        self._settings = settings
        self._database = database
        self._clock = clock
        self._rounds = 0

    def run(self, stopped: threading.Event) -> None:
        """Gather until ``stopped``."""
        with ThreadPoolExecutor(_AT_A_TIME, "statistics") as pool:
            while not stopped.is_set():
                begun = time.monotonic()
                try:
                    self.gather(pool)
                except sqlite3.Error as error:
                    LOG.error("statistics cannot be written: %s", error)
                if not self._behind:
                    stopped.wait(max(0.0, begun + self._settings.interval - time.monotonic()))

    def gather(self, pool: ThreadPoolExecutor) -> None:
        """Ask once."""
        now = self._clock()
        if self._prometheus is None:
            self._poll(pool)
        else:
            self._query(self._prometheus, now)
        self._rounds += 1
        if self._rounds % _PRUNED_EVERY == 1:
            kept = self._settings
            self._database.prune(now - kept.retention, kept.max_samples, kept.max_vsis)

    def _query(self, prometheus: PrometheusClient, now: float) -> None:
        """Take what a Prometheus has since the last time that is in the database."""
        kept, section = self._settings, prometheus.section
        place = self._database.place(_PLACE)
        if place is None:
            place = repr(now - kept.interval - section.history)
            self._database.note(_PLACE, place, {})
        last = float(place)
        try:
            found = prometheus.ask(max(last, now - kept.retention), now, kept.interval)
        except PrometheusError as error:
            if self.prometheus_error is None:
                LOG.warning("Prometheus %s: %s", section.url, error)
            self.prometheus_error, self._behind = str(error), False
            return
        self.prometheus_error = None
        for reading in found.readings:
            self._take(reading.accounts, reading.t, (_PLACE, repr(reading.t)))
            self.answered |= dict.fromkeys(reading.bridges, reading.t)
        self._behind = found.end + kept.interval <= now
        if found.end > last:
            self._database.note(_PLACE, repr(found.end), {})
            newest = found.readings[-1] if found.readings else None
            there = newest.bridges if newest is not None and newest.t > found.end - kept.interval / 2 else frozenset()
            for bridge in self._bridges:
                self.errors[bridge.name] = None if bridge.name in there else "the Prometheus has nothing of it"

    def _poll(self, pool: ThreadPoolExecutor) -> None:
        answers = list(pool.map(self._ask, self._bridges))
        now = self._clock()
        shown = [(name, account) for name, accounts in answers for account in accounts]
        # Where a VSI has gone from first, then where it is.
        shown.sort(key=lambda found: isinstance(found[1], dict) and found[1].get("port") is not None)
        self._take(shown, now)

    def _ask(self, bridge: BridgeClient) -> tuple[str, list[Any]]:
        try:
            found = bridge.get("/evb/statistics?fresh=1")
            if not isinstance(found, list):
                raise BridgeError("/evb/statistics: no list")
        except BridgeError as error:
            if self.errors.get(bridge.name) is None:
                LOG.warning("bridge %s: %s", bridge.name, error)
            self.errors[bridge.name] = str(error)
            return bridge.name, []
        self.errors[bridge.name] = None
        self.answered[bridge.name] = self._clock()
        return bridge.name, found

    def _take(self, shown: Iterable[tuple[str, Any]], now: float, place: tuple[str, str] | None = None) -> None:
        before: dict[str, Seen | None] = {}
        after: dict[str, Seen] = {}
        for name, account in shown:
            try:
                vsi, reading = str(account["vsi"]), reading_of(account)
                # Each port has an account of its own.
                where = f"{name} {account['port']}" if account["extraction"] == "nms" else name
            except (ValueError, TypeError, LookupError) as error:
                self.errors[name] = f"/evb/statistics: {type(error).__name__} {error}"
                continue
            if reading is None:
                continue
            if vsi not in before:
                before[vsi] = self._database.vsi(vsi)
            known = after.get(vsi) or before[vsi] or Seen(vsi, now, None, None, VsiTotals())
            after[vsi] = _moved(known, name, where, reading, now)
        self._database.add(((seen, _sample(before[vsi], seen)) for vsi, seen in after.items()), place)


def _moved(known: Seen, bridge: str, place: str, reading: Reading, now: float) -> Seen:
    totals = known.totals.after(place, reading)
    if reading.port is not None:
        return Seen(known.vsi, now, bridge, reading.port, totals)
    gone = known.bridge == bridge
    return known._replace(totals=totals, port=None if gone else known.port, bridge=None if gone else known.bridge)


def _sample(before: Seen | None, seen: Seen) -> Sample | None:
    """A sample of a VSI that has changed."""
    if before is not None and (before.totals.total, before.bridge, before.port) == (
        seen.totals.total,
        seen.bridge,
        seen.port,
    ):
        return None
    return Sample(seen.seen, seen.bridge or "", seen.port, seen.totals.total)
