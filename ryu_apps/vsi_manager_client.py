"""Asks VSI managers for VSI types over HTTP.

Runs in a green thread, so that a blocking call stalls no other.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path

from eventlet import Timeout, tpool
from eventlet.semaphore import Semaphore

from ryu_apps.evb.events.effect import FetchType
from ryu_apps.evb.policy.diagnostic import Position, error
from ryu_apps.evb.policy.offer import (
    FetchedDocument,
    Invalid,
    NotFound,
    NotModified,
    Offer,
    Unreachable,
    Validators,
    read_offer,
)
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.http_client import Answer, RefusedError, Request, exchange, words

LOG = logging.getLogger(__name__)

#: Questions under way at a time; more wait, within their own timeout.
_AT_A_TIME = 16


class VsiManagerClient:
    """Asks, one green thread a question.

    Args:
        base: what ``ca_file`` is relative to.
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        self._turn = Semaphore(_AT_A_TIME)

    def fetch(self, wanted: FetchType) -> Offer:
        """Ask, and wait for the answer; never raises."""
        source, url = wanted.source, wanted.source.of(wanted.key)
        try:
            with Timeout(source.timeout), self._turn:
                answer = exchange(self._base, source, Request("GET", url, _headers(wanted.known)))
        except Timeout:
            return Unreachable(f"no answer within {source.timeout:g} s")
        except (RefusedError, HTTPException, OSError, ValueError) as problem:
            return Unreachable(words(problem))
        except Exception as bug:
            LOG.exception("while asking %s", url)
            return Unreachable(words(bug))
        return self._understood(wanted, url, answer)

    def _understood(self, wanted: FetchType, url: str, answer: Answer) -> Offer:
        if answer.status == 304 and wanted.known is not None:
            return NotModified()
        if answer.status in (404, 410):
            return NotFound()
        if answer.status != 200:
            return Unreachable(f"HTTP {answer.status} {answer.reason}".strip())
        if answer.body is None:
            return Invalid((error(url, Position(), f"more than {wanted.source.max_size} octets"),))
        # In a thread of the system's: thousands of rules take seconds, and stations do not wait.
        found: FetchedDocument | Invalid = tpool.execute(
            read_offer, url, wanted.key, answer.body, Validators(answer.etag, answer.last_modified), SECTIONS
        )
        return found


def _headers(known: Validators | None) -> Mapping[str, str]:
    headers = {"Accept": "application/yaml, text/yaml, */*;q=0.1", "Accept-Encoding": "identity"}
    if known is not None and known.etag is not None:
        headers["If-None-Match"] = known.etag
    elif known is not None and known.last_modified is not None:
        headers["If-Modified-Since"] = known.last_modified
    return headers
