"""Rate limits on real traffic through Open vSwitch: they hold in both directions, and while a VM moves.

Verdicts are numbers of frames that meters and receivers have counted.  The time in which a limit may have let frames
through is measured around the whole test, so a slow machine makes the bounds wider and not wrong.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from mininet_tests.conftest import emulated_cluster, tables, wait_as_found
from ryu_apps.evb.pipeline.tables import FIRST_POLICER
from ryu_apps.testbed.conversations import FirewallVm, Stack, guest, stack_of
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.shell import run, wait_until
from ryu_apps.testbed.moves.attempt import MigrationRefused
from ryu_apps.vcm.move_events import LIVE_LADDERS, Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

SLOW, OPEN, LARGE = (95, 1), (96, 1), (97, 1)
#: kbit/s and kbit, and the octets of a frame that is sent.
RATE, BURST = 400, 200
PAYLOAD, HEADERS = 1000, 42
#: Frames of 8.3 kbit, 16 Mbit in all where 400 kbit/s are allowed; with a pause after each batch, because queues are
#: short.
FRAMES, BATCH, PAUSE = 2000, 20, 0.002
PORT = 5001
#: Frames that a VM sends or gets besides: ARP, membership reports, queries.
OTHERS = 20
BANDWIDTH = {
    SLOW: f"{{from_vm: {{rate: {RATE}, burst: {BURST}}}, to_vm: {{rate: {RATE}, burst: {BURST}}}}}",
    LARGE: "{to_vm: {minimum: 6000000}}",
}


def policy(kind: tuple[int, int]) -> str:
    head = f"version: 1\nvsi_type: {{type_id: {kind[0]}, version: {kind[1]}, name: limited}}\n"
    limits = f"bandwidth: {BANDWIDTH[kind]}\n" if kind in BANDWIDTH else ""
    return f"{head}{limits}from_vm: {{default: allow}}\nto_vm: {{default: allow}}\n"


@pytest.fixture(scope="module")
def limiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    policies: Path = tmp_path_factory.mktemp("policies")
    for kind in (SLOW, OPEN, LARGE):
        (policies / f"{kind[0]}.yaml").write_text(policy(kind))
    with emulated_cluster(tmp_path_factory.mktemp("bandwidth"), policies=policies) as cluster:
        yield cluster


@pytest.fixture
def cluster(limiting: Cluster) -> Iterator[Cluster]:
    """A test leaves the flow tables as it found them, and no limit."""
    before = tables(limiting)
    yield limiting
    wait_as_found(partial(tables, limiting), before)
    wait_until(lambda: not any(limits(switch) for switch in ("s1", "s2")), "limits to go", pause=0.2)


class Limit(NamedTuple):
    """Counters of a rate limit."""

    packets: int
    dropped: int


def limits(switch: str) -> dict[int, Limit]:
    """The meters of VSIs at a switch, by id."""
    text = run(["ovs-ofctl", "-O", "OpenFlow13", "meter-stats", switch])
    found = re.findall(r"meter:(\d+).*?packet_in_count:(\d+).*?0: packet_count:(\d+)", text, re.DOTALL)
    return {int(number): Limit(int(packets), int(dropped)) for number, packets, dropped in found if is_limit(number)}


def is_limit(number: str) -> bool:
    return FIRST_POLICER <= int(number) < 2 * FIRST_POLICER


class Counter:
    """Datagrams that arrive at a port, counted in a thread.

    Attributes:
        received: their number.
    """

    def __init__(self, stack: Stack) -> None:
        self.received = 0
        self._socket = stack.socket(socket.SOCK_DGRAM, PORT)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self._socket.settimeout(0.05)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Counter:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self._socket.recv(2048)
            except OSError:
                continue
            self.received += 1


def send(sender: Stack, target: Stack, frames: int = FRAMES) -> None:
    """Send datagrams; the neighbour is known beforehand."""
    sender.namespace.ip(f"neigh replace {target.ip} lladdr {target.mac} dev {sender.interface}")
    with closing(sender.socket(socket.SOCK_DGRAM)) as sending:
        sending.connect((target.ip, PORT))
        for number in range(frames):
            sending.send(bytes(PAYLOAD))
            if number % BATCH == 0:
                time.sleep(PAUSE)


def most(seconds: float, buckets: int = 1) -> float:
    """The most frames that a limit lets through in a time, from so many buckets that are full at first."""
    return (buckets * BURST + RATE * seconds) * 1000 / (8 * (PAYLOAD + HEADERS)) + 1


@contextmanager
def guests(cluster: Cluster, *kinds: tuple[int, int]) -> Iterator[list[FirewallVm]]:
    """VMs at hv1, hv2 and so on."""
    if not kinds:
        yield []
        return
    number = len(kinds)
    with guests(cluster, *kinds[:-1]) as others, guest(cluster, number, f"hv{number}", kinds[-1]) as last:
        yield [*others, last]


@pytest.mark.parametrize("from_vm", [True, False], ids=["from the VM", "to the VM"])
def test_a_limit_lets_its_rate_pass_and_its_meter_counts_the_rest(cluster: Cluster, from_vm: bool) -> None:
    client = stack_of(cluster.hosts["client"])
    with guest(cluster, kind=SLOW) as vm:
        sender, target = (vm.stack, client) if from_vm else (client, vm.stack)
        with Counter(target) as counter:
            begun = time.monotonic()
            send(sender, target)
            wait_until(lambda: busiest().dropped > FRAMES / 2, "the limit to drop")
            wait_until(lambda: passed() - OTHERS <= counter.received, "what passed to arrive")
            assert most(0) * 0.9 < counter.received < most(time.monotonic() - begun)
            assert busiest().packets <= FRAMES + OTHERS
            assert passed() - OTHERS <= counter.received <= passed()


def busiest() -> Limit:
    """The limit at s1 that has metered most."""
    return max(limits("s1").values())


def passed() -> int:
    """Frames that it let through."""
    return busiest().packets - busiest().dropped


def test_a_vm_at_its_limit_costs_its_neighbour_no_broadcast(cluster: Cluster) -> None:
    client = stack_of(cluster.hosts["client"])
    with guests(cluster, SLOW, OPEN, SLOW) as (first, between, last):
        all_of_them = client._replace(ip="10.0.100.255", mac="ff:ff:ff:ff:ff:ff")
        stacks = [vm.stack._replace(ip="10.0.100.255") for vm in (first, between, last)]
        with Counter(stacks[0]) as one, Counter(stacks[1]) as two, Counter(stacks[2]) as three:
            begun = time.monotonic()
            broadcast(client, all_of_them)
            wait_until(lambda: two.received >= FRAMES, "the neighbour to get all")
            assert max(one.received, three.received) < most(time.monotonic() - begun) < FRAMES


def broadcast(sender: Stack, all_of_them: Stack) -> None:
    with closing(sender.socket(socket.SOCK_DGRAM)) as sending:
        sending.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for number in range(FRAMES):
            sending.sendto(bytes(PAYLOAD), (all_of_them.ip, PORT))
            if number % BATCH == 0:
                time.sleep(PAUSE)


@pytest.mark.parametrize("ladder", LIVE_LADDERS)
@pytest.mark.parametrize("there", ["hv5", "hv2"])
def test_a_vm_that_moves_under_a_stream_gets_no_more_than_its_rate(
    cluster: Cluster, ladder: Ladder, there: str
) -> None:
    """A limit at each end, and never two in force: beside the rate there is only one more bucket to begin with."""
    client = stack_of(cluster.hosts["client"])
    ending = threading.Event()

    def stream() -> None:
        while not ending.is_set():
            send(client, vm.stack, 50)
            time.sleep(0.005)

    with guest(cluster, kind=SLOW) as vm, Counter(vm.stack) as counter:
        begun, streaming = time.monotonic(), threading.Thread(target=stream, daemon=True)
        streaming.start()
        wait_until(lambda: counter.received >= most(0) * 0.9, "the first bucket to be empty")
        staged: list[set[int]] = []
        vm.moves(there, ladder, lambda: staged.append(set(limits("s1")) | set(limits("s2"))))
        before = counter.received
        wait_until(lambda: counter.received > before, "the stream to go on")
        ending.set()
        streaming.join()
        assert counter.received < most(time.monotonic() - begun, buckets=2)
        assert [len(meters) for meters in staged] == [4], "staged at the destination, in force at the source"
        target = "s2" if there == "hv5" else "s1"
        wait_until(
            lambda: len(limits(target)) == 2 and set(limits("s1")) | set(limits("s2")) == set(limits(target)),
            "the limits to be at the destination alone",
            pause=0.1,
        )


def test_a_limit_that_was_deleted_is_in_force_again(cluster: Cluster) -> None:
    client = stack_of(cluster.hosts["client"])
    with guest(cluster, kind=SLOW) as vm:
        before = set(limits("s1"))
        run(["ovs-ofctl", "-O", "OpenFlow13", "del-meters", "s1"])
        wait_until(lambda: set(limits("s1")) == before, "the limits to be back")
        with Counter(client) as counter:
            wait_until(lambda: sent_one(vm.stack, client, counter), "a frame to pass", pause=0.05)
            begun = time.monotonic()
            send(vm.stack, client)
            wait_until(lambda: busiest().dropped > FRAMES / 2, "the limit to drop")
            assert counter.received < most(time.monotonic() - begun, buckets=2)


def sent_one(sender: Stack, target: Stack, counter: Counter) -> bool:
    send(sender, target, 1)
    return counter.received > 0


def test_a_minimum_that_a_port_cannot_carry_is_refused_and_shown(cluster: Cluster) -> None:
    """Ports of veth pairs say that they have 10 Gbit/s."""
    with guest(cluster, 1, "hv1", LARGE):
        (s1, _) = cluster.controller.get("/evb/reservations")
        sent = {port["port"]: (port["speed"], port["sent"]) for port in s1["bandwidth"]}
        assert sent[1] == (10_000_000, 6_000_000) and sent[2] == (10_000_000, 0)
        with pytest.raises(MigrationRefused), guest(cluster, 2, "hv1", LARGE):
            pass
        refused = [event for event in cluster.controller.get("/evb/events") if event["kind"] == "vdp.refused"]
        assert "kbit/s at most besides what is reserved" in refused[-1]["detail"]["reason"]
