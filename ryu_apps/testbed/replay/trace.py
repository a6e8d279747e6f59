"""A trace on a cluster: every entry done by the stations it concerns, as many at a time as the day wants.

Open vSwitch and ``ryu-manager`` are real, the stations ours, and a VM is its VSI: no guest runs and no traffic flows.
What counts is that, whatever overlaps, every VSI ends where the trace leaves it and nothing stays behind.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.testbed.emulator import EmulatedStation, StationLoop
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.shell import run, wait_until
from ryu_apps.testbed.harness.station import VdptoolMode, VdptoolVsi, numbered
from ryu_apps.testbed.progress import ShowProgress
from ryu_apps.testbed.short_timers import quick
from ryu_apps.topologies.mininet_topo import EndSystem
from ryu_apps.vcm.trace import Census, PlacementChange, TraceEntry, TraceEvent

#: Most VSIs on their way at a time.
PARALLEL = 32
_POLICIES = Path(__file__).parents[2] / "policies"
_TYPE, _VLAN = (1, 1), 100
#: Seconds that a station waits for an answer, and within which a bridge has to have tidied up.
_PATIENCE, _TIDY = 30.0, 20.0
_STARTS, _MOVES, _RESTARTS = "starts", "moves", "starts anew"

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class MoveResult:
    """A VSI that has come to a node.

    Attributes:
        how: it starts, moves, or starts anew after its node has died.
        stage_ms, associate_ms: request to answer.
    """

    how: str
    stage_ms: float
    associate_ms: float


@dataclass(slots=True)
class DayReport:
    """Report of a trace.

    Attributes:
        entries: what -> how many.
        seconds: that the replay took.
        late_s: the most that an entry began later than it should have, compressed.
        most: VSIs on their way at a time.
        most_vsis: at a time.
        refused: what the bridge did not grant, in words; must be empty.
        misplaced: VSIs that are active elsewhere than the trace leaves them, or not at all; must be 0.
        staged_left: attachments that are not active; must be 0.
        rules_left: that the switches hold when all VMs are gone, and did not before; must be 0.
    """

    entries: dict[str, int]
    seconds: float = 0.0
    late_s: float = 0.0
    most: int = 0
    most_vsis: int = 0
    done: list[MoveResult] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    misplaced: int = 0
    staged_left: int = 0
    rules_left: int = 0

    @property
    def ok(self) -> bool:
        """All must-be-zero counters are 0."""
        return not (self.refused or self.misplaced or self.staged_left or self.rules_left)

    def by_how(self) -> Iterator[tuple[str, list[MoveResult]]]:
        """Results by the reason of the VSI's arrival."""
        for how in (_STARTS, _MOVES, _RESTARTS):
            yield how, [result for result in self.done if result.how == how]

    def as_json(self) -> dict[str, Any]:
        """The content of ``report.json``."""
        return {"ok": self.ok, **asdict(self)}


def replay_trace(
    entries: Sequence[TraceEntry],
    fabric: Fabric,
    hosts: Sequence[EndSystem],
    seconds: float,
    logs: Path,
    progress: ShowProgress = lambda words: None,
) -> DayReport:
    """Replay a trace on a cluster of its own.

    Args:
        entries: fit for the nodes of ``fabric``.
        seconds: within which all of it happens.
        logs: folder for them.

    Raises:
        TimeoutError, StationError: the cluster did not come up.
    """
    config = dump_config(BridgeConfig(quick(fabric), (str(_POLICIES / "web_server"),)))
    with tempfile.TemporaryDirectory(prefix="evbridge-", dir="/run") as folder, closing(StationLoop()) as loop:
        cluster = Cluster(fabric, hosts, Path(folder), config, station=partial(EmulatedStation, loop))
        progress(f"starting {len(fabric.switches)} switches and their nodes")
        try:
            with cluster:
                return Player(cluster, entries, progress).play(seconds)
        finally:
            cluster.keep_logs(logs)


class Player:
    """One trace, one cluster.

    What concerns the same VM, or a node that fails or returns, keeps its order; everything else overlaps.  A task
    waits for tasks that were handed in before it and never for later ones, so one of them can always go on.
    """

    def __init__(
        self,
        cluster: Cluster,
        entries: Sequence[TraceEntry],
        progress: ShowProgress = lambda words: None,
        tidy: float = _TIDY,
    ) -> None:
        """
        Args:
            cluster: with emulated stations.
            entries: fit for its nodes.
            progress: told each entry.
            tidy: seconds within which the bridge has to have tidied up.
        """
        self._cluster, self._tidy = cluster, tidy
        self._dead: set[str] = set()
        self._entries, self._progress = entries, progress
        self._census = Census(list(cluster.hypervisors))
        self._vsis: dict[str, VdptoolVsi] = {}
        self._after: dict[str, list[Future[None]]] = {}
        self._tasks: list[Future[None]] = []
        self._busy, self._lock = 0, threading.Lock()
        self._report = DayReport({what.value: sum(entry.what is what for entry in entries) for what in TraceEvent})

    def play(self, seconds: float) -> DayReport:
        """All of it, and what is left of it in the end.

        Raises:
            StationError: a node that returned found no bridge.
        """
        before = self._rules()
        begun = time.monotonic()
        scale = seconds / max((entry.at for entry in self._entries), default=1.0) if self._entries else 0.0
        with ThreadPoolExecutor(PARALLEL) as pool:
            for number, entry in enumerate(self._entries, 1):
                due = begun + entry.at * scale
                time.sleep(max(due - time.monotonic(), 0.0))
                self._begin(pool, entry, due)
                self._progress(f"{number} of {len(self._entries)}: {entry.what.value} {entry.subject}")
        for task in self._tasks:
            task.result()
        self._report.seconds = time.monotonic() - begun
        self._look()
        self._clear()
        self._report.rules_left = self._left(before)
        return self._report

    # --- one entry ---
    def _begin(self, pool: ThreadPoolExecutor, entry: TraceEntry, due: float) -> None:
        changes = self._census.apply(entry)
        self._report.most_vsis = max(self._report.most_vsis, len(self._census.places))
        if entry.what in (TraceEvent.FAIL, TraceEvent.RETURN):
            task = self._fail if entry.what is TraceEvent.FAIL else self._return
            waits = self._after.get(entry.subject, [])
            self._after[entry.subject] = [self._submit(pool, waits, partial(task, entry.subject), due)]
        for change in changes:
            concerned = [name for name in (change.vm, change.source, change.target) if name is not None]
            waits = [future for name in concerned for future in self._after.get(name, ())]
            future = self._submit(pool, waits, partial(self._carry_out, change), due)
            self._after[change.vm] = [future]
            for node in concerned[1:]:
                self._after[node] = [future for future in self._after.get(node, ()) if not future.done()] + [future]

    def _submit(
        self, pool: ThreadPoolExecutor, waits: Sequence[Future[None]], task: Callable[[], None], due: float
    ) -> Future[None]:
        self._tasks.append(pool.submit(self._in_turn, waits, task, due))
        return self._tasks[-1]

    def _in_turn(self, waits: Sequence[Future[None]], task: Callable[[], None], due: float) -> None:
        late = time.monotonic() - due
        for earlier in waits:
            earlier.result()
        with self._lock:
            self._report.late_s = max(self._report.late_s, late)
            self._busy += 1
            self._report.most = max(self._report.most, self._busy)
        try:
            task()
        finally:
            with self._lock:
                self._busy -= 1

    def _carry_out(self, change: PlacementChange) -> None:
        """Both ladders of the founding paper take turns, VM by VM."""
        vsi = self._vsi(change.vm)
        safest = int(vsi.uuid[-1], 16) % 2 == 1
        source = None if change.lost else change.source
        if change.target is None:
            self._ask(change.vm, source, VdptoolMode.DEASSOCIATE)
            return
        staged = self._ask(change.vm, change.target, VdptoolMode.PREASSOCIATE_RR)
        if safest:
            self._ask(change.vm, source, VdptoolMode.DEASSOCIATE)
        associated = self._ask(change.vm, change.target, VdptoolMode.ASSOCIATE)
        if not safest:
            self._ask(change.vm, source, VdptoolMode.DEASSOCIATE)
        how = _RESTARTS if change.lost else _STARTS if change.source is None else _MOVES
        with self._lock:
            self._report.done.append(MoveResult(how, staged, associated))

    def _ask(self, vm: str, node: str | None, mode: VdptoolMode) -> float:
        """Milliseconds until the answer; 0 without a node."""
        if node is None:
            return 0.0
        answer = self._station(node).request(mode, self._vsi(vm), limit=_PATIENCE)
        if not answer.granted:
            with self._lock:
                self._report.refused.append(f"{vm} at {node}: {mode.value}: {answer.reason}")
        return answer.milliseconds

    def _fail(self, node: str) -> None:
        """Stop a node without De-Associate."""
        self._dead.add(node)
        self._station(node).kill()
        run(["ip", "link", "set", self._switch_end(node), "down"])

    def _return(self, node: str) -> None:
        if node not in self._dead:
            return
        self._dead.remove(node)
        run(["ip", "link", "set", self._switch_end(node), "up"])
        self._station(node).reboot()
        self._station(node).wait_ready()

    def _station(self, node: str) -> EmulatedStation:
        station = self._cluster.hypervisors[node].station
        assert isinstance(station, EmulatedStation)
        return station

    def _switch_end(self, node: str) -> str:
        port = self._cluster.hypervisors[node].port
        return f"{self._cluster.fabric.switches[port.dpid].name}-eth{port.port_no}"

    def _vsi(self, vm: str) -> VdptoolVsi:
        with self._lock:
            return self._vsis.setdefault(vm, numbered(len(self._vsis) + 1, *_TYPE, _VLAN))

    # --- what is left ---
    def _look(self) -> None:
        """Compare who is where with the trace."""
        self._progress("looking at what is left")
        wanted = {
            self._vsi(vm).uuid: str(self._cluster.hypervisors[node].port) for vm, node in self._census.places.items()
        }

        def found() -> tuple[int, int]:
            known = self._cluster.controller.get("/evb/vsis")
            active = {vsi["vsi"]: vsi["owner"] for vsi in known if vsi["owner"] is not None}
            staged = sum(attachment["phase"] != "active" for vsi in known for attachment in vsi["attachments"])
            return sum(active.get(vsi) != wanted.get(vsi) for vsi in {*wanted, *active}), staged

        self._report.misplaced, self._report.staged_left = self._in_the_end(found, (0, 0))

    def _clear(self) -> None:
        """De-Associate all VSIs that are left."""
        self._progress("shutting down what is left")
        for vm, node in self._census.places.items():
            self._ask(vm, node, VdptoolMode.DEASSOCIATE)

    def _left(self, before: dict[str, int]) -> int:
        return self._in_the_end(lambda: sum(max(now - before[name], 0) for name, now in self._rules().items()), 0)

    def _in_the_end(self, look: Callable[[], Found], wanted: Found) -> Found:
        """Return the wanted value as soon as it is seen, or what is seen when time is up."""
        try:
            wait_until(lambda: look() == wanted or None, "what has to be", self._tidy, pause=0.2)
        except TimeoutError:
            return look()
        return wanted

    def _rules(self) -> dict[str, int]:
        return {switch["name"]: switch["rules"] for switch in self._cluster.controller.get("/evb/status")["switches"]}
