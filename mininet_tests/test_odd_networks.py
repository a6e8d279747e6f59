"""Networks that restart, ports that return elsewhere, clones, snapshots, moves that overtake each other.

``evbridge station`` is at every hypervisor; nobody mends anything by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from urllib.request import urlopen

import pytest

from mininet_tests.conftest import daemon_at, tables, wait_as_found
from ryu_apps.testbed.guests import HTTPS, arrives, places
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.shell import run, wait_until
from ryu_apps.testbed.harness.station import VdptoolMode, VdptoolVsi
from ryu_apps.testbed.harness.vepa import VepaEdge
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.moves.attempt import admit, dismiss

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

HERE, NEAR, FAR = "hv1", "hv2", "hv5"
#: The port of ``HERE`` at its switch, and a number that no configuration has.
SWITCH, PORT, NUMBER, STRANGE = "s1", "s1-eth1", 1, 77
MAC = "52:54:00:ee:01:01"
VSI = VdptoolVsi("00000000-0000-4000-e001-000000000001", 1, 1, (f"100-{MAC}",), "10.0.100.94")
CLONE = replace(VSI, uuid="00000000-0000-4000-e001-000000000002", ip=None)
#: Seconds for VSIs that expire and stations that agree anew.
LONG = 60.0


@pytest.fixture
def cluster(daemons: Cluster) -> Iterator[Cluster]:
    before = tables(daemons)
    yield daemons
    wait_as_found(partial(tables, daemons), before)


@pytest.fixture
def vm(cluster: Cluster) -> Iterator[NamespaceVm]:
    """A VM that is associated at ``HERE``; wherever it is in the end, it is released there."""
    vm = NamespaceVm("o1", MAC, "10.0.100.94")
    cluster.boot(vm, HERE)
    admit(cluster.hypervisors[HERE], VSI)
    yield vm
    for where in (HERE, NEAR, FAR):
        home = cluster.hypervisors[where]
        dismiss(home, VSI)
        dismiss(home, CLONE)
        if vm.port in home.edge.ports:
            cluster.shut_down(vm.name, where)


def reached(cluster: Cluster, vm: NamespaceVm) -> bool:
    """Return True if datagrams arrive in both directions."""
    client = cluster.hosts["client"]
    sent = arrives(vm.namespace, client.namespace, client.ip, HTTPS)
    return sent and arrives(client.namespace, vm.namespace, vm.ip, HTTPS)


# --- the network of a hypervisor restarts ---------------------------------------------------------
def unplug(cluster: Cluster, vm: NamespaceVm) -> str:
    """Remove the uplink of ``HERE`` and the port of the switch; returns the uplink's MAC address."""
    home = cluster.hypervisors[HERE]
    home.edge.detach(vm.port)
    mac = home.namespace.run("ip", "-br", "link", "show", home.uplink).split()[2]
    run(["ovs-vsctl", "--timeout=30", "del-port", SWITCH, PORT])
    run(["ip", "link", "del", PORT])
    return mac


def plug(cluster: Cluster, vm: NamespaceVm, mac: str) -> None:
    """Make another uplink with the old address, and connect the VM to it; it is no port of the switch yet."""
    home = cluster.hypervisors[HERE]
    near = f"{home.uplink} address {mac} netns {home.namespace.pid} type veth peer name {PORT}"
    run(["ip", "link", "add", *near.split()])
    home.edge = VepaEdge(home.namespace, home.uplink)
    home.edge.attach(vm.port, vm.mac)
    home.edge.raise_port(vm.port)
    home.namespace.ip(f"link set {home.uplink} up")
    run(["ip", "link", "set", PORT, "up"])


def number_port(number: int) -> None:
    """Make the port one of the switch, under a number."""
    words = ["ovs-vsctl", "--timeout=30", "--if-exists", "del-port", SWITCH, PORT, "--", "add-port", SWITCH, PORT]
    run([*words, "--", "set", "interface", PORT, f"ofport_request={number}"])


def test_vsis_come_back_after_the_network_of_a_hypervisor_has_restarted(cluster: Cluster, vm: NamespaceVm) -> None:
    mac = unplug(cluster, vm)
    wait_until(lambda: not daemon_at(cluster, HERE).status()["uplinks"]["hv1-eth0"]["up"], "the end of the uplink")
    plug(cluster, vm, mac)
    number_port(NUMBER)

    wait_until(lambda: places(cluster, VSI.uuid) == {HERE: "active"}, "the VSI at its port", LONG)
    wait_until(lambda: daemon_at(cluster, HERE).states() == ["associated"], "the VSI at its station", LONG)
    assert reached(cluster, vm)


def test_a_port_under_another_number_passes_nothing_until_it_has_its_own(cluster: Cluster, vm: NamespaceVm) -> None:
    plugged = unplug(cluster, vm)
    plug(cluster, vm, plugged)
    number_port(STRANGE)
    wait_until(lambda: places(cluster, VSI.uuid) == {}, "the end of the VSI", LONG)
    rules = run(["ovs-ofctl", "-O", "OpenFlow13", "dump-flows", SWITCH])
    assert (f"in_port={STRANGE}" in rules, f"output:{STRANGE}" in rules) == (False, False)
    client = cluster.hosts["client"]
    assert not arrives(vm.namespace, client.namespace, client.ip, HTTPS, patience=1.0)

    number_port(NUMBER)
    wait_until(lambda: places(cluster, VSI.uuid) == {HERE: "active"}, "the VSI at its port", LONG)
    wait_until(lambda: daemon_at(cluster, HERE).states() == ["associated"], "the VSI at its station", LONG)
    assert reached(cluster, vm)


def test_an_uplink_that_is_a_port_of_a_bridge_is_heard(cluster: Cluster, vm: NamespaceVm) -> None:
    """A Linux bridge leaves no frame of its ports to the host."""
    home = daemon_at(cluster, HERE)
    home.namespace.ip("link add vmbr0 type bridge", f"link set {home.interface} master vmbr0", "link set vmbr0 up")
    try:
        home.stop()
        home.start()
        home.wait_ready()
        wait_until(lambda: home.states() == ["associated"], "the VSI at its station", LONG)
        assert home.call("associate", VSI.uuid)["ok"]
    finally:
        home.namespace.ip("link del vmbr0")
    assert places(cluster, VSI.uuid) == {HERE: "active"}


# --- clones and snapshots -------------------------------------------------------------------------
def alarms(cluster: Cluster) -> list[tuple[str, str, str]]:
    """VSI, address and holder of each alarm about an address in use."""
    raised = [alarm for alarm in cluster.controller.get("/evb/status")["alarms"] if "address_in_use" in alarm["kind"]]
    return [(alarm["vsi"], alarm["detail"]["address"], alarm["detail"]["holder"]) for alarm in raised]


@pytest.mark.parametrize("where", [HERE, FAR], ids=["the same host", "another host"])
@pytest.mark.parametrize("verb", ["reserve", "associate"])
def test_a_clone_is_refused_and_told_of_and_the_first_keeps_its_port(
    cluster: Cluster, vm: NamespaceVm, where: str, verb: str
) -> None:
    refused = daemon_at(cluster, where).call(verb, CLONE.uuid, type=1, filters=[f"100-{MAC}"])
    assert (refused["error"], "invalid vid group mac" in refused["reason"]) == ("refused", True), refused
    assert alarms(cluster) == [(CLONE.uuid, f"{MAC} in VID 100", VSI.uuid)]
    logged = [event["kind"] for event in cluster.controller.get("/evb/events") if event["vsi"] == CLONE.uuid]
    assert {"vdp.refused", "vsi.address_in_use", "alarm.raised"} <= set(logged)
    with urlopen("http://127.0.0.1:8080/metrics", timeout=30) as metrics:
        assert b'evb_alarms_raised_total{kind="vsi.address_in_use"' in metrics.read()
    assert places(cluster, VSI.uuid) == {HERE: "active"}
    assert reached(cluster, vm)

    # The first one ends: the clone may have its place, and the alarm is over.
    dismiss(cluster.hypervisors[HERE], VSI)
    assert daemon_at(cluster, where).call("associate", CLONE.uuid, type=1, filters=[f"100-{MAC}"])["ok"]
    assert alarms(cluster) == []


def test_a_snapshot_that_is_reverted_needs_nothing_and_may_associate_again(cluster: Cluster, vm: NamespaceVm) -> None:
    """The VM goes on at its host as it was earlier: for its network it has never stopped."""
    before = tables(cluster)
    assert reached(cluster, vm)
    vm.pause()
    vm.resume()
    assert reached(cluster, vm)

    assert daemon_at(cluster, HERE).call("associate", VSI.uuid)["state"] == "associated"
    assert places(cluster, VSI.uuid) == {HERE: "active"}
    assert tables(cluster) == before


# --- moves in quick succession --------------------------------------------------------------------
@pytest.mark.parametrize("way", [(FAR, NEAR), (FAR, HERE), (NEAR, FAR), (NEAR, HERE)], ids=lambda way: "-".join(way))
def test_a_vm_that_moves_on_at_once_is_where_it_moved_last(
    cluster: Cluster, vm: NamespaceVm, way: tuple[str, str]
) -> None:
    """No move waits for what the one before has left to be done."""
    here = cluster.hypervisors[HERE]
    for where in way:
        there = cluster.hypervisors[where]
        for mode in (VdptoolMode.PREASSOCIATE_RR, VdptoolMode.ASSOCIATE):
            answer = there.station.request(mode, VSI, migrating=True)
            assert answer.granted, (where, mode, answer.reason)
        here.edge.detach(vm.port)
        if there is not here:
            vm.carry(here.namespace, there.namespace)
        there.edge.attach(vm.port, vm.mac)
        there.edge.raise_port(vm.port)
        here = there

    wait_until(lambda: places(cluster, VSI.uuid) == {way[-1]: "active"}, "the VSI at one port")
    assert daemon_at(cluster, way[-1]).states() == ["associated"]
    assert reached(cluster, vm)
    for where in {HERE, NEAR, FAR} - {way[-1]}:
        wait_until(lambda where=where: daemon_at(cluster, where).states() in ([], ["withdrawn"]), f"the end at {where}")
