"""(e) From the Associate frame to the VDP response, while another port, or a guest of the same one, floods."""

from __future__ import annotations

import time
from pathlib import Path

from bench.figures import Figure, Line, Spread
from bench.flood import BEGUN, KNOWN
from bench.response import associate
from bench.rig import FLOODER, PLAIN, process
from bench.station import BenchStation
from tests.interop.private_ovs import PrivateOvs, wait_for

#: What floods, by whom, and what that is called.
_FLOODS = (
    ("unknown", "evb-fl1", "another port: 20 unknown VSIs a frame"),
    ("draft", "evb-fl1", "another port: draft ECP"),
    ("known", "evb-fl1", f"another port: keep-alives of {KNOWN:,} VSIs"),
    ("guest", "evb-st1", "a guest of the same port: ECP"),
)
#: Seconds until the flood has begun: VSIs that are to be known have to be associated first.
_PATIENCE = 300.0
#: Seconds until the flood has used up what a port may send at once.
_SETTLING = 1.0


def measure(ovs: PrivateOvs, station: BenchStation, rounds: int, log: Path) -> Figure:
    """Each flood right behind the quiet that it is compared with."""
    ovs.add_veth("evb", FLOODER, "evb-fl0", "evb-fl1")
    figure = Figure("(e) Associate frame to VDP response, quiet and flooded", "us", aims=["ratio 2.0 or less"])
    for kind, interface, name in _FLOODS:
        quiet = _sample(station, rounds)
        with process(ovs, "-m", "bench.flood", kind, interface, log=log):
            wait_for(lambda: BEGUN in log.read_text(), "flood", _PATIENCE)
            time.sleep(_SETTLING)
            flooded = _sample(station, rounds)
        figure.lines += [Line("quiet", quiet), Line(name, flooded, flooded.p50 / quiet.p50)]
    return figure


def _sample(station: BenchStation, rounds: int) -> Spread:
    return Spread.of(1e6 * associate(station, PLAIN) for _ in range(rounds))
