"""Connections through a real haproxy at each switch, while the VM behind them moves: no reset, and no way past it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from socket import IPPROTO_TCP
from typing import NamedTuple

import pytest

from mininet_tests.conftest import tables, wait_as_found
from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.testbed.emulator import EmulatedStation, StationLoop
from ryu_apps.testbed.harness.capture import Sighting, Tap, only_ethertypes
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.haproxy import Haproxy
from ryu_apps.testbed.harness.narrow import FAR, FAR_6, MTU, behind, route_back
from ryu_apps.testbed.harness.ovs import dump_flows
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.station import VdptoolMode, VdptoolVsi
from ryu_apps.testbed.harness.talk import EchoServer, Talk, Visits
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.measurement.ties import tied
from ryu_apps.testbed.moves.attempt import admit
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.moves.observers import StepCallbacks
from ryu_apps.testbed.moves.single import SingleMove
from ryu_apps.topologies import two_switch
from ryu_apps.vcm.move_events import LIVE_LADDERS, Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

HTTP, SSH = 80, 22
ETHERTYPE_IPV4, ETHERTYPE_IPV6 = 0x0800, 0x86DD
#: Seconds that a closed connection keeps its pin, of the type that is brief.
CLOSING = 2
#: What visitors leave half open when they stop is forgotten after half the usual time.
WALLED = """\
firewall:
  timeouts: {tcp_opening: 5}
  from_vm: {default: deny}
  to_vm: {rules: [rule: {tcp_dst: 80, actions: {allow: 1}}]}
"""
#: Types of the tests, by what they are.
TYPES = {
    "dual": (21, "from_vm: {default: allow}\nto_vm: {default: allow}\ntrigger: dual\n"),
    "single": (22, "from_vm: {default: allow}\nto_vm: {default: allow}\ntrigger: single\n"),
    "brief": (24, "from_vm: {default: allow}\nto_vm: {default: allow}\n"),
    "walled": (23, WALLED),
}


def profiles(folder: Path) -> Path:
    folder.mkdir()
    for name, (type_id, text) in TYPES.items():
        head = f"version: 1\nvsi_type: {{type_id: {type_id}, version: 1, name: {name}}}\n"
        closed = f", timeouts: {{closing: {CLOSING}}}" if name == "brief" else ""
        (folder / f"{name}.yaml").write_text(f"{head}{text}tcp_proxy: {{ports: [80]{closed}}}\n", encoding="ascii")
    return folder


def in_ipv6(ip: str) -> str:
    """The IPv6 address of who has this IPv4 address."""
    return f"fd00:100::{int(ip.rpartition('.')[2]):x}"


class Stage(NamedTuple):
    """A cluster with a proxy at each switch."""

    cluster: Cluster
    proxies: dict[str, Haproxy]


@pytest.fixture(scope="module", params=["clientip", "client"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    fabric = two_switch.fabric(8, proxies=1)
    folder = tmp_path_factory.mktemp("proxied")
    config = dump_config(BridgeConfig(fabric, (str(profiles(tmp_path_factory.mktemp("types") / "profiles")),)))
    systems = (*two_switch.END_SYSTEMS, *two_switch.PROXIES)
    with inside(), closing(StationLoop()) as loop, ExitStack() as stack:
        cluster = stack.enter_context(Cluster(fabric, systems, folder, config, station=partial(EmulatedStation, loop)))
        proxies = {}
        for system in two_switch.PROXIES:
            host = cluster.hosts[system.name]
            proxies[host.name] = Haproxy(host.namespace, host.interface, folder, request.param)
            stack.callback(proxies[host.name].stop)
            proxies[host.name].start()
            host.namespace.speak_ipv6(host.interface, f"{in_ipv6(host.ip)}/64")
        client = cluster.hosts["client"]
        client.namespace.speak_ipv6(client.interface, f"{in_ipv6(client.ip)}/64")
        yield Stage(cluster, proxies)


class Scene:
    """A VM with a server on ports 80 and 22, and taps that see who talks to it."""

    #: Every VM gets addresses of its own: a datapath may still cache what became of the last one's frames.
    _numbers = count(1)

    def __init__(self, stage: Stage, kind: str, folder: Path, stack: ExitStack) -> None:
        self.cluster, self.proxies = stage
        number = next(self._numbers)
        self.vm = NamespaceVm(f"p{number}", f"52:54:00:dd:00:{number:02x}", f"10.0.100.{60 + number}")
        self.vsi = VdptoolVsi(
            f"00000000-0000-4000-d000-{number:012d}", TYPES[kind][0], 1, (f"100-{self.vm.mac}",), self.vm.ip
        )
        self.at = "hv1"
        self.cluster.boot(self.vm, self.at)
        stack.callback(lambda: self.cluster.shut_down(self.vm.name, self.at))
        self.vm.namespace.speak_ipv6("eth0", f"{in_ipv6(self.vm.ip)}/64")
        admit(self.cluster.hypervisors[self.at], self.vsi)
        stack.callback(self._leave)
        ssh = EchoServer(self.vm.namespace, SSH, folder)
        stack.callback(ssh.stop)
        self.vm.prober = server = EchoServer(self.vm.namespace, HTTP, folder)
        stack.callback(server.stop)
        client = self.cluster.hosts["client"]
        self._at_vm = self._tap(stack, self.vm.namespace, "eth0")
        self._at_client = self._tap(stack, client.namespace, client.interface)
        self._proxy_macs = {bytes.fromhex(self.cluster.hosts[name].mac.replace(":", "")) for name in self.proxies}

    def talk(self, port: int = HTTP, version: int = 4) -> Talk:
        """The client begins a conversation."""
        address = self.vm.ip if version == 4 else in_ipv6(self.vm.ip)
        return Talk(self.cluster.hosts["client"].namespace, address, port)

    def visits(self) -> Visits:
        """The client comes again and again."""
        return Visits(self.cluster.hosts["client"].namespace, self.vm.ip, HTTP)

    def moves(self, to: str, ladder: Ladder, *callbacks: StepCallbacks) -> None:
        """Move the VM, whose station says when it is suspended."""
        station = self.cluster.hypervisors[self.at].station
        assert isinstance(station, EmulatedStation)
        suspends = StepCallbacks(on_suspended=lambda: station.suspend(self.vsi))
        move = SingleMove(
            self.cluster, self.vsi, self.vm.name, self.at, to, ladder, 0.05, observers=(suspends, *callbacks)
        )
        evidence = move.run().evidence
        assert evidence.outcome is MoveOutcome.COMPLETED, evidence.reason
        self.at = to

    def proxy_of(self, talk: Talk) -> list[str]:
        """The proxies that have a connection, by their own account."""
        return [name for name, proxy in self.proxies.items() if talk.own in proxy.clients()]

    def ties(self) -> dict[str, int]:
        """Connections that each proxy has, as the switch of the VM has them."""
        names = {self.cluster.hosts[name].mac: name for name in self.proxies}
        return tied(dump_flows("s1" if int(self.at.removeprefix("hv")) < 5 else "s2"), self.vm.ip, names)

    def bypassing(self) -> list[str]:
        """Frames of port 80 at either end that no proxy sent."""
        self.cluster.watcher.settle()
        seen = *self._at_vm.matching(to_the_port), *self._at_client.matching(from_the_port)
        return [sighting.data[:80].hex() for sighting in seen if sighting.data[6:12] not in self._proxy_macs]

    def proxied(self) -> int:
        """Frames of port 80 that have reached the VM."""
        self.cluster.watcher.settle()
        return len(self._at_vm.matching(to_the_port))

    def _tap(self, stack: ExitStack, namespace, interface: str) -> Tap:  # type: ignore[no-untyped-def]
        tap = self.cluster.watcher.watch(Tap(namespace, interface, only_ethertypes(ETHERTYPE_IPV4, ETHERTYPE_IPV6)))
        stack.callback(self.cluster.watcher.dismiss, tap)
        return tap

    def _leave(self) -> None:
        self.cluster.hypervisors[self.at].station.request(VdptoolMode.DEASSOCIATE, self.vsi)


def tcp_ports(sighting: Sighting) -> tuple[int, int]:
    """Source and destination port of received TCP; (0, 0) of anything else."""
    ethertype, data = int.from_bytes(sighting.data[12:14]), sighting.data
    proto, at = (data[23], 34) if ethertype == ETHERTYPE_IPV4 else (data[20], 54)
    if sighting.outgoing or proto != IPPROTO_TCP:
        return 0, 0
    return int.from_bytes(data[at : at + 2]), int.from_bytes(data[at + 2 : at + 4])


def to_the_port(sighting: Sighting) -> bool:
    return tcp_ports(sighting)[1] == HTTP


def from_the_port(sighting: Sighting) -> bool:
    return tcp_ports(sighting)[0] == HTTP


@contextmanager
def scene(stage: Stage, kind: str, folder: Path) -> Iterator[Scene]:
    before = tables(stage.cluster)
    with ExitStack() as stack:
        yield Scene(stage, kind, folder, stack)
    wait_as_found(partial(tables, stage.cluster), before)


@pytest.mark.parametrize("version", [4, 6])
def test_both_ends_see_each_other_and_the_proxy_between_them(stage: Stage, tmp_path: Path, version: int) -> None:
    with scene(stage, "dual", tmp_path) as here, here.talk(HTTP, version) as talk, here.talk(SSH, version) as direct:
        assert talk.echoes()
        assert direct.echoes()
        assert talk.seen_as[0] == talk.own[0]
        assert talk.peer == (in_ipv6(here.vm.ip) if version == 6 else here.vm.ip, HTTP)
        assert [here.proxy_of(connection) for connection in (talk, direct)] == [["proxy1"], []]
        assert here.proxied() > 0
        assert here.bypassing() == []


@pytest.mark.parametrize("version", [4, 6])
def test_a_proxy_is_told_what_does_not_fit_through_to_its_client(stage: Stage, tmp_path: Path, version: int) -> None:
    """A router says so to the VM, in whose name the proxy speaks."""
    cluster = stage.cluster
    with (
        scene(stage, "walled", tmp_path) as here,
        behind(cluster.hosts["client"].namespace) as far,
        ExitStack() as stack,
    ):
        client = cluster.hosts["client"]
        proxy = cluster.hosts["proxy1"].namespace
        for system in (proxy, here.vm.namespace):
            stack.enter_context(route_back(system, client.ip, in_ipv6(client.ip)))
        address = here.vm.ip if version == 4 else in_ipv6(here.vm.ip)
        with closing(Talk(far, address, HTTP)) as talk:
            assert talk.says_again(200_000)
            assert here.proxy_of(talk) == ["proxy1"]
        to = FAR if version == 4 else FAR_6
        assert f"mtu {MTU}" in proxy.run("ip", "route", "get", to)


@pytest.mark.parametrize("ladder", LIVE_LADDERS)
@pytest.mark.parametrize("kind", ["dual", "single", "walled"])
def test_connections_keep_their_proxy_through_a_move(stage: Stage, tmp_path: Path, ladder: Ladder, kind: str) -> None:
    with scene(stage, kind, tmp_path) as here, ExitStack() as talks, ThreadPoolExecutor() as visitors:
        old = [talks.enter_context(here.talk(version=version)) for version in (4, 6)]
        during: list[Talk] = []
        waiting: list[Future[Talk]] = []

        def staged() -> None:
            during.extend(talks.enter_context(here.talk(version=version)) for version in (4, 6))

        def suspended() -> None:
            # A proxy answers while the VM does not; what it has accepted now, it hands over when the VM runs again.
            known = here.proxies["proxy1"].total()
            waiting.extend(visitors.submit(here.talk, version=version) for version in (4, 6))
            wait_until(lambda: here.proxies["proxy1"].total() == known + 2, "the last ones that the old proxy gets")

        here.moves("hv5", ladder, StepCallbacks(staged, on_suspended=suspended))
        during += [talks.enter_context(future.result()) for future in waiting]
        new = [talks.enter_context(here.talk(version=version)) for version in (4, 6)]
        assert [connection.echoes() for connection in (*old, *during, *new)] == [True] * 8
        assert [here.proxy_of(connection) for connection in (*old, *during, *new)] == [["proxy1"]] * 6 + [
            ["proxy2"]
        ] * 2
        assert all(connection.seen_as[0] == connection.own[0] for connection in (*old, *during, *new))
        assert here.proxied() > 0
        assert here.bypassing() == []


def test_a_connection_follows_its_vm_there_and_back(stage: Stage, tmp_path: Path) -> None:
    with scene(stage, "dual", tmp_path) as here, here.talk() as talk:
        for there in ("hv5", "hv1", "hv6"):
            here.moves(there, Ladder.MINIMIZE_LATENCY)
            assert talk.echoes()
            assert here.proxy_of(talk) == ["proxy1"]
        assert here.bypassing() == []


def test_a_tie_ends_with_its_last_connection(stage: Stage, tmp_path: Path) -> None:
    with scene(stage, "brief", tmp_path) as here, here.talk() as first, here.talk() as last:
        assert first.echoes() and last.echoes()
        wait_until(lambda: here.ties() == {"proxy1": 2}, "two connections at the proxy of the first switch")
        here.moves("hv5", Ladder.MINIMIZE_LATENCY)
        assert first.echoes() and last.echoes()
        with here.talk() as new:
            assert new.echoes()
            wait_until(lambda: here.ties() == {"proxy1": 2, "proxy2": 1}, "the tie to the switch that was left")
            first.close()
            wait_until(lambda: here.ties() == {"proxy1": 1, "proxy2": 1}, "end of the first connection")
            assert last.echoes()
            last.close()
            wait_until(lambda: here.ties() == {"proxy2": 1}, "end of the tie")
            assert new.echoes()
            assert here.proxy_of(new) == ["proxy2"]
            assert here.bypassing() == []


@pytest.mark.parametrize("ladder", LIVE_LADDERS)
@pytest.mark.parametrize("kind", ["dual", "walled"])
def test_of_a_stream_of_visitors_nobody_is_reset_and_nobody_goes_past(
    stage: Stage, tmp_path: Path, ladder: Ladder, kind: str
) -> None:
    with scene(stage, kind, tmp_path) as here, here.talk() as old:
        visits = here.visits()
        visits.start()
        wait_until(lambda: visits.since(0.0) >= 40, "the first visitors", 20)
        before = here.proxies["proxy2"].total()
        here.moves("hv5", ladder)
        moved = time.monotonic()
        wait_until(lambda: visits.since(moved) >= 40, "visitors after the move", 40)
        visits.stop()
        assert visits.failed == []
        assert old.echoes()
        assert here.proxy_of(old) == ["proxy1"]
        assert here.proxies["proxy2"].total() - before >= 40
        assert here.bypassing() == []
