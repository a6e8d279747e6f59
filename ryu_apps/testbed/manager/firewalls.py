"""Firewalls in VMs of an inventory: each between the VMs that need it and the peers of their traffic."""

from __future__ import annotations

from collections import Counter

from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.running import end_all
from ryu_apps.testbed.harness.vm_firewall import FirewallEnd, VmFirewall, allowed
from ryu_apps.testbed.measurement.appliances import ApplianceReport, firewall_report
from ryu_apps.vcm.schema import FirewallSection, InventoryFile


class Firewalls:
    """The firewalls of a run, from the start of its traffic on.

    A VM that dies takes the counters in it along.
    """

    def __init__(self, file: InventoryFile, cluster: Cluster) -> None:
        self._file, self._cluster = file, cluster
        self._running: dict[str, VmFirewall] = {}
        self._bypassed: Counter[str] = Counter()
        self._dead: set[str] = set()

    def start(self) -> None:
        """Start those in all VMs."""
        for name in self._sections():
            self._start(name)

    def stop(self) -> None:
        """Stop them all."""
        end_all(*(firewall.stop for firewall in self._running.values()))
        self._running.clear()

    def died(self, vm: str) -> None:
        """A VM has died, with its namespace."""
        self._dead.add(vm)
        for firewall in self._running.values():
            firewall.unwatch(vm)
        if vm in self._running:
            dead = self._running.pop(vm)
            self._bypassed[vm] += dead.bypassed()
            dead.stop()

    def restarted(self, vm: str) -> None:
        """A VM that had died runs again, in a namespace of its own."""
        self._dead.discard(vm)
        if vm in self._sections():
            self._start(vm)
        for name, firewall in self._running.items():
            if name in self._file.vms[vm].needs:
                firewall.watch(*self._pair(vm))

    def reports(self) -> tuple[ApplianceReport, ...]:
        """Return what each that runs has routed, and what has passed by it."""
        return tuple(self._report(name, firewall) for name, firewall in self._running.items())

    def _report(self, name: str, firewall: VmFirewall) -> ApplianceReport:
        counts = firewall.counts()
        counts["bypassed"] += self._bypassed[name]
        return firewall_report(name, counts, firewall.ways)

    def _start(self, name: str) -> None:
        section = self._sections()[name]
        clients = (vm for vm, other in self._file.vms.items() if name in other.needs and vm not in self._dead)
        pairs = [self._pair(client) for client in clients]
        self._running[name] = VmFirewall(self._cluster.vms[name], pairs, allowed(section.tcp, section.udp))
        self._running[name].start()

    def _sections(self) -> dict[str, FirewallSection]:
        return {name: vm.firewall for name, vm in self._file.vms.items() if vm.firewall is not None}

    def _pair(self, vm: str) -> tuple[FirewallEnd, FirewallEnd]:
        guest, host = self._cluster.vms[vm], self._cluster.hosts[self._file.vms[vm].traffic.host]
        return FirewallEnd(guest.namespace, guest.ip), FirewallEnd(host.namespace, host.ip)
