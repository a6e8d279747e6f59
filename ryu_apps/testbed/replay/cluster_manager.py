"""The VM cluster manager: moves a VM from hypervisor to hypervisor along one of the two ladders.

A ladder is a table of steps.  Each step does its part on the real cluster and writes down, with the time, who told
whom; the bridge's side of the story is added later from the controller's own timeline.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ryu_apps.testbed.flow_dumps import dump_rules
from ryu_apps.testbed.harness.capture import Sighting
from ryu_apps.testbed.harness.cluster import Cluster, Hypervisor
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.staged import StagedPort, StagedTarget
from ryu_apps.testbed.harness.station import VdptoolAnswer, VdptoolMode, VdptoolVsi
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.ladder.model import LadderStep, Lane
from ryu_apps.testbed.replay.scenario import ExpectedOutcome, LadderName, MigrationSpec


class MigrationRefused(Exception):
    """The destination's bridge does not want the VM; the text is its reason."""


class MigrationAborted(Exception):
    """The cluster manager changed its mind."""


@dataclass(slots=True)
class Marks:
    """Moments of a migration in monotonic seconds; 0.0 for what did not happen.

    Attributes:
        begun: before anything.
        suspended: the VM has stopped at the source.
        associating: the destination is about to associate.
        resumed: the VM runs at the destination.
        ended: after everything.
    """

    begun: float = 0.0
    suspended: float = 0.0
    associating: float = 0.0
    resumed: float = 0.0
    ended: float = 0.0


@dataclass(slots=True)
class Evidence:
    """What was seen while a migration ran.

    Attributes:
        steps: the VCM's and the hypervisors' part of the ladder.
        dumps: flow dumps of the destination's switch: ``before``, ``staged``, ``active``.
        injected: frames sent at the staged port.
        at_staged_port: what arrived there before it was replaced.
    """

    marks: Marks = field(default_factory=Marks)
    steps: list[LadderStep] = field(default_factory=list)
    dumps: dict[str, list[str]] = field(default_factory=dict)
    injected: int = 0
    at_staged_port: list[Sighting] = field(default_factory=list)
    outcome: ExpectedOutcome = ExpectedOutcome.COMPLETED
    reason: str = ""


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Hooks:
    """What else is done on the way.

    Attributes:
        copying: while the VM still runs at the source, its rules staged at the destination.
        suspended: as soon as it runs nowhere.
    """

    copying: Callable[[], None] = _nothing
    suspended: Callable[[], None] = _nothing


class ReplayMove:
    """One migration of one VM."""

    def __init__(
        self,
        cluster: Cluster,
        spec: MigrationSpec,
        vsi: VdptoolVsi,
        source: str,
        target: StagedTarget | None,
        hooks: Hooks = Hooks(),
    ) -> None:
        """
        Args:
            cluster: where.
            spec: which VM, where to, how.
            vsi: the VM's VSI.
            source: hypervisor it is at.
            target: whom to send injected frames to, None to inject nothing.
            hooks: what else is done on the way.
        """
        self.vm: NamespaceVm = cluster.vms[spec.vm]
        self.source: Hypervisor = cluster.hypervisors[source]
        self.destination: Hypervisor = cluster.hypervisors[spec.to]
        self.evidence = Evidence()
        self._cluster = cluster
        self._spec = spec
        self.vsi = vsi
        self._target = target
        self._hooks = hooks
        self._staged: StagedPort | None = None
        self._granted = False
        self._associated: VdptoolAnswer | None = None
        self._cancelled = threading.Event()

    def run(self) -> Evidence:
        """Go down the ladder; a refusal or an abort takes back what was done, the VM stays where it is."""
        evidence = self.evidence
        evidence.marks.begun = time.monotonic()
        evidence.dumps["before"] = self.dump()
        try:
            for step in LADDERS[self._spec.ladder]:
                step(self)
        except MigrationRefused as refusal:
            evidence.outcome, evidence.reason = ExpectedOutcome.REFUSED, str(refusal)
            self._take_back("refused", str(refusal))
        except MigrationAborted as abort:
            evidence.outcome, evidence.reason = ExpectedOutcome.ABORTED, str(abort)
            self._take_back("cancel the migration", str(abort))
        self.clear_staged_port()
        evidence.marks.ended = time.monotonic()
        return evidence

    def dump(self) -> list[str]:
        """The rules of the destination's switch now."""
        return dump_rules(self._cluster.fabric.switches[self.destination.port.dpid].name)

    # --- steps ---
    def prepare(self) -> None:
        """The destination makes a port for the VM; from now on it must leak nothing."""
        key = f"{self.vsi.type_id} version {self.vsi.version}"
        self.say(Lane.VCM, Lane.DESTINATION, f"prepare {self.vm.name}, VSI type {key}")
        edge = self.destination.edge
        self._staged = StagedPort(self.destination.namespace, edge, self.vm, self._cluster.watcher)
        if self._target is not None:
            self._staged.inject(self._target)

    def reserve(self) -> None:
        """Pre-Associate with Resource Reservation at the destination."""
        answer = self.destination.station.request(VdptoolMode.PREASSOCIATE_RR, self.vsi, migrating=True)
        if not answer.granted:
            raise MigrationRefused(answer.reason)
        self._granted = True
        self.say(Lane.DESTINATION, Lane.VCM, "migration is possible, resources reserved", answer.answered)
        self.evidence.dumps["staged"] = self.dump()

    def copy(self) -> None:
        """The source copies memory while the VM runs; the last moment at which cancelling costs nothing."""
        self.say(Lane.VCM, Lane.SOURCE, f"migrate {self.vm.name} to {self.destination.name}")
        self.say(Lane.SOURCE, Lane.DESTINATION, "copy memory, the VM runs on")
        self._hooks.copying()
        if self._cancelled.wait(self._spec.copy_ms / 1000.0):
            raise MigrationAborted("cancelled while copying")
        if self._spec.abort:
            raise MigrationAborted("cancelled after staging")

    def suspend(self) -> None:
        """The VM stops at the source, for good."""
        self.say(Lane.SOURCE, Lane.VM, "final suspend")
        self.evidence.marks.suspended = time.monotonic()
        self.vm.pause()
        self.source.edge.detach(self.vm.port)
        self._hooks.suspended()

    def hand_over(self) -> None:
        """The last pages: the VM's interface changes hypervisors and takes the staged port's place, still down."""
        assert self._staged is not None
        self.say(Lane.SOURCE, Lane.DESTINATION, "last pages")
        self._staged.disconnect()
        self.vm.carry(self.source.namespace, self.destination.namespace)
        self.destination.edge.attach(self.vm.port, self.vm.mac)
        self.say(Lane.DESTINATION, Lane.VCM, "holds the last pages")

    def associate(self) -> None:
        """Associate at the destination: the one trigger."""
        self.evidence.marks.associating = time.monotonic()
        answer = self.destination.station.request(VdptoolMode.ASSOCIATE, self.vsi)
        if not answer.granted:
            raise MigrationRefused(answer.reason)
        self._associated = answer

    def resume(self) -> None:
        """The VM runs at the destination."""
        self.destination.edge.raise_port(self.vm.port)
        self.vm.resume()
        self.evidence.marks.resumed = time.monotonic()
        self.say(Lane.DESTINATION, Lane.VM, "resume", self.evidence.marks.resumed)

    def succeed(self) -> None:
        """The destination reports; what the switch holds now is kept."""
        assert self._associated is not None
        self.say(Lane.DESTINATION, Lane.VCM, "migration succeeded", self._associated.answered)
        self.evidence.dumps["active"] = self.dump()

    def release(self) -> None:
        """Safest exchange: De-Associate at the source, and its confirmation."""
        self.say(Lane.VCM, Lane.SOURCE, "let go of the VM's resources")
        answer = self.source.station.request(VdptoolMode.DEASSOCIATE, self.vsi)
        self.say(Lane.SOURCE, Lane.VCM, "let go" if answer.granted else f"let go: {answer.reason}", answer.answered)

    def tidy(self) -> None:
        """Minimize latency: the bridge has told the source that the VSI is gone; otherwise De-Associate there."""
        self.say(Lane.VCM, Lane.SOURCE, "let go of the VM's resources")
        told = self._is_told(self.source)
        if not told:
            self.source.station.request(VdptoolMode.DEASSOCIATE, self.vsi)
        self.say(Lane.SOURCE, Lane.VCM, "nothing left to let go of" if told else "let go")

    def instruct(self) -> None:
        """Safest exchange: the destination waits to be told that the source has let go."""
        self.say(Lane.VCM, Lane.DESTINATION, "source has let go: associate")

    # --- what is taken back, and how ---
    def cancel(self) -> None:
        """Stop copying; :meth:`copy` says so."""
        self._cancelled.set()

    def give_up(self) -> None:
        """De-Associate at the destination, if it had granted anything."""
        if self._granted:
            self.destination.station.request(VdptoolMode.DEASSOCIATE, self.vsi)
            self._granted = False

    def return_vm(self) -> None:
        """The VM runs at the source again, associated there; may be tried again when it has failed.

        Raises:
            MigrationRefused: the source's bridge does not want it.
        """
        if self.vm.port in self.destination.edge.ports:
            self.destination.edge.detach(self.vm.port)
            self.vm.carry(self.destination.namespace, self.source.namespace)
        if self.vm.port not in self.source.edge.ports:
            self.source.edge.attach(self.vm.port, self.vm.mac)
            self.source.edge.raise_port(self.vm.port)
        if self._associated is not None:
            self._is_told(self.source)
        if not self.source.station.holds(VdptoolMode.ASSOCIATE, self.vsi):
            admit(self.source, self.vsi)
        self.vm.resume()

    def clear_staged_port(self) -> None:
        """The destination takes down the port that it made for the VM, and says what was seen there."""
        if self._staged is None:
            return
        self._staged.disconnect()
        self.evidence.injected = self._staged.injected
        seen = self._staged.remove()
        self._staged = None
        # From here on the port was a bystander.
        until = self.evidence.marks.associating or float("inf")
        self.evidence.at_staged_port = [one for one in seen if one.t <= until]

    # --- the rest ---
    def say(self, origin: Lane, target: Lane, text: str, t: float | None = None) -> None:
        """Write a step of the ladder down."""
        self.evidence.steps.append(LadderStep(time.monotonic() if t is None else t, origin, target, text))

    def _is_told(self, hypervisor: Hypervisor) -> bool:
        """Has the bridge's unsolicited De-Associate arrived (it may just be on its way)?"""
        try:
            wait_until(lambda: not hypervisor.station.holds(VdptoolMode.ASSOCIATE, self.vsi), "De-Associate", 1.0)
        except TimeoutError:
            return False
        return True

    def _take_back(self, words: str, reason: str) -> None:
        """Leave the VM where it was and the destination as it was."""
        if words == "refused":
            self.say(Lane.DESTINATION, Lane.VCM, f"{words}: {reason}")
        else:
            self.say(Lane.VCM, Lane.DESTINATION, words)
        self.give_up()
        if self.evidence.marks.suspended:
            self.return_vm()


class Restart(ReplayMove):
    """A VM whose node is dead starts anew at the destination."""

    def __init__(self, move: ReplayMove, died: float) -> None:
        """
        Args:
            move: which was to be made; what it has reserved is used.
            died: when the node did, monotonic seconds.
        """
        super().__init__(move._cluster, move._spec, move.vsi, move.source.name, None)
        self._staged, self._granted, self.evidence = move._staged, move._granted, move.evidence
        self.evidence.marks.suspended = died

    def boot(self) -> None:
        """Make the VM from its storage, switched off; it takes the staged port's place, still down."""
        if self._staged is not None:
            self._staged.disconnect()
        self.say(Lane.VCM, Lane.DESTINATION, f"{self.source.name} is dead: start {self.vm.name} anew")
        self.vm = self._cluster.vms[self.vm.name] = NamespaceVm(self.vm.name, self.vm.mac, self.vm.ip)
        self.vm.create(self.destination.namespace)
        self.destination.edge.attach(self.vm.port, self.vm.mac)

    def resume(self) -> None:
        """Switch the VM on.  Had it been before, it would have asked for its neighbours where nobody hears it."""
        self.destination.edge.raise_port(self.vm.port)
        self.vm.power_on()
        self.vm.resume()
        self.evidence.marks.resumed = time.monotonic()
        self.say(Lane.DESTINATION, Lane.VM, "start", self.evidence.marks.resumed)

    def discard(self) -> None:
        """Forget what was booted."""
        if self.vm.port in self.destination.edge.ports:
            self.destination.edge.detach(self.vm.port)
        self.vm.halt()


Steps = tuple[Callable[[ReplayMove], None], ...]

LADDERS: dict[LadderName, Steps] = {
    # The destination associates the moment it holds the last pages; the source lets go afterwards.
    LadderName.MINIMIZE_LATENCY: (
        ReplayMove.prepare,
        ReplayMove.reserve,
        ReplayMove.copy,
        ReplayMove.suspend,
        ReplayMove.hand_over,
        ReplayMove.associate,
        ReplayMove.resume,
        ReplayMove.succeed,
        ReplayMove.tidy,
    ),
    # The source has de-associated, confirmed, before the destination associates: never two owners.
    LadderName.SAFEST_EXCHANGE: (
        ReplayMove.prepare,
        ReplayMove.reserve,
        ReplayMove.copy,
        ReplayMove.suspend,
        ReplayMove.hand_over,
        ReplayMove.release,
        ReplayMove.instruct,
        ReplayMove.associate,
        ReplayMove.resume,
        ReplayMove.succeed,
    ),
}


def dismiss(hypervisor: Hypervisor, vsi: VdptoolVsi) -> None:
    """De-Associate a VM that is shut down; whatever its station still believes."""
    hypervisor.station.request(VdptoolMode.DEASSOCIATE, vsi)


def admit(hypervisor: Hypervisor, vsi: VdptoolVsi) -> None:
    """Associate a VM that starts at a hypervisor.

    Raises:
        MigrationRefused: the bridge does not want it.
    """
    for mode in (VdptoolMode.PREASSOCIATE_RR, VdptoolMode.ASSOCIATE):
        answer = hypervisor.station.request(mode, vsi)
        if not answer.granted:
            raise MigrationRefused(f"{hypervisor.name}: {answer.reason}")
