"""The whole matrix from nothing: a cluster of its own, every case, the cells as they come."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.snooping.settings import Querying, Snooping
from ryu_apps.testbed.emulator import EmulatedStation, StationLoop
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.haproxy import Haproxy
from ryu_apps.testbed.matrix.balancer import BALANCER, BalancerWorkload
from ryu_apps.testbed.matrix.counters import StatisticsWorkload
from ryu_apps.testbed.matrix.groups import FilterWorkload, JoinWorkload
from ryu_apps.testbed.matrix.names import DhcpWorkload, DnsWorkload
from ryu_apps.testbed.matrix.run import Case, Cell, Matrix, cases, policies
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
    ProxyWorkload,
)
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
