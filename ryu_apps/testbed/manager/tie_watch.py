"""Ties of VMs to the proxies of switches that they have left, on a cluster."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress

from ryu_apps.evb.topology.interface import Role
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.ovs import dump_flows
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.measurement.ties import Tie, tied


class TieWatch:
    """Counts the connections of VMs at proxies of other switches, and notes when the last of them has ended."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._vms: dict[str, tuple[str, str]] = {}
        self._counted: dict[tuple[str, str], int] = {}
        self._ended: dict[tuple[str, str], float] = {}
        self._switches: dict[str, str] = {}
        self._proxies: dict[str, str] = {}

    def count(self, vms: Mapping[str, tuple[str, str | None]]) -> None:
        """Count the ties that there are now.

        Args:
            vms: VM -> IPv4 address, and node that it runs at; None: nowhere.
        """
        fabric = self._cluster.fabric
        for port in fabric.ports(Role.HOST):
            interface = fabric.interface(port)
            if interface is not None and interface.appliance:
                self._switches[interface.name] = fabric.switches[port.dpid].name
                self._proxies[self._cluster.hosts[interface.name].mac] = interface.name
        for name, (ip, node) in vms.items() if self._proxies else ():
            if node is not None:
                self._vms[name] = ip, fabric.switches[self._cluster.hypervisors[node].port.dpid].name
        self._counted = self._now()

    def wait_until_gone(self, limit: float) -> None:
        """Wait for the end of the counted ties."""
        with suppress(TimeoutError):
            wait_until(self._are_gone, "end of all ties", limit, pause=0.2)

    def of(self, vm: str, begun: float) -> tuple[Tie, ...]:
        """Return the ties of a VM; ``begun``: when the goal had begun, monotonic seconds."""
        return tuple(
            Tie(proxy, self._switches[proxy], number, ended - begun if ended is not None else None)
            for (name, proxy), number in self._counted.items()
            for ended in [self._ended.get((name, proxy))]
            if name == vm
        )

    def _are_gone(self) -> bool:
        now = self._now() if self._counted else {}
        for tie in self._counted.keys() - now.keys() - self._ended.keys():
            self._ended[tie] = time.monotonic()
        return self._counted.keys() == self._ended.keys()

    def _now(self) -> dict[tuple[str, str], int]:
        dumps = {switch: dump_flows(switch) for switch in {switch for _, switch in self._vms.values()}}
        return {
            (name, proxy): number
            for name, (ip, switch) in self._vms.items()
            for proxy, number in tied(dumps[switch], ip, self._proxies).items()
            if self._switches[proxy] != switch
        }
