"""Connections into the VM over which only the client sends: without its state a firewall never passes them again."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import replace

from ryu_apps.testbed.errors import DeadlineError
from ryu_apps.testbed.harness.crowds import PATIENCE, CrowdEnd, silent_after, silent_since
from ryu_apps.testbed.harness.shell import Namespace, wait_until
from ryu_apps.testbed.harness.tcp_counters import settled_counters, tcp_counters
from ryu_apps.testbed.matrix.workload import MoveCost, WorkloadStage, WorkloadVerdict

PORT, CLOSED_PORT = 80, 81
#: Of so many connections one more is opened between staging and Associate.
BORN_SHARE = 10


class Resumption:
    """First message over every connection after a move, sent as soon as the VM runs again, and its fate.

    The newest connections come first: their state is what the staging has not brought.
    """

    def __init__(self, talker: CrowdEnd, listener: CrowdEnd, namespaces: tuple[Namespace, ...]) -> None:
        """
        Args:
            namespaces: all that have a part in the connections.
        """
        self._talker, self._listener, self._namespaces = talker, listener, namespaces
        self._before = tcp_counters(namespaces)
        self._resumed = time.monotonic()
        self._beat: int = talker.tell("beat")

    def judge(self) -> tuple[int, MoveCost]:
        """Return the number of broken connections, and the cost to the others."""
        broken = silent_since(self._beat, self._talker, self._listener)
        passed = settled_counters(self._namespaces).since(self._before)
        heard = [report.t for report in self._listener.heard().values() if report.beat >= self._beat]
        silence = 1000.0 * (max(heard) - self._resumed) if heard else None
        return broken, MoveCost(passed.dropped, passed.retransmitted, silence)


class FirewallWorkload:
    """Established connections pass after the move, others do not."""

    service = "firewall"
    scales = True
    learns = True

    @staticmethod
    def section(live: int) -> str:
        """One port is open."""
        return "firewall: {max_connections: 4000, to_vm: {rules: [{rule: {tcp_dst: 80, actions: {allow: 1}}}]}}"

    def __init__(self) -> None:
        self._resources = ExitStack()

    def begin(self, stage: WorkloadStage, live: int) -> None:
        """Open the connections, and wait until each has carried a message."""
        self._stage, self._live = stage, 0
        self._resumption: Resumption | None = None
        self._server = self._resources.enter_context(CrowdEnd(stage.vm.namespace, stage.vm.ip))
        self._client = self._resources.enter_context(CrowdEnd(stage.client.namespace, stage.client.ip))
        stage.vm.prober = self._server
        self._server.tell("listen", PORT)
        self._open(live)
        if live and (silent := silent_after(self._client, self._server)):
            raise DeadlineError(f"{silent} of {live} connections are silent before the move")

    def more(self) -> None:
        """One in ten is opened while the VM is about to move."""
        self._open(-(-self._live // BORN_SHARE))

    def resumed(self) -> None:
        """The client sends at once."""
        if self._live:
            self._resumption = Resumption(self._client, self._server, self._namespaces)

    def judge(self) -> WorkloadVerdict:
        """Check that each connection carries a message of the client, and that stray segments are dropped."""
        broken, cost = self._resumption.judge() if self._resumption else (0, MoveCost())
        return WorkloadVerdict(self._live, broken, self._trespasses(), cost)

    def end(self) -> None:
        """Close everything."""
        self._stage.vm.prober = None
        self._resources.close()

    @property
    def _namespaces(self) -> tuple[Namespace, ...]:
        return self._stage.client.namespace, self._stage.vm.namespace

    def _open(self, count: int) -> None:
        """Open connections; both ends have them when it returns."""
        if not count:
            return
        self._live += count
        standing = self._client.tell("open", count, self._stage.vm.ip, PORT)
        if standing != self._live:
            raise DeadlineError(f"{standing} of {self._live} connections stand")
        wait_until(lambda: len(self._server.heard()) >= self._live, "connections at the server", PATIENCE)

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
    learns = False

    @staticmethod
    def section(live: int) -> str:
        """One port is open, and may answer."""
        return (
            "to_vm: {rules: [{rule: {tcp_dst: 80, actions: {allow: 1}}}]}\n"
            "from_vm: {rules: [{rule: {tcp_src: 80, actions: {allow: 1}}}]}"
        )


class ProxyWorkload(FirewallWorkload):
    """Connections through the proxy of the source's switch stay with it; new ones have the destination's."""

    service = "TCP proxy"

    @staticmethod
    def section(live: int) -> str:
        """One port has a proxy."""
        return (
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
            wait_until(lambda: sum(self._since()) >= self._live, "the proxies to have counted it")
        here, there = self._since()
        astray = abs(here - verdict.live) + abs(there - 1)
        left, moved = (len(proxy.clients()) for proxy in self._stage.proxies)
        cost = replace(verdict.cost, contexts_left=left, contexts_moved=moved - 1)
        return WorkloadVerdict(verdict.live, verdict.broken, verdict.trespassed + astray, cost)

    def end(self) -> None:
        """Close everything, in the proxies too: their contexts would count towards the next workload's."""
        super().end()
        for proxy in self._stage.proxies:
            proxy.disconnect()

    @property
    def _namespaces(self) -> tuple[Namespace, ...]:
        return (*super()._namespaces, *(proxy.namespace for proxy in self._stage.proxies))

    def _since(self) -> tuple[int, int]:
        """Connections that each proxy has had since this began."""
        here, there = (now - before for now, before in zip(self._counted(self._stage), self._before, strict=True))
        return here, there

    @staticmethod
    def _counted(stage: WorkloadStage) -> list[int]:
        return [proxy.total() for proxy in stage.proxies]
