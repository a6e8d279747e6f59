"""Pauses of a replay, in which its cluster is inspected from another shell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.sandbox import outside_pid
from ryu_apps.testbed.replay.management import credentials


def _nothing(cluster: Cluster) -> None:
    """No pause."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """Functions that return when the replay is to go on.

    Attributes:
        staged: called in each migration whose destination holds the VM's rules, disabled; the VM runs at the source.
        finished: called after the last migration, while the VMs are still there.
    """

    staged: Callable[[Cluster], None] = _nothing
    finished: Callable[[Cluster], None] = _nothing


NO_PAUSES = Pauses()


def inspection(cluster: Cluster) -> list[str]:
    """Commands that show the rules of each switch and the state of the bridge, for another shell of this machine.

    Private namespaces are entered through the process that waits outside; a shell needs root for that.
    """
    pid = outside_pid()
    into = "" if pid is None else f"nsenter --target {pid} --mount --net "
    dump = f"{into}env OVS_RUNDIR={cluster.folder / 'ovs'} ovs-ofctl -O OpenFlow13 dump-flows"
    dumps = [f"{dump} {switch.name}" for switch in cluster.fabric.switches.values()]
    access = credentials(cluster.folder) if cluster.controller.access else ""
    return [*dumps, f"{into}curl -s {access}{cluster.controller.url}/evb/status"]
