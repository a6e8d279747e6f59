"""A goal from inventory to report, on a cluster of its own."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ryu_apps.testbed.emulator import EmulatedStation, StationLoop
from ryu_apps.testbed.environment import environment
from ryu_apps.testbed.harness.capture import Sighting
from ryu_apps.testbed.harness.cluster import Cluster, StationMaker
from ryu_apps.testbed.harness.haproxy import proxies_of
from ryu_apps.testbed.harness.ovs import forget_cached_flows
from ryu_apps.testbed.harness.running import ending
from ryu_apps.testbed.harness.station import LldpadStation
from ryu_apps.testbed.harness.station_daemon import DaemonStation
from ryu_apps.testbed.ladder import text
from ryu_apps.testbed.ladder.model import LadderDiagram, LadderStep, Lane
from ryu_apps.testbed.manager.coordination import HOST, ClusterNms
from ryu_apps.testbed.manager.guests import MismatchError, TestVms, cluster_of, copies_of
from ryu_apps.testbed.manager.leftovers import NO_GATE, Leftovers
from ryu_apps.testbed.manager.report import AttemptReport, ClusterReport, VmReport, as_text, attempt_report
from ryu_apps.testbed.manager.run import Manager, MoveOptions
from ryu_apps.testbed.manager.tie_watch import TieWatch
from ryu_apps.testbed.measurement.durations import RUN_OUT, RUN_UP
from ryu_apps.testbed.measurement.ladders import ladder_of
from ryu_apps.testbed.measurement.measure import Pause, Seen, lost_at_rest, seen_of, staged_among_others
from ryu_apps.testbed.moves.attempt import Attempt
from ryu_apps.testbed.progress import ShowProgress
from ryu_apps.vcm.goal_events import HaltGoal, MoveLimits, ReleasePlaces
from ryu_apps.vcm.inventory import Inventory
from ryu_apps.vcm.loader import Loaded
from ryu_apps.vcm.move_events import Do, MoveStep
from ryu_apps.vcm.move_states import MoveState
from ryu_apps.vcm.orchestrator import WAITS, Orchestrator
from ryu_apps.vcm.plans import Goal, GoalKind, Plan, PlannedMove, affected, make_plan

#: Kinds of station; those without a maker are made in :func:`_maker`.
STATIONS: dict[str, StationMaker | None] = {"emulated": None, "lldpad": None, "daemon": DaemonStation}


@dataclass(frozen=True, slots=True)
class Task:
    """A goal and the options of pursuing it.

    Attributes:
        parallel: most moves at a time.
        copy: seconds that copying a VM's memory takes.
        interval: seconds between two datagrams of a flow that measures.
        keep: seconds that reservations are kept before the node dies, or they are released.
        undo_after: when so many VMs have moved and the next one is on its way, everything is undone; None: never.
        inject: send from where a VM is staged, as if it were there.
        ties: seconds that connections through the proxy of a switch that was left may take to end after the traffic.
    """

    goal: Goal
    settings: MoveLimits = MoveLimits()
    parallel: int = 2
    copy: float = 0.3
    interval: float = 0.01
    keep: float = 2.0
    undo_after: int | None = None
    inject: bool = True
    ties: float = 5.0


def perform(
    loaded: Loaded,
    place: Path,
    task: Task,
    output: Path,
    station: str,
    tell: ShowProgress = lambda words: None,
    ready: Callable[[Callable[[], None]], None] = lambda halt: None,
) -> ClusterReport:
    """Do a task on a cluster of its own and write report and logs.

    Args:
        place: what the inventory's paths are relative to.
        output: folder; made if need be.
        station: one of :data:`STATIONS`.
        ready: told, when it begins, how to halt it.

    Raises:
        MismatchError: the inventory does not fit the cluster that it asks for.
        TimeoutError, StationError: the cluster did not come up; logs are in the output folder.
    """
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="evbridge-", dir="/run") as folder, _maker(station, loaded) as maker:
        cluster = cluster_of(loaded, place, Path(folder), maker)
        tell(f"starting {len(cluster.fabric.switches)} switches and their hypervisors")
        try:
            with cluster, proxies_of(cluster, Path(folder)), _nms_of(loaded, cluster, place) as nms:
                campaign = Campaign(loaded, cluster, task, station, tell, nms=nms)
                ready(lambda: campaign.manager.post(HaltGoal()))
                report = campaign.run()
        finally:
            cluster.keep_logs(output / "logs")
    written = {**report.as_json(), "environment": environment()}
    (output / "report.json").write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    (output / "report.txt").write_text(as_text(report), encoding="utf-8")
    drawn = "\n".join(map(text.render, campaign.ladders))
    (output / "ladders.txt").write_text(drawn, encoding="utf-8")
    return report


@contextmanager
def _nms_of(loaded: Loaded, cluster: Cluster, place: Path) -> Iterator[ClusterNms | None]:
    """The NMS whose components the moves wait for, started; None: they wait for none."""
    coordination, config = loaded.inventory.coordination, loaded.file.cluster.nms
    if coordination is None:
        yield None
        return
    if config is None or HOST not in cluster.hosts:
        raise MismatchError(f"nms: cluster.nms, a file, and an end system {HOST!r} are needed")
    if not (place / config).is_file():
        raise MismatchError(f"cluster.nms: there is no file {config}")
    with closing(ClusterNms(cluster, place / config, coordination)) as nms:
        nms.start()
        yield nms


@contextmanager
def _maker(station: str, loaded: Loaded) -> Iterator[StationMaker]:
    maker = STATIONS[station]
    if maker is not None:
        yield maker
        return
    if station == "lldpad":
        # lldpad sends a GroupID only if it is configured to.
        grouped = any(vm.interface.group_id is not None for vm in loaded.inventory.vms.values())
        yield partial(LldpadStation, groups=grouped)
        return
    with closing(StationLoop()) as loop:
        yield partial(EmulatedStation, loop)


class Campaign:
    """One task on a cluster that is up and empty, and is empty again afterwards.

    Attributes:
        manager: pursues the goal; ends early if a halt is posted.
        ladders: of every attempt, once the task is done.
        meanwhile: called with every step before it is done.
    """

    def __init__(
        self,
        loaded: Loaded,
        cluster: Cluster,
        task: Task,
        station: str = "emulated",
        tell: ShowProgress = lambda words: None,
        meanwhile: Callable[[Manager, Do], None] = lambda manager, do: None,
        nms: ClusterNms | None = None,
    ) -> None:
        self._loaded = loaded
        self._cluster = cluster
        self._task = task
        self._station = station
        self._tell = tell
        self._meanwhile = meanwhile
        self._guests = TestVms(loaded, cluster, task.interval)
        self._leftovers = Leftovers(cluster)
        self._kept: dict[str, str] = {}
        self._ties = TieWatch(cluster)
        self.ladders: list[LadderDiagram] = []
        self._plan = self._planned(loaded.inventory)
        self._unplaced: dict[str, dict[str, str]] = {}
        options = MoveOptions(task.settings.way, task.copy, task.inject, copies_of(loaded))
        self._orchestrator = Orchestrator(loaded.inventory, self._plan, task.settings)
        waits = None if nms is None else nms.wait
        self.manager = Manager(self._guests, self._orchestrator, options, tell, waits)
        self.manager.before_step = self._before_step

    def run(self) -> ClusterReport:
        """Everything, once."""
        self._leftovers.note()
        with ending(self.manager.close, self._guests.end_traffic, self._guests.firewalls.stop, self._dismiss):
            self._tell("VMs start")
            self._guests.admit()
            self._tell("the bridge is asked for room")
            self._plan_with_room()
            forget_cached_flows()
            self._tell("traffic starts")
            self._guests.start_traffic()
            time.sleep(RUN_UP)
            begun = time.monotonic()
            self.pursue()
            ended = time.monotonic()
            self._ties.count({name: (guest.ip, self._place(name)) for name, guest in self._guests.all.items()})
            left = {name: self._left(name, at) for name in self._guests.all if (at := self._place(name))}
            shut = [name for name, count in left.items() if count == NO_GATE]
            time.sleep(RUN_OUT)
            self._guests.hear_again([name for name in left if name not in shut])
            settled = time.monotonic()
            self._guests.settle()
            announced = self._guests.stop_traffic()
            self._ties.wait_until_gone(self._task.ties)
            appliances = self._guests.firewalls.reports()
        self._tell("evaluating")
        attempts = tuple(
            self._attempt_report(attempt, announced, left, close) for attempt, close in self._closing(settled)
        )
        return ClusterReport(
            self._loaded.inventory.name,
            str(self._task.goal),
            self._station,
            tuple(self._vm_report(name, begun, settled) for name in self._guests.all),
            attempts,
            (*self._unmet(), *(f"{name} is at {self._place(name)}, but no gate lets it in there" for name in shut)),
            self._leftovers.at_the_end(),
            ended - begun,
            appliances,
        )

    def _dismiss(self) -> None:
        self._guests.dismiss({name: self._place(name) or "" for name in self._guests.all if self._place(name)})

    def tables(self) -> dict[str, list[str]]:
        """Return the rules of every switch."""
        return self._leftovers.tables()

    # --- the goal ---
    def _planned(self, inventory: Inventory) -> Plan:
        # A node that is to die gets its reservations first: that is what they are for.
        goal = self._task.goal
        kind = GoalKind.PROTECT if goal.kind is GoalKind.FAIL_OVER else goal.kind
        return make_plan(inventory, Goal(kind, goal.subject), parallel=self._task.parallel)

    def _plan_with_room(self) -> None:
        """Plan anew with the room that the bridge has left, once all VMs are associated."""
        if self.manager.orchestrator is not self._orchestrator:
            return  # the plan is made elsewhere
        inventory = replace(self._loaded.inventory, room=self.manager.room())
        before, self._plan = self._plan, self._planned(inventory)
        self._unplaced = {move.vm: turned_away(self._plan, move) for move in before.moves}
        self._orchestrator = self.manager.orchestrator = Orchestrator(inventory, self._plan, self._task.settings)

    def pursue(self) -> None:
        """The goal itself, between VMs that run and VMs that still do."""
        manager, goal = self.manager, self._task.goal
        manager.begin()
        manager.run()
        if self._plan.goal.kind is GoalKind.PROTECT:
            self._tell(f"reservations are kept for {self._task.keep:g} s")
            manager.run(until=time.monotonic() + self._task.keep)
            self._kept = {move.vm: move.node for move in manager.orchestrator.moves if move.state is MoveState.RESERVED}
        if goal.kind is GoalKind.FAIL_OVER:
            for node in affected(self._loaded.inventory, goal):
                manager.lose(node)
        elif goal.kind is GoalKind.PROTECT:
            manager.post(ReleasePlaces())
        manager.run()

    def _before_step(self, do: Do) -> None:
        orchestrator, undo_after = self.manager.orchestrator, self._task.undo_after
        done = sum(move.state is MoveState.DONE for move in orchestrator.moves)
        if undo_after is not None and done >= undo_after and do.step is MoveStep.COPY and not orchestrator.halted:
            self.manager.post(HaltGoal(undo=True))
        self._meanwhile(self.manager, do)

    def _unmet(self) -> Iterator[str]:
        for planned in self._plan.moves:
            newest = self.manager.orchestrator.newest(planned.vm)
            assert newest is not None
            words = self._short_of(planned.vm)
            if words:
                yield f"{planned.vm} {words}: {newest.log[-1].text if newest.log else newest.state.value}"

    def _left(self, vm: str, at: str) -> int:
        """Rules of a VM where it is not; NO_GATE: one of its interfaces has none where it is."""
        found = [self._leftovers.of(face.mac, at) for face in self._loaded.inventory.vms[vm].interfaces]
        return NO_GATE if NO_GATE in found else sum(found)

    def _short_of(self, vm: str) -> str:
        """Return what a VM lacks of the goal, in words; empty if nothing."""
        place, home = self._place(vm), self._loaded.inventory.vms[vm].at
        if place is None:
            return "runs nowhere"
        if self._plan.goal.kind is GoalKind.PROTECT and vm not in self._kept:
            return "has no place kept"
        stays = self._task.undo_after is not None or self._task.goal.kind is GoalKind.PROTECT
        if stays:
            return "" if place == home else f"is at {place} and not at {home}"
        return f"is still at {place}" if place == home else ""

    def _place(self, vm: str) -> str | None:
        """Return the node that a VM runs at; None: nowhere."""
        newest = self.manager.orchestrator.newest(vm)
        if newest is None:
            return self._loaded.inventory.vms[vm].at
        if newest.state is MoveState.FAILED:
            return None
        place = newest.node if newest.state is MoveState.DONE else newest.source
        return None if place in self.manager.executor.deaths else place

    # --- the report ---
    def _closing(self, settled: float) -> Iterator[tuple[Attempt, float]]:
        """Every attempt, and when its figures close: where the VM's next one begins, or at the end."""
        attempts = self.manager.executor.attempts
        for number, attempt in enumerate(attempts):
            vm = attempt.vm.name
            later = (other.evidence.marks.begun for other in attempts[number + 1 :] if other.vm.name == vm)
            yield attempt, next(later, settled)

    def _attempt_report(
        self, attempt: Attempt, announced: list[Sighting], left: dict[str, int], close: float
    ) -> AttemptReport:
        vm, port_no = attempt.vm, attempt.destination.gate_port
        index = self.manager.indices.found.get(attempt)
        staged = staged_among_others(attempt.evidence.dumps, index, port_no, vm.mac)
        rules_left = max(0, left.get(vm.name, 0))
        seen = seen_of(attempt, self._guests.ends(vm.name), announced, rules_left, close, staged, self._pauses(vm.name))
        self.ladders.append(self._ladder(attempt, seen))
        return attempt_report(attempt, seen)

    def _pauses(self, vm: str) -> list[Pause]:
        """The times in which appliances that a VM needs were under way."""
        needed = self._loaded.inventory.vms[vm].reaches
        moved = [attempt for attempt in self.manager.executor.attempts if attempt.vm.name in needed]
        marks = [attempt.evidence.marks for attempt in moved]
        return [Pause(found.suspended, found.resumed or found.ended) for found in marks if found.suspended]

    def _ladder(self, attempt: Attempt, seen: Seen) -> LadderDiagram:
        begun = min(step.t for step in seen.evidence.steps)
        events = self._cluster.controller.get(f"/evb/events?since={begun}")
        mine = [event for event in events if event["vsi"] == seen.vsi and event["t"] <= seen.settled]
        waits = [note for note in attempt.owner.log if note.text.startswith(WAITS) and begun <= note.t <= seen.settled]
        seen.evidence.steps += [LadderStep(note.t, Lane.VCM, Lane.VCM, note.text) for note in waits]
        return ladder_of(self._cluster.fabric, (attempt.source.port, attempt.destination.port), seen, mine)

    def _vm_report(self, name: str, begun: float, settled: float) -> VmReport:
        newest = self.manager.orchestrator.newest(name)
        source = self._loaded.inventory.vms[name].at
        if newest is None:
            lost = lost_at_rest(self._guests.ends(name), begun, settled, self._pauses(name))
            return VmReport(name, source, None, source, "stayed", lost=lost, networks=self._networks(name))
        mine = [move for move in self.manager.orchestrator.moves if move.vm == name]
        return VmReport(
            name,
            source,
            next((planned.target for planned in self._plan.moves if planned.vm == name), None),
            self._place(name),
            newest.state.value,
            "" if newest.state is MoveState.DONE else newest.log[-1].text,
            {**self._unplaced.get(name, {}), **{node: reason for move in mine for node, reason in move.tried.items()}},
            tuple((note.t - begun, note.node, note.text) for move in mine for note in move.log),
            networks=self._networks(name),
            ties=self._ties.of(name, begun),
        )

    def _networks(self, vm: str) -> dict[str, str]:
        """The network that the bridge has chosen for a VM, at each node that it was reserved or associated at."""
        answered = [(self._loaded.inventory.vms[vm].at, self._guests.all[vm].network)]
        answered += [(move.node, move.network) for move in self.manager.orchestrator.moves if move.vm == vm]
        return {node: str(network) for node, network in answered if network is not None}


def turned_away(plan: Plan, earlier: PlannedMove) -> dict[str, str]:
    """The reason why a plan does not send a VM where an earlier one would have, by node; empty: it does."""
    for move in plan.moves:
        if move.vm == earlier.vm and move.target != earlier.target:
            return {node.node: ", ".join(node.reasons) for node in move.ranking.rejected if node.node == earlier.target}
    return {}
