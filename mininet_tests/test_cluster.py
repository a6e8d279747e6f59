"""Clusters of real stations and switches, apart from migrations: by hand, by failure, by neighbours."""

from __future__ import annotations

import socket
import time

import pytest

from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.testbed.flow_dumps import added, gates, read_dump
from ryu_apps.testbed.guests import HTTPS, arrives, copies_of_request, is_dropped, running, vsi, who_has
from ryu_apps.testbed.harness.capture import Tap, all_but_ethertypes
from ryu_apps.testbed.harness.cluster import Cluster, EndHost
from ryu_apps.testbed.harness.ovs import dump_flows
from ryu_apps.testbed.harness.shell import Namespace, wait_until
from ryu_apps.testbed.harness.staged import ETHERTYPE_ECP, ETHERTYPE_LLDP
from ryu_apps.testbed.harness.station import VdptoolMode, VdptoolVsi
from ryu_apps.testbed.harness.vm import NamespaceVm

pytestmark = [pytest.mark.privileged, pytest.mark.slow]


# --- by hand ---
def test_vdptool_by_hand_shows_body_without_gate_then_both_then_neither(cluster: Cluster) -> None:
    station = cluster.hypervisors["hv2"].station
    empty = dump_flows("s1")
    assert station.request(VdptoolMode.PREASSOCIATE_RR, vsi(1)).granted
    staged = dump_flows("s1")
    body = added(empty, staged)
    assert len(body) > 50 and gates(body) == []
    assert station.request(VdptoolMode.ASSOCIATE, vsi(1)).granted
    active = dump_flows("s1")
    gate = added(staged, active)
    replaced = read_dump(set(staged) - set(active))
    assert {rule.cookie.kind for rule in replaced if rule.cookie is not None} <= {CookieKind.MEMBERSHIP}
    assert gate != [] and gates(gate) == gate
    assert station.request(VdptoolMode.DEASSOCIATE, vsi(1)).granted
    wait_until(lambda: dump_flows("s1") == empty, "neither body nor gate")


def test_an_unknown_type_is_refused_at_once(cluster: Cluster) -> None:
    unknown = VdptoolVsi("00000000-0000-4000-8000-0000000000ff", 99, 1, ("100-52:54:00:bb:00:ff",))
    answer = cluster.hypervisors["hv2"].station.request(VdptoolMode.PREASSOCIATE_RR, unknown)
    assert (answer.granted, answer.reason) == (False, "refused by the bridge without a reason")


def test_ryus_own_rest_shows_the_same_rules(cluster: Cluster) -> None:
    with running(cluster, 1, "hv1"):
        rules = cluster.controller.get("/stats/flow/1")["1"]
        assert sorted(rule["cookie"] for rule in rules) == sorted(
            int(line.split("cookie=")[1].split(",")[0], 16) for line in dump_flows("s1")
        )


# --- neighbours ---
@pytest.mark.parametrize(("there", "what"), [("hv1", "one uplink"), ("hv2", "one switch"), ("hv5", "the other switch")])
def test_two_vms_reach_each_other_behind(cluster: Cluster, there: str, what: str) -> None:
    with running(cluster, 1, "hv1") as one, running(cluster, 2, there) as two:
        assert arrives(one.namespace, two.namespace, two.ip, HTTPS)
        assert arrives(two.namespace, one.namespace, one.ip, HTTPS)
        assert is_dropped(one.namespace, two.namespace, two.ip, 5002, HTTPS)


def test_a_broadcast_reaches_everybody_once_and_not_the_sender(cluster: Cluster) -> None:
    with (
        running(cluster, 1, "hv1") as one,
        running(cluster, 2, "hv1") as two,
        running(cluster, 3, "hv6") as three,
    ):
        request = who_has("10.0.100.250", one.mac, one.ip)
        with copies_of_request(cluster, (one, two, three), request) as copies:
            with one.namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
                sender.bind(("eth0", 0))
                sender.send(request)
            wait_until(lambda: sum(copies().values()) >= 4, "the broadcast")
            time.sleep(0.2)  # a second copy would come on the heels of the first
            assert copies() == {"t1": 0, "t2": 1, "t3": 1, "nms": 1, "client": 1}


def test_a_vm_that_is_not_associated_neither_sends_nor_receives(cluster: Cluster) -> None:
    vm = NamespaceVm("t9", "52:54:00:bb:00:09", "10.0.100.109")
    cluster.boot(vm, "hv3")
    client: EndHost = cluster.hosts["client"]
    tap = cluster.watcher.watch(Tap(vm.namespace, "eth0", all_but_ethertypes(ETHERTYPE_LLDP, ETHERTYPE_ECP)))
    try:
        assert not arrives(vm.namespace, client.namespace, client.ip, HTTPS, patience=0.3)
        assert not arrives(client.namespace, vm.namespace, vm.ip, HTTPS, patience=0.3)
        cluster.watcher.settle()
        assert tap.matching(lambda sighting: not sighting.outgoing) == []
    finally:
        cluster.watcher.dismiss(tap)
        cluster.shut_down("t9", "hv3")


# --- failures ---
def test_the_second_trunk_takes_over(cluster: Cluster) -> None:
    client = cluster.hosts["client"]
    with running(cluster, 1, "hv1") as vm:
        assert arrives(client.namespace, vm.namespace, vm.ip, HTTPS)
        root = Namespace("root", cluster.ovs.pid)
        root.ip("link set s1-eth61 down")
        try:
            assert arrives(client.namespace, vm.namespace, vm.ip, HTTPS)
            assert arrives(vm.namespace, client.namespace, client.ip, HTTPS)
        finally:
            root.ip("link set s1-eth61 up")
        assert arrives(client.namespace, vm.namespace, vm.ip, HTTPS)


def test_a_station_that_dies_loses_its_vsis_after_the_keep_alive_time(cluster: Cluster) -> None:
    empty = dump_flows("s2")
    station = cluster.hypervisors["hv7"].station
    assert station.request(VdptoolMode.PREASSOCIATE_RR, vsi(1)).granted
    died = time.monotonic()
    station.kill()
    try:
        wait_until(lambda: dump_flows("s2") == empty, "the reservation to lapse")
        assert time.monotonic() - died > 0.5
    finally:
        station.start()
        station.wait_ready()
