"""Connections through the stateful firewall survive a move, with real stacks at both ends; nothing else gets in."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial

import pytest

from mininet_tests.conftest import tables, wait_as_found
from ryu_apps.testbed.conversations import (
    DNS,
    HERE,
    HTTP,
    MYSQL,
    SILENCE,
    SocketPair,
    asked,
    connected,
    datagram_passes,
    guest,
    is_cached,
    over_ipv6,
    passes,
    stack_of,
    state,
    trespasses,
)
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.shell import PATIENCE, wait_until
from ryu_apps.vcm.move_events import LIVE_LADDERS, Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

BOTH_LADDERS = pytest.mark.parametrize("ladder", LIVE_LADDERS)


@pytest.fixture
def cluster(emulated: Cluster) -> Iterator[Cluster]:
    """A test leaves the flow tables as it found them."""
    before = tables(emulated)
    yield emulated
    wait_as_found(partial(tables, emulated), before)


# --- across a move ------------------------------------------------------------------------------------------
@BOTH_LADDERS
@pytest.mark.parametrize("there", ["hv5", "hv2"])
def test_a_server_s_push_into_a_vm_that_just_receives(cluster: Cluster, ladder: Ladder, there: str) -> None:
    peer = stack_of(cluster.hosts["client"])
    with guest(cluster) as vm, connected(vm.stack, peer, MYSQL) as (receiver, pusher):
        assert passes(pusher, receiver)
        vm.moves(there, ladder)
        assert passes(pusher, receiver)
        assert trespasses(peer, vm.stack, (MYSQL, receiver.getsockname()[1])) == ["known"]


@BOTH_LADDERS
def test_a_client_s_upload_into_a_vm_that_just_receives(cluster: Cluster, ladder: Ladder) -> None:
    peer = stack_of(cluster.hosts["nms"])
    with guest(cluster) as vm, connected(peer, vm.stack, HTTP) as (uploader, receiver):
        vm.moves("hv5", ladder)
        assert passes(uploader, receiver)
        assert trespasses(peer, vm.stack, (uploader.getsockname()[1], HTTP)) == ["known"]


@BOTH_LADDERS
def test_a_udp_stream_into_a_vm_that_has_asked_once(cluster: Cluster, ladder: Ladder) -> None:
    peer = stack_of(cluster.hosts["client"])
    with guest(cluster) as vm, asked(vm.stack, peer, DNS) as (receiver, streamer):
        vm.moves("hv5", ladder)
        assert datagram_passes(streamer, receiver)
        assert trespasses(peer, vm.stack, (DNS, HERE), udp=True) == ["known"]


@BOTH_LADDERS
@pytest.mark.parametrize("who", ["vm", "peer"])
def test_what_is_half_closed_goes_on_the_other_way(cluster: Cluster, ladder: Ladder, who: str) -> None:
    peer = stack_of(cluster.hosts["client"])
    with guest(cluster) as vm, ExitStack() as stack:
        if who == "vm":
            closer, goes_on = stack.enter_context(connected(vm.stack, peer, MYSQL))
        else:
            closer, goes_on = stack.enter_context(connected(peer, vm.stack, HTTP))
        closer.shutdown(socket.SHUT_WR)
        goes_on.settimeout(PATIENCE)
        assert goes_on.recv(1) == b""
        vm.moves("hv5", ladder)
        assert passes(goes_on, closer)


@BOTH_LADDERS
def test_a_connection_that_was_idle_for_a_while(cluster: Cluster, ladder: Ladder) -> None:
    """Longer than the switch caches anything."""
    peer = stack_of(cluster.hosts["client"])
    with guest(cluster) as vm, connected(vm.stack, peer, MYSQL) as (receiver, pusher):
        wait_until(lambda: passes(pusher, receiver) and is_cached(MYSQL), "the switch to cache the connection")
        wait_until(lambda: not is_cached(MYSQL), "the switch to forget it")
        vm.moves("hv5", ladder)
        wait_until(lambda: not is_cached(MYSQL), "the other switch to forget it")
        assert any("idle_timeout=3600" in flow for flow in state(cluster, "s2"))
        assert passes(pusher, receiver)


@BOTH_LADDERS
def test_connections_born_between_staging_and_associate(cluster: Cluster, ladder: Ladder) -> None:
    peer = stack_of(cluster.hosts["client"])
    with guest(cluster) as vm, ExitStack() as born:
        ends: list[SocketPair] = []

        def begin() -> None:
            ends.append(born.enter_context(connected(vm.stack, peer, MYSQL)))
            ends.append(born.enter_context(asked(vm.stack, peer, DNS)))

        vm.moves("hv5", ladder, begin)
        (receiver, pusher), (listener, streamer) = ends
        assert passes(pusher, receiver)
        assert datagram_passes(streamer, listener)


@BOTH_LADDERS
def test_over_ipv6(cluster: Cluster, ladder: Ladder) -> None:
    host = cluster.hosts["client"]
    with guest(cluster) as vm, ExitStack() as stack:
        ours, peer = stack.enter_context(over_ipv6(vm.stack, stack_of(host)))
        uploader, server = stack.enter_context(connected(peer, ours, HTTP))
        listener, streamer = stack.enter_context(asked(ours, peer, DNS))
        vm.moves("hv5", ladder)
        assert passes(uploader, server)
        assert datagram_passes(streamer, listener)
        with closing(peer.socket(socket.SOCK_STREAM)) as stranger:
            stranger.settimeout(SILENCE)
            with pytest.raises(TimeoutError):
                stranger.connect((ours.ip, MYSQL))
