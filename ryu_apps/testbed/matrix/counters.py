"""Totals of the VM while it moves: never less than before, and no connection's frames go uncounted."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import pairwise
from typing import Any
from urllib.error import URLError

from ryu_apps.testbed.harness.crowds import silent_after
from ryu_apps.testbed.matrix.tcp import FirewallWorkload
from ryu_apps.testbed.matrix.workload import WorkloadStage, WorkloadVerdict

#: Seconds between two samples.
_INTERVAL = 0.1


class StatisticsWorkload(FirewallWorkload):
    """Sampled ten times a second; each fall of a total is a trespass."""

    service = "statistics"
    learns = False

    @staticmethod
    def section(live: int) -> str:
        """Totals alone."""
        rules = "from_vm: {default: allow}\nto_vm: {rules: [{rule: {tcp_dst: 80, actions: {allow: 1}}}]}"
        return f"statistics: {{}}\n{rules}"

    def __init__(self) -> None:
        super().__init__()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, stage: WorkloadStage, live: int) -> None:
        """Open the connections, begin to sample."""
        super().begin(stage, live)
        self._samples: list[tuple[int, ...]] = []
        self._thread = threading.Thread(target=self._sample, name="samples", daemon=True)
        self._thread.start()

    def judge(self) -> WorkloadVerdict:
        """Check that the last message over each connection is counted, too."""
        verdict = super().judge()
        before = self._read()
        if self._live:
            silent_after(self._client, self._server)
        after = self._read()
        falls = sum(any(now < then for then, now in zip(*pair, strict=True)) for pair in pairwise(self._samples))
        uncounted = self._live > 0 and not all(now > then for then, now in zip(before, after, strict=True))
        return replace(verdict, trespassed=verdict.trespassed + falls + uncounted)

    def end(self) -> None:
        """Stop sampling, close everything."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        super().end()

    def _sample(self) -> None:
        while not self._stopping.wait(_INTERVAL):
            try:
                self._samples.append(self._read())
            except URLError:
                continue  # its switch could not be asked just then

    def _read(self) -> tuple[int, ...]:
        shown = self._stage.cluster.controller.get(f"/evb/statistics/{self._stage.vsi.uuid}?fresh=1")
        return _numbers(shown)


def _numbers(shown: dict[str, Any]) -> tuple[int, ...]:
    return tuple(shown[way][what] for way in ("from_vm", "to_vm") for what in ("packets", "octets"))
