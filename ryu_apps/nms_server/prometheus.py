"""Asks a Prometheus that scrapes the bridges for the totals of VSIs, a range of times at once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from ryu_apps.http_client import Answer, Limits, RefusedError, Request, exchange, words
from ryu_apps.nms.prometheus import QUERY, Reading, readings
from ryu_apps.nms.schema import PrometheusSection
from ryu_apps.nms_server.bridge import BridgeClient

#: Octets of an answer, and times in the first one; one that is too large is asked for again with half as many.
_MAX_SIZE, _MOST_TIMES = 64_000_000, 60
#: Statuses of a Prometheus that would have to load more samples than it may.
_TOO_MANY = (400, 422)


class PrometheusError(Exception):
    """There is no answer; the text says why."""


class Range(NamedTuple):
    """Readings of a range of times, and its end: Unix time in seconds."""

    readings: list[Reading]
    end: float


class PrometheusClient:
    """One Prometheus.

    Args:
        bridges: those that it scrapes; a series is of a bridge if its label has the bridge's name, or host and port
            of one of its URLs.
        base: what files of the configuration are relative to.
    """

    def __init__(self, section: PrometheusSection, bridges: Iterable[BridgeClient], base: Path) -> None:
        self.section = section
        self._base = base
        self._server = Limits(section.timeout, _MAX_SIZE, section.ca_file, section.token_file)
        self._names: dict[str, str] = {}
        self._times = _MOST_TIMES
        for bridge in bridges:
            self._names |= {urlsplit(url).netloc: bridge.name for url in bridge.urls}
            self._names[bridge.name] = bridge.name

    def ask(self, last: float, now: float, interval: float) -> Range:
        """Return what it has at ``last + interval`` and each further ``interval`` up to ``now``, or a part of it.

        Raises:
            PrometheusError: there is no answer.
        """
        while True:
            times = min(int((now - last) / interval), self._times)
            if times < 1:
                return Range([], last)
            end = last + times * interval
            answer = self._ask(last + interval, end, interval)
            if answer.status == 200 and answer.body is not None:
                self._times = min(self._times * 2, _MOST_TIMES)
                return Range(self._read(answer.body), end)
            if answer.status != 200 and answer.status not in _TOO_MANY:
                raise PrometheusError(f"HTTP {answer.status} {answer.reason}")
            if times == 1:
                raise PrometheusError(
                    f"more than {_MAX_SIZE} octets" if answer.status == 200 else f"HTTP {answer.status} {answer.reason}"
                )
            self._times = times // 2

    def _ask(self, start: float, end: float, interval: float) -> Answer:
        query = urlencode({"query": QUERY, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{interval:g}"})
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        request = Request("GET", f"{self.section.url}/api/v1/query_range?{query}", headers)
        try:
            return exchange(self._base, self._server, request, self.section.timeout)
        except (RefusedError, HTTPException, OSError, ValueError) as problem:
            raise PrometheusError(words(problem)) from problem

    def _read(self, octets: bytes) -> list[Reading]:
        try:
            return readings(octets, self.section.label, self._names)
        except json.JSONDecodeError as error:
            raise PrometheusError(f"no JSON: {error}") from error
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise PrometheusError(f"/api/v1/query_range: {type(error).__name__} {error}") from error
