"""``python -m bench.race``: time in which a VM that moves has no network, by OVN and evbridge in one interleaved run.

Three switches, streams in both directions from before the move on, and the same probes for all: from the VM's RARP
(OVN), or the Associate of its hypervisor (evbridge), until a frame has come through in either direction.  The slower
direction counts.  At both the destination is staged, and the client's switch knows of the move beforehand.

All share the processors of one machine.  So the processes of a contestant are stopped while it is another one's turn:
what ``ovn-controller`` and the switches have left to do after a move would be charged to the contestant of the next
move.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count as counter
from pathlib import Path

import click
from rich.console import Console

from bench.figures import Figure, Line, Spread, write_json
from bench.gate import FROM_VM, TO_VM, UNIX, Sample
from bench.machine import machine
from bench.meters import MANY, noise
from bench.ovn import CHASSIS, Ovn, ovn
from bench.rig import CLIENT_MAC, listener, process
from bench.station import vsi_mac
from bench.stream import udp
from bench.three import Setup, ThreeSwitches, three_switches
from tests.interop.private_ovs import inside

COUNTS = (10, 100, 1_000, 5_000)
#: evbridge as it is by default, and with what makes a move shorter.
SETUPS = {
    "evbridge": Setup("switch", "rules"),
    "evbridge, meters": Setup("switch", "meter"),
    "evbridge, copies": Setup("copy", "rules"),
    "evbridge, copies and meters": Setup("copy", "meter"),
}
_USUAL = "evbridge", "evbridge, copies and meters"
_OVN = "OVN"
_PATIENCE, _PORT, _VM = 10.0, 7100, 0x700
#: Seconds that a contestant has for timers that became due while it was stopped, before its turn begins.
_CATCH_UP = 0.3
#: A request to announce, as a hypervisor sends it for a VM that has arrived: a RARP broadcast.
_ETH_P_RARP = 0x8035
_ROOT = Path(__file__).parents[1]


class OvnContestant:
    """OVN, whose VM is at the first chassis between two moves."""

    def __init__(self, peer: Ovn, vm_mac: int) -> None:
        self.switches = peer.chassis
        self.namespaces = peer.namespaces
        self.vm_mac = vm_mac
        self._peer = peer

    def prepare(self, count: int, stateful: bool) -> None:
        """Set the policy of the moves that follow."""
        self._peer.set_policy(count, stateful)

    def stage(self) -> None:
        """Stage the VM at the second chassis."""
        self._peer.place(*CHASSIS[:2])

    def activate(self) -> float:
        """Send the VM's RARP there; returns the time of that, unix seconds."""
        switch = self.switches[CHASSIS[1]]
        source = self.vm_mac.to_bytes(6)
        body = bytes.fromhex("0001080006040003") + source + bytes(4) + source + bytes(4)
        with inside(switch.namespace):
            opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            opened.bind(("vm1", 0))
        try:
            asked = time.time()
            opened.send(b"\xff" * 6 + source + _ETH_P_RARP.to_bytes(2) + body.ljust(46, b"\0"))
        finally:
            opened.close()
        return asked

    def end(self) -> None:
        """Bring the VM back to the first chassis."""
        self._peer.place(CHASSIS[1])
        self._peer.place(CHASSIS[0])


class EvbridgeContestant:
    """evbridge, with a new VM for each move."""

    def __init__(self, bridge: ThreeSwitches) -> None:
        self.switches = bridge.switches
        self.namespaces = bridge.namespaces
        self._bridge = bridge
        self._policy = 0, False
        self._numbers = counter(_VM)
        self._number = 0

    @property
    def vm_mac(self) -> int:
        """Address of the VM of the present move."""
        return vsi_mac(self._number)

    def prepare(self, count: int, stateful: bool) -> None:
        """Set the policy of the moves that follow."""
        self._policy = count, stateful

    def stage(self) -> None:
        """Associate a VM at the first switch, and stage it at the second."""
        self._number = next(self._numbers)
        self._bridge.begin(self._number, *self._policy, CHASSIS[0])
        self._bridge.stage(self._number, *self._policy, CHASSIS[1])

    def activate(self) -> float:
        """Suspend the VM at the first switch and associate it at the second; returns the time of the latter, unix."""
        self._bridge.suspend(self._number, *self._policy, CHASSIS[0])
        asked, _answered = self._bridge.activate(self._number, *self._policy, CHASSIS[1])
        return asked + UNIX

    def end(self) -> None:
        """De-associate it."""
        self._bridge.settle(CHASSIS[0])
        self._bridge.end(self._number, *self._policy, CHASSIS[1])


Contestant = OvnContestant | EvbridgeContestant


# --- turns ----------------------------------------------------------------------------------------
@contextmanager
def turns(contestants: Collection[Contestant]) -> Iterator[None]:
    """All contestants stopped, until each is at its turn (:func:`turn`)."""
    try:
        for contestant in contestants:
            _signal(contestant, signal.SIGSTOP)
        yield
    finally:
        for contestant in contestants:
            _signal(contestant, signal.SIGCONT)


@contextmanager
def turn(contestant: Contestant) -> Iterator[None]:
    """The processes of a contestant run; it has caught up with the time for which they were stopped."""
    _signal(contestant, signal.SIGCONT)
    time.sleep(_CATCH_UP)
    try:
        yield
    finally:
        _signal(contestant, signal.SIGSTOP)


def _signal(contestant: Contestant, number: signal.Signals) -> None:
    for namespace in contestant.namespaces:
        listed = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=True).stdout
        for pid in map(int, listed.split()):
            # A stream of the last move may end meanwhile.
            with suppress(ProcessLookupError):
                os.kill(pid, number)


# --- one move -------------------------------------------------------------------------------------
def move(contestant: Contestant, log: Path) -> tuple[float, float]:
    """Stage and move a VM under streams; milliseconds until the first frame to it, and from it, has come through."""
    contestant.stage()
    there, client = (contestant.switches[CHASSIS[place]] for place in (1, -1))
    to_vm = udp(contestant.vm_mac, CLIENT_MAC, TO_VM).hex()
    from_vm = udp(CLIENT_MAC, contestant.vm_mac, FROM_VM).hex()
    with ExitStack() as stack:
        ends = [listener(there, "vm1", TO_VM), listener(client, "cl1", FROM_VM)]
        for end in ends:
            stack.callback(end.close)
        stack.enter_context(process(client, "-m", "bench.stream", f"cl1={to_vm}", log=log))
        stack.enter_context(process(there, "-m", "bench.stream", f"vm1={from_vm}", log=log))
        time.sleep(0.4)
        if any(end.drain() for end in ends):
            raise RuntimeError("a frame came through while the VM was staged")
        asked = contestant.activate()
        taken = [1e3 * (end.first(_PATIENCE).received - asked) for end in ends]
    contestant.end()
    return taken[0], taken[1]


# --- all of them ----------------------------------------------------------------------------------
def measure(
    counts: tuple[int, ...],
    rounds: int,
    setups: tuple[str, ...],
    peer: bool,
    flows: bool,
    shown: Callable[[Figure], None],
) -> list[Figure]:
    """Move by move in turns, each size, stateless and stateful.

    Args:
        setups: keys of :data:`SETUPS`.
        peer: OVN is there too.
        flows: switches have cached many flows of others; then only stateless rules.
        shown: called with each figure as soon as it is known.
    """
    policies = [(count, stateful) for stateful in ((False,) if flows else (False, True)) for count in counts]
    figures = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        contestants: dict[str, Contestant] = {}
        if peer:
            contestants[_OVN] = OvnContestant(stack.enter_context(ovn(vsi_mac(_VM - 1), CLIENT_MAC)), vsi_mac(_VM - 1))
        for number, name in enumerate(setups):
            bridge = stack.enter_context(three_switches(SETUPS[name], policies, CLIENT_MAC, _PORT + number))
            contestants[name] = EvbridgeContestant(bridge)
            # At the switches that a move changes for the streams: with many more, revalidation takes all of two cores.
            for place in CHASSIS[1:] if flows else ():
                stack.enter_context(noise(bridge.switches[place]))
        for count, stateful in policies:
            figures.append(_race(contestants, count, stateful, rounds, Path(folder, "log")))
            shown(figures[-1])
    if flows:
        for figure in figures:
            figure.title += f", {MANY:,} flows of others at destination and client"
    return figures


def _race(contestants: dict[str, Contestant], count: int, stateful: bool, rounds: int, log: Path) -> Figure:
    times = {name: Sample() for name in contestants}
    for contestant in contestants.values():
        contestant.prepare(count, stateful)
    with turns(contestants.values()):
        for number in range(rounds + 1):
            for name, contestant in contestants.items():
                with turn(contestant):
                    to_vm, from_vm = move(contestant, log)
                # The first move warms up.
                if number:
                    times[name].to_vm.append(to_vm)
                    times[name].from_vm.append(from_vm)
    kind = "stateful" if stateful else "stateless"
    figure = Figure(f"Move between two of three switches, {count:,} {kind} rules: slower direction", "ms")
    base = Spread.of(next(iter(times.values())).slower)
    for name, found in times.items():
        spread = Spread.of(found.slower)
        figure.lines.append(Line(name, spread, None if spread == base else spread.p50 / base.p50))
        to_vm, from_vm = Spread.of(found.to_vm), Spread.of(found.from_vm)
        figure.notes.append(f"{name}: {to_vm.p50:.2f} ms to the VM, {from_vm.p50:.2f} ms from it")
    figure.aims = ["0.35 of OVN"]
    return figure


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", default=7, show_default=True, help="Moves of each contestant and size that count.")
@click.option(
    "--rules", "counts", type=int, multiple=True, default=COUNTS, show_default=True, help="Sizes; may be repeated."
)
@click.option("--peer/--no-peer", default=True, show_default=True, help="OVN races, too.")
@click.option("--setup", "setups", type=click.Choice(list(SETUPS)), multiple=True, default=_USUAL, show_default=True)
@click.option("--flows", is_flag=True, help=f"{MANY:,} cached flows of others at destination and client, without OVN.")
@click.option("--json", "path", default="reports/race.json", show_default=True, type=click.Path(path_type=Path))
def main(rounds: int, counts: tuple[int, ...], peer: bool, setups: tuple[str, ...], flows: bool, path: Path) -> None:
    """Race evbridge against OVN, in one interleaved run."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    peer = peer and not flows
    figures = measure(counts, rounds, setups, peer, flows, lambda figure: figure.show(console))
    facts = machine() | {"rounds": rounds}
    if peer:
        facts["ovn"] = subprocess.run(
            ["ovn-northd", "--version"], capture_output=True, text=True, check=True
        ).stdout.split("\n")[0]
    write_json(path, figures, facts)
    console.print(f"As JSON: {path}")


if __name__ == "__main__":
    main()
