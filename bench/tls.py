"""(k) From the Associate frame to the VDP response, over TCP and over TLS."""

from __future__ import annotations

from contextlib import ExitStack

from bench.figures import Figure, Line, Spread
from bench.response import associate
from bench.rig import PLAIN, evbridge, private_ovs

_WARM_UP = 3
_TCP, _TLS = "OpenFlow over TCP", "OpenFlow over TLS, certificates on both sides"


def measure(rounds: int) -> Figure:
    """Two bridges side by side, each with an Open vSwitch of its own, round by round."""
    samples: dict[str, list[float]] = {_TCP: [], _TLS: []}
    with ExitStack() as stack:
        stations = {}
        for name in samples:
            ovs = stack.enter_context(private_ovs())
            stations[name], _ = stack.enter_context(evbridge(ovs, tls=name is _TLS))
        for _ in range(rounds + _WARM_UP):
            for name, station in stations.items():
                samples[name].append(associate(station, PLAIN))
    spreads = {name: Spread.of(1e6 * seconds for seconds in sample[_WARM_UP:]) for name, sample in samples.items()}
    figure = Figure("(k) Associate frame to VDP response, by channel", "us", [])
    for name, spread in spreads.items():
        figure.lines.append(Line(name, spread, spread.p50 / spreads[_TCP].p50))
    return figure
