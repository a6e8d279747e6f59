"""Asks the bridges of other pods: for the state of a VSI, and to shut its gate."""

from __future__ import annotations

import json
import logging
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from eventlet import Timeout, sleep

from ryu_apps.evb.config.bridge_config import Peer
from ryu_apps.evb.pods.state_document import MAX_SIZE, StateError, VsiState, read
from ryu_apps.http_client import Answer, ElsewhereError, Limits, RefusedError, Request, exchange, words

LOG = logging.getLogger(__name__)

#: Statuses of a bridge that does not lead its pod: another one of them may.
_NOT_LEADING = (503,)
#: Seconds until the bridges of a pod that has no leader are asked again.
_PAUSE = 0.1
_NO_ANSWER = "no answer within {:g} s"


class UnreachableError(Exception):
    """No bridge of a pod has answered; the text says why."""


class _NotLeading(NamedTuple):
    """No answer of a leader; ``follows``: of a bridge that refers to a leader, or waits for one."""

    reason: str
    follows: bool = False


class PodClient:
    """Asks the bridges of a pod one after the other until one answers that leads.

    While one of several says that it does not lead, they are asked again: another one is about to take over.

    Args:
        base: what files of the configuration are relative to.
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        self._leaders: dict[tuple[str, ...], str] = {}

    def leader(self, peer: Peer) -> str | None:
        """Return the URL of the bridge of a pod that has answered last as its leader; None: none has."""
        return self._leaders.get(peer.urls)

    def state(self, peer: Peer, vsi: str) -> VsiState | None:
        """Return the state of a VSI; None: the pod does not have it.

        Raises:
            UnreachableError: no bridge of the pod answers, or what comes cannot be used.
        """
        answer = self._ask(peer, "GET", f"evb/vsis/{quote(vsi, safe='')}/state")
        if answer.status == 404:
            return None
        if answer.status != 200 or answer.body is None:
            large = "" if answer.body is not None or answer.status != 200 else f": more than {MAX_SIZE} octets"
            raise UnreachableError(f"HTTP {answer.status} {answer.reason}{large}".strip())
        try:
            return read(answer.body, vsi)
        except StateError as error:
            raise UnreachableError(str(error)) from error

    def hand_over(self, peer: Peer, vsi: str, pod: str, generation: int) -> bool:
        """Have a pod shut the gate of a VSI; returns False if the VSI was claimed again since.

        Raises:
            UnreachableError: it is not confirmed that the gate is shut.
        """
        body = json.dumps({"pod": pod, "generation": generation}).encode()
        answer = self._ask(peer, "POST", f"evb/vsis/{quote(vsi, safe='')}/handover", body)
        if answer.status not in (200, 409):
            raise UnreachableError(f"HTTP {answer.status} {answer.reason}".strip())
        return answer.status == 200

    def _ask(self, peer: Peer, method: str, path: str, body: bytes | None = None) -> Answer:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        reasons: dict[str, str] = {}
        limit = Timeout(peer.timeout)
        try:
            while True:
                follow = False
                for url in self._in_order(peer):
                    asked = self._try(peer, Request(method, url + path, headers, body))
                    if isinstance(asked, Answer):
                        self._leaders[peer.urls] = url
                        return asked
                    reasons[url] = asked.reason
                    follow |= asked.follows
                if not (follow and len(peer.urls) > 1):
                    break
                # They elect a leader: it has neither shut the gate nor said that it is shut.
                sleep(_PAUSE)
        except Timeout as over:
            if over is not limit:
                raise
            reasons["in all"] = _NO_ANSWER.format(peer.timeout)
        finally:
            limit.cancel()
        raise UnreachableError("; ".join(f"{url}: {reason}" for url, reason in reasons.items()))

    def _in_order(self, peer: Peer) -> list[str]:
        """URLs of a pod, that of the bridge that led last first."""
        return sorted(peer.urls, key=lambda url: url != self._leaders.get(peer.urls))

    def _try(self, peer: Peer, request: Request) -> Answer | _NotLeading:
        """Ask one bridge, which has its share of the time: one that is stopped must not use up that of the others."""
        server = Limits(peer.timeout, MAX_SIZE, peer.ca_file, peer.token_file)
        share = peer.timeout / len(peer.urls)
        limit = Timeout(share)
        try:
            answer = exchange(self._base, server, request)
        except Timeout as over:
            if over is not limit:
                raise
            return _NotLeading(_NO_ANSWER.format(share))
        except (RefusedError, HTTPException, OSError, ValueError) as problem:
            return _NotLeading(words(problem), isinstance(problem, ElsewhereError))
        finally:
            limit.cancel()
        if answer.status in _NOT_LEADING:
            return _NotLeading(f"HTTP {answer.status} {answer.reason}".strip(), True)
        return answer
