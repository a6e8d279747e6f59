"""One attempt to move a VM to one node: the part of each step that the hypervisors do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from ryu_apps.station.filter_text import filter_from_text
from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.flow_dumps import dump_rules
from ryu_apps.testbed.harness.cluster import Cluster, Hypervisor
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.station import VdptoolAnswer, VdptoolMode, VdptoolVsi
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.moves.evidence import Evidence
from ryu_apps.vcm.memory_copy import CopyPlan
from ryu_apps.vcm.move_events import GrantedNetwork, Ladder, Note

#: Seconds for a De-Associate of the bridge's own accord, which may be on its way.
_UNSOLICITED = 1.0


class MigrationRefused(TestbedError):
    """The bridge has refused a request of a station; the text is its reason."""


class MigrationAborted(TestbedError):
    """The cluster manager has cancelled the copy."""


class MoveRecord(Protocol):
    """A move as the executor sees it: the library's ``Move``, or one that was read from REST."""

    @property
    def home(self) -> bool:
        """A way back, because everything is undone."""

    @property
    def log(self) -> list[Note]:
        """Steps and results."""


class Attempt:
    """A VM's way to one node, as far as it went.

    Attributes:
        vm: the guest; a new one once :meth:`boot` has made it anew.
        vsis: one for each of its interfaces.
        source, destination: hypervisors.
        ladder: order of the steps; RESTART once the source is dead.
        owner: the move that this attempt is part of.
        granted: VSIs that the destination's bridge has reserved or associated.
        associated: the answer to the Associate of the first VSI, None before all are associated.
        returned: the VM had to return to its source.
        error: first failure of a step.
    """

    def __init__(
        self,
        cluster: Cluster,
        vm: str,
        vsis: Sequence[VdptoolVsi],
        ways: tuple[str, str],
        ladder: Ladder,
        owner: MoveRecord,
        copy: CopyPlan,
        datastore: str = "",
    ) -> None:
        """
        Args:
            ways: source and destination.
            copy: rounds of copying the memory, and the last pages; of the disk, too, if there is one to copy.
            datastore: that the disk is copied to.
        """
        self.vm: NamespaceVm = cluster.vms[vm]
        self.vsis = tuple(vsis)
        self.source: Hypervisor = cluster.hypervisors[ways[0]]
        self.destination: Hypervisor = cluster.hypervisors[ways[1]]
        self.ladder = ladder
        self.owner = owner
        self.evidence = Evidence()
        self.cluster = cluster
        self.granted: list[VdptoolVsi] = []
        self._landed: list[VdptoolVsi] = []
        self.associated: VdptoolAnswer | None = None
        self.returned = False
        self.error: Exception | None = None
        self._copy = copy
        self._datastore = datastore
        self._cancelled = threading.Event()

    @property
    def vsi(self) -> VdptoolVsi:
        """The VSI of the first interface."""
        return self.vsis[0]

    def dump(self) -> list[str]:
        """Return the rules of the destination's switch."""
        return dump_rules(self.cluster.fabric.switches[self.destination.port.dpid].name)

    # --- the ladder ---
    def reserve(self) -> VdptoolAnswer:
        """Pre-Associate all VSIs with Resource Reservation at the destination, or none.

        Returns:
            The answer for the first.

        Raises:
            MigrationRefused: the bridge grants no reservation; those that it has granted are given back.
        """
        answers = []
        for vsi in self.vsis:
            answers.append(self.destination.request(VdptoolMode.PREASSOCIATE_RR, vsi, migrating=True))
            if not answers[-1].granted:
                self.release()
                raise MigrationRefused(self._words(vsi, answers[-1]))
            self.granted.append(vsi)
        return answers[0]

    def _words(self, vsi: VdptoolVsi, answer: VdptoolAnswer) -> str:
        """The reason of a refusal, with the interface if there are several."""
        return answer.reason if len(self.vsis) == 1 else f"interface {self.vsis.index(vsi) + 1}: {answer.reason}"

    def copy(self) -> Iterator[str]:
        """Take the time of each round of copying disk and memory, while the VM runs at the source; yields words before.

        Raises:
            MigrationAborted: the copy was cancelled.
        """
        disk = f"copy disk to {self._datastore}, the VM runs on"
        for words, rounds in ((disk, self._copy.disk_rounds), ("copy memory, the VM runs on", self._copy.rounds)):
            for number, piece in enumerate(rounds, 1):
                # A copy of which only the time is known has no rounds to be counted.
                yield f"{words}: round {number}: {piece}" if piece.mib else f"{words}: {piece}"
                if self._cancelled.wait(piece.seconds):
                    raise MigrationAborted("cancelled while copying")

    @property
    def last_words(self) -> str:
        """Pages and blocks that are left for the suspend, in words."""
        copy = self._copy
        pages = f"last pages: {copy.last}" if copy.last.mib else "last pages"
        return f"{pages}; last blocks: {copy.last_blocks}" if copy.last_blocks.mib else pages

    def cancel(self) -> None:
        """End :meth:`copy` early."""
        self._cancelled.set()

    def suspend(self) -> None:
        """Stop the VM at the source."""
        self.vm.pause()
        for face in self.vm.interfaces:
            self.source.edge.detach(face.port)

    def hand_over(self) -> None:
        """Send the last pages, and move the VM's interfaces to the destination, where their ports stay down."""
        time.sleep(self._copy.last.seconds + self._copy.last_blocks.seconds)
        self.vm.carry(self.source.namespace, self.destination.namespace)
        self._attach()

    def _attach(self) -> None:
        for face in self.vm.interfaces:
            self.destination.edge.attach(face.port, face.mac)

    def associate(self) -> VdptoolAnswer:
        """Associate all VSIs at the destination: the one trigger.

        Returns:
            The answer for the first.

        Raises:
            MigrationRefused: the bridge does not associate one of them.
        """
        answers = []
        for vsi in self.vsis:
            answers.append(self.destination.request(VdptoolMode.ASSOCIATE, vsi))
            if not answers[-1].granted:
                raise MigrationRefused(self._words(vsi, answers[-1]))
            self._landed.append(vsi)
        self.associated = answers[0]
        return answers[0]

    def resume(self) -> None:
        """Let the VM run at the destination.

        A VM that was booted is switched on only now: before, its neighbour discovery would be lost at the closed gate.
        """
        for face in self.vm.interfaces:
            self.destination.edge.raise_port(face.port)
        if self.ladder is Ladder.RESTART:
            self.vm.power_on()
        self.vm.resume()

    def let_go(self) -> VdptoolAnswer | None:
        """De-Associate at the source.

        Returns:
            The answer; None if there was nothing to ask for: after Associate at the destination the bridge
            de-associates the source itself.
        """
        if self.ladder is not Ladder.SAFEST_EXCHANGE and self._is_deassociated():
            return None
        first, *_ = (self.source.request(VdptoolMode.DEASSOCIATE, vsi) for vsi in self.vsis)
        return first

    # --- a dead source ---
    def boot(self) -> None:
        """Make the VM anew from its storage, switched off, its port at the destination down."""
        self.ladder = Ladder.RESTART
        self.vm = self.cluster.vms[self.vm.name] = self.vm.again()
        self.vm.create(self.destination.namespace)
        self._attach()

    def discard(self) -> None:
        """Remove what :meth:`boot` has made."""
        self._detach()
        self.vm.halt()

    def _detach(self) -> bool:
        """Take the VM's ports off the destination's edge; returns True if they were there."""
        attached = [face for face in self.vm.interfaces if face.port in self.destination.edge.ports]
        for face in attached:
            self.destination.edge.detach(face.port)
        return bool(attached)

    # --- back ---
    def release(self) -> None:
        """De-Associate at the destination what it had granted."""
        while self.granted:
            self.destination.request(VdptoolMode.DEASSOCIATE, self.granted[-1])
            self.granted.pop()

    def return_vm(self) -> None:
        """Run the VM at the source again, associated there; may be called again after a failure.

        Raises:
            MigrationRefused: the source's bridge refuses the VSI.
        """
        self.returned = True
        if self._detach():
            self.vm.carry(self.destination.namespace, self.source.namespace)
        for face in self.vm.interfaces:
            if face.port not in self.source.edge.ports:
                self.source.edge.attach(face.port, face.mac)
                self.source.edge.raise_port(face.port)
        self._is_deassociated()
        for vsi in self.vsis:
            if not self.source.station.holds(VdptoolMode.ASSOCIATE, vsi):
                admit(self.source, vsi)
        self.vm.resume()

    def _is_deassociated(self) -> bool:
        """Wait for the bridge's unsolicited De-Associates at the source of what is associated at the destination."""

        def none_is_held() -> bool:
            return not any(self.source.station.holds(VdptoolMode.ASSOCIATE, vsi) for vsi in self._landed)

        try:
            wait_until(none_is_held, "De-Associate", _UNSOLICITED)
        except TimeoutError:
            return False
        return True


def dismiss(hypervisor: Hypervisor, vsi: VdptoolVsi) -> None:
    """De-Associate a VM that is shut down; whatever its station still believes."""
    hypervisor.request(VdptoolMode.DEASSOCIATE, vsi)


def admit(hypervisor: Hypervisor, vsi: VdptoolVsi) -> VdptoolAnswer:
    """Associate a VM that starts at a hypervisor.

    Returns:
        The answer to Associate.

    Raises:
        MigrationRefused: the bridge refuses the VSI.
    """
    for mode in (VdptoolMode.PREASSOCIATE_RR, VdptoolMode.ASSOCIATE):
        answer = hypervisor.request(mode, vsi)
        if not answer.granted:
            raise MigrationRefused(f"{hypervisor.name}: {answer.reason}")
    return answer


def granted_network(vsi: VdptoolVsi, answer: VdptoolAnswer | None) -> GrantedNetwork | None:
    """Return the network that an answer has for a VSI that was requested with a null VID; None: there is none."""
    if answer is None or not answer.filters or filter_from_text(vsi.filters).entries[0].vid:
        return None
    granted = filter_from_text(answer.filters).entries[0]
    return GrantedNetwork(granted.vid, granted.pcp if granted.ps else None) if granted.vid else None
