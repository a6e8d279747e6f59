"""VMs at the Open vSwitches of two servers in a rack: lldpad at one server, ``evbridge station`` elsewhere."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mininet_tests.conftest import CHECKOUT, SCENARIOS, SHORT, tables, wait_as_found
from mininet_tests.test_proxmox_hook import Node
from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.wire.association import ASSOCIATIONS, VdpMode
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.filter_info import FilterInfo, MacVid
from ryu_apps.evb.wire.mac import mac_from_text
from ryu_apps.evb.wire.vdp import ManagerId, RequestStatus, VdpPdu
from ryu_apps.evb.wire.vsi_id import VsiId
from ryu_apps.testbed.guests import HTTPS, arrives, copies_of_request, places, running, vsi, who_has
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import Namespace, run, wait_until
from ryu_apps.testbed.harness.station import HypervisorStation, LldpadStation, VdptoolAnswer, VdptoolMode
from ryu_apps.testbed.harness.station_daemon import DaemonStation
from ryu_apps.testbed.harness.vm import INTERFACE, NamespaceVm
from ryu_apps.testbed.harness.vswitch import VswitchEdge
from ryu_apps.testbed.moves.attempt import dismiss
from ryu_apps.testbed.raw_frames import RawSocket
from ryu_apps.testbed.replay.player import Replay
from ryu_apps.testbed.replay.scenario import load_scenario
from ryu_apps.testbed.short_timers import quick
from ryu_apps.topologies import servers

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

#: The servers, and the hypervisor with a VEPA at the switch of the rack.
HERE, THERE, VEPA = "hv1", "hv2", "hv3"
#: A port that the policy of the VMs blocks.
BLOCKED = 5002


def station(namespace: Namespace, uplink: str, folder: Path) -> HypervisorStation:
    """lldpad at the first server, the daemon at every other hypervisor."""
    return (LldpadStation if namespace.name == HERE else DaemonStation)(namespace, uplink, folder)


@pytest.fixture(scope="module")
def rack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("servers")
    fabric = quick(servers.fabric(2), SHORT)
    config = dump_config(BridgeConfig(fabric, (str(CHECKOUT / "policies"),), str(folder / "state")))
    with inside(), Cluster(fabric, servers.END_SYSTEMS, folder, config, station=station) as cluster:
        yield cluster


@pytest.fixture
def cluster(rack: Cluster) -> Iterator[Cluster]:
    before = tables(rack)
    yield rack
    wait_as_found(partial(tables, rack), before)


def attachment(cluster: Cluster, number: int) -> dict[str, Any]:
    """The attachment of a guest's VSI, which has one."""
    (found,) = cluster.controller.get(f"/evb/vsis/{vsi(number).uuid}")["attachments"]
    assert isinstance(found, dict)
    return found


def alarms(cluster: Cluster) -> list[str]:
    return [alarm["kind"] for alarm in cluster.controller.get("/evb/status")["alarms"]]


def station_of(cluster: Cluster, name: str) -> str | None:
    """The MAC address of the station with which a port has an agreement."""
    (found,) = [found for found in cluster.controller.get("/evb/stations") if found["name"] == name]
    return found["station"] if found["evb"] == "agreed" else None


def dropped(cluster: Cluster, switch: str) -> int:
    """Frames of station protocols from VMs of a server."""
    (found,) = [found for found in cluster.controller.get("/evb/status")["switches"] if found["name"] == switch]
    return sum(port["dropped"] for port in found["vsi_ports"])


def is_policed(sender: NamespaceVm, receiver: NamespaceVm) -> bool:
    """Do permitted datagrams arrive, and forbidden ones that were sent before them do not?"""

    with (
        receiver.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as forbidden,
        sender.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending,
    ):
        forbidden.bind(("0.0.0.0", BLOCKED))
        forbidden.setblocking(False)
        assert arrives(sender.namespace, receiver.namespace, receiver.ip, HTTPS)
        for _ in range(10):
            sending.sendto(b"forbidden", (receiver.ip, BLOCKED))
        assert arrives(sender.namespace, receiver.namespace, receiver.ip, HTTPS)
        try:
            return not forbidden.recv(16)
        except BlockingIOError:
            return True


@pytest.mark.parametrize("other", [HERE, THERE, VEPA])
def test_vms_of_one_server_and_of_others_are_policed_in_both_directions(cluster: Cluster, other: str) -> None:
    with running(cluster, 1, HERE) as vm, running(cluster, 2, other) as peer:
        assert is_policed(vm, peer)
        assert is_policed(peer, vm)


def test_a_vm_of_a_server_and_an_end_system_reach_each_other(cluster: Cluster) -> None:
    client = cluster.hosts["client"]
    with running(cluster, 1, THERE) as vm:
        assert arrives(vm.namespace, client.namespace, client.ip, HTTPS)
        assert arrives(client.namespace, vm.namespace, vm.ip, HTTPS)


def test_a_port_without_a_vsi_passes_nothing_in_either_direction(cluster: Cluster) -> None:
    silent = NamespaceVm("t3", "52:54:00:bb:00:03", "10.0.100.103")
    with running(cluster, 1, HERE) as vm:
        cluster.boot(silent, HERE)
        try:
            from_it = who_has(cluster.hosts["client"].ip, silent.mac, silent.ip)
            to_it = who_has(silent.ip, vm.mac, vm.ip)
            with (
                copies_of_request(cluster, (vm, silent), from_it) as leaked,
                copies_of_request(cluster, (vm, silent), to_it) as passed,
                RawSocket(silent.namespace, INTERFACE) as guest,
                RawSocket(vm.namespace, INTERFACE) as wire,
            ):
                for _ in range(5):
                    guest.send(from_it)
                wire.send(to_it)
                wait_until(lambda: passed()["client"] == 1, "a broadcast of the other VM")
                assert passed()[silent.name] == 0
                assert not any(leaked().values())
        finally:
            cluster.shut_down(silent.name, HERE)


def test_moves_between_servers_and_a_vepa_leak_nothing(cluster: Cluster, tmp_path: Path) -> None:
    report = Replay(load_scenario(SCENARIOS / "vswitch.yaml"), cluster, lambda words: None).run(tmp_path)
    assert [migration.failures for migration in report.migrations] == [(), (), (), ()]
    assert all(migration.figures.injected > 50 for migration in report.migrations)


def test_a_vm_of_proxmox_is_reserved_before_its_tap_is_there_and_associated_after(
    cluster: Cluster, tmp_path: Path
) -> None:
    node, vm = Node(cluster, THERE, tmp_path), NamespaceVm("t7", "52:54:00:bb:00:07", "10.0.100.107")
    edge = node.hypervisor.edge
    assert isinstance(edge, VswitchEdge)
    note = f"#evb net0 type=1 address={vm.ip} port={edge.tap(vm.mac)}"
    node.config.write_text(f"{note}\nnet0: virtio={vm.mac},bridge=vmbr0,tag=100\n")
    try:
        assert node.phase("pre-start").returncode == 0
        assert places(cluster, f"mac:{vm.mac}") == {THERE: "staged"}
        cluster.boot(vm, THERE)
        assert node.phase("post-start").returncode == 0
        assert places(cluster, f"mac:{vm.mac}") == {THERE: "active"}
        client = cluster.hosts["client"]
        assert arrives(client.namespace, vm.namespace, vm.ip, HTTPS)
    finally:
        assert node.phase("post-stop").returncode == 0
        if vm.name in cluster.vms:
            cluster.shut_down(vm.name, THERE)


@pytest.mark.parametrize("where", [HERE, THERE])
def test_an_associate_waits_for_a_port_that_appears_late(cluster: Cluster, where: str) -> None:
    home, late = cluster.hypervisors[where], NamespaceVm("t4", "52:54:00:bb:00:04", "10.0.100.104")
    late.boot(home.namespace)
    answers: list[VdptoolAnswer] = []
    try:
        assert home.station.request(VdptoolMode.PREASSOCIATE_RR, vsi(4)).granted
        assert attachment(cluster, 4)["vsi_port"]["port_no"] is None
        asking = threading.Thread(target=lambda: answers.append(home.station.request(VdptoolMode.ASSOCIATE, vsi(4))))
        asking.start()
        wait_until(lambda: attachment(cluster, 4)["wanted"] == "associate", "the Associate")
        home.edge.attach(late.port, late.mac)
        home.edge.raise_port(late.port)
        asking.join()
        assert [answer.granted for answer in answers] == [True], answers
        client = cluster.hosts["client"]
        assert arrives(client.namespace, late.namespace, late.ip, HTTPS)
    finally:
        dismiss(home, vsi(4))
        if late.port in home.edge.ports:
            home.edge.detach(late.port)
        late.halt()


def test_an_associate_without_a_port_is_refused_with_an_alarm(cluster: Cluster) -> None:
    home = cluster.hypervisors[THERE]
    answer = home.station.request(VdptoolMode.ASSOCIATE, vsi(5))
    assert not answer.granted and "error 2" in answer.reason
    assert "vsi.port_missing" in alarms(cluster)
    with running(cluster, 5, THERE):
        assert "vsi.port_missing" not in alarms(cluster)


def test_a_port_that_returns_under_another_number_has_its_vsi_again(cluster: Cluster) -> None:
    client = cluster.hosts["client"]
    with running(cluster, 1, HERE) as vm:
        before, edge = attachment(cluster, 1), cluster.hypervisors[HERE].edge
        edge.detach(vm.port)
        wait_until(lambda: "vsi.port_gone" in alarms(cluster), "the alarm")
        edge.attach(vm.port, vm.mac)
        edge.raise_port(vm.port)
        assert arrives(client.namespace, vm.namespace, vm.ip, HTTPS)
        assert arrives(vm.namespace, client.namespace, client.ip, HTTPS)
        after = attachment(cluster, 1)
        assert after["vsi_port"]["port_no"] not in (None, before["vsi_port"]["port_no"])
        assert after["program"]["generation"] == before["program"]["generation"]
        assert "vsi.port_gone" not in alarms(cluster)


def test_a_station_may_name_the_port(cluster: Cluster) -> None:
    home, vm = cluster.hypervisors[THERE], NamespaceVm("t7", "52:54:00:bb:00:07", "10.0.100.107")
    assert isinstance(home.station, DaemonStation)
    vm.boot(home.namespace)
    # "t2named" is no name by the rule, but one of the VSI ports.
    home.namespace.ip(f"link set dev {vm.port} netns {os.getpid()} name t2named")
    try:
        run(["ovs-vsctl", "--timeout=10", "add-port", "vs2", "t2named"])
        run(["ip", "link", "set", "t2named", "up"])
        described = {"type": 1, "filters": list(vsi(7).filters), "addresses": [vm.ip], "port": "t2named"}
        assert home.station.call("associate", vsi(7).uuid, **described)["ok"]
        assert attachment(cluster, 7)["vsi_port"]["name"] == "t2named"
        client = cluster.hosts["client"]
        assert arrives(client.namespace, vm.namespace, vm.ip, HTTPS)
        refused = home.station.call("reserve", vsi(8).uuid, **described | {"filters": list(vsi(8).filters)})
        assert refused["error"] == "refused", "a VM has its port for itself"
    finally:
        home.station.call("release", vsi(7).uuid)
        home.station.call("release", vsi(8).uuid)
        run(["ovs-vsctl", "--timeout=10", "del-port", "vs2", "t2named"])
        vm.halt()


def test_an_internal_port_of_the_switch_is_the_port_of_a_station(cluster: Cluster, tmp_path: Path) -> None:
    vm = NamespaceVm("t9", "52:54:00:bb:00:09", "10.0.100.109")
    station = DaemonStation(Namespace("server", os.getpid()), "evb0", tmp_path)
    before = station_of(cluster, THERE)
    internal = "add-port vs2 evb0 -- set interface evb0 type=internal ofport_request=2"
    run(["ovs-vsctl", "--timeout=10", "del-port", "vs2-eth2", "--", *internal.split()])
    try:
        run(["ip", "link", "set", "evb0", "up"])
        station.start()
        # For some seconds after a link was down the bridge takes a new station for an impostor of the last one.
        wait_until(lambda: station_of(cluster, THERE) not in (None, before), "the station at the internal port")
        cluster.boot(vm, THERE)
        for mode in (VdptoolMode.PREASSOCIATE_RR, VdptoolMode.ASSOCIATE):
            assert station.request(mode, vsi(9)).granted
        client = cluster.hosts["client"]
        assert arrives(client.namespace, vm.namespace, vm.ip, HTTPS)
        assert station.request(VdptoolMode.DEASSOCIATE, vsi(9)).granted
        cluster.shut_down(vm.name, THERE)
    finally:
        station.stop()
        back = "add-port vs2 vs2-eth2 -- set interface vs2-eth2 ofport_request=2"
        run(["ovs-vsctl", "--timeout=10", "del-port", "evb0", "--", *back.split()])
    wait_until(lambda: station_of(cluster, THERE) == before, "the station at its own port")


def associate_for(number: int, source: int) -> bytes:
    """A frame as a station would send it, for a VSI of a guest's choice."""
    info = FilterInfo.of(MacVid(vid=100, mac=mac_from_text(f"52:54:00:bb:00:{number:02x}")))
    asked = ASSOCIATIONS[VdpMode.ASSOCIATE](RequestStatus(), 1, 1, VsiId.from_text(vsi(number).uuid), info)
    ecpdu = Ecpdu(EcpOp.REQUEST, 1, 4711, VdpPdu(ManagerId(), (asked,)).encode())
    return Frame(NEAREST_CUSTOMER_BRIDGE, source, ETHERTYPE_ECP, ecpdu.encode()).encode(pad=True)


def test_a_guest_that_speaks_vdp_is_counted_and_heard_by_nobody(cluster: Cluster) -> None:
    known = station_of(cluster, HERE)
    assert known is not None
    with running(cluster, 1, HERE) as vm, running(cluster, 2, HERE) as other:
        with RawSocket(vm.namespace, INTERFACE) as wire:
            for source in (mac_from_text(vm.mac), mac_from_text(other.mac), mac_from_text(known)):
                wire.send(associate_for(6, source))
        wait_until(lambda: dropped(cluster, "vs1") == 3, "the frames to be counted")
        assert [found["vsi"] for found in cluster.controller.get("/evb/vsis")] == [vsi(1).uuid, vsi(2).uuid]
        assert station_of(cluster, HERE) == known
        assert arrives(vm.namespace, other.namespace, other.ip, HTTPS)


def test_a_restart_of_the_controller_costs_a_vm_at_its_port_nothing(cluster: Cluster) -> None:
    with running(cluster, 1, HERE) as vm, running(cluster, 2, HERE) as other:
        before, place = tables(cluster), attachment(cluster, 1)
        cluster.controller.kill()
        try:
            assert arrives(vm.namespace, other.namespace, other.ip, HTTPS)
        finally:
            cluster.controller.start()
            cluster.controller.wait_connected(3)
        assert tables(cluster) == before
        cluster.controller.wait_agreed(3)
        now = attachment(cluster, 1)
        assert (now["phase"], now["vsi_port"]) == ("active", place["vsi_port"])
        assert now["program"]["generation"] == place["program"]["generation"]
        assert arrives(other.namespace, vm.namespace, vm.ip, HTTPS)
