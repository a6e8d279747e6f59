"""Asks the bridges of other pods: for the state of a VSI, and to shut its gate."""

from __future__ import annotations

import json
import logging
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from eventlet import Timeout

from ryu_apps.evb.config.bridge_config import Peer
from ryu_apps.evb.pods.state_document import MAX_SIZE, StateError, VsiState, read
from ryu_apps.http_client import Answer, RefusedError, Request, exchange, words

LOG = logging.getLogger(__name__)

#: Statuses of a bridge that does not lead its pod: another one of them may.
_NOT_LEADING = (503,)


class UnreachableError(Exception):
    """No bridge of a pod has answered; the text says why."""


class _Server(NamedTuple):
    """Limits and credentials for one bridge of a pod."""

    timeout: float
    max_size: int
    ca_file: str | None
    token_file: str | None


class PodClient:
    """Asks the bridges of a pod one after the other until one answers that leads.

    Args:
        base: what files of the configuration are relative to.
    """

    def __init__(self, base: Path) -> None:
        self._base = base

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
        server = _Server(peer.timeout, MAX_SIZE, peer.ca_file, peer.token_file)
        reasons = []
        try:
            with Timeout(peer.timeout):
                for url in peer.urls:
                    request = Request(method, url + path, headers, body)
                    try:
                        answer = exchange(self._base, server, request)
                    except (RefusedError, HTTPException, OSError, ValueError) as problem:
                        reasons.append(f"{url}: {words(problem)}")
                        continue
                    if answer.status not in _NOT_LEADING:
                        return answer
                    reasons.append(f"{url}: HTTP {answer.status} {answer.reason}")
        except Timeout:
            reasons.append(f"no answer within {peer.timeout:g} s")
        raise UnreachableError("; ".join(reasons))
