"""The steps of a move, done: each VM's in its order, those of different VMs at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.error import URLError

from ryu_apps.testbed.harness.shell import CommandError
from ryu_apps.testbed.harness.station import VdptoolMode
from ryu_apps.testbed.manager.guests import TestVm, TestVms
from ryu_apps.testbed.replay.cluster_manager import Evidence, MigrationAborted, MigrationRefused, ReplayMove, Restart
from ryu_apps.testbed.replay.scenario import ExpectedOutcome, LadderName, MigrationSpec
from ryu_apps.vcm import move
from ryu_apps.vcm.move import Do, Ladder, MoveStep, StepDone, StepFailed

#: Told what became of a step.
StepReport = Callable[[str, StepDone | StepFailed], None]


@dataclass
class Attempt:
    """A VM's way to one node, as far as it went.

    Attributes:
        owner: the orchestrator's move that it is part of.
        move: the harness's.
        index: which VSI the staged rules are those of, by the bridge's account; None if none were.
        back: it had to return.
    """

    vm: str
    source: str
    node: str
    way: Ladder
    owner: move.Move
    move: ReplayMove
    index: int | None = None
    back: bool = False

    @property
    def evidence(self) -> Evidence:
        """What was seen."""
        return self.move.evidence


@dataclass(frozen=True, slots=True)
class MoveOptions:
    """How moves are made.

    Attributes:
        way: which ladder.
        copy: seconds that copying the memory takes.
        inject: send as if we were the VM from where it is staged.
    """

    way: Ladder = Ladder.MINIMIZE_LATENCY
    copy: float = 0.3
    inject: bool = True


class StepExecutor:
    """Does what the orchestrator says.

    Attributes:
        attempts: every one of every VM, in order.
        deaths: when which node died.
    """

    def __init__(self, guests: TestVms, manners: MoveOptions, report: StepReport) -> None:
        self.attempts: list[Attempt] = []
        self.deaths: dict[str, float] = {}
        self._guests = guests
        self._manners = manners
        self._report = report
        self._owners: dict[str, move.Move] = {}
        self._workers = {name: ThreadPoolExecutor(1, thread_name_prefix=name) for name in guests.all}

    def perform(self, do: Do, owner: move.Move) -> None:
        """See to a step of a move; the answer comes by the report."""
        if do.step is MoveStep.RESERVE:
            self._owners[do.vm] = owner
        if do.step is MoveStep.CANCEL:
            self._newest(do.vm).move.cancel()  # at once, not behind what it is to end
        self._workers[do.vm].submit(self._perform, do)

    def keeps(self, vm: str) -> bool:
        """Does the station at its newest destination still believe in the reservation?"""
        return self._newest(vm).move.destination.station.holds(VdptoolMode.PREASSOCIATE_RR, self._guests.all[vm].vsi)

    def close(self) -> None:
        """Wait for what is being done."""
        for worker in self._workers.values():
            worker.shutdown()

    def _perform(self, do: Do) -> None:
        try:
            _STEPS[do.step](self, do)
        except (MigrationRefused, MigrationAborted, TimeoutError, CommandError, OSError) as error:
            self._report(do.vm, StepFailed(do.step, do.node, str(error)))
        except BaseException as error:  # a mistake of ours; whoever waits for the answer has to be told
            self._report(do.vm, StepFailed(do.step, do.node, f"{type(error).__name__}: {error}"))
            raise
        else:
            self._report(do.vm, StepDone(do.step, do.node))

    def _newest(self, vm: str) -> Attempt:
        return next(one for one in reversed(self.attempts) if one.vm == vm)

    # --- the steps ---
    def _reserve(self, do: Do) -> None:
        guest = self._guests.all[do.vm]
        ladder = (
            LadderName.SAFEST_EXCHANGE if self._manners.way is Ladder.SAFEST_EXCHANGE else LadderName.MINIMIZE_LATENCY
        )
        spec = MigrationSpec(vm=do.vm, to=do.node, ladder=ladder, copy_ms=1000.0 * self._manners.copy)
        target = self._guests.target(do.vm) if self._manners.inject and do.source not in self.deaths else None
        made = ReplayMove(self._guests.cluster, spec, guest.vsi, do.source, target)
        attempt = Attempt(do.vm, do.source, do.node, self._manners.way, self._owners[do.vm], made)
        self.attempts.append(attempt)
        made.evidence.marks.begun = time.monotonic()
        made.evidence.dumps["before"] = made.dump()
        made.prepare()
        try:
            made.reserve()
        except MigrationRefused as refusal:
            self._close(attempt, ExpectedOutcome.REFUSED, str(refusal))
            raise
        attempt.index = self._index_at(guest, made)

    def _copy(self, do: Do) -> None:
        self._newest(do.vm).move.copy()

    def _cancel(self, do: Do) -> None:
        """Has been seen to."""

    def _suspend(self, do: Do) -> None:
        mine = self._newest(do.vm).move
        mine.suspend()
        mine.hand_over()

    def _let_go(self, do: Do) -> None:
        attempt = self._newest(do.vm)
        if attempt.way is Ladder.SAFEST_EXCHANGE:
            attempt.move.release()
            attempt.move.instruct()
        else:
            attempt.move.tidy()

    def _boot(self, do: Do) -> None:
        attempt = self._newest(do.vm)
        attempt.way = Ladder.RESTART
        attempt.move = restart = Restart(attempt.move, self.deaths[do.source])
        restart.boot()

    def _associate(self, do: Do) -> None:
        self._newest(do.vm).move.associate()

    def _resume(self, do: Do) -> None:
        attempt = self._newest(do.vm)
        attempt.move.resume()
        if attempt.way is Ladder.RESTART:
            self._guests.start_prober(self._guests.all[do.vm])
        attempt.move.succeed()
        self._close(attempt, ExpectedOutcome.COMPLETED)

    def _release(self, do: Do) -> None:
        attempt = self._newest(do.vm)
        attempt.move.give_up()
        self._close(attempt, ExpectedOutcome.ABORTED, "taken back")

    def _return(self, do: Do) -> None:
        attempt = self._newest(do.vm)
        attempt.back = True
        attempt.move.return_vm()

    def _discard(self, do: Do) -> None:
        mine = self._newest(do.vm).move
        assert isinstance(mine, Restart)
        mine.discard()

    def _close(self, attempt: Attempt, outcome: ExpectedOutcome, reason: str = "") -> None:
        attempt.move.clear_staged_port()
        evidence = attempt.evidence
        evidence.outcome, evidence.reason = outcome, reason
        evidence.marks.ended = time.monotonic()

    def _index_at(self, guest: TestVm, mine: ReplayMove) -> int | None:
        """The bridge's number of the VSI at the destination, by which its rules are known."""
        try:
            vsi: dict[str, Any] = self._guests.cluster.controller.get(f"/evb/vsis/{guest.vsi.uuid}")
        except (URLError, OSError):
            return None
        found = [one for one in vsi["attachments"] if one["port"] == str(mine.destination.port) and one["program"]]
        return int(found[0]["program"]["index"]) if found else None


_STEPS: dict[MoveStep, Callable[[StepExecutor, Do], None]] = {
    MoveStep.RESERVE: StepExecutor._reserve,
    MoveStep.COPY: StepExecutor._copy,
    MoveStep.CANCEL: StepExecutor._cancel,
    MoveStep.SUSPEND: StepExecutor._suspend,
    MoveStep.LET_GO: StepExecutor._let_go,
    MoveStep.BOOT: StepExecutor._boot,
    MoveStep.ASSOCIATE: StepExecutor._associate,
    MoveStep.RESUME: StepExecutor._resume,
    MoveStep.RELEASE: StepExecutor._release,
    MoveStep.RETURN: StepExecutor._return,
    MoveStep.DISCARD: StepExecutor._discard,
}
