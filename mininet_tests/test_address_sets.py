"""Sets of addresses on real traffic through Open vSwitch: who is a member, from when until when, and wherever it is.

A frame that must not arrive is sent before one that does, so no verdict depends on the time for which a test listens.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from mininet_tests.conftest import emulated_cluster, tables, wait_as_found
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.testbed.conversations import FirewallVm, Stack, admitted, stack_of
from ryu_apps.testbed.flow_dumps import dump_rules
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.shell import PATIENCE, wait_until
from ryu_apps.vcm.move_events import LIVE_LADDERS, Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

WEB, OTHER, DATABASE, GUARDED = (110, 1), (111, 1), (112, 1), (113, 1)
PORT = 5432
_SET = "sets: {web: {labels: [web]}}\n"
_RULES = """\
    - rule: {ipv4_src: $web, udp_dst: 5432, actions: {allow: 1}}
    - rule: {ipv6_src: $web, udp_dst: 5432, actions: {allow: 1}}
"""
BODIES = {
    WEB: "labels: [web]\nfrom_vm: {default: allow}\nto_vm: {default: allow}\n",
    OTHER: "anti_spoofing: {ip: false}\nfrom_vm: {default: allow}\nto_vm: {default: allow}\n",
    DATABASE: f"{_SET}from_vm: {{default: allow}}\nto_vm:\n  rules:\n{_RULES}",
    GUARDED: f"{_SET}from_vm: {{default: allow}}\nto_vm: {{default: allow}}\nfirewall:\n  to_vm:\n    rules:\n{_RULES}",
}


@pytest.fixture(scope="module")
def selecting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    policies: Path = tmp_path_factory.mktemp("policies")
    for kind, body in BODIES.items():
        head = f"version: 1\nvsi_type: {{type_id: {kind[0]}, version: {kind[1]}, name: selected}}\n"
        (policies / f"{kind[0]}.yaml").write_text(head + body)
    with emulated_cluster(tmp_path_factory.mktemp("sets"), policies=policies) as cluster:
        yield cluster


@pytest.fixture
def cluster(selecting: Cluster) -> Iterator[Cluster]:
    """A test leaves the flow tables as it found them."""
    before = tables(selecting)
    yield selecting
    wait_as_found(partial(tables, selecting), before)


@contextmanager
def vm(cluster: Cluster, number: int, hypervisor: str, kind: tuple[int, int]) -> Iterator[FirewallVm]:
    """A VM with an address of each version, which its station gives."""
    made = FirewallVm(cluster, number, hypervisor, kind)
    made.vsi = replace(made.vsi, ip6=f"fd00:10::{number:x}")
    interface = made.stack.interface
    made.stack.namespace.set(f"net.ipv6.conf.{interface}.disable_ipv6=0")
    made.stack.namespace.set(f"net.ipv6.conf.{interface}.ndisc_evict_nocarrier=0")
    made.stack.namespace.ip(f"address add {made.vsi.ip6}/64 dev {interface} nodad")
    with admitted(cluster, made):
        yield made


def of_version(made: FirewallVm, version: int) -> Stack:
    return made.stack if version == 4 else made.stack._replace(ip=str(made.vsi.ip6))


def know(asker: Stack, target: Stack) -> None:
    """Neighbour discovery is not what these tests are about."""
    asker.namespace.ip(f"neigh replace {target.ip} lladdr {target.mac} dev {asker.interface}")


def send(sender: Stack, target: Stack, text: bytes) -> None:
    know(sender, target)
    with closing(sender.socket(socket.SOCK_DGRAM)) as sending, suppress(OSError):
        sending.sendto(text, (target.ip, PORT))


def heard_until(receiving: socket.socket, wanted: bytes, again: Callable[[], None]) -> set[bytes]:
    """The datagrams that arrive until the wanted one, which is sent again until it does."""
    heard: set[bytes] = set()
    receiving.settimeout(0.05)
    deadline = time.monotonic() + PATIENCE
    while wanted not in heard:
        assert time.monotonic() < deadline, f"{wanted!r} does not arrive"
        again()
        with suppress(TimeoutError):
            while True:
                heard.add(receiving.recv(64))
    return heard


def members(switch: str) -> int:
    return sum(f"table={Table.MEMBERS:d}," in rule for rule in dump_rules(switch))


@contextmanager
def three(cluster: Cluster, server: tuple[int, int] = DATABASE) -> Iterator[tuple[FirewallVm, FirewallVm, FirewallVm]]:
    """A member and another VM at two hypervisors of the first switch, and a server at the second."""
    with ExitStack() as stack:
        places = ((1, "hv1", WEB), (2, "hv2", OTHER), (3, "hv5", server))
        member, other, last = (stack.enter_context(vm(cluster, *place)) for place in places)
        yield member, other, last


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("server", [DATABASE, GUARDED], ids=["acl", "firewall"])
def test_a_member_reaches_the_server_and_others_do_not(cluster: Cluster, server: tuple[int, int], version: int) -> None:
    client = stack_of(cluster.hosts["client"])
    with three(cluster, server) as (member, other, last):
        target = of_version(last, version)
        with closing(target.socket(socket.SOCK_DGRAM, PORT)) as receiving:
            send(of_version(other, version), target, b"other")
            if version == 4:
                send(client, target, b"client")
            heard = heard_until(receiving, b"member", lambda: send(of_version(member, version), target, b"member"))
            assert heard == {b"member"}


def test_the_address_of_a_member_is_not_enough(cluster: Cluster) -> None:
    """Another VM, whose type checks no addresses, takes the address of a member."""
    with three(cluster) as (member, other, last):
        other.stack.namespace.ip(f"address add {member.stack.ip}/32 dev {other.stack.interface}")
        with closing(last.stack.socket(socket.SOCK_DGRAM, PORT)) as receiving:
            send(other.stack._replace(ip=member.stack.ip), last.stack, b"thief")
            heard = heard_until(receiving, b"member", lambda: send(member.stack, last.stack, b"member"))
            assert heard == {b"member"}


@pytest.mark.parametrize("ladder", LIVE_LADDERS)
def test_members_and_the_server_move_and_others_stay_out(cluster: Cluster, ladder: Ladder) -> None:
    with three(cluster) as (member, other, last), closing(last.stack.socket(socket.SOCK_DGRAM, PORT)) as receiving:
        staged: list[tuple[int, int]] = []

        def while_copying() -> None:
            staged.append((members("s1"), members("s2")))
            send(other.stack, last.stack, b"other")

        rules = members("s2")
        assert rules == 2, "one for each version of IP"
        member.moves("hv6", ladder, while_copying)
        assert heard_until(receiving, b"moved", lambda: send(member.stack, last.stack, b"moved")) == {b"moved"}
        assert (members("s1"), members("s2")) == (0, rules)
        last.moves("hv3", ladder, while_copying)
        assert heard_until(receiving, b"again", lambda: send(member.stack, last.stack, b"again")) == {b"again"}
        assert staged == [(0, rules), (rules, rules)], "no member is staged, and a staged server has its members"
        wait_until(lambda: (members("s1"), members("s2")) == (rules, 0), "the members to be where the server is")


def test_a_member_that_leaves_is_none_any_more(cluster: Cluster) -> None:
    with vm(cluster, 3, "hv5", DATABASE) as last, closing(last.stack.socket(socket.SOCK_DGRAM, PORT)) as receiving:
        with vm(cluster, 1, "hv1", WEB) as member, vm(cluster, 4, "hv6", WEB) as second:
            heard_until(receiving, b"member", lambda: send(member.stack, last.stack, b"member"))
            (found,) = [entry for entry in cluster.controller.get("/evb/sets") if entry["labels"] == ["web"]]
            shown = {entry["addresses"][0] for entry in found["members"] if entry["active"]}
            assert shown == {member.stack.ip, second.stack.ip} and len(found["switches"]) == 1
        assert members("s2") == 0
        with vm(cluster, 1, "hv1", OTHER) as same, vm(cluster, 4, "hv6", WEB) as second:
            send(same.stack, last.stack, b"no member")
            heard = heard_until(receiving, b"second", lambda: send(second.stack, last.stack, b"second"))
            assert b"no member" not in heard
