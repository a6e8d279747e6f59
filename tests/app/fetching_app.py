"""Ryu app of a test: fetches VSI types as standard input says, one JSON object a line, and prints what came of it."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from eventlet import tpool
from ryu.base import app_manager
from ryu.lib import hub

from ryu_apps import compat  # noqa: F401 - first of ours: Ryu on a current eventlet
from ryu_apps.evb.events.effect import FetchType
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.offer import FetchedDocument, HttpSource, Invalid, Offer, Unreachable, Validators
from ryu_apps.vsi_manager_client import VsiManagerClient


class FetchingApp(app_manager.RyuApp):
    """Fetches, beside a clock that ticks as long as nobody keeps it from it."""

    def start(self) -> None:
        super().start()
        self._stall = self._turn = 0.0
        self.threads.append(hub.spawn(self._clock))
        self.threads.append(hub.spawn(self._serve))

    def _clock(self) -> None:
        # Without a controller ryu-manager asks its apps to stop at once, and waits for their threads.
        while True:
            before, worked = time.monotonic(), time.thread_time()
            hub.sleep(0.01)
            self._stall = max(self._stall, time.monotonic() - before)
            self._turn = max(self._turn, time.thread_time() - worked)

    def _serve(self) -> None:
        fetcher = VsiManagerClient(Path("/"))
        while line := tpool.execute(sys.stdin.readline):
            hub.sleep(0.02)
            self._stall, self._turn, before = 0.0, 0.0, time.process_time()
            offer = fetcher.fetch(_wanted(json.loads(line)))
            shown = _shown(offer) | {"computed": time.process_time() - before}
            hub.sleep(0.05)  # the clock sees how late it is
            shown["turn"] = self._turn
            os.write(1, json.dumps({"offer": shown, "stall": self._stall}).encode() + b"\n")


def _wanted(asked: dict[str, Any]) -> FetchType:
    source = HttpSource(
        asked["url"], asked["timeout"], ca_file=asked.get("ca_file"), token_file=asked.get("token_file")
    )
    validators = Validators(asked.get("etag"), asked.get("last_modified"))
    return FetchType(1, source, VsiTypeKey(70, asked.get("version", 1)), validators if any(validators) else None)


def _shown(offer: Offer) -> dict[str, Any]:
    shown: dict[str, Any] = {"kind": type(offer).__name__, "text": ""}
    match offer:
        case FetchedDocument(vsi_type, validators):
            shown |= {"text": vsi_type.text, **validators._asdict()}
        case Invalid(mistakes):
            shown["text"] = "\n".join(map(str, mistakes))
        case Unreachable(reason):
            shown["text"] = reason
    return shown
