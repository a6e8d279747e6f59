"""Appliances of a scenario: firewalls in VMs and load balancers at hosts, and what has gone through each."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.testbed.harness.balancer_host import BalancerHost
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.running import end_all
from ryu_apps.testbed.harness.vm_firewall import FirewallEnd, VmFirewall, allowed
from ryu_apps.testbed.measurement.appliances import ApplianceReport, balancer_report, firewall_report
from ryu_apps.testbed.replay.schema import FirewallSpec, ScenarioFile


class Appliances:
    """The appliances of one run; its VMs are up."""

    def __init__(self, file: ScenarioFile, cluster: Cluster) -> None:
        self._cluster = cluster
        self._firewalls = {
            name: VmFirewall(
                cluster.vms[name], self._pairs(spec.firewall), allowed(spec.firewall.tcp, spec.firewall.udp)
            )
            for name, spec in file.vms.items()
            if spec.firewall is not None
        }
        self._balancers = {
            name: BalancerHost(
                *(cluster.hosts[name], spec.port),
                [(cluster.vms[vm].namespace, cluster.vms[vm].ip) for vm in spec.backends],
                cluster.folder,
            )
            for name, spec in file.cluster.balancers.items()
        }
        self._running: list[VmFirewall | BalancerHost] = []

    def start(self) -> None:
        """Start them all."""
        appliances: list[VmFirewall | BalancerHost] = [*self._firewalls.values(), *self._balancers.values()]
        for appliance in appliances:
            self._running.insert(0, appliance)
            appliance.start()

    def stop(self) -> None:
        """Stop them all."""
        end_all(*(appliance.stop for appliance in self._running))
        self._running.clear()

    def report(self) -> tuple[ApplianceReport, ...]:
        """Return what each has passed on."""
        return (*self._of_firewalls(), *self._of_balancers())

    def _of_firewalls(self) -> Iterator[ApplianceReport]:
        for name, firewall in self._firewalls.items():
            yield firewall_report(name, firewall.counts(), firewall.ways)

    def _of_balancers(self) -> Iterator[ApplianceReport]:
        for name, balancer in self._balancers.items():
            yield balancer_report(name, balancer.counts())

    def _pairs(self, spec: FirewallSpec) -> Iterator[tuple[FirewallEnd, FirewallEnd]]:
        for vm, peer in spec.between.items():
            yield self._end(vm), self._end(peer)

    def _end(self, name: str) -> FirewallEnd:
        if name in self._cluster.vms:
            vm = self._cluster.vms[name]
            return FirewallEnd(vm.namespace, vm.ip, vm.ip6)
        host = self._cluster.hosts[name]
        return FirewallEnd(host.namespace, host.ip, host.ip6)
