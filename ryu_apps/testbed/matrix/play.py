"""The whole matrix from nothing: a cluster of its own, every case, the cells as they come."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.snooping.settings import Querying, Snooping
from ryu_apps.testbed.emulator import EmulatedStation, StationLoop
from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.haproxy import Haproxy
from ryu_apps.testbed.matrix.balancer import BALANCER, BalancerWorkload
from ryu_apps.testbed.matrix.cells import Cell
from ryu_apps.testbed.matrix.counters import StatisticsWorkload
from ryu_apps.testbed.matrix.groups import ConfiguredWorkload, FilterWorkload, JoinWorkload
from ryu_apps.testbed.matrix.names import DhcpWorkload, DnsWorkload
from ryu_apps.testbed.matrix.run import SUSPENSION, Case, Matrix, cases, policies
from ryu_apps.testbed.matrix.tcp import AclWorkload, FirewallWorkload, ProxyWorkload
from ryu_apps.testbed.matrix.workload import Workload
from ryu_apps.topologies import two_switch

#: The rows of the tables.
WORKLOADS: tuple[type[Workload], ...] = (
    DnsWorkload,
    DhcpWorkload,
    FirewallWorkload,
    BalancerWorkload,
    AclWorkload,
    StatisticsWorkload,
    FilterWorkload,
    JoinWorkload,
    ConfiguredWorkload,
    ProxyWorkload,
)
SIZES = (0, 10, 100, 1000)
#: Seconds; the first is that of moves whose suspension is not in question.  The paper expects 4 to 5 at the most.
SUSPENSIONS = (SUSPENSION, 0.05, 1.0, 5.0)


class IncompleteCase(NamedTuple):
    """A move that was not completed, and the reason."""

    case: Case
    reason: str

    def __str__(self) -> str:
        return f"{self.case.name}, round {self.case.round}: {self.reason}"


def all_cases(
    sizes: Sequence[int] = SIZES,
    suspensions: Sequence[float] = SUSPENSIONS,
    rounds: int = 1,
    patterns: Sequence[str] = (),
) -> list[Case]:
    """Every move, round by round.

    Args:
        patterns: as of file names, for the names of cases; none: all cases.
    """
    plan = [case for case in cases(WORKLOADS, sizes, suspensions) if not patterns or _is_wanted(case, patterns)]
    return [replace(case, round=number) for number in range(1, rounds + 1) for case in plan]


def _is_wanted(case: Case, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(case.name, pattern) for pattern in patterns)


def play(wanted: Sequence[Case], output: Path, progress: Callable[[str], None]) -> Iterator[Cell | IncompleteCase]:
    """Run moves one after the other; one that is not completed does not keep the others from being measured.

    Args:
        wanted: see :func:`all_cases`.
        output: existing folder for the controller's log.
        progress: told each move.
    """
    progress("starting the cluster")
    with stage(output, wanted) as matrix:
        for case in wanted:
            yield measure(matrix, case, progress)


def measure(matrix: Matrix, case: Case, progress: Callable[[str], None] = lambda words: None) -> Cell | IncompleteCase:
    """Run one move; the cluster is clean for the next one if it is not completed."""
    try:
        return matrix.run(case, progress)
    except (TestbedError, TimeoutError) as error:
        return IncompleteCase(case, str(error))


@contextmanager
def stage(output: Path, wanted: Sequence[Case]) -> Iterator[Matrix]:
    """A cluster with a VSI type for each case; its logs go to ``output / "logs"``."""
    with tempfile.TemporaryDirectory(prefix="evbridge-", dir="/run") as name, closing(StationLoop()) as loop:
        folder, types = Path(name) / "cluster", Path(name) / "policies"
        folder.mkdir()
        types.mkdir()
        numbers = policies(wanted, types)
        fabric = replace(two_switch.fabric(proxies=1), balancers=(BALANCER,))
        # No querier: memberships that are not carried with a VM are lost.
        config = dump_config(BridgeConfig(fabric, (str(types),), multicast=Snooping(Querying(on=False))))
        station = partial(EmulatedStation, loop)
        systems = (*two_switch.END_SYSTEMS, *two_switch.PROXIES)
        cluster = Cluster(fabric, systems, folder, config, station=station)
        try:
            with cluster, ExitStack() as proxies:
                yield Matrix(cluster, numbers, _proxies(cluster, folder, proxies))
        finally:
            cluster.keep_logs(output / "logs")


def _proxies(cluster: Cluster, folder: Path, resources: ExitStack) -> tuple[Haproxy, Haproxy]:
    """A proxy at each switch that keeps the client's port, by which connections are known here."""
    made = []
    for system in two_switch.PROXIES:
        host = cluster.hosts[system.name]
        proxy = Haproxy(host.namespace, host.interface, folder, source="client")
        resources.callback(proxy.stop)
        proxy.start()
        made.append(proxy)
    return made[0], made[1]
