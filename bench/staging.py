"""(b) Rules a second while staging, and what a neighbour notices of it.

The yardstick for the neighbour is the same flow-mods in the same pieces, without a read-back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from bench.figures import Figure, Line, Spread
from bench.openflow import Switch
from bench.reference import policy_rules
from bench.rig import TYPES, listener, process
from bench.station import BenchStation, vsi
from bench.stream import Listener, udp
from ryu_apps.evb.events.effect import Apply, Mode
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.switch import Confirmed
from ryu_apps.evb.flow.change import RuleBlock, RuleChange
from ryu_apps.evb.flow.rule import CookieMask, Rule
from ryu_apps.evb.pipeline.tables import PAGE_OF_BODY
from ryu_apps.evb.wire.vdp import DeAssociate, PreAssociateRR
from ryu_apps.southbound.driver import SwitchDriver
from ryu_apps.southbound.encode import flow_add, flow_sweep
from ryu_apps.southbound.piece import PieceCache
from tests.interop.private_ovs import PrivateOvs

_COUNT = max(TYPES.values())
_LARGEST = max(TYPES, key=lambda type_id: TYPES[type_id])
_EVERYTHING = CookieMask(0, 0)
_NEIGHBOUR_PORT = 5000
_IDLE = 0.15
_VSI = 0x300
_PLAIN = "driver, in pieces"


class Driven:
    """The southbound's driver on a blocking socket, without Ryu."""

    def __init__(self, switch: Switch, rules: list[Rule]) -> None:
        self._switch = switch
        self._events: list[Event] = []
        self._next_xid = 1000
        self._driver = SwitchDriver(3, switch.send, self._reserve, self._events.append, PieceCache())
        self._change = RuleChange(blocks=(RuleBlock(tuple(rules)),))

    def _reserve(self, count: int) -> range:
        first, self._next_xid = self._next_xid, self._next_xid + count
        return range(first, first + count)

    def stage(self, mode: Mode) -> None:
        """Install the rules.

        Raises:
            RuntimeError: the switch refuses.
        """
        self._driver.submit(Apply(3, 1, self._change, mode))
        for octets in self._switch.messages():
            self._driver.receive(octets)
            if self._events:
                break
        if self._events.pop() != Confirmed(3, 1):
            raise RuntimeError("the switch refuses")


class Taken(NamedTuple):
    """Seconds: the whole thing; the longest gap in the stream, the longest time in the switch meanwhile."""

    whole: float
    gap: float
    transit: float


class Neighbour:
    """A stream through a bridge of its own in the same switch."""

    def __init__(self, arrivals: Listener) -> None:
        self._arrivals = arrivals

    def beside(self, act: Callable[[], float]) -> Taken:
        """Return the measurements taken while ``act`` runs; ``act`` returns its duration in seconds."""
        self._arrivals.drain()
        seconds = act()
        time.sleep(0.02)
        seen = self._arrivals.drain()
        gaps = [later.received - earlier.received for earlier, later in pairwise(seen)]
        return Taken(seconds, max(gaps), max(arrival.received - arrival.sent for arrival in seen))


@contextmanager
def neighbour(ovs: PrivateOvs, log: Path) -> Iterator[Neighbour]:
    """The stream, running."""
    ovs.add_bridge("nb", 4)
    ovs.add_veth("nb", 1, "nb-a0", "nb-a1")
    ovs.add_veth("nb", 2, "nb-b0", "nb-b1")
    ovs.ofctl("add-flow", "nb", "in_port=1,actions=output:2")
    with ExitStack() as stack:
        arrivals = listener(ovs, "nb-b1", _NEIGHBOUR_PORT)
        stack.callback(arrivals.close)
        frames = f"nb-a1={udp(2, 1, _NEIGHBOUR_PORT).hex()}"
        stack.enter_context(process(ovs, "-m", "bench.stream", frames, log=log))
        arrivals.first(10)
        yield Neighbour(arrivals)
    ovs.vsctl("del-br", "nb")


def measure(ovs: PrivateOvs, station: BenchStation, rounds: int, log: Path) -> list[Figure]:
    """Interleaved: idle, raw, driver and evbridge, round by round."""
    server, port = ovs.listen()
    with server:
        ovs.add_bridge("raw", 3, f"tcp:127.0.0.1:{port}")
        switch = Switch(server)
    # In pages, as the bodies of types are.
    rules = [
        replace(rule, cookie=rule.cookie + number // PAGE_OF_BODY) for number, rule in enumerate(policy_rules(_COUNT))
    ]
    prepared = b"".join(map(flow_add, rules))
    driven = Driven(switch, rules)

    def raw() -> None:
        switch.send(prepared)
        switch.barrier()

    def preassociate() -> float:
        return station.ask(vsi(_VSI, PreAssociateRR, _LARGEST)).seconds

    ways: dict[str, Callable[[], float]] = {
        "idle": _timed(lambda: time.sleep(_IDLE)),
        "raw socket, serialised beforehand, at once": _timed(raw),
        _PLAIN: _timed(lambda: driven.stage(Mode.BULK)),
        "driver, in pieces, read back": _timed(lambda: driven.stage(Mode.STAGE)),
        "evbridge, Pre-Associate frame to response": preassociate,
    }
    taken: dict[str, list[Taken]] = {name: [] for name in ways}
    with neighbour(ovs, log) as stream:
        for turn in range(rounds + 1):
            for name, way in ways.items():
                result = stream.beside(way)
                switch.send(flow_sweep(_EVERYTHING))
                switch.barrier()
                if name.startswith("evbridge"):
                    station.ask(vsi(_VSI, DeAssociate, _LARGEST))
                time.sleep(0.3)
                if turn:
                    taken[name].append(result)
    switch.close()
    ovs.vsctl("del-br", "raw")
    return _figures(taken)


def _timed(act: Callable[[], None]) -> Callable[[], float]:
    def timed() -> float:
        begin = time.monotonic()
        act()
        return time.monotonic() - begin

    return timed


def _figures(taken: dict[str, list[Taken]]) -> list[Figure]:
    rate = Figure(f"(b) Staging {_COUNT:,} rules", "thousand rules a second", aims=["ratio 0.7 or more"])
    busy = {
        name: Spread.of(_COUNT / 1e3 / run.whole for run in sample) for name, sample in taken.items() if name != "idle"
    }
    base = next(iter(busy.values()))
    for name, spread in busy.items():
        rate.lines.append(Line(name, spread, spread.p50 / base.p50 if spread is not base else None))
    return [
        rate,
        _stalls("(b) Longest gap in a neighbour's stream meanwhile", lambda stall: stall.gap, taken),
        _stalls(
            "(b) Longest time a neighbour's frame spent in the switch meanwhile", lambda stall: stall.transit, taken
        ),
    ]


def _stalls(title: str, which: Callable[[Taken], float], taken: dict[str, list[Taken]]) -> Figure:
    figure = Figure(title, "ms", aims=["ratio 1.5 or less"])
    spreads = {name: Spread.of(1e3 * which(run) for run in sample) for name, sample in taken.items()}
    for name, spread in spreads.items():
        ratio = None if name == _PLAIN else spread.p50 / spreads[_PLAIN].p50
        figure.lines.append(Line(name, spread, ratio))
    return figure
