"""Leaf and spine: four leaves, two spines, 32 nodes with a real lldpad on each."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import permutations
from pathlib import Path

import pytest

from mininet_tests.conftest import CHECKOUT, SCENARIOS, emulated_cluster, tables, wait_as_found
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Role
from ryu_apps.testbed.guests import ETHERTYPE_ARP, HTTPS, arrives, is_dropped, running, vsi, who_has
from ryu_apps.testbed.harness.capture import Tap, only_ethertypes
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import Namespace, run, wait_until
from ryu_apps.testbed.harness.station import VdptoolMode
from ryu_apps.testbed.harness.vm import INTERFACE, NamespaceVm
from ryu_apps.testbed.measurement.verdict import MUST_BE_ZERO
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.replay.player import Replay, cluster_for
from ryu_apps.testbed.replay.scenario import load_scenario
from ryu_apps.topologies import two_switch

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

SCENARIO = load_scenario(SCENARIOS / "leaf-spine.yaml")
#: A hypervisor of each leaf.
AT = ("hv1", "hv9", "hv17", "hv25")
END_SYSTEMS = {"nms", "client", "firewall", "balancer", "router"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with inside(), cluster_for(SCENARIO, tmp_path_factory.mktemp("leaf-spine")) as cluster:
        yield cluster


@pytest.fixture
def leaf_spine(built: Cluster) -> Iterator[Cluster]:
    """The cluster without VMs; a test has to leave the flow tables exactly as it found them."""
    before = tables(built)
    yield built
    wait_as_found(partial(tables, built), before)


@contextmanager
def one_at_each_leaf(cluster: Cluster) -> Iterator[list[NamespaceVm]]:
    with ExitStack() as stack:
        yield [stack.enter_context(running(cluster, number, at)) for number, at in enumerate(AT, 1)]


@contextmanager
def outside_of(router: Namespace) -> Iterator[NamespaceVm]:
    """A host in another network, behind the router."""
    host = NamespaceVm("outside", "52:54:00:00:ff:01", "203.0.113.7")
    host.boot(router)
    try:
        router.set("net.ipv4.ip_forward=1")
        router.ip(f"address add 203.0.113.1/24 dev {host.port}", f"link set {host.port} up")
        host.namespace.ip("route add default via 203.0.113.1")
        yield host
    finally:
        host.halt()


def agreed(cluster: Cluster) -> tuple[int, int]:
    """Stations that there should be, and those with whom the bridge has agreed on EVB."""
    stations = cluster.controller.get("/evb/status")["stations"]
    return stations["configured"], stations["agreed"]


def test_every_node_agrees_on_evb_and_every_port_is_up(leaf_spine: Cluster) -> None:
    wait_until(lambda: agreed(leaf_spine) == (32, 32), "all stations", pause=0.2)
    status = leaf_spine.controller.get("/evb/status")
    assert {switch["name"]: switch["readiness"] for switch in status["switches"]} == dict.fromkeys(
        ("leaf1", "leaf2", "leaf3", "leaf4", "spine1", "spine2"), "ready"
    )
    assert all(port["up"] for switch in status["switches"] for port in switch["ports"])


def test_a_switch_may_have_more_ports_than_fit_a_line_of_a_terminal(tmp_path: Path) -> None:
    """64 stations at one switch; emulated, for they are many."""
    large = two_switch.fabric(128).switches[1]
    ports = {port_no: interface for port_no, interface in large.interfaces.items() if interface.role is not Role.TRUNK}
    with emulated_cluster(tmp_path, fabric=Fabric({1: replace(large, interfaces=ports)})) as cluster:
        wait_until(lambda: agreed(cluster) == (64, 64), "all stations", 20, pause=0.2)


def test_vms_at_different_leaves_reach_each_other_and_the_client(leaf_spine: Cluster) -> None:
    client = leaf_spine.hosts["client"]
    with one_at_each_leaf(leaf_spine) as vms:
        for source, target in permutations(vms, 2):
            assert arrives(source.namespace, target.namespace, target.ip, HTTPS), f"{source.name} to {target.name}"
            assert is_dropped(source.namespace, target.namespace, target.ip, 5002, HTTPS)
        for vm in vms:
            assert arrives(vm.namespace, client.namespace, client.ip, HTTPS), f"{vm.name} to the client"
            assert arrives(client.namespace, vm.namespace, vm.ip, HTTPS), f"the client to {vm.name}"


def test_vms_at_every_leaf_reach_the_outside_and_are_reached(leaf_spine: Cluster) -> None:
    router = leaf_spine.hosts["router"]
    with one_at_each_leaf(leaf_spine) as vms, outside_of(router.namespace) as outside:
        for vm in vms:
            vm.namespace.ip(f"route add default via {router.ip}")
            assert arrives(vm.namespace, outside.namespace, outside.ip, HTTPS), f"{vm.name} to the outside"
            assert arrives(outside.namespace, vm.namespace, vm.ip, HTTPS), f"the outside to {vm.name}"
            assert is_dropped(outside.namespace, vm.namespace, vm.ip, 5002, HTTPS)


@pytest.mark.parametrize("sender", ["t1", "t3", "client", "router"])
def test_a_broadcast_arrives_everywhere_exactly_once(leaf_spine: Cluster, sender: str) -> None:
    with one_at_each_leaf(leaf_spine) as vms, running(leaf_spine, 5, "hv2") as neighbour, ExitStack() as watching:
        guests = {vm.name: vm for vm in (*vms, neighbour)}
        ends = {name: (vm.namespace, INTERFACE, vm.mac, vm.ip) for name, vm in guests.items()}
        ends |= {host.name: (host.namespace, host.interface, host.mac, host.ip) for host in leaf_spine.hosts.values()}
        taps = {name: Tap(*end[:2], only_ethertypes(ETHERTYPE_ARP)) for name, end in ends.items()}
        for tap in taps.values():
            leaf_spine.watcher.watch(tap)
            watching.callback(leaf_spine.watcher.dismiss, tap)
        namespace, interface, mac, ip = ends[sender]
        request = who_has("10.0.100.250", mac, ip)

        def copies() -> Counter[str]:
            leaf_spine.watcher.settle()
            return Counter(
                name
                for name, tap in taps.items()
                for sighting in tap.matching(
                    lambda sighting: not sighting.outgoing and sighting.data[12:42] == request[12:42]
                )
            )

        with namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
            raw.bind((interface, 0))
            raw.send(request)
        wait_until(lambda: len(copies()) == len(ends) - 1, "the broadcast")
        time.sleep(0.2)  # a second copy would come on the heels of the first
        assert copies() == Counter((set(guests) | END_SYSTEMS) - {sender})


def test_the_picture_shows_what_is_staged_what_is_active_and_what_is_down(leaf_spine: Cluster, tmp_path: Path) -> None:
    target = tmp_path / "fabric.svg"
    sizes = [f"--set={size}" for size in ("leaves=4", "spines=2", "n=32")]
    rest = ["--svg", str(target), "--rest", "http://127.0.0.1:8080"]
    switches = Namespace("root", leaf_spine.ovs.pid)
    staged = leaf_spine.hypervisors["hv30"].station
    with running(leaf_spine, 1, "hv1"):
        assert staged.request(VdptoolMode.PREASSOCIATE_RR, vsi(1)).granted
        switches.ip("link set leaf2-eth1021 down")
        try:
            wait_until(lambda: "down" in ports_of(leaf_spine, "leaf2"), "the link to go down")
            arguments = [sys.executable, "-c", "from ryu_apps.cli.main import main; main()", "topology", "multi_switch"]
            drawn = subprocess.run([*arguments, *sizes, *rest], capture_output=True, text=True, cwd=CHECKOUT)
        finally:
            switches.ip("link set leaf2-eth1021 up")
            staged.request(VdptoolMode.DEASSOCIATE, vsi(1))
    assert drawn.returncode == 0, drawn.stderr
    text = target.read_text(encoding="utf-8")
    assert f"{vsi(1).uuid}, type 1/1, active" in text
    assert f"{vsi(1).uuid}, type 1/1, staged" in text
    assert "leaf2 port 1021 - spine2 port 21, down" in text
    wait_until(lambda: "down" not in ports_of(leaf_spine, "leaf2"), "the link to come back")


def ports_of(cluster: Cluster, switch: str) -> set[str]:
    """States of the links of a switch."""
    (found,) = [found for found in cluster.controller.get("/evb/status")["switches"] if found["name"] == switch]
    return {"up" if port["up"] else "down" for port in found["ports"]}


def test_a_vm_moves_from_leaf_to_leaf_along_both_ladders(leaf_spine: Cluster, tmp_path: Path) -> None:
    report = Replay(SCENARIO, leaf_spine).run(tmp_path)
    assert [migration.failures for migration in report.migrations] == [(), ()]
    leaves = {leaf_spine.hypervisors[name].port.dpid for name in ("hv1", "hv9", "hv25")}
    assert leaves == {1, 2, 4}
    for migration in report.migrations:
        assert migration.figures.rules_staged > 50
        assert migration.figures.injected > 100
        assert migration.figures.blocked > 1000


def _link_names(failure: str) -> list[str]:
    """The interfaces at the leaves whose links fail: that of the source to one spine, or those of all."""
    leaves = (1,) if failure == "link" else (1, 2, 3, 4)
    return [f"leaf{leaf}-eth1011" for leaf in leaves]


@pytest.mark.parametrize("failure", ["link", "spine"])
def test_a_link_or_a_spine_fails_during_a_move(leaf_spine: Cluster, tmp_path: Path, failure: str) -> None:
    def meddle(words: str) -> None:
        if words.startswith("vm1 from hv1"):
            for name in _link_names(failure):
                run(["ip", "link", "set", name, "down"])
        elif words.startswith("vm1 from"):
            for name in _link_names(failure):
                run(["ip", "link", "set", name, "up"])

    def all_up() -> bool:
        return all(link["up"] for link in leaf_spine.controller.get("/evb/status")["links"])

    report = Replay(SCENARIO, leaf_spine, meddle).run(tmp_path)
    wait_until(all_up, "all links")
    for migration in report.migrations:
        figures = migration.figures
        assert figures.outcome is MoveOutcome.COMPLETED
        zeros = {name: getattr(figures, name) for name in MUST_BE_ZERO if name != "wrongly_blocked"}
        assert set(zeros.values()) == {0}, zeros
        assert figures.streams_broken == ()
        # What is under way when a link fails is lost, and what comes until its leaf knows another way.
        assert figures.wrongly_blocked < figures.sent / 4
        assert figures.injected > 100
