"""Traffic of VMs that are not moved, and what of it is lost."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.probes import Flow, Notes, Prober, UdpNotes, judge, settle
from ryu_apps.testbed.harness.running import ending


@dataclass(slots=True)
class Loss:
    """Datagrams that bystanders sent, and those that never arrived, by flow."""

    sent: dict[str, int]
    lost: dict[str, int]


def write_figures(name: str, figures: Sequence[dict[str, Any]]) -> None:
    """Write what tests of faults have noted to ``reports/reliability``."""
    target = Path(__file__).resolve().parents[3] / "reports" / "reliability"
    target.mkdir(parents=True, exist_ok=True)
    (target / f"{name}.json").write_text(json.dumps(list(figures), indent=2) + "\n", encoding="utf-8")


def whole(flow: str, begun: float, finish: float) -> Iterator[tuple[float, float]]:
    """The times in which a flow without an excuse may lose nothing."""
    yield begun, finish


@contextmanager
def traffic(
    cluster: Cluster, flows: Sequence[Flow], spans: Callable[[str, float, float], Iterable[tuple[float, float]]] = whole
) -> Iterator[Loss]:
    """UDP flows of VMs and end systems of a cluster; the loss is known at the end.

    Args:
        spans: returns the times in which a flow may lose nothing, from its name, begin and end.
    """
    loss = Loss({}, {})
    ends: dict[str, Any] = {**cluster.hosts, **cluster.vms}
    peers = {name: end.ip for name, end in ends.items()}
    names = dict.fromkeys(name for flow in flows for name in (flow.vm, flow.host))
    folder = Path(tempfile.mkdtemp(prefix="bystanders-", dir=cluster.folder))
    probers = {name: Prober(name, ends[name].namespace, ends[name].ip, folder) for name in names}
    notes: dict[str, dict[str, Notes]] = {}

    def note(name: str) -> None:
        notes[name] = probers[name].stop()

    with ending(*(partial(note, name) for name in names)):
        Prober.start_together(list(probers.values()), flows, peers)
        for prober in probers.values():
            prober.wait_heard()
        begun = monotonic()
        yield loss
        finish = monotonic()
        settle(probers.values())
    for flow in flows:
        here, there = notes[flow.vm][flow.name], notes[flow.host][flow.name]
        assert isinstance(here, UdpNotes) and isinstance(there, UdpNotes)
        windows = [
            judge(*pair, first, first, last)
            for pair in ((here, there), (there, here))
            for first, last in spans(flow.name, begun, finish)
        ]
        loss.sent[flow.name] = sum(window.sent for window in windows)
        loss.lost[flow.name] = sum(window.lost for window in windows)
