"""Real connections to virtual addresses while clients and back ends move: none is reset, none changes hands."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mininet_tests.conftest import tables, wait_as_found
from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.pipeline.tables import BALANCED_LIFE
from ryu_apps.evb.topology.balancer import Backend, LoadBalancer, TransportProtocol
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.testbed.conversations import SYN, Stack, segment, state
from ryu_apps.testbed.emulator import EmulatedStation, StationLoop
from ryu_apps.testbed.harness.capture import Tap, only_ethertypes
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.narrow import FAR, FAR_6, MTU, behind, route_back
from ryu_apps.testbed.harness.ovs import settle_cached_flows
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import Namespace, wait_until
from ryu_apps.testbed.harness.station import VdptoolMode, VdptoolVsi
from ryu_apps.testbed.harness.talk import EchoServer, Talk, Visits
from ryu_apps.testbed.harness.vm import INTERFACE, NamespaceVm
from ryu_apps.testbed.moves.attempt import admit
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.moves.observers import StepCallbacks
from ryu_apps.testbed.moves.single import SingleMove
from ryu_apps.testbed.raw_frames import RawSocket
from ryu_apps.topologies import two_switch
from ryu_apps.vcm.move_events import LIVE_LADDERS, Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

PORT, DNS_PORT, BEHIND = 80, 53, 8080
WEB, WEB_6, WEB_MAC = "10.0.100.200", "fd00:100::c8", 0x0200000064C8
ETHERTYPE_IPV4 = 0x0800
#: Ports of clients, one for each test: switches remember what end systems have used for a while.
REUSED, REMEMBERED = 45000, 45001
#: Seconds for a first segment; one that is lost is sent again after 1 s and after 3 s.
FIRST = 2.5
#: Of a back end, of its clients, and of a client that must not begin anything but this.
TYPES = {
    "backend": (21, "from_vm: {default: allow}\nto_vm: {default: allow}\nload_balancer: {backend_of: [dns, web]}\n"),
    "dual": (22, "from_vm: {default: allow}\nto_vm: {default: allow}\nload_balancer: {trigger: dual}\n"),
    "single": (23, "from_vm: {default: allow}\nto_vm: {default: allow}\nload_balancer: {trigger: single}\n"),
    "walled": (
        24,
        (
            "load_balancer: {}\nfirewall:\n  from_vm:\n    default: deny\n    rules:\n"
            f"      - rule: {{ipv4_dst: {WEB}, tcp_dst: {PORT}, actions: {{allow: 1}}}}\n"
            f"      - rule: {{ipv6_dst: '{WEB_6}', tcp_dst: {PORT}, actions: {{allow: 1}}}}\n"
        ),
    ),
}
#: Numbers of the VMs that are back ends; everybody else has higher ones.
BACKENDS = (11, 12, 13)


def mac_of(number: int) -> str:
    return f"52:54:00:1b:00:{number:02x}"


def ip_of(number: int, version: int = 4) -> str:
    return f"10.0.100.{number}" if version == 4 else f"fd00:100::{number:x}"


def balancer(name: str, number: int, protocol: TransportProtocol, port: int) -> LoadBalancer:
    backends = tuple(
        Backend(
            f"w{number}",
            int(mac_of(number).replace(":", ""), 16),
            tuple(ip_address(ip_of(number, version)) for version in (4, 6)),
            BEHIND,
            # Twice the share.
            2 if number == BACKENDS[0] else 1,
        )
        for number in BACKENDS
    )
    virtual = ip_address(WEB), ip_address(WEB_6)
    return LoadBalancer(number, name, two_switch.NATIVE_VLAN, WEB_MAC, virtual, protocol, port, backends)


def profiles(folder: Path) -> Path:
    folder.mkdir()
    for name, (type_id, text) in TYPES.items():
        head = f"version: 1\nvsi_type: {{type_id: {type_id}, version: 1, name: {name}}}\n"
        (folder / f"{name}.yaml").write_text(head + text, encoding="ascii")
    return folder


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    both = balancer("dns", 1, TransportProtocol.UDP, DNS_PORT), balancer("web", 2, TransportProtocol.TCP, PORT)
    fabric = replace(two_switch.fabric(8), balancers=both)
    folder = tmp_path_factory.mktemp("balanced")
    config = dump_config(BridgeConfig(fabric, (str(profiles(tmp_path_factory.mktemp("types") / "profiles")),)))
    with inside(), closing(StationLoop()) as loop:
        station = partial(EmulatedStation, loop)
        with Cluster(fabric, two_switch.END_SYSTEMS, folder, config, station=station) as cluster:
            client = cluster.hosts["client"]
            client.namespace.speak_ipv6(client.interface, "fd00:100::2/64")
            yield cluster


class Guest(NamedTuple):
    """A VM that is active somewhere; the last of ``at`` is where."""

    number: int
    vm: NamespaceVm
    vsi: VdptoolVsi
    at: list[str]


class Scene:
    """VMs that come, move and go; all are gone at the end."""

    _numbers = count(30)

    def __init__(self, cluster: Cluster, folder: Path, stack: ExitStack) -> None:
        self.cluster, self._folder, self._stack = cluster, folder, stack
        self.client = cluster.hosts["client"].namespace

    def guest(self, kind: str, at: str, number: int | None = None) -> Guest:
        number = number or next(self._numbers)
        vm = NamespaceVm(f"b{number}", mac_of(number), ip_of(number))
        vsi = VdptoolVsi(f"00000000-0000-4000-b000-{number:012d}", TYPES[kind][0], 1, (f"100-{vm.mac}",), vm.ip)
        made = Guest(number, vm, vsi, [at])
        self.cluster.boot(vm, at)
        self._stack.callback(lambda: self.cluster.shut_down(vm.name, made.at[-1]))
        vm.namespace.speak_ipv6(INTERFACE, f"{ip_of(number, 6)}/64")
        admit(self.cluster.hypervisors[at], vsi)
        self._stack.callback(lambda: self._station(made).request(VdptoolMode.DEASSOCIATE, vsi))
        return made

    def backend(self, number: int, at: str) -> Guest:
        made = self.guest("backend", at, number)
        made.vm.prober = server = EchoServer(made.vm.namespace, BEHIND, self._folder)
        self._stack.callback(server.stop)
        return made

    def talk(self, who: Guest | None = None, version: int = 4, own_port: int = 0) -> Talk:
        """A conversation with the load balancer that a VM or the client host begins; it ends with the scene."""
        namespace = self.client if who is None else who.vm.namespace
        made = Talk(namespace, WEB if version == 4 else WEB_6, PORT, own_port)
        self._stack.callback(made.close)
        return made

    def moves(self, guest: Guest, to: str, ladder: Ladder, at_staged: Callable[[], None] = lambda: None) -> None:
        """Move a VM whose station says when it is suspended; ``at_staged`` is called once its rules are staged."""
        station = self._station(guest)
        assert isinstance(station, EmulatedStation)
        callbacks = StepCallbacks(at_staged, on_suspended=lambda: station.suspend(guest.vsi))
        move = SingleMove(
            self.cluster, guest.vsi, guest.vm.name, guest.at[-1], to, ladder, 0.05, observers=(callbacks,)
        )
        evidence = move.run().evidence
        assert evidence.outcome is MoveOutcome.COMPLETED, evidence.reason
        guest.at.append(to)

    def judge(self, backend: int, **said: object) -> dict[str, Any]:
        """Report of a health check."""
        found: dict[str, Any] = self.cluster.controller.put(f"/evb/load_balancers/web/backends/w{backend}", said)
        return found

    def _station(self, guest: Guest) -> Any:
        return self.cluster.hypervisors[guest.at[-1]].station


def serves(backend: Guest, talk: Talk) -> bool:
    """Return True if a back end has a connection, by its own kernel."""
    told = backend.vm.namespace.run("ss", "-Htn", "state", "established", f"sport = :{BEHIND}")
    address, port = talk.own
    return f"{address}:{port}" in told.replace("[", "").replace("]", "").replace("::ffff:", "")


@contextmanager
def scene(cluster: Cluster, folder: Path) -> Iterator[Scene]:
    before = tables(cluster)
    with ExitStack() as stack:
        yield Scene(cluster, folder, stack)
    # A bridge that has lost its state leaves what it finds for a keep-alive timeout and a little.
    wait_as_found(partial(tables, cluster), before)


@pytest.mark.parametrize("version", [4, 6])
def test_both_ends_see_each_other_as_they_should(stage: Cluster, tmp_path: Path, version: int) -> None:
    with scene(stage, tmp_path) as here:
        backend, guest = here.backend(11, "hv1"), here.guest("dual", "hv5")
        client = {4: "10.0.100.2", 6: "fd00:100::2"}[version]
        for who, own in ((None, client), (guest, ip_of(guest.number, version))):
            talk = here.talk(who, version)
            assert talk.echoes()
            assert talk.peer == (WEB if version == 4 else WEB_6, PORT)
            assert talk.seen_as == talk.own
            assert serves(backend, talk)
            assert talk.own[0] == own


def test_a_client_that_doubts_the_virtual_address_finds_it_again(stage: Cluster, tmp_path: Path) -> None:
    """The switch answers a question by another one, so doubts of the client's kernel end in a new resolution."""

    def neighbour() -> str:
        return client.namespace.run("ip", "-6", "neigh", "show", "to", WEB_6, "dev", client.interface)

    client = stage.hosts["client"]
    with scene(stage, tmp_path) as here:
        backend, talk = here.backend(11, "hv1"), here.talk(None, 6)
        assert talk.echoes() and serves(backend, talk)
        client.namespace.ip(f"neigh change {WEB_6} dev {client.interface} nud probe")
        wait_until(lambda: "FAILED" in neighbour(), "the kernel to give the address up", 20)
        assert talk.echoes()
        assert mac_to_text(WEB_MAC) in neighbour()
        client.namespace.ip(f"neigh del {WEB_6} dev {client.interface}")
        assert here.talk(None, 6).echoes()


def test_new_connections_are_shared_by_weight(stage: Cluster, tmp_path: Path) -> None:
    with scene(stage, tmp_path) as here:
        backends = [here.backend(number, at) for number, at in zip(BACKENDS, ("hv1", "hv2", "hv5"), strict=True)]
        talks = [here.talk() for _ in range(120)]
        assert all(talk.echoes() for talk in talks)
        shares = Counter(next(b.vm.name for b in backends if serves(b, talk)) for talk in talks)
        # Half, a quarter, a quarter; a hash is no lottery, and no clockwork.
        assert 35 <= shares["b11"] <= 85
        assert shares["b12"] >= 10
        assert shares["b13"] >= 10


@pytest.mark.parametrize("ladder", LIVE_LADDERS)
def test_connections_of_a_back_end_follow_it_and_nobody_is_reset(
    stage: Cluster, tmp_path: Path, ladder: Ladder
) -> None:
    with scene(stage, tmp_path) as here:
        moving, other = here.backend(11, "hv1"), here.backend(12, "hv2")
        guest = here.guest("dual", "hv6")
        old = [here.talk(who, version) for who in (None, guest) for version in (4, 6) for _ in range(5)]
        had = [serves(moving, talk) for talk in old]
        visits = Visits(here.client, WEB, PORT)
        visits.start()
        wait_until(lambda: visits.since(0.0) >= 40, "the first visitors", 20)
        here.moves(moving, "hv5", ladder)
        moved = time.monotonic()
        wait_until(lambda: visits.since(moved) >= 40, "visitors after the move", 40)
        visits.stop()
        assert visits.failed == []
        assert all(talk.echoes() for talk in old)
        assert [serves(moving, talk) for talk in old] == had
        assert {True, False} == set(had)
        assert all(serves(moving, talk) or serves(other, talk) for talk in old)


@pytest.mark.parametrize("ladder", LIVE_LADDERS)
@pytest.mark.parametrize("kind", ["dual", "single", "walled"])
def test_connections_of_a_client_keep_their_back_end_through_its_move(
    stage: Cluster, tmp_path: Path, ladder: Ladder, kind: str
) -> None:
    with scene(stage, tmp_path) as here:
        first, client = here.backend(11, "hv2"), here.guest(kind, "hv1")
        old = [here.talk(client, version) for version in (4, 6)]
        seconds: list[Guest] = []

        def staged() -> None:
            old.extend(here.talk(client, version) for version in (4, 6))
            # From now on another back end is picked.
            seconds.append(here.backend(12, "hv6"))
            assert here.judge(11, up=False)["in_rotation"] is False

        here.moves(client, "hv5", ladder, staged)
        (second,) = seconds
        new = [here.talk(client, version) for version in (4, 6)]
        assert all(talk.echoes() for talk in (*old, *new))
        assert [serves(first, talk) for talk in (*old, *new)] == [True] * 4 + [False] * 2
        assert [serves(second, talk) for talk in (*old, *new)] == [False] * 4 + [True] * 2
        here.judge(11, up=True)


def test_a_connection_follows_its_client_there_and_back(stage: Cluster, tmp_path: Path) -> None:
    with scene(stage, tmp_path) as here:
        backend, client = here.backend(11, "hv2"), here.guest("dual", "hv1")
        talk = here.talk(client)
        for there in ("hv5", "hv1", "hv6"):
            here.moves(client, there, Ladder.MINIMIZE_LATENCY)
            assert talk.echoes()
            assert serves(backend, talk)


def test_nobody_is_sent_to_a_back_end_before_its_associate_or_after_its_de_associate(
    stage: Cluster, tmp_path: Path
) -> None:
    def rotation() -> list[str]:
        _dns, web = stage.controller.get("/evb/load_balancers")
        return [backend["name"] for backend in web["backends"] if backend["in_rotation"]]

    with scene(stage, tmp_path) as here:
        assert rotation() == []
        guest = here.backend(11, "hv1")
        station = stage.hypervisors["hv1"].station
        assert rotation() == ["w11"]
        station.request(VdptoolMode.DEASSOCIATE, guest.vsi)
        assert rotation() == []
        with closing(here.client.socket(socket.AF_INET, socket.SOCK_STREAM)) as caller:
            caller.settimeout(1.5)
            with pytest.raises(TimeoutError):
                caller.connect((WEB, PORT))
        station.request(VdptoolMode.PREASSOCIATE_RR, guest.vsi)
        assert rotation() == []
        station.request(VdptoolMode.ASSOCIATE, guest.vsi)
        assert rotation() == ["w11"]
        assert here.talk().echoes()


@pytest.mark.parametrize("version", [4, 6])
def test_a_port_that_is_used_again_reaches_a_back_end_that_is_there(
    stage: Cluster, tmp_path: Path, version: int
) -> None:
    """Of an end system and of a VM: their old back end is gone, and the switch remembers it for a while."""
    with scene(stage, tmp_path) as here:
        first, guest = here.backend(11, "hv1"), here.guest("dual", "hv5")
        clients = None, guest
        for talk in [here.talk(who, version, REUSED) for who in clients]:
            assert talk.echoes() and serves(first, talk)
            talk.reset()
        second = here.backend(12, "hv2")
        stage.hypervisors["hv1"].station.request(VdptoolMode.DEASSOCIATE, first.vsi)
        for who in clients:
            began = time.monotonic()
            talk = here.talk(who, version, REUSED)
            assert time.monotonic() - began < FIRST, "the first segment gets there"
            assert talk.echoes() and serves(second, talk)


@pytest.mark.parametrize("version", [4, 6])
def test_datagrams_follow_a_back_end_and_leave_it_when_it_is_gone(stage: Cluster, tmp_path: Path, version: int) -> None:
    """However often a client sends: of an end system and of a VM."""
    family, virtual = (socket.AF_INET, WEB) if version == 4 else (socket.AF_INET6, WEB_6)

    def bound(namespace: Namespace, port: int = 0) -> socket.socket:
        made = sockets.enter_context(closing(namespace.socket(family, socket.SOCK_DGRAM)))
        made.bind(("", port))
        made.settimeout(0.2)
        return made

    def answers(client: socket.socket, server: socket.socket) -> bool:
        try:
            client.sendto(b"question", (virtual, DNS_PORT))
            _, seen = server.recvfrom(100)
            server.sendto(b"answer", seen)
            return client.recvfrom(100)[1][:2] == (virtual, DNS_PORT)
        except TimeoutError:
            return False

    def refused(client: socket.socket) -> bool:
        try:
            client.send(b"question")
            client.recv(100)
        except ConnectionRefusedError:
            return True
        except TimeoutError:
            pass
        return False

    with scene(stage, tmp_path) as here, ExitStack() as sockets:
        first, guest = here.backend(11, "hv1"), here.guest("dual", "hv5")
        clients = [bound(here.client), bound(guest.vm.namespace)]
        one = bound(first.vm.namespace, BEHIND)
        for client in clients:
            wait_until(partial(answers, client, one), "an answer of the first back end")
        second = here.backend(12, "hv2")
        here.moves(first, "hv6", Ladder.MINIMIZE_LATENCY)
        for client in clients:
            wait_until(partial(answers, client, one), "an answer of the first after its move")
        other = bound(second.vm.namespace, BEHIND)
        stage.hypervisors["hv6"].station.request(VdptoolMode.DEASSOCIATE, first.vsi)
        for client in clients:
            wait_until(partial(answers, client, other), "an answer of the second back end")
        # Nobody listens there any more, and its kernel says so, about its own address.
        other.close()
        for client in clients:
            client.connect((virtual, DNS_PORT))
            wait_until(partial(refused, client), "the back end's error")


def test_a_port_that_is_used_again_is_remembered_as_long_as_any(stage: Cluster, tmp_path: Path) -> None:
    """The back end is the same; each time both pins of what stands have the whole timeout."""

    def lasting(life: int) -> int:
        marks = "idle_timeout=3600,", f"={REMEMBERED}", f"reg2={life << BALANCED_LIFE.offset:#x}/".replace("0x0/", "0/")
        return sum(all(mark in flow for mark in marks) for flow in state(stage, "s2"))

    def stands(life: int) -> bool:
        return lasting(life) == 2

    def closing_down(life: int) -> bool:
        return lasting(life) < 2

    with scene(stage, tmp_path) as here:
        backend = here.backend(11, "hv1")
        for life in range(3):
            talk = here.talk(None, own_port=REMEMBERED)
            assert talk.echoes() and serves(backend, talk)
            wait_until(partial(stands, life), "both pins of what stands", pause=0.05)
            settle_cached_flows()
            talk.reset()
            wait_until(partial(closing_down, life), "a reset has gone by", pause=0.05)
            settle_cached_flows()


@pytest.mark.parametrize("version", [4, 6])
def test_a_back_end_is_told_what_does_not_fit_through_to_its_client(
    stage: Cluster, tmp_path: Path, version: int
) -> None:
    """A router beyond the fabric knows the virtual address only; the back end never learns of the narrow way else."""
    with scene(stage, tmp_path) as here, behind(here.client) as far:
        backend = here.backend(11, "hv1")
        own, to = backend.vm.namespace, FAR if version == 4 else FAR_6
        with route_back(own, "10.0.100.2", "fd00:100::2"):
            with closing(Talk(far, WEB if version == 4 else WEB_6, PORT)) as talk:
                assert talk.says_again(200_000) and serves(backend, talk)
            assert f"mtu {MTU}" in own.run("ip", "route", "get", to)


def test_what_is_staged_for_a_client_lets_nothing_through(stage: Cluster, tmp_path: Path) -> None:
    """From the staged port, with the very addresses of a connection that is staged there."""
    with scene(stage, tmp_path) as here:
        backend, client = here.backend(11, "hv2"), here.guest("dual", "hv1")
        talk = here.talk(client)
        stage.hypervisors["hv5"].station.request(VdptoolMode.PREASSOCIATE_RR, client.vsi)
        switch = stage.hypervisors["hv5"]
        virtual = Stack(client.vm.namespace, INTERFACE, "02:00:00:00:64:c8", WEB)
        own = Stack(client.vm.namespace, INTERFACE, client.vm.mac, client.vm.ip)
        tap = Tap(backend.vm.namespace, INTERFACE, only_ethertypes(ETHERTYPE_IPV4))
        with closing(tap.socket), RawSocket(switch.namespace, switch.uplink) as mouth:
            for flags in (SYN, 0x10):
                mouth.send(segment(own, virtual, (talk.own[1], PORT), flags, b"EVB staged"))
            time.sleep(0.4)
            tap.drain()
            assert tap.matching(lambda sighting: b"EVB staged" in sighting.data) == []
        stage.hypervisors["hv5"].station.request(VdptoolMode.DEASSOCIATE, client.vsi)
        assert talk.echoes()


def test_a_dead_controller_keeps_nobody_from_a_back_end(stage: Cluster, tmp_path: Path) -> None:
    with scene(stage, tmp_path) as here:
        backend, guest = here.backend(11, "hv1"), here.guest("dual", "hv5")
        old = [here.talk(who) for who in (None, guest)]
        stage.controller.kill()
        try:
            new = [here.talk(who, version) for who in (None, guest) for version in (4, 6)]
            assert all(talk.echoes() and serves(backend, talk) for talk in (*old, *new))
        finally:
            stage.controller.start()
            stage.controller.wait_connected(len(stage.fabric.switches))
        assert all(talk.echoes() and serves(backend, talk) for talk in (*old, *new))
