"""(c) From the Associate frame to the first packet, both ways, and the naive way beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.figures import Figure, Line, Spread
from bench.reference import Wish
from bench.rig import CLIENT_MAC, TYPES, Reference, listener, process
from bench.station import PAUSE, BenchStation, vsi, vsi_mac
from bench.stream import udp
from ryu_apps.evb.wire.vdp import Associate, DeAssociate, PreAssociateRR
from tests.interop.private_ovs import PrivateOvs

_PATIENCE = 10.0
#: UDP ports of the streams.
TO_VM, FROM_VM = 4000, 4001
_KEEPER, _MOVER = 0x10, 0x200
#: Seconds from monotonic to Unix time.
UNIX = time.time() - time.monotonic()


@dataclass(slots=True)
class Sample:
    """Milliseconds from the request to the first packet."""

    to_vm: list[float] = field(default_factory=list)
    from_vm: list[float] = field(default_factory=list)

    @property
    def slower(self) -> list[float]:
        return [max(both) for both in zip(self.to_vm, self.from_vm, strict=True)]


class Probes:
    """Streams in both directions through a bridge, from before the gate is open until both get through.

    Probing a closed gate is what a live stream does: the switch has cached that it drops.
    """

    def __init__(self, ovs: PrivateOvs, name: str, log: Path) -> None:
        self._ovs = ovs
        self._name = name
        self._log = log

    def first_packets(self, vm_mac: int, open_gate: Callable[[], float], into: Sample | None) -> None:
        """Stream, open, and note how long the first packets took; ``open_gate`` returns when it was asked."""
        station, client = f"{self._name}-st1", f"{self._name}-cl1"
        to_vm = f"{client}={udp(vm_mac, CLIENT_MAC, TO_VM).hex()}"
        from_vm = f"{station}={udp(CLIENT_MAC, vm_mac, FROM_VM).hex()}"
        with ExitStack() as stack:
            ends = [listener(self._ovs, station, TO_VM), listener(self._ovs, client, FROM_VM)]
            for end in ends:
                stack.callback(end.close)
            stack.enter_context(process(self._ovs, "-m", "bench.stream", to_vm, from_vm, log=self._log))
            time.sleep(0.3)
            if any(end.drain() for end in ends):
                raise RuntimeError("a packet got through a closed gate")
            begin = open_gate() + UNIX
            taken = [1e3 * (end.first(_PATIENCE).received - begin) for end in ends]
        if into is not None:
            into.to_vm.append(taken[0])
            into.from_vm.append(taken[1])


def measure(ovs: PrivateOvs, station: BenchStation, reference: Reference, rounds: int, log: Path) -> Figure:
    """Interleaved: staged and naive, each size, round by round."""
    for type_id in TYPES:
        station.ask(vsi(_KEEPER + type_id, PreAssociateRR, type_id))
    ours, naive = Probes(ovs, "evb", log), Probes(ovs, "ref", log)
    staged = {type_id: Sample() for type_id in TYPES}
    at_once = {type_id: Sample() for type_id in TYPES}
    for turn in range(rounds + 1):
        for type_id in TYPES:
            _staged(station, ours, type_id, staged[type_id] if turn else None)
            _at_once(reference, naive, TYPES[type_id], at_once[type_id] if turn else None)
    for type_id in TYPES:
        station.ask(vsi(_KEEPER + type_id, DeAssociate, type_id))
    return _figure(staged, at_once)


def _staged(station: BenchStation, probes: Probes, type_id: int, into: Sample | None) -> None:
    mover = _MOVER + type_id
    station.ask(vsi(mover, PreAssociateRR, type_id))
    probes.first_packets(vsi_mac(mover), lambda: station.ask(vsi(mover, Associate, type_id)).asked, into)
    station.ask(vsi(mover, DeAssociate, type_id))


def _at_once(reference: Reference, probes: Probes, count: int, into: Sample | None) -> None:
    def ask() -> float:
        time.sleep(PAUSE)
        begin = time.monotonic()
        reference.ask(Wish.POLICY, count)
        return begin

    reference.ask(Wish.NOTHING)
    probes.first_packets(vsi_mac(_MOVER), ask, into)


def _figure(staged: dict[int, Sample], at_once: dict[int, Sample]) -> Figure:
    figure = Figure("(c) Associate frame to the first packet, slower direction", "ms")
    for type_id, count in TYPES.items():
        ours, naive = Spread.of(staged[type_id].slower), Spread.of(at_once[type_id].slower)
        figure.lines.append(Line(f"{count:,} rules, all sent at Associate", naive))
        figure.lines.append(Line(f"{count:,} rules, staged", ours, ours.p50 / naive.p50))
        to_vm, from_vm = Spread.of(staged[type_id].to_vm), Spread.of(staged[type_id].from_vm)
        figure.notes.append(f"{count:,} rules staged: {to_vm.p50:.2f} ms to the VM, {from_vm.p50:.2f} ms from it")
    return figure
