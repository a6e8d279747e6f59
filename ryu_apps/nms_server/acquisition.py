"""Acquires policy files and OVF packages at intervals, and rolls a set out that differs from the one that is served.

A source that does not answer keeps what it has given last.  As long as one has given nothing, nothing is rolled out: a
set that lacks its types would take them from the bridges.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

from ryu_apps.http_client import Limits, RefusedError, Request, exchange, words
from ryu_apps.nms.schema import SourceSection
from ryu_apps.nms_server.database import Database
from ryu_apps.nms_server.packages import PackageError, policies_of_packages
from ryu_apps.nms_server.rollouts import RollOutError, RollOuts

LOG = logging.getLogger(__name__)

#: Seconds between two looks; octets of a file, and characters of its name.
_NAP, _MAX_SIZE, _LONGEST = 0.1, 1_000_000, 200


class SourceError(Exception):
    """A file that cannot be had; the text says why."""


class _File(NamedTuple):
    etag: str | None
    text: str


class Acquisition:
    """The files of all sources.

    Attributes:
        answered: source -> Unix time in seconds at which it has given all its files last.
        errors: source -> why it has not; None: it has.
        refusal: why the set cannot be rolled out; None: it can, or is.
    """

    def __init__(
        self,
        sources: Mapping[str, SourceSection],
        database: Database,
        roll_outs: RollOuts,
        base: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            base: what files of the configuration are relative to.
            clock: Unix time in seconds.
        """
        self.answered: dict[str, float] = {}
        self.errors: dict[str, str | None] = {}
        self.refusal: str | None = None
        self._sources = sources
        self._database = database
        self._roll_outs = roll_outs
        self._base = base
        self._clock = clock
        self._files: dict[str, dict[str, _File]] = {name: {} for name in sources}
        self._packages: dict[str, dict[str, str]] = {}
        self._due = dict.fromkeys(sources, 0.0)

    def run(self, stopped: threading.Event) -> None:
        """Acquire until ``stopped``."""
        while not stopped.is_set():
            try:
                self.round()
            except sqlite3.Error as error:
                LOG.error("acquisition: %s", error)
            stopped.wait(_NAP)

    def round(self) -> None:
        """Ask the sources that are due; afterwards roll out what they have, if it is not what is served."""
        now = self._clock()
        due = [name for name, when in self._due.items() if when <= now]
        for name in due:
            self._due[name] = now + self._sources[name].interval
            self._ask(name, now)
        if due and self._sources and self._complete:
            self._roll_out(now)

    @property
    def _complete(self) -> bool:
        return all(
            len(self._files[name]) == len(set(source.urls)) and (name in self._packages or not source.ovf)
            for name, source in self._sources.items()
        )

    def _ask(self, name: str, now: float) -> None:
        source, files = self._sources[name], self._files[name]
        try:
            for url in source.urls:
                files[url] = self._file(source, url, files.get(url))
            if source.ovf:
                self._packages[name] = policies_of_packages(source.ovf, self._base, source.ca_file, source.token_file)
        except (SourceError, PackageError) as error:
            if self.errors.get(name) is None:
                LOG.warning("source %s: %s", name, error)
            self.errors[name] = str(error)
        else:
            self.errors[name], self.answered[name] = None, now

    def _file(self, source: SourceSection, url: str, known: _File | None) -> _File:
        headers = {"Accept": "text/yaml, */*", "Accept-Encoding": "identity"}
        if known is not None and known.etag is not None:
            headers["If-None-Match"] = known.etag
        server = Limits(source.timeout, _MAX_SIZE, source.ca_file, source.token_file)
        try:
            answer = exchange(self._base, server, Request("GET", url, headers), source.timeout)
        except (RefusedError, HTTPException, OSError, ValueError) as problem:
            raise SourceError(f"{url}: {words(problem)}") from problem
        if answer.status == 304 and known is not None:
            return known
        if answer.status != 200 or answer.body is None:
            raise SourceError(f"{url}: HTTP {answer.status} {answer.reason}")
        try:
            return _File(answer.etag, answer.body.decode())
        except UnicodeDecodeError as error:
            raise SourceError(f"{url}: not UTF-8: {error.reason}") from error

    def _roll_out(self, now: float) -> None:
        policies = dict(self._policies())
        served = self._database.served()
        if served is not None and json.loads(served.policies) == policies:
            self.refusal = None
            return
        if self._database.open_roll_out() is not None:
            return
        try:
            number = self._roll_outs.begin(policies, now)
        except RollOutError as error:
            self.refusal = "; ".join([str(error), *error.mistakes])
            LOG.warning("acquisition: %s", self.refusal)
        else:
            self.refusal = None
            LOG.info("acquisition: roll-out %d", number)

    def _policies(self) -> Iterator[tuple[str, str]]:
        for name, files in self._files.items():
            for number, (url, file) in enumerate(files.items()):
                yield f"{name}/{number}/{url.rpartition('/')[2]}"[:_LONGEST], file.text
            for file_name, text in self._packages.get(name, {}).items():
                yield f"{name}/ovf/{file_name}"[:_LONGEST], text
