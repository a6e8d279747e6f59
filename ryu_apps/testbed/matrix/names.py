"""DNS and DHCP: no rule of theirs, no state; a VM that has moved renews its lease and resolves names."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ryu_apps.testbed.harness.dhcp import DhcpClient, Dnsmasq, resolve
from ryu_apps.testbed.harness.running import end_all
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.vm import INTERFACE
from ryu_apps.testbed.matrix.workload import WorkloadStage, WorkloadVerdict

NAME = "moved.example.test"


class DhcpWorkload:
    """One lease, renewed after the move."""

    service = "DHCP"
    scales = False
    learns = False

    @staticmethod
    def section(live: int) -> str:
        """The server of DHCP may answer."""
        return "firewall: {to_vm: {rules: [{rule: {udp_src: dhcp_server, udp_dst: dhcp_client, actions: {allow: 1}}}]}}"

    def begin(self, stage: WorkloadStage, live: int) -> None:
        """A real dnsmasq at the management host, a real client in the VM."""
        self._stage = stage
        self._folder = tempfile.TemporaryDirectory(prefix="lease-")
        folder = Path(self._folder.name)
        self._server = Dnsmasq(stage.nms.namespace, stage.nms.interface, folder, (stage.vm.mac, stage.vm.ip), NAME)
        self._server.start()
        self._client = DhcpClient(stage.vm.namespace, INTERFACE, folder)
        wait_until(lambda: self._client.leases, "lease", 20)

    def more(self) -> None:
        """Nothing comes in between."""

    def resumed(self) -> None:
        """Nothing is sent before the lease is renewed."""

    def judge(self) -> WorkloadVerdict:
        """Renew the lease."""
        known = len(self._client.leases)
        self._client.renew()
        try:
            wait_until(lambda: self._client.leases[known:], "renewal")
        except TimeoutError:
            return WorkloadVerdict(1, 1)
        return WorkloadVerdict(1, 0)

    def end(self) -> None:
        """Stop both."""
        end_all(self._client.stop, self._server.stop, self._folder.cleanup)


class DnsWorkload(DhcpWorkload):
    """The name of the VM, asked for by the VM itself."""

    service = "DNS"

    def judge(self) -> WorkloadVerdict:
        """Resolve it."""
        answer = resolve(self._stage.vm.namespace, self._stage.nms.ip, NAME)
        return WorkloadVerdict(1, int(answer != [self._stage.vm.ip]))
