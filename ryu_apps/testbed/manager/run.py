"""A goal on a cluster: VMs in, traffic on, the orchestrator's steps done, figures out."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable

from ryu_apps.testbed.manager.guests import TestVms
from ryu_apps.testbed.manager.hands import MoveOptions, StepExecutor
from ryu_apps.testbed.progress import ShowProgress
from ryu_apps.vcm.move import DeadlinePassed, Do, Lapsed, MoveState, StepDone, StepFailed
from ryu_apps.vcm.orchestrator import Go, NodeLost, Orchestrator, OrchestratorEvent, StepAnswer

#: Seconds between two looks at the reservations that are kept.
_LOOK = 1.0


class Manager:
    """Carries the orchestrator's wishes out, in real time.

    Attributes:
        orchestrator, hands: who decides, and who does.
        before_step: called with every step, before it is done; may post events.
    """

    def __init__(self, guests: TestVms, orchestrator: Orchestrator, manners: MoveOptions, tell: ShowProgress) -> None:
        self.orchestrator = orchestrator
        self.hands = StepExecutor(guests, manners, self._heard)
        self._guests = guests
        self._tell = tell
        self._events: queue.SimpleQueue[OrchestratorEvent] = queue.SimpleQueue()
        self._looked = time.monotonic()
        self.before_step: Callable[[Do], None] = lambda do: None

    def begin(self) -> None:
        """Start what is planned."""
        self._feed(Go())

    def post(self, event: OrchestratorEvent) -> None:
        """An event from anywhere: another thread, a signal, a step."""
        self._events.put(event)

    def run(self, until: float | None = None) -> None:
        """Go on until nothing more happens by itself, and in any case until then (monotonic seconds)."""
        while not self._events.empty() or not self.orchestrator.settled or (until or 0.0) > time.monotonic():
            event = self._next(until)
            if event is not None:
                self._feed(event)
            self._look_at_reservations()

    def lose(self, node: str) -> None:
        """A node dies, and somebody notices."""
        self._tell(f"{node} dies")
        self.hands.deaths[node] = self._guests.kill_node(node)
        self._feed(NodeLost(node))

    def close(self) -> None:
        """Wait for steps that are being done."""
        self.hands.close()

    def _next(self, until: float | None) -> OrchestratorEvent | None:
        now = time.monotonic()
        deadline = min(one for one in (self.orchestrator.deadline, until, now + _LOOK) if one is not None)
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
            self.hands.perform(do, owner)

    def _heard(self, vm: str, event: StepDone | StepFailed) -> None:
        self._events.put(StepAnswer(vm, event))

    def _look_at_reservations(self) -> None:
        """Stations keep reservations alive; whether the bridge has taken one back only they know."""
        if time.monotonic() - self._looked < _LOOK:
            return
        self._looked = time.monotonic()
        for one in self.orchestrator.moves:
            if one.state is MoveState.RESERVED and not self.hands.keeps(one.vm):
                self._events.put(StepAnswer(one.vm, Lapsed(one.node)))
