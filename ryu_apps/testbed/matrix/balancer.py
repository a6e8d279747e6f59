"""Connections of the VM to a virtual address: after the move they have the back end that they had, new ones another."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from ipaddress import ip_address

from ryu_apps.evb.topology.balancer import Backend, LoadBalancer, TransportProtocol
from ryu_apps.testbed.errors import DeadlineError
from ryu_apps.testbed.harness.crowds import CrowdEnd, silent_after
from ryu_apps.testbed.matrix.tcp import Resumption
from ryu_apps.testbed.matrix.workload import MoveCost, WorkloadStage, WorkloadVerdict
from ryu_apps.topologies import two_switch

PORT, CLOSED_PORT = 80, 81
VIRTUAL = "10.0.100.9"
#: One back end at each switch.
BALANCER = LoadBalancer(
    1,
    "web",
    two_switch.NATIVE_VLAN,
    0x0200000064C8,
    (ip_address(VIRTUAL),),
    TransportProtocol.TCP,
    PORT,
    tuple(
        Backend(system.name, system.mac, (ip_address(system.ip.partition("/")[0]),), PORT)
        for system in two_switch.END_SYSTEMS
    ),
)
_BORN_SHARE = 10


class BalancerWorkload:
    """Established connections keep their back end, although it is in rotation no more."""

    service = "load balancer"
    scales = True
    learns = True

    @staticmethod
    def section(live: int) -> str:
        """A client; everything is allowed."""
        return "load_balancer: {max_connections: 4000}\nfrom_vm: {default: allow}\nto_vm: {default: allow}"

    def begin(self, stage: WorkloadStage, live: int) -> None:
        """All go to the client host."""
        self._stage, self._live, self._resources = stage, live, ExitStack()
        self._opened = 0
        self._resumption: Resumption | None = None
        self._first, self._second = (
            self._resources.enter_context(CrowdEnd(host.namespace, host.ip)) for host in (stage.client, stage.nms)
        )
        self._vm = self._resources.enter_context(CrowdEnd(stage.vm.namespace, stage.vm.ip))
        stage.vm.prober = self._vm
        for end in (self._first, self._second):
            end.tell("listen", PORT)
        self._rotate("client", "nms")
        self._open(live)
        if live and (silent := silent_after(self._vm, self._first)):
            raise DeadlineError(f"{silent} of {live} connections are silent before the move")

    def more(self) -> None:
        """One in ten is opened while the VM is about to move; later ones go to the other host."""
        born = -(-self._live // _BORN_SHARE)
        self._live += born
        self._open(born)
        self._rotate("nms", "client")

    def resumed(self) -> None:
        """The VM sends at once."""
        if self._live:
            namespaces = tuple(place.namespace for place in (self._stage.vm, self._stage.client, self._stage.nms))
            self._resumption = Resumption(self._vm, self._first, namespaces)

    def judge(self) -> WorkloadVerdict:
        """Check that old connections keep their host, new ones reach the other host, and other ports none."""
        broken, cost = self._resumption.judge() if self._resumption else (0, MoveCost())
        self._open(1)
        self._vm.tell("beat")
        silent_after(self._vm, self._second, limit=0.5)
        astray = int(len(self._second.heard()) != 1) + abs(len(self._first.heard()) - self._live)
        return WorkloadVerdict(self._live, broken, astray + self._trespasses(), cost)

    def end(self) -> None:
        """Close everything."""
        self._stage.vm.prober = None
        self._resources.close()

    def _open(self, count: int) -> None:
        if not count:
            return
        self._opened += count
        standing = self._vm.tell("open", count, VIRTUAL, PORT)
        if standing != self._opened:
            raise DeadlineError(f"{standing} of {self._opened} connections stand")

    def _rotate(self, come: str, gone: str) -> None:
        for name, up in ((come, True), (gone, False)):
            self._stage.cluster.controller.put(f"/evb/load_balancers/web/backends/{name}", {"up": up})

    def _trespasses(self) -> int:
        with self._stage.vm.namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
            stream.settimeout(0.3)
            return int(stream.connect_ex((VIRTUAL, CLOSED_PORT)) == 0)
