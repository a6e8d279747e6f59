"""Real traffic through switches of OpenFlow 1.3 alone, and between one of them and an Open vSwitch with all it has."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from mininet_tests.conftest import emulated_cluster, tables, wait_as_found
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.switch import Profile
from ryu_apps.testbed.guests import HTTPS, arrives, copies_of_request, is_dropped, running, vsi, who_has
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.ovs import dump_flows
from ryu_apps.testbed.harness.shell import run, wait_until
from ryu_apps.testbed.harness.staged import StagedTarget
from ryu_apps.testbed.harness.station import VdptoolMode
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.moves.attempt import admit, dismiss
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.moves.single import SingleMove
from ryu_apps.topologies import two_switch
from ryu_apps.vcm.move_events import Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

#: What only Open vSwitch has, in a dump of rules or groups.
EXTENSIONS = re.compile(r"resubmit|learn|load:|push:|pop:|fin_timeout|->metadata|reg\d|ip_frag")
#: A shipped type with a firewall.
STATEFUL = (10, 1)


def fabric(*dpids: int) -> Fabric:
    described = two_switch.fabric()
    switches = {
        dpid: switch.with_profile(Profile.OPENFLOW13) if dpid in dpids else switch
        for dpid, switch in described.switches.items()
    }
    return replace(described, switches=switches)


@pytest.fixture(scope="module", params=[(1, 2), (1,)], ids=["both", "one"])
def plain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with emulated_cluster(tmp_path_factory.mktemp("plain"), fabric=fabric(*request.param)) as cluster:
        yield cluster


@pytest.fixture
def cluster(plain: Cluster) -> Iterator[Cluster]:
    """A test leaves the flow tables as it found them."""
    before = tables(plain)
    yield plain
    wait_as_found(partial(tables, plain), before)


def extensions(cluster: Cluster) -> list[str]:
    """Lines of rules and groups in switches without extensions that have some."""
    found = []
    for switch in cluster.fabric.switches.values():
        if not switch.extended:
            groups = run(["ovs-ofctl", "-O", "OpenFlow13", "dump-groups", switch.name]).splitlines()
            found += [line for line in (*dump_flows(switch.name), *groups) if EXTENSIONS.search(line)]
    return found


def test_a_vm_moves_with_its_policy_and_nothing_passes_a_staged_port(cluster: Cluster) -> None:
    client = cluster.hosts["client"]
    vm, here = NamespaceVm("t1", "52:54:00:bb:00:01", "10.0.100.101"), "hv1"
    cluster.boot(vm, here)
    admit(cluster.hypervisors[here], vsi(1))
    try:
        for there in ("hv5", "hv2", "hv3"):
            target = StagedTarget(client.mac, client.ip, HTTPS)
            move = SingleMove(cluster, vsi(1), vm.name, here, there, Ladder.MINIMIZE_LATENCY, 0.1, target=target)
            evidence = move.run().evidence
            assert evidence.outcome is MoveOutcome.COMPLETED
            here = there
            assert evidence.injected > 0 and evidence.at_staged_port == []
            assert arrives(client.namespace, vm.namespace, vm.ip, HTTPS)
            assert arrives(vm.namespace, client.namespace, client.ip, HTTPS)
            assert is_dropped(client.namespace, vm.namespace, vm.ip, 5002, HTTPS)
            assert extensions(cluster) == []
    finally:
        dismiss(cluster.hypervisors[here], vsi(1))
        cluster.shut_down(vm.name, here)


def test_a_vm_does_not_send_as_another_one(cluster: Cluster) -> None:
    client = cluster.hosts["client"]
    with running(cluster, 1, "hv1") as vm:
        assert arrives(vm.namespace, client.namespace, client.ip, HTTPS)
        vm.namespace.ip(f"address del {vm.ip}/24 dev eth0", "address add 10.0.100.222/24 dev eth0")
        assert not arrives(vm.namespace, client.namespace, client.ip, HTTPS, patience=0.3)


def test_a_broadcast_reaches_each_port_once_and_not_the_sender(cluster: Cluster) -> None:
    with (
        running(cluster, 1, "hv1") as first,
        running(cluster, 2, "hv2") as second,
        running(cluster, 3, "hv6") as third,
    ):
        request = who_has("10.0.100.250", first.mac, first.ip)
        with copies_of_request(cluster, (first, second, third), request) as copies:
            sent = 0
            with first.namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
                sender.bind(("eth0", 0))

                def all_have_heard() -> bool:
                    # Again, because a datapath goes by what it has cached for some milliseconds more.
                    nonlocal sent
                    sent += sender.send(request) > 0
                    return all(count for name, count in copies().items() if name != "t1")

                wait_until(all_have_heard, "the broadcast", pause=0.05)
            found = copies()
            assert found["t1"] == 0 and max(found.values()) <= sent


def test_a_type_with_a_firewall_is_refused_there(cluster: Cluster) -> None:
    for switch in cluster.fabric.switches.values():
        name = next(port.name for port in switch.interfaces.values() if port.role.value == "station")
        station, walled = cluster.hypervisors[name].station, replace(vsi(4), type_id=STATEFUL[0], version=STATEFUL[1])
        assert station.request(VdptoolMode.PREASSOCIATE_RR, walled).granted == switch.extended
        station.request(VdptoolMode.DEASSOCIATE, walled)


def test_it_lets_no_fragment_pass(cluster: Cluster) -> None:
    client, nms = cluster.hosts["client"], cluster.hosts["nms"]
    ping = ["ping", "-c", "1", "-W", "1", client.ip]
    assert "1 received" in nms.namespace.run(*ping)
    assert "0 received" in nms.namespace.run("sh", "-c", f"{' '.join(ping)} -s 3000 || true")
