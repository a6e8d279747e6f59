"""VMs move while the third switch of a triangle sends their frames to both ends, whose gates open by meters."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest

from mininet_tests.conftest import emulated_cluster, tables, wait_as_found
from ryu_apps.evb.pipeline.tables import COPY_METER
from ryu_apps.evb.topology.fabric import Converge, Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import GateMode, Switch
from ryu_apps.testbed.guests import HTTPS, vsi
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.shell import Namespace, run
from ryu_apps.testbed.harness.staged import StagedTarget
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.moves.attempt import admit, dismiss
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.moves.single import SingleMove
from ryu_apps.topologies.two_switch import END_SYSTEMS, NATIVE_VLAN
from ryu_apps.vcm.move_events import Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

#: Seconds between two datagrams of the client.
PAUSE = 0.001


def triangle() -> Fabric:
    """Two switches with a hypervisor each, and one with the end systems."""
    ends = {1: [("hv1", Role.STATION, ())], 2: [("hv2", Role.STATION, ())]}
    ends[3] = [(system.name, Role.HOST, (system.mac,)) for system in END_SYSTEMS]
    switches = {}
    for dpid, at in ends.items():
        edge = [
            Interface(number, name, role, NATIVE_VLAN, macs=macs) for number, (name, role, macs) in enumerate(at, 1)
        ]
        trunks = [
            Interface(10 + peer, f"s{peer}", Role.TRUNK, peer=PortId(peer, 10 + dpid)) for peer in ends if peer != dpid
        ]
        ports = {interface.port_no: interface for interface in (*edge, *trunks)}
        switches[dpid] = Switch(dpid, f"s{dpid}", ports, gate=GateMode.METER)
    return Fabric(switches, converge=Converge.COPY)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with emulated_cluster(tmp_path_factory.mktemp("copied"), fabric=triangle()) as cluster:
        yield cluster


class Stream:
    """Numbered datagrams from the client to a VM, wherever it is."""

    def __init__(self, client: Namespace, vm: NamespaceVm) -> None:
        self._receiving = vm.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._receiving.bind(("0.0.0.0", HTTPS))
        self._receiving.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._sending = client.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sending.bind(("0.0.0.0", HTTPS))
        self._to = vm.ip, HTTPS
        self._stop = threading.Event()
        self.sent = 0
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self) -> None:
        while not self._stop.wait(PAUSE):
            self._sending.sendto(self.sent.to_bytes(4), self._to)
            self.sent += 1

    def end(self) -> Counter[int]:
        """Stop, and return how often each datagram has arrived."""
        self._stop.set()
        self._thread.join()
        self._sending.close()
        found: Counter[int] = Counter()
        self._receiving.settimeout(0.5)
        try:
            while True:
                found[int.from_bytes(self._receiving.recv(16))] += 1
        except TimeoutError:
            self._receiving.close()
            return found


def copies_sent() -> int:
    """Copies that the third switch has sent so far."""
    shown = run(["ovs-ofctl", "-O", "OpenFlow13", "meter-stats", "s3", f"meter={COPY_METER}"])
    return int(shown.split("packet_in_count:")[1].split()[0])


@pytest.mark.parametrize(("number", "ladder"), [(1, Ladder.MINIMIZE_LATENCY), (2, Ladder.SAFEST_EXCHANGE)])
def test_nothing_passes_a_staged_port_and_no_datagram_comes_twice(copied: Cluster, number: int, ladder: Ladder) -> None:
    # A VM of its own for each move: for some seconds after one, a VM is not copied.
    before, client = tables(copied), copied.hosts["client"]
    vm, here, there = NamespaceVm(f"t{number}", f"52:54:00:bb:00:0{number}", f"10.0.100.10{number}"), "hv1", "hv2"
    copied.boot(vm, here)
    admit(copied.hypervisors[here], vsi(number))
    try:
        already, stream = copies_sent(), Stream(client.namespace, vm)
        target = StagedTarget(client.mac, client.ip, HTTPS)
        move = SingleMove(copied, vsi(number), vm.name, here, there, ladder, 0.3, target=target)
        evidence = move.run().evidence
        here = there
        arrived = stream.end()
        assert evidence.outcome is MoveOutcome.COMPLETED
        assert copies_sent() > already + 50, "the third switch has sent no copies"
        assert evidence.injected > 0 and evidence.at_staged_port == []
        assert len(arrived) > 100 and max(arrived) > stream.sent - 50, "the stream goes on at the destination"
        assert arrived.most_common(1)[0][1] == 1, "a datagram came twice"
    finally:
        dismiss(copied.hypervisors[here], vsi(number))
        copied.shut_down(vm.name, here)
    wait_as_found(partial(tables, copied), before)
