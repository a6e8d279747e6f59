"""(d) From the Associate frame to the VDP response, with every service on and with an ACL alone."""

from __future__ import annotations

from bench.figures import Figure, Line, Spread
from bench.response import associate
from bench.rig import ALL_SERVICES, PLAIN
from bench.station import BenchStation

_WARM_UP = 3


def measure(station: BenchStation, rounds: int) -> Figure:
    """Interleaved, round by round; the types have the same ACL."""
    taken: dict[int, list[float]] = {PLAIN: [], ALL_SERVICES: []}
    for _ in range(rounds + _WARM_UP):
        for type_id, sample in taken.items():
            sample.append(associate(station, type_id))
    plain, all_on = (Spread.of(1e6 * seconds for seconds in sample[_WARM_UP:]) for sample in taken.values())
    lines = [Line("an ACL alone", plain), Line("and every service", all_on, all_on.p50 / plain.p50)]
    return Figure("(d) Associate frame to VDP response, by services", "us", lines, aims=["ratio 1.1 or less"])
