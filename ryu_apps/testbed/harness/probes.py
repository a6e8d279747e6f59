"""Flows of a scenario: starting their two ends, and what their notes say about a move."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from ryu_apps.testbed.harness import prober
from ryu_apps.testbed.harness.shell import PATIENCE, Namespace, end, wait_until

#: Seconds that the notes of a long run may take to write.
_WRITING = 60.0
_NO_PEERS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Flow:
    """Traffic between an end system and a VM, both ways.

    Attributes:
        name: unique in a scenario.
        proto: ``udp`` or ``tcp``; over TCP the VM listens.
        host, vm: the two ends.
        port: the VM's port; with UDP the port of both ends, unless there is a ``host_port``.
        interval: seconds between two datagrams or beats of one end.
        passes: whether policy lets it through; what comes through although it should not is counted.
        group: IPv4 multicast group that the VM joins and the other end sends to; empty: they talk to each other.
        address: destination of the host in place of the VM; empty: the VM itself.
        host_port: the host's port of a UDP flow, where it has such a flow with several VMs.
        ipv6: between the IPv6 addresses of both ends.
        interface: IPv4 address of the VM's interface; empty: its first one.
    """

    name: str
    proto: str
    host: str
    vm: str
    port: int
    interval: float
    passes: bool
    group: str = ""
    address: str = ""
    host_port: int | None = None
    ipv6: bool = False
    interface: str = ""

    def port_of(self, end: str) -> int:
        """The port of an end (of the VM or of the host, by name)."""
        return self.port if end == self.vm or self.host_port is None else self.host_port


@dataclass(frozen=True, slots=True)
class UdpNotes:
    """Notes of one end of a UDP flow.

    Attributes:
        sent: times of sending; the index is the sequence number.
        heard: (sequence, sent, received) of the other end's datagrams.
        leaked: frames injected behind a staged port that arrived here.
    """

    sent: tuple[float, ...] = ()
    heard: tuple[tuple[int, float, float], ...] = ()
    leaked: int = 0


@dataclass(frozen=True, slots=True)
class TcpNotes:
    """Notes of one end of a TCP flow.

    Attributes:
        beats: (number, time) of the other end's beats.
        torn: beats that did not follow their predecessor.
        failure: why the connection ended; empty while it lives.
        failed: when it did.
    """

    beats: tuple[tuple[int, float], ...] = ()
    torn: int = 0
    failure: str = ""
    failed: float = 0.0


Notes = UdpNotes | TcpNotes


class Prober:
    """The process at one end of some flows."""

    def __init__(self, name: str, namespace: Namespace, address: str, folder: Path, address6: str = "") -> None:
        self.name = name
        self._namespace = namespace
        self._address, self._address6 = address, address6
        self._notes = folder / f"{name}-notes.json"
        self._log = folder / f"{name}-prober.log"
        self._flows: list[Flow] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._writing = _WRITING

    def start(self, flows: Sequence[Flow], peers: Mapping[str, str], peers6: Mapping[str, str] = _NO_PEERS) -> None:
        """Start this end's part of ``flows``; ``peers`` and ``peers6`` map names to addresses."""
        end_of_flows = self._end(flows, peers, peers6)
        self._process = self._run([end_of_flows | {"namespace": 0}])

    @classmethod
    def start_together(cls, probers: Sequence[Self], flows: Sequence[Flow], peers: Mapping[str, str]) -> None:
        """Start the ends of UDP flows as one process, so that none of them can be stopped alone."""
        ends = [
            known._end([flow for flow in flows if known.name in (flow.vm, flow.host)], peers, _NO_PEERS)
            for known in probers
        ]
        process = probers[0]._run(ends)
        for known in probers:
            known._process = process
            # It writes the notes of all of them.
            known._writing = _WRITING * len(probers)

    def _end(self, flows: Sequence[Flow], peers: Mapping[str, str], peers6: Mapping[str, str]) -> dict[str, object]:
        self._flows = list(flows)
        # In a folder that several runs use, another one's words are not this one's.
        self._log.unlink(missing_ok=True)
        self._log.touch()
        orders = [self._order(flow, peers6 if flow.ipv6 else peers) for flow in flows]
        files = {"log": str(self._log), "notes": str(self._notes)}
        return {"namespace": self._namespace.pid, "orders": orders, **files}

    def _run(self, ends: Sequence[dict[str, object]]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-S", "-E", str(Path(prober.__file__)), json.dumps(ends)]
        return self._namespace.popen(*command, log=self._log)

    def wait_heard(self, limit: float = PATIENCE) -> None:
        """Wait until every flow that policy lets through has heard from its other end.

        Raises:
            TimeoutError: one has not.
        """
        hears = [flow for flow in self._flows if not flow.group or self.name == flow.vm]
        self._wait_said(Counter(f"+{flow.name}" for flow in hears if flow.passes), limit)

    def wait_heard_again(self, vms: Collection[str], limit: float = PATIENCE) -> None:
        """Wait until every such stream of these VMs has heard once more, from now on, or is broken.

        After a gap TCP takes its time, and more of it on a busy machine.

        Raises:
            TimeoutError: one has not.
        """
        flows = [f"+{flow.name}" for flow in self._flows if flow.proto == "tcp" and flow.passes and flow.vm in vms]
        self._wait_said(Counter(flows), limit)
        said = Counter(self._said())
        self.signal(signal.SIGUSR2)
        self._wait_said(Counter({flow: said[flow] + 1 for flow in flows}), limit)

    def wait_later(self, limit: float) -> None:
        """After SIGUSR1, wait until every UDP flow that policy lets through has heard what was sent later.

        Raises:
            TimeoutError: one has not.
        """
        flows = [flow for flow in self._flows if flow.proto == "udp" and (not flow.group or self.name == flow.vm)]
        expected = {f"={flow.name}" for flow in flows if flow.passes}
        wait_until(lambda: expected <= set(self._said()), f"{self.name}: what was sent later", limit)

    def signal(self, number: int) -> None:
        """Send a signal to the process (stop and continue, with its VM)."""
        if self._process is not None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Kill the process; its notes are lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> dict[str, Notes]:
        """End the process and read its notes, by flow name."""
        if self._process is None:
            return {}
        end(self._process, self._writing)
        self._process = None
        noted = json.loads(self._notes.read_text(encoding="ascii"))
        return {flow.name: _notes(flow, noted[flow.name]) for flow in self._flows}

    def _wait_said(self, wanted: Counter[str], limit: float) -> None:
        wait_until(lambda: wanted <= Counter(self._said()), f"{self.name}: flows {sorted(wanted)}", limit)

    def _said(self) -> list[str]:
        return self._log.read_text(encoding="utf-8").splitlines()

    def _order(self, flow: Flow, peers: Mapping[str, str]) -> dict[str, object]:
        other = flow.host if self.name == flow.vm else flow.vm
        peer = peers[flow.host] if self.name == flow.vm else flow.address or flow.interface or peers[flow.vm]
        own = flow.interface if self.name == flow.vm and flow.interface else self._address
        return {
            "id": flow.name,
            "proto": flow.proto,
            "local": self._address6 if flow.ipv6 else own,
            "peer": peer,
            "port": flow.port_of(self.name),
            "peer_port": flow.port_of(other),
            "interval": flow.interval,
            "listen": self.name == flow.vm,
            "group": flow.group,
        }


def settle(probers: Iterable[Prober], limit: float = 10.0) -> None:
    """Wait until every datagram sent so far has arrived or is lost; once in the life of these processes.

    A busy switch is late by seconds.  Where nothing arrives any more, what was sent so far is lost.
    """
    ends = list(probers)
    for end_of_flows in ends:
        end_of_flows.signal(signal.SIGUSR1)
    with suppress(TimeoutError):
        for end_of_flows in ends:
            end_of_flows.wait_later(limit)


def _notes(flow: Flow, noted: dict[str, Any]) -> Notes:
    if flow.proto == "tcp":
        return TcpNotes(
            tuple((beat, t) for beat, t in noted["beats"]), noted["torn"], noted["failure"], noted["failed"]
        )
    heard = tuple((number, sent, received) for number, sent, received in noted["heard"])
    return UdpNotes(tuple(noted["sent"]), heard, noted["leaked"])


# --- what the notes say -----------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Window:
    """One direction of a flow around a move; times in monotonic seconds.

    Attributes:
        sent: datagrams sent in the window.
        lost: of these, never received.
        blackout: longest time without an arrival, in seconds; 0.0 with fewer than two arrivals.
        first_after: arrival of the first datagram at or after the mark, None if there was none.
    """

    sent: int = 0
    lost: int = 0
    blackout: float = 0.0
    first_after: float | None = None


def judge(sender: UdpNotes, receiver: UdpNotes, begin: float, mark: float, finish: float) -> Window:
    """One direction between ``begin`` and ``finish``, the first arrival counted from ``mark``."""
    numbers = {number for number, t in enumerate(sender.sent) if begin <= t <= finish}
    arrivals = [t for _, _, t in receiver.heard if begin <= t <= finish]
    heard = {number for number, _, _ in receiver.heard}
    gaps = [later - earlier for earlier, later in pairwise(arrivals)]
    first = next((t for _, _, t in receiver.heard if t >= mark), None)
    return Window(len(numbers), len(numbers - heard), max(gaps, default=0.0), first)


def passed(notes: Iterable[UdpNotes]) -> int:
    """Datagrams that arrived at any of these ends."""
    return sum(len(end.heard) for end in notes)
