"""DNS and DHCP need nothing of the bridge but the rules of the policy: a VM that has moved goes on as before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mininet_tests.conftest import tables
from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.testbed.flow_dumps import added
from ryu_apps.testbed.harness.capture import Sighting, Tap, only_ethertypes
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.dhcp import DhcpClient, Dnsmasq, resolve
from ryu_apps.testbed.harness.ovs import dump_groups
from ryu_apps.testbed.harness.shell import PATIENCE, wait_until
from ryu_apps.testbed.harness.station import VdptoolVsi
from ryu_apps.testbed.harness.vm import INTERFACE, NamespaceVm
from ryu_apps.testbed.moves.attempt import admit, dismiss
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.moves.single import SingleMove
from ryu_apps.vcm.move_events import Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

HERE, THERE = "hv1", "hv5"
MAC, ADDRESS, NAME = "52:54:00:dd:00:01", "10.0.100.91", "moved.example.test"
#: The server's address, and one that it changes to, so that only a broadcast finds it.
SERVER, OTHER = "10.0.100.1", "10.0.100.3"
_IPV4 = 0x0800
_UDP, _DHCP_SERVER = b"\x11", b"\0\x43"
#: Source and destination port of a UDP datagram without IP options, in octets of the frame.
_FROM_SERVER, _TO_SERVER = slice(34, 36), slice(36, 38)


class Guest:
    """A VM with nothing but a DHCP client, and the server that it depends on."""

    def __init__(self, cluster: Cluster, vm: NamespaceVm, told: str | None, folder: Path) -> None:
        self.vm = vm
        self.vsi = VdptoolVsi("00000000-0000-4000-d000-000000000001", 1, 1, (f"100-{MAC}",), told)
        self._nms = cluster.hosts["nms"]
        self.server = Dnsmasq(self._nms.namespace, self._nms.interface, folder, (MAC, ADDRESS), NAME)
        self._at_server = Tap(self._nms.namespace, self._nms.interface, only_ethertypes(_IPV4))
        self._at_vm = Tap(vm.namespace, INTERFACE, only_ethertypes(_IPV4))
        self._client: DhcpClient | None = None
        self._folder = folder

    def boots(self) -> None:
        """Ask for an address, having none."""
        self._client = DhcpClient(self.vm.namespace, INTERFACE, self._folder)
        self._gets("bound", SERVER)

    def renews(self, server: str) -> None:
        """The lease is renewed: the server that gave it is asked, and its answer reaches the VM.

        udhcpc sends the request from a connected socket.  An answer that comes before that socket is closed is lost
        inside the client, which happens on a loaded machine.  It then broadcasts a request, too: every request has to
        be answered, and the first one goes to the server alone.
        """
        self._ask("renew", server)
        assert self._asked()[0] == self._nms.mac
        wait_until(lambda: len(self._answers()) >= len(self._asked()), "an answer to each request at the VM")

    def rebinds(self, server: str) -> None:
        """The server that gave the lease is not there any more; everybody is asked."""
        self.server.stop()
        self._nms.namespace.ip(f"address flush dev {self._nms.interface}")
        self._nms.namespace.ip(f"address add {server}/24 dev {self._nms.interface}")
        self.server.start()
        self._ask("renew", server)
        assert self._asked()[-1] == "ff:ff:ff:ff:ff:ff"

    def resolves(self, server: str) -> bool:
        """Does it get its own name resolved?"""
        return resolve(self.vm.namespace, server, NAME, PATIENCE) == [ADDRESS]

    def halt(self) -> None:
        """Stop what was started, and give the server's host its address back."""
        if self._client is not None:
            self._client.stop()
        self.server.stop()
        for tap in (self._at_server, self._at_vm):
            tap.socket.close()
        self._nms.namespace.ip(f"address flush dev {self._nms.interface}")
        self._nms.namespace.ip(f"address add {SERVER}/24 dev {self._nms.interface}")

    def _ask(self, event: str, server: str) -> None:
        assert self._client is not None
        for tap in (self._at_server, self._at_vm):
            tap.drain()
            tap.sightings.clear()
        self._client.renew()
        self._gets(event, server)

    def _gets(self, event: str, server: str) -> None:
        client = self._client
        assert client is not None
        known = len(client.leases)
        wait_until(lambda: client.leases[known:], f"{event} by {server}")
        assert client.leases[known:] == [(event, ADDRESS, server)]

    def _asked(self) -> list[str]:
        """Ethernet destinations of the VM's DHCP requests that have reached the server's host, in their order."""
        return [request.data[:6].hex(":") for request in received(self._at_server, _TO_SERVER)]

    def _answers(self) -> list[Sighting]:
        """DHCP answers that have reached the VM's interface."""
        return received(self._at_vm, _FROM_SERVER)


def received(tap: Tap, port: slice) -> list[Sighting]:
    """Frames that have come in at a tap and have the UDP port of DHCP servers in a place."""
    tap.drain()
    return tap.matching(
        lambda sighting: not sighting.outgoing and sighting.data[23:24] == _UDP and sighting.data[port] == _DHCP_SERVER
    )


@contextmanager
def guest(cluster: Cluster, told: str | None, folder: Path) -> Iterator[Guest]:
    vm = NamespaceVm("d1", MAC, ADDRESS)
    cluster.boot(vm, HERE)
    vm.namespace.ip(f"address flush dev {INTERFACE}")
    guest = Guest(cluster, vm, told, folder)
    try:
        guest.server.start()
        admit(cluster.hypervisors[HERE], guest.vsi)
        yield guest
    finally:
        guest.halt()
        for where in (HERE, THERE):
            home = cluster.hypervisors[where]
            dismiss(home, guest.vsi)
            if vm.port in home.edge.ports:
                cluster.shut_down(vm.name, where)


def held(cluster: Cluster) -> dict[str, list[str]]:
    """Rules and groups of every switch."""
    return {switch: rules + dump_groups(switch) for switch, rules in tables(cluster).items()}


def body(before: list[str], after: list[str]) -> Counter[tuple[CookieKind, int]]:
    """Number of rules of the VM's policy in each table of a switch."""
    kinds = (CookieKind.TYPE_BODY, CookieKind.VSI_BODY)
    rules = [rule for rule in added(before, after) if rule.cookie is not None and rule.cookie.kind in kinds]
    return Counter((rule.cookie.kind, rule.table) for rule in rules if rule.cookie is not None)


@pytest.mark.parametrize("told", [ADDRESS, None], ids=["address told", "address not told"])
def test_a_moved_vm_renews_its_lease_and_resolves_names(cluster: Cluster, told: str | None, tmp_path: Path) -> None:
    empty = tables(cluster)
    with guest(cluster, told, tmp_path) as vm:
        without = held(cluster)
        policy = body(empty["s1"], tables(cluster)["s1"])
        vm.boots()
        vm.renews(SERVER)
        assert vm.resolves(SERVER)
        assert held(cluster) == without

        move = SingleMove(cluster, vm.vsi, "d1", HERE, THERE, Ladder.MINIMIZE_LATENCY, 0.05)
        assert move.run().evidence.outcome is MoveOutcome.COMPLETED
        wait_until(lambda: not body(empty["s1"], tables(cluster)["s1"]), "the source to be tidied up")
        without = held(cluster)
        assert body(empty["s2"], tables(cluster)["s2"]) == policy

        assert vm.resolves(SERVER)
        vm.renews(SERVER)
        vm.rebinds(OTHER)
        assert vm.resolves(OTHER)
        assert held(cluster) == without
