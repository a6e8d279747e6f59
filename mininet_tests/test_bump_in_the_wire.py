"""A firewall in a VM as a bump in the wire: nftables on a bridge between two VLANs of a distributed vSwitch."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from mininet_tests.conftest import CHECKOUT, SHORT
from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.topology.vswitches import Vswitch
from ryu_apps.testbed.guests import HTTPS, arrives, is_dropped
from ryu_apps.testbed.harness.cluster import Cluster, Hypervisor
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import run
from ryu_apps.testbed.harness.station import VdptoolVsi
from ryu_apps.testbed.harness.station_daemon import DaemonStation
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.harness.vswitch import VswitchEdge
from ryu_apps.testbed.moves.attempt import admit
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.moves.single import SingleMove
from ryu_apps.testbed.short_timers import quick
from ryu_apps.topologies import servers
from ryu_apps.vcm.move_events import Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

OUTER, INNER = 100, 200
#: A port that the policy of the VM allows, and the firewall does not.
FORBIDDEN, HTTP = 5002, 80
_RULES = f"""\
table bridge evbridge {{
  counter passed {{ }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    ether type ip udp dport {FORBIDDEN} drop
    counter name passed
  }}
}}
"""
VM = VdptoolVsi("00000000-0000-4000-b000-000000000001", 4, 1, (f"{INNER}-52:54:00:bb:00:01",), "10.0.100.101")


class Firewall:
    """A VM that bridges between its two interfaces, each of which is a VSI without a MAC address."""

    #: Interface -> VSI, VID, and the address by which its port is named.
    SIDES = (
        ("eth0", "00000000-0000-4000-b000-000000000002", OUTER, "52:54:00:bb:00:02"),
        ("eth1", "00000000-0000-4000-b000-000000000003", INNER, "52:54:00:bb:00:03"),
    )

    def __init__(self, home: Hypervisor) -> None:
        self._vm = NamespaceVm("fw", "52:54:00:bb:00:02", "10.0.100.102")
        self._vm.create(home.namespace)
        ends = f"eth1 netns {self._vm.namespace.pid} type veth peer name fw-eth1 netns {home.namespace.pid}"
        run(["ip", "link", "add", *ends.split()])
        self._vm.namespace.run("ethtool", "-K", "eth1", "tx", "off")
        self._vm.namespace.ip(
            "link add br0 type bridge",
            "link set eth0 master br0",
            "link set eth1 master br0",
            *(f"link set {name} up" for name in ("eth0", "eth1", "br0")),
        )
        self._vm.namespace.run("nft", "-f", "-", stdin=_RULES)
        self._home = home
        self._plug(home)
        for mode in ("reserve", "associate"):
            self._call(home, mode)

    def move(self, there: Hypervisor) -> None:
        """Reserve, carry both interfaces over, associate, and release at the source."""
        source = self._home
        self._call(there, "reserve")
        for port in self._ports:
            source.edge.detach(port)
            source.namespace.ip(f"link set dev {port} netns {there.namespace.pid}")
        self._plug(there)
        self._call(there, "associate")
        self._call(source, "release")
        self._home = there

    def passed(self) -> int:
        """Frames that it has let through."""
        listed = self._vm.namespace.run("nft", "list", "counter", "bridge", "evbridge", "passed")
        found = re.search(r"packets (\d+)", listed)
        assert found is not None
        return int(found[1])

    def stop(self) -> None:
        self._call(self._home, "release")
        for port in self._ports:
            self._home.edge.detach(port)
        self._vm.halt()

    @property
    def _ports(self) -> tuple[str, str]:
        return self._vm.port, "fw-eth1"

    def _plug(self, home: Hypervisor) -> None:
        for port, (_, _, _, mac) in zip(self._ports, self.SIDES, strict=True):
            home.edge.attach(port, mac)
            home.edge.raise_port(port)

    def _call(self, home: Hypervisor, verb: str) -> None:
        assert isinstance(home.station, DaemonStation) and isinstance(home.edge, VswitchEdge)
        for _, vsi, vid, mac in self.SIDES:
            described = {"type": 36, "version": 1, "filters": [str(vid)], "port": home.edge.tap(mac)}
            answer = home.station.call(verb, vsi, **({} if verb == "release" else described))
            assert answer["ok"], (verb, vid, answer)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("bump")
    plain = quick(servers.fabric(2), SHORT)
    members = tuple(port.dpid for port in plain.local_stations())
    fabric = plain.with_vswitches((Vswitch("dvs1", members, "t*", (OUTER, INNER)),))
    config = dump_config(BridgeConfig(fabric, (str(CHECKOUT / "policies"),), str(folder / "state")))
    with inside(), Cluster(fabric, servers.END_SYSTEMS, folder, config, station=DaemonStation) as cluster:
        yield cluster


class Conversation:
    """A TCP connection from an end system to the VM, whose messages are answered in order."""

    def __init__(self, cluster: Cluster, vm: NamespaceVm, stack: ExitStack) -> None:
        listener = stack.enter_context(vm.namespace.socket(socket.AF_INET, socket.SOCK_STREAM))
        listener.bind(("0.0.0.0", HTTP))
        listener.listen()
        self._client = stack.enter_context(cluster.hosts["client"].namespace.socket(socket.AF_INET, socket.SOCK_STREAM))
        self._client.settimeout(30.0)
        self._client.connect((vm.ip, HTTP))
        self._server, _ = listener.accept()
        stack.callback(self._server.close)
        self._server.settimeout(30.0)

    def goes_on(self) -> bool:
        self._client.sendall(b"ping")
        heard = self._server.recv(4)
        self._server.sendall(b"pong")
        return (heard, self._client.recv(4)) == (b"ping", b"pong")


def test_all_traffic_of_a_vm_passes_the_firewall_and_connections_outlive_moves_of_both(cluster: Cluster) -> None:
    vm, client = NamespaceVm("t1", "52:54:00:bb:00:01", "10.0.100.101"), cluster.hosts["client"]
    here, there = cluster.hypervisors["hv1"], cluster.hypervisors["hv2"]
    with ExitStack() as stack:
        cluster.boot(vm, "hv2")
        admit(there, VM)
        assert not arrives(client.namespace, vm.namespace, vm.ip, HTTPS, 1.0), "the VLANs are apart"
        firewall = Firewall(here)
        stack.callback(firewall.stop)
        for sender, receiver in ((client, vm), (vm, client)):
            assert arrives(sender.namespace, receiver.namespace, receiver.ip, HTTPS)
        assert is_dropped(client.namespace, vm.namespace, vm.ip, FORBIDDEN, HTTPS)
        conversation = Conversation(cluster, vm, stack)
        assert conversation.goes_on()
        before = firewall.passed()
        firewall.move(there)
        assert conversation.goes_on() and firewall.passed() > before
        attempt = SingleMove(cluster, VM, vm.name, "hv2", "hv1", Ladder.MINIMIZE_LATENCY).run()
        assert attempt.evidence.outcome is MoveOutcome.COMPLETED
        before = firewall.passed()
        assert conversation.goes_on() and firewall.passed() > before
        assert is_dropped(client.namespace, vm.namespace, vm.ip, FORBIDDEN, HTTPS)
