"""Hypervisors with two links to their switch, behind bonds of Open vSwitch, with and without LACP.

Their stations are unmodified lldpad, or ``evbridge station``.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mininet_tests.conftest import CHECKOUT, SCENARIOS
from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.pipeline.bonds import HEARD
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import BondMode
from ryu_apps.testbed.guests import HTTPS, arrives, copies_of_request, is_dropped, running, vsi, who_has
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import run, wait_until
from ryu_apps.testbed.harness.station import LldpadStation, VdptoolMode
from ryu_apps.testbed.harness.station_daemon import DaemonStation
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.replay.player import Replay
from ryu_apps.testbed.replay.scenario import load_scenario
from ryu_apps.topologies import two_switch

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

#: Station with two links -> its switch, by the mode of its bond.
FOLLOWED, AGGREGATED = ("hv1", "s1"), ("hv5", "s2")
MODES = pytest.mark.parametrize("station", [FOLLOWED, AGGREGATED], ids=["active-backup", "lacp"])
#: A port of UDP that the policy of the VMs denies.
DENIED = 5002
#: To where nothing hears it: "action drop" needs a module that not every kernel has.
_AWAY = ("u32", "match", "u32", "0", "0", "action", "mirred", "egress", "redirect", "dev", "lo")
LACPDU = "0x8809"
LINKS = {1: 1, 2: two_switch.SECOND_LINKS + 1}


def fabric() -> Fabric:
    """The cluster of two switches; the first hypervisor of each has a bond, that of ``s2`` with LACP.

    Timers are the default ones, with which stations outlast a restart of the controller.
    """
    found = two_switch.fabric(8, bonds=1)
    ports = found.switches[2].interfaces
    ports[1] = replace(ports[1], bond_mode=BondMode.LACP)
    return found


@pytest.fixture(scope="module", params=[LldpadStation, DaemonStation], ids=["lldpad", "daemon"])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("bonds")
    config = dump_config(BridgeConfig(fabric(), (str(CHECKOUT / "policies"),), str(folder / "state")))
    with inside(), Cluster(fabric(), two_switch.END_SYSTEMS, folder, config, station=request.param) as cluster:
        yield cluster


def ends(station: tuple[str, str], number: int) -> dict[str, str]:
    """The interfaces at both ends of a link."""
    name, switch = station
    return {"switch": f"{switch}-eth{LINKS[number]}", "station": f"{name}b-eth{number}"}


def links_up(cluster: Cluster, station: tuple[str, str]) -> list[bool]:
    """The states of both links, as the bridge has them."""
    name, switch = station
    switches = {found["name"]: found for found in cluster.controller.get("/evb/status")["switches"]}
    (bond,) = [port["bond"] for port in switches[switch]["ports"] if port["name"] == name]
    return [link["up"] for link in bond["links"]]


@contextmanager
def down(cluster: Cluster, station: tuple[str, str], number: int, side: str) -> Iterator[None]:
    """A link is down; one end of it is switched off, the other one loses the carrier."""
    run(["ip", "link", "set", ends(station, number)[side], "down"])
    try:
        yield
    finally:
        run(["ip", "link", "set", ends(station, number)[side], "up"])


@contextmanager
def short_timeouts(cluster: Cluster, station: tuple[str, str], number: int) -> Iterator[None]:
    """LACPDUs come each second on a link, and it is given up 3 s after the last one."""
    name, switch = station
    ports = f"{name}bond", f"{switch}-{name}"
    for port in ports:
        run(["ovs-vsctl", "set", "port", port, "other-config:lacp-time=fast"])
    try:
        # Running timers stay as they are; those of a link that returns are the new ones.
        with down(cluster, station, number, "station"):
            wait_until(lambda: not links_up(cluster, station)[number - 1], "the failure")
        wait_until(lambda: links_up(cluster, station) == [True, True], "both links")
        yield
    finally:
        for port in ports:
            run(["ovs-vsctl", "remove", "port", port, "other-config", "lacp-time"])


@contextmanager
def silenced(station: tuple[str, str], number: int, protocol: str = LACPDU) -> Iterator[None]:
    """The station's LACPDUs, or all its frames, are lost on a link, whose carrier stays."""
    end = ends(station, number)["station"]
    run(["tc", "qdisc", "add", "dev", end, "clsact"])
    try:
        run(["tc", "filter", "add", "dev", end, "egress", "protocol", protocol, *_AWAY])
        yield
    finally:
        run(["tc", "qdisc", "del", "dev", end, "clsact"])


def appctl(*command: str) -> str:
    return run(["ovs-appctl", "-t", f"{os.environ['OVS_RUNDIR']}/vswitchd.ctl", *command])


def in_use() -> int:
    """The number of the link that the station in active-backup mode sends and receives by."""
    (line,) = [line for line in appctl("bond/show", "hv1bond").splitlines() if line.startswith("active member mac")]
    return int(line.rstrip(")").rpartition("-eth")[2])


def use(number: int) -> None:
    """Let the station send and receive by a link; the other one stays up."""
    appctl("bond/set-active-member", "hv1bond", ends(FOLLOWED, number)["station"])
    assert in_use() == number


def reached(cluster: Cluster, vm: NamespaceVm) -> bool:
    """Return True if datagrams arrive in both directions."""
    client = cluster.hosts["client"]
    sent = arrives(vm.namespace, client.namespace, client.ip, HTTPS)
    return sent and arrives(client.namespace, vm.namespace, vm.ip, HTTPS)


def association(cluster: Cluster) -> tuple[Any, ...]:
    """Place, generation and time of the association of the only VSI; another one differs."""
    (found,) = cluster.controller.get("/evb/vsis")
    (attachment,) = found["attachments"]
    return found["owner"], attachment["phase"], attachment["program"]["generation"], attachment["since"]


def asked_again(cluster: Cluster, station: tuple[str, str]) -> bool:
    """Return True if the station's repeated Associate is answered."""
    return cluster.hypervisors[station[0]].station.request(VdptoolMode.ASSOCIATE, vsi(1)).granted


@MODES
@pytest.mark.parametrize("side", ["switch", "station"])
def test_a_link_that_fails_costs_no_vsi(cluster: Cluster, station: tuple[str, str], side: str) -> None:
    with running(cluster, 1, station[0]) as vm:
        assert reached(cluster, vm)
        before = association(cluster)
        for number in (1, 2):
            with down(cluster, station, number, side):
                wait_until(
                    lambda number=number: links_up(cluster, station) == [number == 2, number == 1], "the failure"
                )
                assert reached(cluster, vm)
                assert asked_again(cluster, station)
            wait_until(lambda: links_up(cluster, station) == [True, True], "both links")
            assert reached(cluster, vm)
        assert association(cluster) == before


@MODES
def test_a_link_that_fails_while_the_controller_is_dead_costs_no_vsi(
    cluster: Cluster, station: tuple[str, str]
) -> None:
    with running(cluster, 1, station[0]) as vm:
        assert reached(cluster, vm)
        place, _, generation, _ = association(cluster)
        number = in_use() if station == FOLLOWED else 1
        cluster.controller.kill()
        try:
            with down(cluster, station, number, "station"):
                assert reached(cluster, vm)
            assert reached(cluster, vm)
        finally:
            cluster.controller.start()
            cluster.controller.wait_connected(2)
            cluster.controller.wait_agreed(8)
        wait_until(lambda: association(cluster)[0] == place, "the VSI where it was")
        assert association(cluster)[2] == generation
        assert asked_again(cluster, station)
        assert reached(cluster, vm)


def test_a_link_without_an_agreement_by_lacp_is_not_used(cluster: Cluster) -> None:
    with running(cluster, 1, "hv5") as vm, short_timeouts(cluster, AGGREGATED, 1):
        before = association(cluster)
        with silenced(AGGREGATED, 1):
            wait_until(lambda: links_up(cluster, AGGREGATED) == [False, True], "the end of the agreement")
            assert reached(cluster, vm)
            wait_until(lambda: asked_again(cluster, AGGREGATED), "an answer by the other link")
        wait_until(lambda: links_up(cluster, AGGREGATED) == [True, True], "another agreement")
        assert reached(cluster, vm)
        assert association(cluster) == before


def test_frames_take_the_other_link_before_the_station_is_heard_there(cluster: Cluster) -> None:
    """The switch itself fails over: what it has learnt still says that the station is behind the dead link."""
    with running(cluster, 1, "hv1") as vm:
        use(1)
        assert reached(cluster, vm)
        with silenced(FOLLOWED, 2, "all"), down(cluster, FOLLOWED, 1, "station"):
            assert arrives(cluster.hosts["client"].namespace, vm.namespace, vm.ip, HTTPS, HEARD / 3)
        assert reached(cluster, vm)


def test_frames_follow_the_station_to_the_link_that_it_uses(cluster: Cluster) -> None:
    with running(cluster, 1, "hv1") as vm:
        for number in (1, 2, 1):
            use(number)
            assert reached(cluster, vm)
            assert asked_again(cluster, FOLLOWED)
            assert in_use() == number


@pytest.mark.parametrize("number", [1, 2])
def test_a_vm_moves_to_bonds_and_from_them(cluster: Cluster, tmp_path: Path, number: int) -> None:
    use(number)
    report = Replay(load_scenario(SCENARIOS / "bonded.yaml"), cluster).run(tmp_path)
    assert [migration.failures for migration in report.migrations] == [()] * 4
    assert all(migration.figures.injected > 100 for migration in report.migrations)
    assert in_use() == number


@MODES
def test_neighbours_behind_a_bond_meet_at_the_switch(cluster: Cluster, station: tuple[str, str]) -> None:
    """It sends back by the bond what came in by it, once, and its policy applies."""
    name = station[0]
    port = str(cluster.hypervisors[name].port)
    relays = {found["port"]: found["reflective_relay"] for found in cluster.controller.get("/evb/stations")}
    assert relays[port]
    with running(cluster, 1, name) as first, running(cluster, 2, name) as second:
        check_neighbours(cluster, first, second)
        for number in (1, 2):
            with down(cluster, station, number, "station"):
                wait_until(
                    lambda number=number: links_up(cluster, station) == [number == 2, number == 1], "the failure"
                )
                check_neighbours(cluster, first, second)
            wait_until(lambda: links_up(cluster, station) == [True, True], "both links")
        check_neighbours(cluster, first, second)


def check_neighbours(cluster: Cluster, first: NamespaceVm, second: NamespaceVm) -> None:
    """The policy decides about datagrams of neighbours, and a broadcast comes to each other VM once."""
    for sender, neighbour in ((first, second), (second, first)):
        assert arrives(sender.namespace, neighbour.namespace, neighbour.ip, HTTPS)
        assert is_dropped(sender.namespace, neighbour.namespace, neighbour.ip, DENIED, HTTPS)
        assert heard(cluster, sender, neighbour) == {sender.name: 0, neighbour.name: 1, "client": 1}


def heard(cluster: Cluster, sender: NamespaceVm, neighbour: NamespaceVm) -> dict[str, int]:
    """Copies of a broadcast, by name, that its sender, a neighbour and an end system receive."""
    request = who_has("10.0.100.250", sender.mac, sender.ip)
    with copies_of_request(cluster, (sender, neighbour), request) as copies:
        with sender.namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as uplink:
            uplink.bind(("eth0", 0))
            uplink.send(request)
        wait_until(lambda: copies()[neighbour.name] and copies()["client"], "the broadcast")
        # What the switch sends next comes behind a second copy.
        assert arrives(cluster.hosts["client"].namespace, neighbour.namespace, neighbour.ip, HTTPS)
        found = copies()
    return {name: found[name] for name in (sender.name, neighbour.name, "client")}
