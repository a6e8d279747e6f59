"""Firewalls as bumps in the wire, in VMs and at a host port: in the way by VLAN or by the policy of their clients."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from mininet_tests.conftest import CHECKOUT, SHORT
from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.topology.appliance import Appliance, ApplianceInstance, Probing
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.vswitches import Vswitch
from ryu_apps.testbed.guests import HTTPS, arrives, is_dropped
from ryu_apps.testbed.harness.bump_firewall import BumpFirewall, BumpSide
from ryu_apps.testbed.harness.cluster import Cluster, EndHost
from ryu_apps.testbed.harness.inspecting_bridge import bridge_between
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import Namespace, run, wait_until
from ryu_apps.testbed.harness.station import VdptoolVsi
from ryu_apps.testbed.harness.station_daemon import DaemonStation
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.moves.attempt import admit
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.moves.single import SingleMove
from ryu_apps.testbed.short_timers import quick
from ryu_apps.topologies import servers
from ryu_apps.topologies.mininet_topo import EndSystem
from ryu_apps.vcm.move_events import Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

OUTER, INNER = 100, 200
#: Traffic of two VMs goes through two instances: of one it is blocked without them, of the other it passes.
FIREWALLS = Appliance(
    *(1, "firewall", OUTER, (ApplianceInstance("a", 3001, 3002), ApplianceInstance("b", 3003, 3004)), 3000),
    probing=Probing(interval=0.5, missed=4),
)
INSPECTED, LENIENT = (
    VdptoolVsi(
        *(f"00000000-0000-4000-b000-0000000000{at}", type_id, 1, (f"{OUTER}-52:54:00:bb:00:{at}",), f"10.0.100.1{at}"),
        ip6=f"fd00:10::{at}",
    )
    for at, type_id in ((10, 37), (11, 137))
)
CLIENT6 = "fd00:10::2"
_LENIENT = """\
version: 1
vsi_type: {type_id: 137, version: 1, name: lenient}
appliance: {through: firewall, on_failure: pass}
from_vm: {default: allow}
to_vm: {default: allow}
"""
#: A port that the policy of the VM allows, and the firewall does not.
FORBIDDEN, HTTP = 5002, 80
#: Hardware at two host ports: traffic of a third VM goes through it.
BOX = Appliance(2, "box", OUTER, (ApplianceInstance("box", 3011, 3012),), 3010)
BOX_PORTS = tuple(
    Interface(60 + number, name, Role.HOST, native_vlan=vid)
    for number, (name, vid) in enumerate(zip(("inner", "outer"), BOX.instances[0].legs, strict=True))
)
BOXED = VdptoolVsi(
    "00000000-0000-4000-b000-000000000012", 138, 1, (f"{OUTER}-52:54:00:bb:00:12",), "10.0.100.112", ip6="fd00:10::12"
)
_BOXED = _LENIENT.replace("137", "138").replace("lenient", "boxed").replace("firewall, on_failure: pass", "box")
VM = VdptoolVsi("00000000-0000-4000-b000-000000000001", 4, 1, (f"{INNER}-52:54:00:bb:00:01",), "10.0.100.101")


#: A second port of each server towards the switch of the rack, which all VLANs but the inner one use.
SECOND_UPLINK, _SECOND_DOWNLINKS = 3, 110
UPLINKED, *APART = (
    VdptoolVsi(*(f"00000000-0000-4000-b000-0000000000{at}", 4, 1, (f"{vid}-52:54:00:bb:00:{at}",), f"10.0.100.1{at}"))
    for at, vid in ((13, OUTER), (14, INNER), (15, INNER))
)


def with_second_uplinks(rack: Fabric) -> Fabric:
    """The same servers, each with another link to the rack."""
    switches = dict(rack.switches)
    for number, server in enumerate(sorted(dpid for dpid in switches if dpid != 1), 1):
        ends = PortId(server, SECOND_UPLINK), PortId(1, _SECOND_DOWNLINKS + number)
        for end, peer in (ends, ends[::-1]):
            port = Interface(end.port_no, switches[peer.dpid].name, Role.TRUNK, peer=peer)
            switches[end.dpid] = replace(
                switches[end.dpid], interfaces=switches[end.dpid].interfaces | {port.port_no: port}
            )
    return replace(rack, switches=switches)


def leg(number: int, vid: int) -> BumpSide:
    """One side of a firewall."""
    return BumpSide(f"00000000-0000-4000-b000-0000000000{number:02x}", vid, f"52:54:00:bb:00:{number:02x}")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("bump")
    plain = quick(with_second_uplinks(servers.fabric(2)), SHORT)
    members = tuple(port.dpid for port in plain.local_stations())
    legs = [vid for instance in FIREWALLS.instances for vid in instance.legs]
    outside = Vswitch("dvs1", members, "t*", (OUTER, *legs), uplinks=(SECOND_UPLINK,))
    fabric = plain.with_vswitches((outside, Vswitch("dvs2", members, "t*", (INNER,), uplinks=(servers.UPLINK_PORT,))))
    rack = fabric.switches[1]
    rack = replace(rack, interfaces=rack.interfaces | {port.port_no: port for port in BOX_PORTS})
    fabric = replace(fabric, appliances=(FIREWALLS, BOX), switches=fabric.switches | {rack.dpid: rack})
    for name, text in (("lenient", _LENIENT), ("boxed", _BOXED)):
        (folder / f"{name}.yaml").write_text(text)
    policies = str(CHECKOUT / "policies"), *(str(folder / f"{name}.yaml") for name in ("lenient", "boxed"))
    boxes = (EndSystem(port.name, 0x525400006400 | port.port_no, f"192.0.2.{port.port_no}/24") for port in BOX_PORTS)
    systems = (*servers.END_SYSTEMS, *boxes)
    config = dump_config(BridgeConfig(fabric, policies, str(folder / "state")))
    with inside(), Cluster(fabric, systems, folder, config, station=DaemonStation) as cluster:
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
        sides = leg(2, OUTER), leg(3, INNER)
        firewall = BumpFirewall(here, "fw", sides, type_id=36, refused=FORBIDDEN)
        stack.callback(firewall.stop)
        for sender, receiver in ((client, vm), (vm, client)):
            assert arrives(sender.namespace, receiver.namespace, receiver.ip, HTTPS)
        assert is_dropped(client.namespace, vm.namespace, vm.ip, FORBIDDEN, HTTPS)
        conversation = Conversation(cluster, vm, stack)
        assert conversation.goes_on()
        before = firewall.passed()
        firewall.move(there)
        assert conversation.goes_on() and all(firewall.passed()[way] > before[way] for way in (0, 1))
        attempt = SingleMove(cluster, VM, vm.name, "hv2", "hv1", Ladder.MINIMIZE_LATENCY).run()
        assert attempt.evidence.outcome is MoveOutcome.COMPLETED
        before = firewall.passed()
        assert conversation.goes_on() and all(firewall.passed()[way] > before[way] for way in (0, 1))
        assert is_dropped(client.namespace, vm.namespace, vm.ip, FORBIDDEN, HTTPS)


def through(firewalls: list[BumpFirewall], conversation: Conversation) -> list[int]:
    """The firewalls that let frames of a conversation through, in both directions."""
    before = [firewall.passed() for firewall in firewalls]
    assert conversation.goes_on()
    grown = [
        (now.outwards - then.outwards, now.inwards - then.inwards)
        for then, now in zip(before, (firewall.passed() for firewall in firewalls), strict=True)
    ]
    assert all(bool(outwards) is bool(inwards) for outwards, inwards in grown), grown
    return [number for number, (outwards, _) in enumerate(grown) if outwards]


def speak_ipv6(client: EndHost) -> None:
    """Give the end system its IPv6 address, unless it has it."""
    if client.ip6 is None:
        client.namespace.speak_ipv6(client.interface, f"{CLIENT6}/64")
        client.ip6 = CLIENT6


def silent(cluster: Cluster) -> bool:
    """True if one of the firewalls does not answer probes."""
    (shown,) = [each for each in cluster.controller.get("/evb/appliances") if each["name"] == "firewall"]
    assert all(each["in_use"] is not each["silent"] for each in shown["instances"])
    return any(each["silent"] for each in shown["instances"])


def test_traffic_of_a_type_goes_through_one_of_two_firewalls_and_connections_outlive_moves(cluster: Cluster) -> None:
    vm, lenient = (
        NamespaceVm(f"t{at}", f"52:54:00:bb:00:{at}", f"10.0.100.1{at}", f"fd00:10::{at}") for at in (10, 11)
    )
    client, here, there = cluster.hosts["client"], cluster.hypervisors["hv1"], cluster.hypervisors["hv2"]
    speak_ipv6(client)
    with ExitStack() as stack:
        for each, vsi in ((vm, INSPECTED), (lenient, LENIENT)):
            cluster.boot(each, "hv2")
            admit(there, vsi)
        assert arrives(client.namespace, lenient.namespace, lenient.ip, HTTPS), "on_failure: pass"
        assert not arrives(client.namespace, vm.namespace, vm.ip, HTTPS, 0.3), "on_failure: block"
        firewalls = []
        for home, name, instance in ((here, "fwa", FIREWALLS.instances[0]), (there, "fwb", FIREWALLS.instances[1])):
            first = 0x20 + 2 * len(firewalls)
            sides = leg(first, instance.outside), leg(first + 1, instance.inside)
            firewalls.append(BumpFirewall(home, name, sides, type_id=38, refused=FORBIDDEN))
        for sender, receiver in ((client, vm), (vm, client)):
            for address in (receiver.ip, receiver.ip6):
                assert address is not None and arrives(sender.namespace, receiver.namespace, address, HTTPS)
                assert is_dropped(sender.namespace, receiver.namespace, address, FORBIDDEN, HTTPS)
        assert is_dropped(client.namespace, lenient.namespace, lenient.ip, FORBIDDEN, HTTPS)
        for sender, receiver in ((vm, lenient), (lenient, vm)):
            assert arrives(sender.namespace, receiver.namespace, receiver.ip, HTTPS), "both are clients"
            assert is_dropped(sender.namespace, receiver.namespace, receiver.ip, FORBIDDEN, HTTPS)
        # A copy of what is sent to all would come to the VM under its own address.
        client.namespace.ip(f"neigh replace {vm.ip} lladdr ff:ff:ff:ff:ff:ff dev {client.interface} nud permanent")
        assert not arrives(client.namespace, vm.namespace, vm.ip, FORBIDDEN, 0.3), "no way past the firewall"
        client.namespace.ip(f"neigh del {vm.ip} dev {client.interface}")
        conversation = Conversation(cluster, vm, stack)
        (used,) = through(firewalls, conversation)
        firewalls[used].move(there if used == 0 else here)
        assert through(firewalls, conversation) == [used]
        attempt = SingleMove(cluster, INSPECTED, vm.name, "hv2", "hv1", Ladder.MINIMIZE_LATENCY).run()
        assert attempt.evidence.outcome is MoveOutcome.COMPLETED
        assert through(firewalls, conversation) == [used]
        # It hangs with its ports up: the other one takes its share, and gives it back.
        for hangs, taken in ((True, 1 - used), (False, used)):
            firewalls[used].hang(hangs)
            wait_until(lambda wanted=hangs: silent(cluster) is wanted, "probes")
            assert through(firewalls, conversation) == [taken]
        firewalls.pop(used).stop()
        assert through(firewalls, conversation) == [0], "the other one"
        firewalls.pop().stop()
        assert not arrives(client.namespace, vm.namespace, vm.ip, HTTPS, 0.3), "on_failure: block"
        assert arrives(client.namespace, lenient.namespace, lenient.ip, HTTPS), "on_failure: pass"


def test_traffic_of_a_type_goes_through_hardware_at_a_host_port_and_is_blocked_without_its_link(
    cluster: Cluster,
) -> None:
    vm = NamespaceVm("t12", "52:54:00:bb:00:12", BOXED.ip, BOXED.ip6)
    client, inner, outer = (cluster.hosts[name] for name in ("client", "inner", "outer"))
    speak_ipv6(client)
    with ExitStack() as stack:
        cluster.boot(vm, "hv2")
        admit(cluster.hypervisors["hv2"], BOXED)
        bridge = bridge_between(outer, inner, refused=FORBIDDEN)
        for sender, receiver in ((client, vm), (vm, client)):
            for address in (receiver.ip, receiver.ip6):
                assert address is not None and arrives(sender.namespace, receiver.namespace, address, HTTPS)
                assert is_dropped(sender.namespace, receiver.namespace, address, FORBIDDEN, HTTPS)
        conversation = Conversation(cluster, vm, stack)
        for source, destination in (("hv2", "hv1"), ("hv1", "hv2")):
            before = bridge.passed()
            assert conversation.goes_on() and all(bridge.passed()[way] > before[way] for way in (0, 1))
            attempt = SingleMove(cluster, BOXED, vm.name, source, destination, Ladder.MINIMIZE_LATENCY).run()
            assert attempt.evidence.outcome is MoveOutcome.COMPLETED
        for up in (False, True):
            inner.namespace.ip(f"link set {inner.interface} {'up' if up else 'down'}")
            wait_until(lambda wanted=up: in_use(cluster, BOX.name) is wanted, "link state of the box")
            assert arrives(client.namespace, vm.namespace, vm.ip, HTTPS, 5.0 if up else 0.3) is up
        assert conversation.goes_on()


def in_use(cluster: Cluster, name: str) -> bool:
    """True if the only instance of an appliance gets traffic."""
    (shown,) = [each for each in cluster.controller.get("/evb/appliances") if each["name"] == name]
    (instance,) = shown["instances"]
    assert {part["vsi"] for part in instance["parts"]} == {None}
    return bool(instance["in_use"])


# --- uplinks of vSwitches -------------------------------------------------------------------------
MANY, FEW = 400, 100


def sent(port: str) -> int:
    """Packets that a port of a switch has sent and received so far."""
    (shown,) = json.loads(run(["ip", "-s", "-j", "link", "show", "dev", port]))
    return sum(int(shown["stats64"][way]["packets"]) for way in ("rx", "tx"))


def burst(sender: Namespace, ip: str) -> None:
    """Send many datagrams that its policy lets through."""
    with sender.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        # Not connected: nothing listens there, and ICMP errors would end it.
        for _ in range(MANY):
            sending.sendto(b"here", (ip, HTTPS))


def test_the_vlans_of_a_vswitch_use_the_uplinks_that_it_names_and_no_others(cluster: Cluster) -> None:
    vm, *apart = (
        NamespaceVm(f"t{at}", f"52:54:00:bb:00:{at}", each.ip) for at, each in enumerate((UPLINKED, *APART), 13)
    )
    client = cluster.hosts["client"]
    for each, vsi, home in ((vm, UPLINKED, "hv2"), (apart[0], APART[0], "hv1"), (apart[1], APART[1], "hv2")):
        cluster.boot(each, home)
        admit(cluster.hypervisors[home], vsi)
    first, second = (f"vs2-eth{port}" for port in (servers.UPLINK_PORT, SECOND_UPLINK))
    for sender, receiver, used, other in (
        (client.namespace, vm, second, first),
        (apart[0].namespace, apart[1], first, second),
    ):
        assert arrives(sender, receiver.namespace, receiver.ip, HTTPS)
        before = sent(used), sent(other)
        burst(sender, receiver.ip)
        # A burst may overrun the queues of a switch: most of it, not all.
        wait_until(lambda port=used, then=before[0]: sent(port) - then >= MANY // 2, "the burst at its uplink")
        assert sent(other) - before[1] < FEW
    for up in (False, True):
        run(["ip", "link", "set", "dev", second, "up" if up else "down"])
        if up:
            wait_until(lambda: arrives(client.namespace, vm.namespace, vm.ip, HTTPS, 0.5), "the uplink")
        else:
            wait_until(lambda: not arrives(client.namespace, vm.namespace, vm.ip, HTTPS, 0.5), "the loss of the uplink")
        assert arrives(apart[0].namespace, apart[1].namespace, apart[1].ip, HTTPS), "it has another one"
