"""The orchestrator's steps, carried out in real time, and its events."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.error import URLError

from ryu_apps.testbed.harness.staged import StagedTarget
from ryu_apps.testbed.harness.station import VdptoolAnswer
from ryu_apps.testbed.manager.guests import TestVms
from ryu_apps.testbed.moves.attempt import Attempt, MoveRecord
from ryu_apps.testbed.moves.executor import AwaitComponents, StepExecutor
from ryu_apps.testbed.moves.observers import EvidenceRecorder, StagedPortProof, StepObserver
from ryu_apps.testbed.moves.preparation import Preparations
from ryu_apps.testbed.progress import ShowProgress
from ryu_apps.vcm.bridge_answers import PATHS, BridgeAnswers, room_of
from ryu_apps.vcm.bridge_room import BridgeRoom
from ryu_apps.vcm.goal_events import Go, NodeLost, OrchestratorEvent, RoomAsked, StepAnswer
from ryu_apps.vcm.memory_copy import CopyPlan, copy_of_span
from ryu_apps.vcm.move_events import DeadlinePassed, Do, Ladder, Lapsed, MoveStep, StepDone, StepFailed
from ryu_apps.vcm.move_states import MoveState
from ryu_apps.vcm.orchestrator import Orchestrator

#: Seconds between two looks at the reservations that are kept.
_LOOK = 1.0


@dataclass(frozen=True, slots=True)
class MoveOptions:
    """Options of the moves of one goal.

    Attributes:
        way: ladder.
        copy: seconds that copying the memory takes, unless ``copies`` has the VM.
        copies: rounds of copying the memory of a VM.
        inject: send frames with the VM's address from the port where it is staged.
    """

    way: Ladder = Ladder.MINIMIZE_LATENCY
    copy: float = 0.3
    inject: bool = True
    copies: Mapping[str, CopyPlan] = field(default_factory=dict)


class ProgramIndices(StepObserver):
    """Numbers of VSIs at their destinations, by which the bridge's rules are told apart.

    Attributes:
        found: attempt -> number, for those whose rules are staged.
    """

    def __init__(self, guests: TestVms) -> None:
        self.found: dict[Attempt, int] = {}
        self._guests = guests

    def after(self, step: MoveStep, attempt: Attempt, answer: VdptoolAnswer | None) -> None:
        """Ask the bridge once the rules are staged."""
        if step is not MoveStep.RESERVE:
            return
        try:
            vsi: dict[str, Any] = self._guests.cluster.controller.get(f"/evb/vsis/{attempt.vsi.uuid}")
        except (URLError, OSError):
            return
        port = str(attempt.destination.port)
        for attachment in vsi["attachments"]:
            if attachment["port"] == port and attachment["program"]:
                self.found[attempt] = int(attachment["program"]["index"])
                return


class RestartedProbers(StepObserver):
    """Firewalls and probes in VMs that start anew: what ran in them before is gone with their node."""

    def __init__(self, guests: TestVms) -> None:
        self._guests = guests

    def after(self, step: MoveStep, attempt: Attempt, answer: VdptoolAnswer | None) -> None:
        """Start them once the VM runs."""
        if step is MoveStep.RESUME and attempt.ladder is Ladder.RESTART:
            self._guests.firewalls.restarted(attempt.vm.name)
            self._guests.start_prober(self._guests.all[attempt.vm.name])


class Manager:
    """Carries out the orchestrator's steps in real time.

    Attributes:
        orchestrator, executor: what decides, and what acts.
        indices: see :class:`ProgramIndices`.
        before_step: called with every step, before it is carried out; may post events.
    """

    def __init__(
        self,
        guests: TestVms,
        orchestrator: Orchestrator,
        options: MoveOptions,
        tell: ShowProgress,
        components: AwaitComponents | None = None,
    ) -> None:
        self.orchestrator = orchestrator
        self.indices = ProgramIndices(guests)
        observers = EvidenceRecorder(), StagedPortProof(self._targets), self.indices, RestartedProbers(guests)
        preparations = Preparations(guests.cluster.hypervisors, guests.descriptors, guests.vsis)
        self.executor = StepExecutor(self._attempt, observers, self._heard, preparations, components)
        self._guests = guests
        self._options = options
        self._tell = tell
        self._events: queue.SimpleQueue[OrchestratorEvent] = queue.SimpleQueue()
        self._looked = time.monotonic()
        self.before_step: Callable[[Do], None] = lambda do: None

    def begin(self) -> None:
        """Start what is planned."""
        self._feed(Go())

    def post(self, event: OrchestratorEvent) -> None:
        """Hand an event over, from any thread or signal handler."""
        self._events.put(event)

    def run(self, until: float | None = None) -> None:
        """Go on until nothing more happens by itself, and in any case until then (monotonic seconds).

        Raises:
            BaseException: a step has met a defect of this code.
        """
        while not self._events.empty() or not self.orchestrator.settled or (until or 0.0) > time.monotonic():
            event = self._next(until)
            if event is not None:
                self._feed(event)
            if self.executor.defects:
                raise self.executor.defects[0]
            self._look_at_reservations()

    def lose(self, node: str) -> None:
        """Kill a node, and report its death."""
        self._tell(f"{node} dies")
        self.executor.deaths[node] = self._guests.kill_node(node)
        self._feed(NodeLost(node))

    def close(self) -> None:
        """Wait for steps that are being done."""
        self.executor.close()

    def _next(self, until: float | None) -> OrchestratorEvent | None:
        now = time.monotonic()
        deadline = min(t for t in (self.orchestrator.deadline, until, now + _LOOK) if t is not None)
        try:
            return self._events.get(timeout=max(0.0, deadline - now))
        except queue.Empty:
            return DeadlinePassed()

    def _feed(self, event: OrchestratorEvent) -> None:
        for do in self.orchestrator.feed(event, time.monotonic()):
            self._tell(f"{do.vm}: {do.step.value}, {do.source} to {do.node}")
            self.before_step(do)
            owner = self.orchestrator.newest(do.vm)
            assert owner is not None
            self.executor.submit(do, owner)

    def room(self) -> BridgeRoom:
        """Ask the bridge for the room that it has left.

        Raises:
            OSError: it does not answer.
        """
        return room_of(BridgeAnswers(*map(self._guests.cluster.controller.get, PATHS)))

    def _heard(self, vm: str, event: StepDone | StepFailed) -> None:
        # What has been refused was not expected to be: something has changed since the bridge was asked.
        if isinstance(event, StepFailed) and event.step in (MoveStep.PROBE, MoveStep.RESERVE):
            with suppress(OSError):
                self._events.put(RoomAsked(self.room()))
        self._events.put(StepAnswer(vm, event))

    def _look_at_reservations(self) -> None:
        """Ask stations for the reservations that they keep alive: the bridge reports to them what it takes back."""
        if time.monotonic() - self._looked < _LOOK:
            return
        self._looked = time.monotonic()
        for move in self.orchestrator.moves:
            if move.state is MoveState.RESERVED and not self.executor.holds_reservation(move.vm):
                self._events.put(StepAnswer(move.vm, Lapsed(move.node)))

    # --- attempts ---
    def _attempt(self, do: Do, owner: MoveRecord) -> Attempt:
        options, vsis = self._options, self._guests.vsis(do.vm, do.node)
        copy = options.copies.get(do.vm) or copy_of_span(options.copy)
        if do.datastore and (disk := self._guests.disk_copy(do)) is not None:
            copy = copy.with_disk(disk)
        return Attempt(self._guests.cluster, do.vm, vsis, (do.source, do.node), options.way, owner, copy, do.datastore)

    def _targets(self, attempt: Attempt) -> list[StagedTarget | None]:
        if not self._options.inject or attempt.source.name in self.executor.deaths:
            return []
        return self._guests.targets(attempt.vm.name)
