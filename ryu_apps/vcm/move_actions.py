"""Actions of a move: the verbs of its tables."""

from __future__ import annotations

from ryu_apps.vcm.move_events import (
    Begin,
    Coordination,
    DeadlinePassed,
    Do,
    Exhausted,
    GrantedNetwork,
    Halt,
    Ladder,
    Lapsed,
    MoveEvent,
    MoveStep,
    Note,
    Probe,
    Push,
    SourceLost,
    Start,
    StepDone,
    StepFailed,
)
from ryu_apps.vcm.move_states import MoveState

#: Seconds that a bridge may take to answer; what has not been granted by then counts as refused.
PATIENCE = 10.0
_AWAITS = (MoveStep.AWAIT_STAGE, MoveStep.AWAIT_ACTIVATE, MoveStep.AWAIT_RELEASE)
#: Seconds between two attempts to run a VM at its source again.
RETURN_INTERVAL = 1.0


class MoveActions:
    """One VM on its way, with what rows of the tables do.

    Attributes:
        vm, source: the VM, and the node it runs at.
        way: ladder.
        target: the place to try first, None for none in particular.
        home: it goes back to ``target``, and to nowhere else.
        kept: its reservation is kept until it is to be used.
        coordination: components that it waits for; None: none.
        state, since: present state, and when it was entered.
        node: the destination in hand, or the last one; empty before the first.
        network: of the VM at ``node``, if the bridge has chosen it; None: not known.
        tried: nodes that have not worked, with the reason.
        pushed: nodes whose hypervisors have the VM's OVF.
        probed: nodes for which the bridge has granted a plain Pre-Associate.
        halted: a halt has come; it ends in a clean state.
        turned: it was suspended, and resumed at the source.
        deadline: when to feed :class:`DeadlinePassed`, None if nothing is awaited.
        log: steps and results.
        awaited: the step that is to be reported, None for none.
        returns: attempts to run the VM at its source again.
    """

    def __init__(
        self,
        vm: str,
        source: str,
        way: Ladder,
        target: str | None = None,
        home: bool = False,
        kept: bool = False,
        coordination: Coordination | None = None,
    ) -> None:
        self.vm = vm
        self.source = source
        self.way = way
        self.target = target
        self.home = home
        self.kept = kept
        self.coordination = coordination
        self.state = MoveState.WAITING
        self.since = 0.0
        self.node = ""
        self.network: GrantedNetwork | None = None
        self.tried: dict[str, str] = {}
        self.pushed: set[str] = set()
        self.probed: set[str] = set()
        self.halted = False
        self.turned = False
        self.deadline: float | None = None
        self.log: list[Note] = []
        self.awaited: MoveStep | None = None
        self.returns = 0

    def push(self, push: Push, now: float) -> list[Do]:
        """Push the VM's OVF there, start the patience."""
        self.node = push.node
        return self._do(MoveStep.PUSH, now, PATIENCE)

    def prepared(self, event: StepDone, now: float) -> list[Do]:
        """Note that the node has the OVF, or would have the VM."""
        if event.step is MoveStep.PUSH:
            self.pushed.add(event.node)
            return self._rest(now, "OVF pushed")
        self.probed.add(event.node)
        return self._rest(now, "would do" if event.network is None else f"would do, {event.network}")

    def probe(self, probe: Probe, now: float) -> list[Do]:
        """Pre-Associate there without a reservation, start the patience."""
        self.node = probe.node
        return self._do(MoveStep.PROBE, now, PATIENCE)

    def unpushed(self, _: DeadlinePassed, now: float) -> list[Do]:
        """Note that the hypervisor has not answered."""
        return self._give_up(now, self._unanswered)

    def reserve(self, begin: Begin, now: float) -> list[Do]:
        """Pre-Associate with Resource Reservation there, start the patience."""
        self.node, self.network = begin.node, None
        return self._do(MoveStep.RESERVE, now, PATIENCE)

    def hold(self, event: StepDone, now: float) -> list[Do]:
        """Keep the reservation until it is used or released."""
        self.network = event.network
        return self._rest(now, "reserved" if event.network is None else f"reserved, {event.network}")

    def await_stage(self, event: StepDone, now: float) -> list[Do]:
        """Wait for components at the destination, before the VM is touched."""
        self.network = event.network
        return self._await(MoveStep.AWAIT_STAGE, now)

    def hold_staged(self, _: StepDone, now: float) -> list[Do]:
        """Keep the reservation, for which components are ready, until it is used or released."""
        words = "reserved, components are ready"
        return self._rest(now, words if self.network is None else f"{words}, {self.network}")

    def await_activate(self, event: StepDone, now: float) -> list[Do]:
        """Wait for components at the destination, before the VM runs there."""
        self.network = event.network or self.network
        return self._await(MoveStep.AWAIT_ACTIVATE, now)

    def await_release(self, _: StepDone, now: float) -> list[Do]:
        """Wait for components at the source."""
        return self._await(MoveStep.AWAIT_RELEASE, now)

    def next(self, event: StepFailed | Lapsed, now: float) -> list[Do]:
        """Note why not this one."""
        reason = event.reason if isinstance(event, StepFailed) else "the reservation has lapsed"
        return self._give_up(now, reason)

    def copy(self, _: Start, now: float) -> list[Do]:
        """Copy the memory, the VM runs on."""
        return self._do(MoveStep.COPY, now)

    def suspend(self, _: StepDone, now: float) -> list[Do]:
        """Suspend the VM, hand the last pages over."""
        return self._do(MoveStep.SUSPEND, now)

    def let_go(self, _: StepDone, now: float) -> list[Do]:
        """De-Associate at the source."""
        return self._do(MoveStep.LET_GO, now)

    def forget_source(self, _: SourceLost, now: float) -> list[Do]:
        """Wait for no step of the source; the reservation is there."""
        return self._rest(now, "the source is dead")

    def boot(self, _: Start, now: float) -> list[Do]:
        """Make the VM anew at the destination."""
        return self._do(MoveStep.BOOT, now)

    def associate(self, _: StepDone | SourceLost, now: float) -> list[Do]:
        """Associate at the destination, start the patience."""
        return self._do(MoveStep.ASSOCIATE, now, PATIENCE)

    def resume(self, event: StepDone, now: float) -> list[Do]:
        """Let the VM run at the destination."""
        self.network = event.network or self.network
        return self._do(MoveStep.RESUME, now)

    def finish(self, event: StepDone | StepFailed | SourceLost | DeadlinePassed, now: float) -> list[Do]:
        """Nothing is left to do."""
        match event:
            case StepFailed(reason=reason):
                return self._rest(now, f"done, but the source: {reason}")
            case DeadlinePassed():
                return self._rest(now, f"done, but the source: {self._unanswered}")
        return self._rest(now, "done")

    def cancel(self, event: Halt | Lapsed, now: float) -> list[Do]:
        """Stop copying."""
        if isinstance(event, Halt):
            self.halted = True
        else:
            self.tried[self.node] = "the reservation has lapsed"
        return self._do(MoveStep.CANCEL, now)

    def release(
        self, event: StepDone | StepFailed | Halt | Lapsed | DeadlinePassed | SourceLost, now: float
    ) -> list[Do]:
        """De-Associate at the destination."""
        self._blame(event)
        return self._do(MoveStep.RELEASE, now)

    def remember(self, _: Halt, now: float) -> list[Do]:
        """Wait for the step to end."""
        self.halted = True
        self.log.append(Note(now, self.node, "halted"))
        return []

    def too_late(self, _: Halt, now: float) -> list[Do]:
        """The VM is at its destination: go on."""
        self.log.append(Note(now, self.node, "too late to halt"))
        return []

    def put_back(self, _: StepDone | StepFailed | DeadlinePassed | SourceLost, now: float) -> list[Do]:
        """Let the VM run at its source again; if that is dead, forget what was booted."""
        self.returns += 1
        self.turned = True
        return self._do(MoveStep.DISCARD if self.way is Ladder.RESTART else MoveStep.RETURN, now)

    def try_again(self, event: StepFailed, now: float) -> list[Do]:
        """Try once more in a second."""
        self._rest(now, f"not back yet: {event.reason}")
        self.deadline = now + RETURN_INTERVAL
        return []

    def back(self, _: StepDone | StepFailed, now: float) -> list[Do]:
        """It is as if nothing had been."""
        self.returns = 0
        return self._rest(now, "taken back")

    def end_halted(self, event: Halt, now: float) -> list[Do]:
        """Nothing is left to take back."""
        self.halted = True
        return self._rest(now, event.reason)

    def end_refused(self, event: Exhausted, now: float) -> list[Do]:
        """Log what was tried."""
        return self._rest(now, event.reason)

    def end_failed(self, event: StepFailed, now: float) -> list[Do]:
        """Log that the VM runs nowhere."""
        return self._rest(now, f"runs nowhere: {event.reason}")

    def stay(self, _: MoveEvent, __: float) -> list[Do]:
        """Nothing."""
        return []

    def wait_anew(self, now: float) -> None:
        """The step in hand has its whole patience again: for a while no answer to it could be received."""
        if self.awaited is not None and self.deadline is not None:
            self.deadline = now + self._patience_of(self.awaited)

    # --- what actions share ---
    def _do(self, step: MoveStep, now: float, patience: float | None = None) -> list[Do]:
        self.awaited = step
        self.deadline = None if patience is None else now + patience
        self.log.append(Note(now, self.node, step.value))
        return [Do(self.vm, step, self.node, self.source)]

    def _await(self, step: MoveStep, now: float) -> list[Do]:
        return self._do(step, now, self._patience_of(step))

    def _patience_of(self, step: MoveStep | None) -> float:
        """Seconds for the answer to a step: an executor says itself which component is late."""
        coordination = self.coordination if step in _AWAITS else None
        return PATIENCE if coordination is None else PATIENCE + coordination.deadline

    @property
    def _unanswered(self) -> str:
        return f"no answer in {self._patience_of(self.awaited):g} s"

    def _rest(self, now: float, words: str) -> list[Do]:
        self.awaited = None
        self.deadline = None
        self.log.append(Note(now, self.node, words))
        return []

    def _give_up(self, now: float, reason: str) -> list[Do]:
        self.tried[self.node] = reason
        return self._rest(now, reason)

    def _blame(self, event: MoveEvent) -> None:
        """Remember why a destination is given up, unless it is by our own wish."""
        match event:
            case Halt():
                self.halted = True
            case StepFailed(reason=reason) if self.state not in (MoveState.CANCELLING, MoveState.ROLLING_BACK):
                self.tried[self.node] = reason
            case Lapsed():
                self.tried[self.node] = "the reservation has lapsed"
            case DeadlinePassed():
                self.tried[self.node] = self._unanswered
