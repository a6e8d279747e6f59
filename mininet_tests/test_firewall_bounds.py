"""Ends of connections and their bounds: Open vSwitch counts them and measures time by itself."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest

from mininet_tests.conftest import emulated_cluster, tables, wait_as_found
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.testbed.conversations import (
    DNS,
    HERE,
    HTTP,
    MYSQL,
    SILENCE,
    SYN,
    FirewallVm,
    asked,
    connected,
    datagram_passes,
    guest,
    over_ipv6,
    passes,
    segment,
    stack_of,
    state,
    trespasses,
)
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.ovs import settle_cached_flows
from ryu_apps.testbed.harness.shell import PATIENCE, CommandError, run, wait_until
from ryu_apps.testbed.harness.vm import INTERFACE
from ryu_apps.testbed.raw_frames import RawSocket
from ryu_apps.vcm.move_events import LIVE_LADDERS, Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

OPEN_UDP = 5000
BRIEF, SMALL = (90, 1), (91, 1)
LIMIT = 3
POLICY = """\
version: 1
vsi_type: {{type_id: {key[0]}, version: {key[1]}, name: test}}
firewall:
  max_connections: {limit}
  timeouts: {timeouts}
  from_vm:
    default: deny
    rules:
      - rule: {{udp_dst: dns, actions: {{allow: 1}}}}
      - rule: {{tcp_dst: mysql, actions: {{allow: 1}}}}
  to_vm:
    rules:
      - rule: {{tcp_dst: http, actions: {{allow: 1}}}}
      - rule: {{udp_dst: 5000, actions: {{allow: 1}}}}
"""


def write_policies(folder: Path) -> None:
    brief = "{tcp: 60, tcp_opening: 2, tcp_closing: 3, udp: 2, icmp: 2}"
    for key, limit, timeouts in ((BRIEF, 100, brief), (SMALL, LIMIT, "{}")):
        (folder / f"{key[0]}.yaml").write_text(POLICY.format(key=key, limit=limit, timeouts=timeouts))


@pytest.fixture(scope="module")
def walled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    policies = tmp_path_factory.mktemp("policies")
    write_policies(policies)
    with emulated_cluster(tmp_path_factory.mktemp("walled"), policies=policies) as cluster:
        yield cluster


@pytest.fixture
def cluster(walled: Cluster) -> Iterator[Cluster]:
    """A test leaves the flow tables as it found them."""
    before = tables(walled)
    yield walled
    wait_as_found(partial(tables, walled), before)


def test_ping_is_answered_and_nobody_pings_back(cluster: Cluster) -> None:
    peer = stack_of(cluster.hosts["client"])
    with guest(cluster) as vm:
        peer.namespace.run("ping", "-c", "1", "-W", "2", vm.stack.ip)
        with pytest.raises(CommandError):
            vm.stack.namespace.run("ping", "-c", "1", "-W", "1", peer.ip)


def test_one_connection_too_many_is_dropped_and_counted_and_hurts_nobody_else(cluster: Cluster) -> None:
    peer = stack_of(cluster.hosts["client"])
    with (
        guest(cluster, 1, "hv1", SMALL) as greedy,
        guest(cluster, 2, "hv1", SMALL) as modest,
        ExitStack() as stack,
    ):
        answering = stack.enter_context(closing(peer.socket(socket.SOCK_DGRAM, DNS)))

        def asks(vm: FirewallVm, port: int, patience: float) -> bool:
            asking = stack.enter_context(closing(vm.stack.socket(socket.SOCK_DGRAM, port)))
            asking.connect((peer.ip, DNS))
            return datagram_passes(asking, answering, patience)

        assert all(asks(greedy, HERE + number, PATIENCE) for number in range(LIMIT))
        assert refused() == 0
        assert not asks(greedy, HERE + LIMIT, SILENCE)
        wait_until(refused, "the counter of what was turned away")
        assert asks(modest, HERE + LIMIT, PATIENCE)
        assert len(state(cluster, "s1")) == LIMIT + 1


def refused(switch: str = "s1") -> int:
    """Packets that were turned away because there was no room for their connection."""
    text = run(["ovs-ofctl", "-O", "OpenFlow13", "dump-flows", switch])
    found = [line for line in text.splitlines() if "actions=drop" in line]
    limits = tuple(f"table={table:d}," for table in (Table.LIMIT_FROM, Table.LIMIT_TO))
    return sum(
        int(line.split("n_packets=")[1].split(",")[0]) for line in found if any(limit in line for limit in limits)
    )


@pytest.mark.parametrize("who", ["vm", "peer"])
def test_a_reset_of_either_side_ends_the_whole_connection(cluster: Cluster, who: str) -> None:
    peer = stack_of(cluster.hosts["client"])
    with guest(cluster, kind=BRIEF) as vm, connected(peer, vm.stack, HTTP) as (client, server):
        wait_until(lambda: any("idle_timeout=60" in flow for flow in state(cluster, "s1")), "established")
        resetting = server if who == "vm" else client
        resetting.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        resetting.close()
        wait_until(lambda: not any("idle_timeout=60" in flow for flow in state(cluster, "s1")), "closing")
        wait_until(lambda: not state(cluster, "s1"), "the connection forgotten", 15)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("who", ["vm", "peer"])
def test_a_port_that_is_used_again_has_the_whole_timeout_again(cluster: Cluster, who: str, version: int) -> None:
    """Closed by either side, begun anew at once, three times; then nobody says anything until all else is forgotten."""
    peer = stack_of(cluster.hosts["client"])
    with guest(cluster, kind=BRIEF) as vm, ExitStack() as over:
        ours = vm.stack
        if version == 6:
            ours, peer = over.enter_context(over_ipv6(ours, peer))
        client, server, port = (ours, peer, MYSQL) if who == "vm" else (peer, ours, HTTP)
        listening = over.enter_context(closing(server.socket(socket.SOCK_STREAM, port)))
        listening.listen(1)
        for number in range(4):
            calling = over.enter_context(closing(client.socket(socket.SOCK_STREAM, HERE)))
            calling.connect((server.ip, port))
            answering = over.enter_context(closing(listening.accept()[0]))
            assert passes(calling, answering) and passes(answering, calling)
            settle_cached_flows()
            if number < 3:
                resetting = (calling, answering)[number % 2]
                resetting.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                resetting.close()
                wait_until(lambda: not any("idle_timeout=60" in flow for flow in state(cluster, "s1")), "closing")
                settle_cached_flows()
        wait_until(lambda: len(state(cluster, "s1")) <= 1, "the old ones forgotten", 15)
        assert any("idle_timeout=60" in flow for flow in state(cluster, "s1"))
        assert passes(calling, answering) and passes(answering, calling)


def test_segments_that_nobody_answers_are_soon_forgotten(cluster: Cluster) -> None:
    peer = stack_of(cluster.hosts["client"])
    with guest(cluster, kind=BRIEF) as vm, RawSocket(peer.namespace, peer.interface) as mouth:
        vm.stack.namespace.ip(f"link set {INTERFACE} arp off")
        vm.stack.namespace.ip(f"neighbour flush dev {INTERFACE}")
        for port in range(5):
            mouth.send(segment(peer, vm.stack, (HERE + port, HTTP), SYN, b""))
        wait_until(lambda: len(state(cluster, "s1")) == 5, "five openings")
        wait_until(lambda: not state(cluster, "s1"), "all forgotten", 15)


def test_a_stream_of_one_side_keeps_the_way_back_open(cluster: Cluster) -> None:
    """Longer than the timeout, which is 2 s: the VM may not begin what it sends then."""
    peer = stack_of(cluster.hosts["client"])
    with guest(cluster, kind=BRIEF) as vm, asked(peer, vm.stack, OPEN_UDP) as (streamer, listener):
        until = time.monotonic() + 6
        while time.monotonic() < until:
            assert datagram_passes(streamer, listener)
            time.sleep(0.1)
        assert datagram_passes(listener, streamer)


@pytest.mark.parametrize("ladder", LIVE_LADDERS)
def test_an_answer_of_a_vm_to_a_question_from_before(cluster: Cluster, ladder: Ladder) -> None:
    """The VM may send no datagram by itself; that it answers is known from the other switch."""
    peer = stack_of(cluster.hosts["client"])
    with guest(cluster, kind=BRIEF) as vm, asked(peer, vm.stack, OPEN_UDP) as (asking, answering):
        vm.moves("hv5", ladder)
        assert datagram_passes(answering, asking)
        assert trespasses(vm.stack, peer, (OPEN_UDP, HERE), udp=True) == ["known"]
