"""Links between real switches fail and return under traffic: it goes on, nothing comes twice, nothing goes round."""

from __future__ import annotations

import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial

import pytest

from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.evb.wire.mac import mac_from_text
from ryu_apps.testbed.emulator import EmulatedStation, StationLoop
from ryu_apps.testbed.harness.capture import Tap, only_ethertypes
from ryu_apps.testbed.harness.cluster import Cluster, EndHost
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import run, wait_until
from ryu_apps.testbed.harness.station import VdptoolVsi
from ryu_apps.testbed.harness.vm import INTERFACE, NamespaceVm
from ryu_apps.testbed.moves.attempt import admit, dismiss
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.moves.observers import StepCallbacks
from ryu_apps.testbed.moves.single import SingleMove
from ryu_apps.testbed.raw_frames import RawSocket
from ryu_apps.topologies.mininet_topo import EndSystem
from ryu_apps.vcm.move_events import Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

VLAN = 100
LEAVES, SPINES = (1, 2, 3), (11, 12)
HOST_PORT, STATION_PORT = 50, 51
HOSTS = tuple(EndSystem(f"host{leaf}", 0x525400006400 | leaf, f"10.0.100.{leaf}/24") for leaf in LEAVES)
ETHERTYPE, BROADCAST = 0x88B5, b"\xff" * 6
_SEQUENCE = struct.Struct("!4sI")
_INTERVAL = 0.002
#: Seconds of traffic before and after each event.
CALM = 0.7
OPEN = """\
version: 1
vsi_type: {type_id: 21, version: 1, name: open}
from_vm: {default: allow, rules: [{rule: {eth_type: 0x88b5, actions: {allow: 1}}}]}
to_vm: {default: allow, rules: [{rule: {eth_type: 0x88b5, actions: {allow: 1}}}]}
"""


def fabric() -> Fabric:
    def leaf(number: int) -> Switch:
        ports = [
            *(
                Interface(port, f"spine{port}", Role.TRUNK, peer=PortId(spine, number))
                for port, spine in enumerate(SPINES, 1)
            ),
            Interface(HOST_PORT, f"host{number}", Role.HOST, VLAN, macs=(HOSTS[number - 1].mac,)),
            Interface(STATION_PORT, f"hv{number}", Role.STATION, VLAN),
        ]
        return Switch(number, f"leaf{number}", {port.port_no: port for port in ports})

    def spine(number: int, dpid: int) -> Switch:
        ports = [Interface(leaf, f"leaf{leaf}", Role.TRUNK, peer=PortId(leaf, number)) for leaf in LEAVES]
        return Switch(dpid, f"spine{number}", {port.port_no: port for port in ports})

    switches = [*map(leaf, LEAVES), *(spine(number, dpid) for number, dpid in enumerate(SPINES, 1))]
    return Fabric({switch.dpid: switch for switch in switches})


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder, types = tmp_path_factory.mktemp("links"), tmp_path_factory.mktemp("types")
    (types / "open.yaml").write_text(OPEN, encoding="ascii")
    config = dump_config(BridgeConfig(fabric(), (str(types),)))
    with inside(), closing(StationLoop()) as loop:
        station = partial(EmulatedStation, loop)
        with Cluster(fabric(), HOSTS, folder, config, station=station) as cluster:
            yield cluster


class Stream:
    """Numbered frames from one host to some address, some hundred a second."""

    def __init__(self, source: EndHost, target: bytes, mark: bytes) -> None:
        self._wire = RawSocket(source.namespace, source.interface)
        self._head = target + mac_from_text(source.mac).to_bytes(6) + ETHERTYPE.to_bytes(2)
        self._mark = mark
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.sent = 0

    def __enter__(self) -> Stream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._wire.socket.close()

    def _run(self) -> None:
        while not self._stopping.wait(_INTERVAL):
            self._wire.send(self._head + _SEQUENCE.pack(self._mark, self.sent) + bytes(40))
            self.sent += 1


class Ear:
    """Datagrams of the streams that arrive at one place."""

    def __init__(self, cluster: Cluster, namespace: object, interface: str, stack: ExitStack) -> None:
        self._cluster = cluster
        tap = Tap(namespace, interface, only_ethertypes(ETHERTYPE))  # type: ignore[arg-type]
        self._tap = cluster.watcher.watch(tap)
        stack.callback(cluster.watcher.dismiss, self._tap)

    def heard(self, mark: bytes) -> list[int]:
        """The numbers of a stream that have arrived."""
        self._cluster.watcher.settle()
        ours = self._tap.matching(lambda sighting: not sighting.outgoing and sighting.data[14:18] == mark)
        return [_SEQUENCE.unpack_from(sighting.data, 14)[1] for sighting in ours]


@contextmanager
def link_down(leaf: int, spine: int) -> Iterator[None]:
    """A link between a leaf and a spine is out of order."""
    name = f"leaf{leaf}-eth{spine}"
    run(["ip", "link", "set", name, "down"])
    try:
        yield
    finally:
        run(["ip", "link", "set", name, "up"])


def links(cluster: Cluster) -> list[bool]:
    return [link["up"] for link in cluster.controller.get("/evb/status")["links"]]


def check(ear: Ear, mark: bytes, stream: Stream) -> None:
    """Wait for a frame that is sent from now on; no frame has come twice."""
    sent = stream.sent
    wait_until(lambda: max(ear.heard(mark), default=-1) >= sent, f"{mark!r} arrives")
    heard = ear.heard(mark)
    assert max(Counter(heard).values()) == 1, "a frame has come twice"
    assert len(heard) > max(heard) / 2


@pytest.mark.parametrize("spine", [1, 2])
def test_traffic_goes_around_a_link_that_fails_and_comes_back(cluster: Cluster, spine: int) -> None:
    wait_until(lambda: all(links(cluster)), "all links")
    with ExitStack() as stack:
        hosts = [cluster.hosts[f"host{leaf}"] for leaf in LEAVES]
        ears = [Ear(cluster, host.namespace, host.interface, stack) for host in hosts]
        there = stack.enter_context(Stream(hosts[0], HOSTS[1].mac.to_bytes(6), b"uni1"))
        back = stack.enter_context(Stream(hosts[1], HOSTS[0].mac.to_bytes(6), b"uni2"))
        everywhere = stack.enter_context(Stream(hosts[0], BROADCAST, b"bcst"))

        def arrives() -> None:
            check(ears[1], b"uni1", there)
            check(ears[0], b"uni2", back)
            for ear in ears[1:]:
                check(ear, b"bcst", everywhere)

        time.sleep(CALM)
        arrives()
        with link_down(2, spine):
            wait_until(lambda: not all(links(cluster)), "the failure to be noticed")
            time.sleep(CALM)
            arrives()
        wait_until(lambda: all(links(cluster)), "the link to be noticed")
        time.sleep(CALM)
        arrives()
        assert ears[2].heard(b"uni1") == [], "unicast for somebody else"


def test_a_spine_that_dies_during_a_move_loses_no_vm(cluster: Cluster) -> None:
    wait_until(lambda: all(links(cluster)), "all links")
    vm = NamespaceVm("v1", "52:54:00:5f:00:01", "10.0.100.61")
    vsi = VdptoolVsi("00000000-0000-4000-5f00-000000000001", 21, 1, (f"100-{vm.mac}",), vm.ip)
    cluster.boot(vm, "hv1")
    at = "hv1"
    try:
        admit(cluster.hypervisors["hv1"], vsi)
        with ExitStack() as stack:
            host = cluster.hosts["host3"]
            ear = Ear(cluster, vm.namespace, INTERFACE, stack)
            stream = stack.enter_context(Stream(host, mac_from_text(vm.mac).to_bytes(6), b"tovm"))
            time.sleep(CALM)
            dead = stack.enter_context(ExitStack())

            def spine_dies() -> None:
                for leaf in LEAVES:
                    dead.enter_context(link_down(leaf, 1))

            callbacks = (StepCallbacks(on_copying=spine_dies),)
            ladder = Ladder.MINIMIZE_LATENCY
            move = SingleMove(cluster, vsi, vm.name, "hv1", "hv2", ladder, 0.02, observers=callbacks)
            assert move.run().evidence.outcome is MoveOutcome.COMPLETED
            at = "hv2"
            time.sleep(CALM)
            check(ear, b"tovm", stream)
            dead.close()
            time.sleep(CALM)
            check(ear, b"tovm", stream)
    finally:
        dismiss(cluster.hypervisors[at], vsi)
        cluster.shut_down(vm.name, at)


def test_switches_hear_each_other_as_configured(cluster: Cluster) -> None:
    def all_heard() -> bool:
        found = cluster.controller.get("/evb/status")["links"]
        return all(link["heard"] == link["ports"][::-1] and not link["miswired"] for link in found)

    wait_until(all_heard, "LLDP on every link", 15)


def test_cables_in_the_wrong_place_are_found_and_not_used(cluster: Cluster) -> None:
    """The configuration believes that two leaves hang the other way round on one spine."""

    def miswired() -> list[str]:
        found = cluster.controller.get("/evb/status")["links"]
        return sorted(port for link in found if link["miswired"] for port in link["ports"])

    wrong = fabric().switches
    for leaf, other in ((1, 2), (2, 1)):
        ports = wrong[leaf].interfaces
        ports[1] = replace(ports[1], peer=PortId(SPINES[0], other))
        ports = wrong[SPINES[0]].interfaces
        ports[leaf] = replace(ports[leaf], peer=PortId(other, 1))
    text = cluster.controller.config.read_text(encoding="utf-8")
    cluster.controller.stop()
    cluster.controller.config.write_text(dump_config(BridgeConfig(Fabric(wrong))), encoding="utf-8")
    try:
        cluster.controller.start()
        cluster.controller.wait_connected(len(wrong))
        ports = [*(str(PortId(leaf, 1)) for leaf in (1, 2)), *(str(PortId(SPINES[0], leaf)) for leaf in (1, 2))]
        wait_until(lambda: miswired() == sorted(ports), "the wrong cables", 15)
        with ExitStack() as stack:
            hosts = [cluster.hosts[f"host{leaf}"] for leaf in LEAVES]
            ears = [Ear(cluster, host.namespace, host.interface, stack) for host in hosts]
            stream = stack.enter_context(Stream(hosts[0], HOSTS[1].mac.to_bytes(6), b"unic"))
            everywhere = stack.enter_context(Stream(hosts[0], BROADCAST, b"bcst"))
            time.sleep(CALM)
            check(ears[1], b"unic", stream)
            for ear in ears[1:]:
                check(ear, b"bcst", everywhere)
    finally:
        cluster.controller.stop()
        cluster.controller.config.write_text(text, encoding="utf-8")
        cluster.controller.start()
        cluster.controller.wait_connected(len(wrong))
