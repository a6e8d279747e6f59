"""Moves of a VM under each workload, ladder, trigger, size and suspension, and figures from the bridge's timeline."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import count, product
from pathlib import Path
from typing import Any

from ryu_apps.evb.event_catalogue.vsis import VsiGone
from ryu_apps.testbed.emulator import EmulatedStation
from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.haproxy import Haproxy
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.station import VdptoolAnswer, VdptoolVsi
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.matrix.cells import TRIGGERS, Cell, CellKey, RowKey
from ryu_apps.testbed.matrix.workload import Workload, WorkloadStage, WorkloadVerdict
from ryu_apps.testbed.measurement.timeline import bridge_figures, exchanges
from ryu_apps.testbed.moves.attempt import Attempt, admit, dismiss
from ryu_apps.testbed.moves.evidence import Evidence, MoveOutcome
from ryu_apps.testbed.moves.observers import StepObserver
from ryu_apps.testbed.moves.single import SingleMove
from ryu_apps.vcm.move_events import LIVE_LADDERS, Ladder, MoveStep

SOURCE, DESTINATION = "hv1", "hv5"
VLAN = 100
FIRST_TYPE = 100
#: Seconds from the final suspend to the end of the last pages, where their length is not in question.
SUSPENSION = 0.2
#: Last octets of the VMs' addresses; the end systems have lower ones.
FIRST_ADDRESS, ADDRESSES = 10, 240


class IncompleteMove(TestbedError):
    """A move that a figure was to be measured of has not been completed."""


@dataclass(frozen=True, slots=True)
class Case:
    """One move of one round; ``suspension`` in seconds from the final suspend on, as long as the last pages take."""

    workload: type[Workload]
    ladder: Ladder
    trigger: str
    live: int
    suspension: float = SUSPENSION
    round: int = 1

    @property
    def name(self) -> str:
        """Name without the round, which patterns are compared with."""
        return f"{self.workload.service}-{self.live}-{self.ladder.value}-{self.trigger}-{self.suspension:g}"

    @property
    def key(self) -> CellKey:
        """Its place in a record."""
        row = RowKey(self.workload.service, self.live, self.ladder.value, self.suspension)
        return CellKey(row, self.trigger, self.round)


def cases(
    workloads: Sequence[type[Workload]], sizes: Sequence[int], suspensions: Sequence[float] = (SUSPENSION,)
) -> Iterator[Case]:
    """Yield all moves of a round.

    A service without a number of connections is moved once per ladder and trigger; one that learns nothing while the
    VM runs, with one length of suspension.
    """
    for workload in workloads:
        lengths = suspensions if workload.learns else suspensions[:1]
        for ladder, trigger, suspension in product(LIVE_LADDERS, TRIGGERS, lengths):
            for live in sizes if workload.scales else (0,):
                yield Case(workload, ladder, trigger, live, suspension)


def policy_text(workload: type[Workload], trigger: str, live: int, number: int) -> str:
    """The VSI type of a case, as a policy file."""
    name = f"{workload.__name__.lower()}-{trigger}-{live}"
    head = f"version: 1\nvsi_type: {{type_id: {number}, version: 1, name: {name}}}\n"
    return f"{head}trigger: {trigger}\n{workload.section(live)}\n"


def policies(wanted: Iterable[Case], folder: Path) -> dict[tuple[str, str, int], int]:
    """Write a VSI type for each service, trigger and number of connections; return their type IDs."""
    numbers = count(FIRST_TYPE)
    types: dict[tuple[str, str, int], int] = {}
    for case in wanted:
        kind = case.workload.service, case.trigger, case.live
        if kind not in types:
            number = types[kind] = next(numbers)
            text = policy_text(case.workload, case.trigger, case.live, number)
            (folder / f"{number}.yaml").write_text(text, encoding="utf-8")
    return types


class MoveObserver(StepObserver):
    """Part of a case in its move: more connections, the source's trigger, the suspension, the first messages."""

    def __init__(self, case: Case, vsi: VdptoolVsi, workload: Workload) -> None:
        self._case, self._vsi, self._workload = case, vsi, workload

    def before(self, step: MoveStep, attempt: Attempt) -> None:
        """Open more connections while the VM is about to move."""
        if step is MoveStep.COPY:
            self._workload.more()

    def suspended(self, attempt: Attempt) -> None:
        """Set the S bit at the source, if that is the first trigger."""
        if self._case.trigger == "dual" and self._case.ladder is Ladder.MINIMIZE_LATENCY:
            station = attempt.source.station
            assert isinstance(station, EmulatedStation)
            station.suspend(self._vsi)

    def after(self, step: MoveStep, attempt: Attempt, answer: VdptoolAnswer | None) -> None:
        """Take the time of the last pages; let the far end send once the VM runs."""
        if step is MoveStep.SUSPEND:
            until = attempt.evidence.marks.suspended + self._case.suspension
            time.sleep(max(0.0, until - time.monotonic()))
        elif step is MoveStep.RESUME:
            self._workload.resumed()


class Matrix:
    """Runs cases on a cluster whose stations are emulated, since lldpad cannot say that a VM is suspended."""

    def __init__(
        self, cluster: Cluster, types: dict[tuple[str, str, int], int], proxies: tuple[Haproxy, Haproxy]
    ) -> None:
        self._cluster = cluster
        self._proxies = proxies
        self._types = types
        self._number = 0

    def run(self, case: Case, progress: Callable[[str], None] = lambda words: None) -> Cell:
        """Move a fresh VM."""
        self._number += 1
        progress(f"{case.workload.service}: {case.live} live, {case.ladder.value}, {case.trigger} trigger")
        octet = FIRST_ADDRESS + self._number % ADDRESSES
        vm = NamespaceVm(
            f"m{self._number}", f"52:54:00:cc:{self._number >> 8:02x}:{self._number & 255:02x}", f"10.0.100.{octet}"
        )
        vsi = self._vsi(case, vm)
        workload, where = case.workload(), SOURCE
        with ExitStack() as guest:
            self._cluster.boot(vm, SOURCE)
            guest.callback(lambda: self._cluster.shut_down(vm.name, where))
            admit(self._cluster.hypervisors[SOURCE], vsi)
            guest.callback(lambda: dismiss(self._cluster.hypervisors[where], vsi))
            guest.callback(workload.end)
            workload.begin(WorkloadStage(self._cluster, vm, vsi, self._proxies), case.live)
            evidence = self._move(case, vm, vsi, workload)
            where = DESTINATION
            verdict = workload.judge()
            events = self._events(vsi, evidence.marks.begun)
        port = str(self._cluster.hypervisors[DESTINATION].port)
        return cell(case, events, port, evidence, verdict)

    def _vsi(self, case: Case, vm: NamespaceVm) -> VdptoolVsi:
        uuid = f"00000000-0000-4000-c000-{self._number:012d}"
        number = self._types[case.workload.service, case.trigger, case.live]
        return VdptoolVsi(uuid, number, 1, (f"{VLAN}-{vm.mac}",), vm.ip)

    def _move(self, case: Case, vm: NamespaceVm, vsi: VdptoolVsi, workload: Workload) -> Evidence:
        observer = MoveObserver(case, vsi, workload)
        move = SingleMove(self._cluster, vsi, vm.name, SOURCE, DESTINATION, case.ladder, observers=(observer,))
        evidence = move.run().evidence
        if evidence.outcome is not MoveOutcome.COMPLETED:
            raise IncompleteMove(f"{case.workload.service}: {evidence.outcome.value}: {evidence.reason}")
        return evidence

    def _events(self, vsi: VdptoolVsi, begun: float) -> list[dict[str, Any]]:
        """The controller's timeline of the move, once it has ended."""
        port = str(self._cluster.hypervisors[SOURCE].port)

        def finished() -> list[dict[str, Any]] | None:
            events = self._cluster.controller.get(f"/evb/events?since={begun}")
            mine = [event for event in events if event["vsi"] == vsi.uuid]
            return mine if any(event["kind"] == VsiGone.row.kind and event["port"] == port for event in mine) else None

        return wait_until(finished, "end of the move", pause=0.05)


def cell(
    case: Case, events: list[dict[str, Any]], destination: str, evidence: Evidence, verdict: WorkloadVerdict
) -> Cell:
    """Compute the figures of one move from its timeline, its instants and the verdict of its workload."""
    found = bridge_figures(events, destination)
    marks = evidence.marks
    return Cell(
        service=case.workload.service,
        ladder=case.ladder.value,
        trigger=case.trigger,
        live=case.live,
        suspension=case.suspension,
        round=case.round,
        suspended_ms=1000.0 * (marks.associating - marks.suspended),
        **asdict(found),
        **asdict(verdict.cost),
        **asdict(exchanges(events)),
        survived=verdict.live - verdict.broken,
        broken=verdict.broken,
        trespassed=verdict.trespassed,
        kinds=len({entry["kind"] for entry in events}),
        load=os.getloadavg()[0],
    )
