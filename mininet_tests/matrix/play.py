"""The whole matrix from nothing: a cluster of its own, every case, the cells as they come."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from mininet_tests.emulator import EmulatedStation, StationLoop
from mininet_tests.harness.cluster import Cluster
from mininet_tests.matrix.run import Case, Cell, Matrix, cases, policies
from mininet_tests.matrix.tcp import Acl, Firewall
from mininet_tests.matrix.workload import Workload
from ryu_apps.evb.config import BridgeConfig, dump_config
from topologies import two_switch

#: The rows of the tables.
WORKLOADS: tuple[type[Workload], ...] = (Acl, Firewall)
SIZES = (0, 10, 100, 1000)


def all_cases(sizes: Sequence[int] = SIZES) -> list[Case]:
    """Every move."""
    return list(cases(WORKLOADS, sizes))


def play(wanted: Sequence[Case], output: Path, progress: Callable[[str], None]) -> Iterator[Cell]:
    """Run moves one after the other.

    Args:
        wanted: see :func:`all_cases`.
        output: existing folder for the controller's log.
        progress: told each move.
    """
    progress("starting the cluster")
    with stage(output) as matrix:
        for case in wanted:
            yield matrix.run(case, progress)


@contextmanager
def stage(output: Path) -> Iterator[Matrix]:
    """A cluster with a VSI type for each row; its logs go to ``output / "logs"``."""
    with tempfile.TemporaryDirectory(prefix="evbridge-", dir="/run") as name, closing(StationLoop()) as loop:
        folder, types = Path(name) / "cluster", Path(name) / "policies"
        folder.mkdir()
        types.mkdir()
        numbers = policies(WORKLOADS, types)
        fabric = two_switch.fabric()
        config = dump_config(BridgeConfig(fabric, (str(types),)))
        station = partial(EmulatedStation, loop)
        cluster = Cluster(fabric, two_switch.END_SYSTEMS, folder, config, station=station)
        try:
            with cluster:
                yield Matrix(cluster, numbers)
        finally:
            cluster.keep_logs(output / "logs")
