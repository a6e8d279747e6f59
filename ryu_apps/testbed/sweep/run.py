"""Runs of a sweep on clusters: one cluster for all successive runs that can share it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.progress import ShowProgress
from ryu_apps.testbed.replay.player import Replay, running_cluster
from ryu_apps.testbed.sweep.plan import PlannedRun
from ryu_apps.testbed.sweep.record import Row, rows_of


@dataclass(frozen=True, slots=True)
class IncompleteRun:
    """A run that ended without figures, and why."""

    run: PlannedRun
    reason: str

    def __str__(self) -> str:
        return f"{self.run.point.label}, round {self.run.round}: {self.reason}"


#: Lines of a run, or the reason for none.
RunResult = list[Row] | IncompleteRun
Results = Generator[RunResult, None, None]


def measure(runs: Iterable[PlannedRun], output: Path, progress: ShowProgress) -> Results:
    """Carry out runs in their order.

    After a run that ended without figures the next one has a new cluster, whatever state this one is in.

    Args:
        output: folder of the sweep.
        progress: told each stage.
    """
    waiting = deque(runs)
    while waiting:
        yield from _on_one_cluster(waiting, output, progress)


def _on_one_cluster(waiting: deque[PlannedRun], output: Path, progress: ShowProgress) -> Results:
    """Carry out the first of the waiting runs, and those behind it that can share its cluster."""
    run = waiting.popleft()
    shared = run.point.cluster
    show = _labelled(run, progress)
    try:
        with running_cluster(run.point.scenario, output / run.folder / "logs", show) as cluster:
            while True:
                folder = output / run.folder
                folder.mkdir(parents=True, exist_ok=True)
                yield rows_of(run, Replay(run.point.scenario, cluster, show).run(folder))
                if not waiting or waiting[0].point.cluster != shared:
                    return
                run = waiting.popleft()
                show = _labelled(run, progress)
    except TestbedError as error:
        yield IncompleteRun(run, str(error))


def _labelled(run: PlannedRun, progress: ShowProgress) -> Callable[[str], None]:
    return lambda words: progress(f"{run.point.label}, round {run.round}: {words}")
