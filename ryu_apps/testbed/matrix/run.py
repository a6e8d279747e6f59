"""Move a VM under each workload, ladder, trigger and size, and read off what the bridge did when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from ryu_apps.testbed.harness.station import VdptoolVsi
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.matrix.workload import Workload, WorkloadStage, WorkloadVerdict
from ryu_apps.testbed.measurement.timeline import bridge_figures
from ryu_apps.testbed.moves.attempt import admit, dismiss
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.moves.observers import StepCallbacks
from ryu_apps.testbed.moves.single import SingleMove
from ryu_apps.vcm.move import LIVE_LADDERS, Ladder

TRIGGERS = ("single", "dual")
SOURCE, DESTINATION = "hv1", "hv5"
VLAN = 100
FIRST_TYPE = 100
#: Last octets of the VMs' addresses; the end systems have lower ones.
FIRST_ADDRESS, ADDRESSES = 10, 240


class IncompleteMove(TestbedError):
    """A move that a figure was to be measured of has not been completed."""


@dataclass(frozen=True, slots=True)
class Case:
    """One move."""

    workload: type[Workload]
    ladder: Ladder
    trigger: str
    live: int

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.workload.service}-{self.live}-{self.ladder.value}-{self.trigger}"


@dataclass(frozen=True, slots=True)
class Cell:
    """Figures of one move.  Times in milliseconds; None where nothing was done.

    Attributes:
        service, ladder, trigger, live: which move; ``live`` connections before it.
        stage_ms to fix_up_ms: see ``measurement.timeline.BridgeFigures``.
        survived, broken: of what was live, and of what came between staging and Associate.
        trespassed: what policy should have stopped and did not.
    """

    service: str
    ladder: str
    trigger: str
    live: int
    stage_ms: float
    rules: int
    carried: int
    early: int
    associate_ms: float
    fixed_up: int
    fix_up_ms: float | None
    survived: int
    broken: int
    trespassed: int

    def as_json(self) -> dict[str, Any]:
        """For ``json.dump``."""
        return asdict(self)


def cases(workloads: Sequence[type[Workload]], sizes: Sequence[int]) -> Iterator[Case]:
    """All moves; what has no number of connections is moved once per ladder and trigger."""
    for workload in workloads:
        for ladder, trigger in product(LIVE_LADDERS, TRIGGERS):
            for live in sizes if workload.scales else (0,):
                yield Case(workload, ladder, trigger, live)


def policies(workloads: Sequence[type[Workload]], folder: Path) -> dict[tuple[str, str], int]:
    """Write a VSI type for each workload and trigger; their type IDs by service and trigger."""
    numbers = count(FIRST_TYPE)
    types: dict[tuple[str, str], int] = {}
    for workload, trigger in product(workloads, TRIGGERS):
        number = types[workload.service, trigger] = next(numbers)
        text = f"version: 1\nvsi_type: {{type_id: {number}, version: 1, name: {workload.__name__.lower()}-{trigger}}}\n"
        section = workload.section % "" if "%s" in workload.section else workload.section
        (folder / f"{number}.yaml").write_text(f"{text}trigger: {trigger}\n{section}\n", encoding="utf-8")
    return types


class Matrix:
    """Runs cases on a cluster whose stations are emulated, since lldpad cannot say that a VM is suspended."""

    def __init__(self, cluster: Cluster, types: dict[tuple[str, str], int], proxies: tuple[Haproxy, Haproxy]) -> None:
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
        self._cluster.boot(vm, SOURCE)
        where = SOURCE
        workload = case.workload()
        try:
            admit(self._cluster.hypervisors[SOURCE], vsi)
            workload.begin(WorkloadStage(self._cluster, vm, vsi, self._proxies), case.live)
            begun = self._move(case, vm, vsi, workload)
            where = DESTINATION
            verdict = workload.judge()
            events = self._events(vsi, begun)
        finally:
            workload.end()
            dismiss(self._cluster.hypervisors[where], vsi)
            self._cluster.shut_down(vm.name, where)
        return cell(case, events, str(self._cluster.hypervisors[DESTINATION].port), verdict)

    def _vsi(self, case: Case, vm: NamespaceVm) -> VdptoolVsi:
        uuid = f"00000000-0000-4000-c000-{self._number:012d}"
        return VdptoolVsi(uuid, self._types[case.workload.service, case.trigger], 1, (f"{VLAN}-{vm.mac}",), vm.ip)

    def _move(self, case: Case, vm: NamespaceVm, vsi: VdptoolVsi, workload: Workload) -> float:
        station = self._cluster.hypervisors[SOURCE].station
        assert isinstance(station, EmulatedStation)

        def suspended() -> None:
            if case.trigger == "dual" and case.ladder is Ladder.MINIMIZE_LATENCY:
                station.suspend(vsi)

        callbacks = StepCallbacks(on_copying=workload.more, on_suspended=suspended)
        move = SingleMove(self._cluster, vsi, vm.name, SOURCE, DESTINATION, case.ladder, observers=(callbacks,))
        evidence = move.run().evidence
        if evidence.outcome is not MoveOutcome.COMPLETED:
            raise IncompleteMove(f"{case.workload.service}: {evidence.outcome.value}: {evidence.reason}")
        return evidence.marks.begun

    def _events(self, vsi: VdptoolVsi, begun: float) -> list[dict[str, Any]]:
        """The controller's timeline of the move, once it has ended."""
        port = str(self._cluster.hypervisors[SOURCE].port)

        def finished() -> list[dict[str, Any]] | None:
            events = self._cluster.controller.get(f"/evb/events?since={begun}")
            mine = [event for event in events if event["vsi"] == vsi.uuid]
            return mine if any(event["kind"] == VsiGone.row.kind and event["port"] == port for event in mine) else None

        return wait_until(finished, "end of the move", pause=0.05)


def cell(case: Case, events: list[dict[str, Any]], destination: str, verdict: WorkloadVerdict) -> Cell:
    """Compute the figures of one move from its timeline and the verdict of its workload."""
    found = bridge_figures(events, destination)
    return Cell(
        service=case.workload.service,
        ladder=case.ladder.value,
        trigger=case.trigger,
        live=case.live,
        **asdict(found),
        survived=verdict.live - verdict.broken,
        broken=verdict.broken,
        trespassed=verdict.trespassed,
    )
