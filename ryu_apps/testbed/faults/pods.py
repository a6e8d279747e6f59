"""Two pods to break: relays between them, and between each and the servers of the directory; bystanders in both."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.testbed.emulator import EmulatedStation
from ryu_apps.testbed.faults.bystanders import traffic
from ryu_apps.testbed.faults.relay import PeerRelay, StoreRelay
from ryu_apps.testbed.faults.rig import RigVm
from ryu_apps.testbed.flow_dumps import gates, owner_at, read_dump
from ryu_apps.testbed.harness.cluster import StationMaker
from ryu_apps.testbed.harness.controller import APPS
from ryu_apps.testbed.harness.ovs import dump_flows
from ryu_apps.testbed.harness.pods import REST, SWITCHES, PodsCluster, two_pods
from ryu_apps.testbed.harness.probes import Flow
from ryu_apps.testbed.harness.running import end_all
from ryu_apps.testbed.harness.shell import PATIENCE, CommandError, wait_until
from ryu_apps.testbed.harness.station import VdptoolAnswer, VdptoolMode, VdptoolVsi
from ryu_apps.testbed.harness.vm import NamespaceVm

#: Stations wait for 10 s for an answer, and refresh what they hold every 84 s: bystanders outlive a restart.
PATIENT = Timers(rwd=20, rka=23)
#: A bystander of each pod, and where it is; one talks to the other through both pods.
HOMES = {RigVm("pod-a", 81): "hv2", RigVm("pod-b", 82): "hv3"}
INTERVAL = 0.01
FLOWS = (
    Flow("in a", "udp", "nms", "pod-a", 443, INTERVAL, True),
    Flow("in b", "udp", "client", "pod-b", 443, INTERVAL, True),
    Flow("across", "udp", "pod-a", "pod-b", 123, INTERVAL, True),
)
#: The rule of each pod for a peer that does not answer.
RULES = {"a": "refuse", "b": "take"}
#: Ports of the relays to the bridges.
DOORS = 8090
LIMIT = 60.0


class Guest(Protocol):
    """A VM that moves between the pods: its name, its MAC address as text, and its VSI as stations name it."""

    @property
    def name(self) -> str: ...
    @property
    def mac(self) -> str: ...
    @property
    def vsi(self) -> VdptoolVsi: ...


class PodsRig(PodsCluster):
    """Two pods, and the directory.

    Attributes:
        doors: relays by which the bridge of a pod is reached from the other one.
        figures: what bystanders sent and lost, by fault.
    """

    def __init__(
        self,
        folder: Path,
        policies: Path,
        station: StationMaker,
        rules: Mapping[str, str] = MappingProxyType(RULES),
        servers: int = 3,
    ) -> None:
        """
        Args:
            rules: of each pod for a peer that does not answer.
            servers: of the directory.
        """
        self.doors = {pod: PeerRelay(DOORS + number, REST + number) for number, pod in enumerate(SWITCHES)}
        self.figures: list[dict[str, Any]] = []
        self._ways: dict[str, list[StoreRelay]] = {}
        super().__init__(folder, policies, station, rules, two_pods(PATIENT), servers)

    def _urls(self, pod: str) -> tuple[str, ...]:
        return (self.doors[pod].url,)

    def _remotes(self, pod: str) -> tuple[str, ...]:
        folder = Path(self._sockets.name)
        self._ways[pod] = [
            StoreRelay(folder / f"{pod}-{number}", remote) for number, remote in enumerate(self.directory.remotes)
        ]
        return tuple(way.remote for way in self._ways[pod])

    @property
    def _relays(self) -> list[PeerRelay | StoreRelay]:
        return [*self.doors.values(), *(way for ways in self._ways.values() for way in ways)]

    def start(self) -> None:
        """Start everything, with the bystanders."""
        for relay in self._relays:
            relay.start()
        super().start()
        for guest, home in HOMES.items():
            self.boot(NamespaceVm(guest.name, guest.mac, guest.ip), home)
            assert self.admit(guest, home).granted

    def stop(self) -> None:
        """Take everything down."""
        end_all(super().stop, *(relay.stop for relay in self._relays))

    # --- requests ---
    def ask(self, guest: Guest, hypervisor: str, mode: VdptoolMode) -> VdptoolAnswer:
        """Ask through a station."""
        return self.hypervisors[hypervisor].request(mode, guest.vsi)

    def admit(self, guest: Guest, hypervisor: str) -> VdptoolAnswer:
        """Reserve and associate; returns the last answer."""
        self.ask(guest, hypervisor, VdptoolMode.PREASSOCIATE_RR)
        return self.ask(guest, hypervisor, VdptoolMode.ASSOCIATE)

    def asking(self, guest: Guest, hypervisor: str, patience: float = PATIENCE) -> threading.Thread:
        """Associate in another thread, which is started, and waits so many seconds for the answer."""
        station = self.hypervisors[hypervisor].station
        assert isinstance(station, EmulatedStation)
        arguments = VdptoolMode.ASSOCIATE, guest.vsi, False, patience
        thread = threading.Thread(target=station.request, args=arguments)
        thread.start()
        return thread

    def dismiss(self, guest: Guest) -> None:
        """De-associate everywhere."""
        for hypervisor in self.hypervisors:
            self.ask(guest, hypervisor, VdptoolMode.DEASSOCIATE)

    # --- faults ---
    def kill(self, pod: str) -> None:
        """End the bridge of a pod as a crash would."""
        self.controllers[pod].kill()

    def revive(self, pod: str) -> None:
        """Start the bridge of a pod again."""
        self.controllers[pod].start(APPS)
        self.controllers[pod].wait_connected(2)

    @contextmanager
    def stopped(self, pod: str) -> Iterator[None]:
        """The bridge of a pod is stopped with SIGSTOP, and continued behind the block."""
        pid = self.controllers[pod].pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def await_answers(self, pod: str) -> None:
        """Wait until the bridge of a pod has served what it was asked before, of which it answers the last."""
        wait_until(lambda: self.pod(pod)["directory"] == "there", f"pod {pod} to answer", LIMIT, pause=0.1)

    def cut_from_directory(self, pod: str, silently: bool = False) -> None:
        """No server of the directory is reached by a pod; ``silently``: its connections stay, and carry nothing."""
        for way in self._ways[pod]:
            if silently:
                way.hold()
            else:
                way.cut()

    def heal(self) -> None:
        """Everything is reached again."""
        for relay in self._relays:
            relay.heal()

    # --- evidence ---
    def gates(self, guest: Guest) -> set[str]:
        """Pods with a switch that lets frames of a VM in."""
        return {pod for pod in SWITCHES if self.has_gate(guest, pod)}

    def has_gate(self, guest: Guest, pod: str) -> bool:
        """True if a switch of a pod lets frames of a VM in."""
        dumps = [gates(read_dump(dump_flows(f"s{dpid}"))) for dpid in SWITCHES[pod]]
        return any(owner_at(dump, None, guest.mac) is not None for dump in dumps)

    def await_pod(self, guest: Guest, pod: str) -> None:
        """Wait until a VM is let in in this pod, and in no other one."""
        wait_until(lambda: self.gates(guest) == {pod}, f"{guest.name} in pod {pod} alone", LIMIT, pause=0.1)

    @contextmanager
    def never_in_both(self, guest: Guest, source: str, target: str) -> Iterator[None]:
        """Check meanwhile that no two pods let frames of a VM in, which moves at most once."""
        over, seen = threading.Event(), []

        def look() -> None:
            while not over.is_set():
                # The new gate first: the former one is not opened again, so both were open when the new one was seen.
                with suppress(CommandError):
                    if self.has_gate(guest, target) and self.has_gate(guest, source):
                        seen.append(True)
                over.wait(0.02)

        watching = threading.Thread(target=look)
        watching.start()
        try:
            yield
        finally:
            over.set()
            watching.join()
        assert not seen, f"{guest.name} was let in in both pods"

    @contextmanager
    def unharmed(self, fault: str) -> Iterator[None]:
        """A fault that bystanders must not notice."""
        with traffic(self, FLOWS) as loss:
            yield
        self.figures.append({"fault": fault, "sent": sum(loss.sent.values()), "lost": sum(loss.lost.values())})
        assert sum(loss.lost.values()) == 0 and all(loss.sent.values()), f"lost {loss.lost} of {loss.sent}"
