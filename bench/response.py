"""(a) From the Associate frame to the VDP response, by how much has been staged."""

from __future__ import annotations

import time

from bench.figures import Figure, Line, Spread
from bench.reference import Wish
from bench.rig import TYPES, Reference
from bench.station import MOVER, PAUSE, BenchStation, vsi
from ryu_apps.evb.wire.vdp import Associate, DeAssociate, PreAssociateRR

_WARM_UP = 3
#: The VSI that keeps a type's rules staged while others come and go.
_KEEPER = 0x10


def measure(station: BenchStation, reference: Reference, rounds: int) -> Figure:
    """Interleaved: one yardstick, then one Associate of each size, round by round."""
    for type_id in TYPES:
        station.ask(vsi(_KEEPER + type_id, PreAssociateRR, type_id))
    yardstick: list[float] = []
    floor: list[float] = []
    responses: dict[int, list[float]] = {type_id: [] for type_id in TYPES}
    for _ in range(rounds + _WARM_UP):
        for type_id, sample in responses.items():
            yardstick.append(_asked(reference, Wish.GATE))
            floor.append(_asked(reference, Wish.FLIP))
            sample.append(associate(station, type_id))
    for type_id in TYPES:
        station.ask(vsi(_KEEPER + type_id, DeAssociate, type_id))
    return _figure(
        yardstick[_WARM_UP * len(TYPES) :],
        floor[_WARM_UP * len(TYPES) :],
        {TYPES[count]: sample[_WARM_UP:] for count, sample in responses.items()},
    )


def _asked(reference: Reference, wish: Wish) -> float:
    """As idle before as the station is, and as warm."""
    time.sleep(PAUSE)
    reference.ask(wish)
    time.sleep(PAUSE)
    begin = time.monotonic()
    reference.ask(wish)
    return time.monotonic() - begin


def associate(station: BenchStation, type_id: int) -> float:
    """Stage, associate and take off a VSI; seconds from the Associate to its answer."""
    mover = MOVER + type_id
    station.ask(vsi(mover, PreAssociateRR, type_id))
    taken = station.ask(vsi(mover, Associate, type_id)).seconds
    station.ask(vsi(mover, DeAssociate, type_id))
    return taken


def _figure(yardstick: list[float], floor: list[float], responses: dict[int, list[float]]) -> Figure:
    base = Spread.of(1e6 * seconds for seconds in yardstick)
    figure = Figure("(a) Associate frame to VDP response", "us", [Line("reference: one rule, barrier, answer", base)])
    bare = Spread.of(1e6 * seconds for seconds in floor)
    figure.lines.append(Line("floor: evbridge's octets, sent by a bare script", bare, bare.p50 / base.p50))
    spreads = {count: Spread.of(1e6 * seconds for seconds in sample) for count, sample in responses.items()}
    for count, spread in spreads.items():
        figure.lines.append(Line(f"evbridge, {count:,} rules staged", spread, spread.p50 / base.p50))
    least, most = min(spreads), max(spreads)
    figure.aims = ["ratio 2.0 or less", f"{most:,} rules at most 1.1 times {least:,} rules"]
    figure.notes = [f"{most:,} rules take {spreads[most].p50 / spreads[least].p50:.2f} times what {least:,} take"]
    return figure
