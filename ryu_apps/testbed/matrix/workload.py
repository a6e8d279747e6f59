"""Workloads of services while their VM moves, and the verdict on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ryu_apps.testbed.harness.cluster import Cluster, EndHost
from ryu_apps.testbed.harness.haproxy import Haproxy
from ryu_apps.testbed.harness.station import VdptoolVsi
from ryu_apps.testbed.harness.vm import NamespaceVm


@dataclass(frozen=True, slots=True)
class WorkloadStage:
    """Surroundings of a workload: a cluster, the VM that moves, end systems and proxies.

    Attributes:
        vm, vsi: what moves.
        nms, client: the end systems, one at each switch.
        proxies: a transparent proxy at each switch, that of the source's first.
    """

    cluster: Cluster
    vm: NamespaceVm
    vsi: VdptoolVsi
    proxies: tuple[Haproxy, Haproxy]

    @property
    def nms(self) -> EndHost:
        return self.cluster.hosts["nms"]

    @property
    def client(self) -> EndHost:
        return self.cluster.hosts["client"]


@dataclass(frozen=True, slots=True)
class MoveCost:
    """Cost of a move to what was live; see ``cells.Cell``.  None: the workload cannot measure it."""

    dropped: int | None = None
    retransmitted: int | None = None
    silence_ms: float | None = None
    contexts_left: int | None = None
    contexts_moved: int | None = None


@dataclass(frozen=True, slots=True)
class WorkloadVerdict:
    """Result of a workload.

    Attributes:
        live: connections, memberships or the like that were to survive.
        broken: of these, did not.
        trespassed: what should have been stopped and was not.
        cost: of the move to what survived.
    """

    live: int
    broken: int
    trespassed: int = 0
    cost: MoveCost = MoveCost()


class Workload(Protocol):
    """The traffic of one service around one move; made anew for each.

    Attributes:
        service: its row in the paper's tables.
        scales: it has a number of connections or the like at all.
        learns: its state comes while the VM runs, so some comes after the staging; only then the length of the
            suspension can matter.
    """

    service: str
    scales: bool
    learns: bool

    @staticmethod
    def section(live: int) -> str:
        """Its section of a policy file for so many connections, as YAML text."""

    def begin(self, stage: WorkloadStage, live: int) -> None:
        """Set up so many connections at the source."""

    def more(self) -> None:
        """Add what comes between staging and Associate."""

    def resumed(self) -> None:
        """Called as soon as the VM runs at its destination."""

    def judge(self) -> WorkloadVerdict:
        """After the move: what still works, and what should not and does."""

    def end(self) -> None:
        """Stop everything that was started."""
