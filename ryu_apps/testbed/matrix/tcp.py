"""Connections into the VM over which only the client sends: without its state a firewall never passes them again."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress

from ryu_apps.testbed.harness.crowds import CrowdEnd, silent_after
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.matrix.workload import WorkloadStage, WorkloadVerdict

PORT, CLOSED_PORT = 80, 81
#: Of so many connections one more is opened between staging and Associate.
BORN_SHARE = 10


class FirewallWorkload:
    """Established connections pass after the move, others do not."""

    service = "firewall"
    section = "firewall: {max_connections: 4000, to_vm: {rules: [{rule: {tcp_dst: 80, actions: {allow: 1}}}]}%s}"
    scales = True

    def __init__(self) -> None:
        self._resources = ExitStack()

    def begin(self, stage: WorkloadStage, live: int) -> None:
        """Open the connections."""
        self._stage, self._live = stage, live
        self._server = self._resources.enter_context(CrowdEnd(stage.vm.namespace, stage.vm.ip))
        self._client = self._resources.enter_context(CrowdEnd(stage.client.namespace, stage.client.ip))
        stage.vm.prober = self._server
        self._server.tell("listen", PORT)
        self._open(live)
        if live:
            self._client.tell("beat")

    def more(self) -> None:
        """One in ten is opened while the VM is about to move."""
        born = -(-self._live // BORN_SHARE)
        self._live += born
        self._open(born)

    def judge(self) -> WorkloadVerdict:
        """Check that each connection carries a message of the client, and that stray segments are dropped."""
        broken = silent_after(self._client, self._server) if self._live else 0
        return WorkloadVerdict(self._live, broken, self._trespasses())

    def end(self) -> None:
        """Close everything."""
        self._stage.vm.prober = None
        self._resources.close()

    def _open(self, count: int) -> None:
        if count:
            self._client.tell("open", count, self._stage.vm.ip, PORT)

    def _trespasses(self) -> int:
        """Connections to a closed port, and datagrams, both denied by policy."""
        with self._stage.client.namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
            stream.settimeout(0.3)
            try:
                stream.connect((self._stage.vm.ip, CLOSED_PORT))
            except ConnectionRefusedError:
                return 1  # the VM itself has answered: the segment got there
            except TimeoutError:
                return 0
        return 1


class AclWorkload(FirewallWorkload):
    """The same connections under rules that keep no state."""

    service = "ACL"
    section = (
        "to_vm: {rules: [{rule: {tcp_dst: 80, actions: {allow: 1}}}]}\n"
        "from_vm: {rules: [{rule: {tcp_src: 80, actions: {allow: 1}}}]}"
    )


class ProxyWorkload(FirewallWorkload):
    """Connections through the proxy of the source's switch stay with it; new ones have the destination's."""

    service = "TCP proxy"
    section = (
        "tcp_proxy: {ports: [80], max_connections: 4000}\nfrom_vm: {default: allow}\n"
        "to_vm: {rules: [{rule: {tcp_dst: 80, actions: {allow: 1}}}]}"
    )

    def begin(self, stage: WorkloadStage, live: int) -> None:
        """Open the connections; those that bypass the proxies are missing in their count."""
        self._before = self._counted(stage)
        super().begin(stage, live)

    def judge(self) -> WorkloadVerdict:
        """As of a firewall; and all had the proxy of the source, but for one that is opened now."""
        verdict = super().judge()
        self._open(1)
        with suppress(TimeoutError):
            wait_until(lambda: sum(self._since()) > self._live, "the proxies to have counted it")
        here, there = self._since()
        astray = abs(here - self._live) + abs(there - 1)
        return WorkloadVerdict(verdict.live, verdict.broken, verdict.trespassed + astray)

    def _since(self) -> tuple[int, int]:
        """Connections that each proxy has had since this began."""
        here, there = (now - before for now, before in zip(self._counted(self._stage), self._before, strict=True))
        return here, there

    @staticmethod
    def _counted(stage: WorkloadStage) -> list[int]:
        return [proxy.total() for proxy in stage.proxies]
