"""(i) From the Associate frame to the VDP response, by where the bridge keeps its state."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.figures import Figure, Line, Spread
from bench.response import associate
from bench.rig import PLAIN, evbridge, private_ovs
from ryu_apps.testbed.harness.ovsdb_cluster import OvsdbCluster

_WARM_UP = 3
_MEMORY = "memory"


def measure(rounds: int) -> Figure:
    """One bridge after the other, each with another store and an Open vSwitch of its own."""
    with tempfile.TemporaryDirectory(prefix="ovsdb-") as folder, OvsdbCluster(Path(folder)) as cluster:
        remotes = ", ".join(f'"{remote}"' for remote in cluster.remotes)
        stores = {
            _MEMORY: "",
            "SQLite": "state_dir: state\n",
            "three servers on this machine": f"store: {{remotes: [{remotes}]}}\n",
        }
        spreads = {name: _spread(lines, rounds) for name, lines in stores.items()}
    figure = Figure("(i) Associate frame to VDP response, by store", "us", [])
    for name, spread in spreads.items():
        figure.lines.append(Line(name, spread, spread.p50 / spreads[_MEMORY].p50))
    return figure


def _spread(store: str, rounds: int) -> Spread:
    with private_ovs() as ovs, evbridge(ovs, store) as (station, _):
        samples = [associate(station, PLAIN) for _ in range(rounds + _WARM_UP)]
    return Spread.of(1e6 * seconds for seconds in samples[_WARM_UP:])
