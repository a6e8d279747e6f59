"""Mirror on real traffic through Open vSwitch: an analyser gets a copy of each frame of a VM once, and nothing else.

Each frame is sent once and has a number of its own.  The last one is waited for, so that no verdict depends on the time
for which a test listens.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from mininet_tests.conftest import emulated_cluster, tables, wait_as_found
from ryu_apps.testbed.conversations import FirewallVm, Stack, datagram, guest, stack_of
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.station import VdptoolMode
from ryu_apps.testbed.moves.attempt import admit, dismiss
from ryu_apps.testbed.raw_frames import RawSocket, tagged
from ryu_apps.topologies import two_switch
from ryu_apps.vcm.move_events import LIVE_LADDERS, Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

COPIED, PLAIN, STRICT, RICH = (120, 1), (121, 1), (122, 1), (123, 1)
BODIES = {
    COPIED: "mirror: {to: ids}\nfrom_vm: {default: allow}\nto_vm: {default: allow}\n",
    PLAIN: "from_vm: {default: allow}\nto_vm: {default: allow}\n",
    RICH: """\
mirror: {to: ids}
labels: [rich]
sets: {peers: {labels: [rich]}}
network: {vlan: [100, 200], pcp: 5}
bandwidth: {from_vm: {rate: 100000}, to_vm: {rate: 100000}}
from_vm: {default: allow}
to_vm: {rules: [{rule: {ipv4_src: $peers, actions: {allow: 1}}}]}
""",
    STRICT: "mirror: {to: ids}\nfrom_vm: {rules: [{rule: {udp_dst: 53, actions: {allow: 1}}}]}\n",
}
#: Offset of the protocol in a frame without a tag, and that of datagrams.
PROTOCOL, UDP = 23, 17
#: Mark of frames that are not counted.
WARM = b"warm"
#: Frames of one test.
FRAMES = 20
#: Seconds for which a frame may take on a busy machine.
PATIENCE = 30.0


@pytest.fixture(scope="module")
def mirroring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    policies: Path = tmp_path_factory.mktemp("policies")
    for kind, body in BODIES.items():
        head = f"version: 1\nvsi_type: {{type_id: {kind[0]}, version: {kind[1]}, name: mirrored}}\n"
        (policies / f"{kind[0]}.yaml").write_text(head + body)
    fabric = two_switch.fabric(8, mirrors=1)
    with emulated_cluster(tmp_path_factory.mktemp("mirror"), fabric=fabric, policies=policies) as cluster:
        yield cluster


@pytest.fixture
def cluster(mirroring: Cluster) -> Iterator[Cluster]:
    """A test leaves the flow tables as it found them."""
    before = tables(mirroring)
    yield mirroring
    wait_as_found(partial(tables, mirroring), before)


@contextmanager
def ears(cluster: Cluster, *stacks: Stack) -> Iterator[list[RawSocket]]:
    """The analyser's socket, then those of some stacks."""
    with ExitStack() as opened:
        places = [(cluster.analysers["ids"], "ids-eth0"), *((stack.namespace, stack.interface) for stack in stacks)]
        yield [opened.enter_context(RawSocket(*place)) for place in places]


def send(source: Stack, target: Stack, mark: bytes, port: int = 53, vid: int = 0) -> None:
    with RawSocket(source.namespace, source.interface) as mouth:
        mouth.send(tagged(datagram(source, target, (4000, port), b"EVB " + mark + b"."), vid))


def heard_until(ear: RawSocket, last: bytes) -> Counter[tuple[bytes, int | None]]:
    """The marks of all frames until the last one, with the VID of each; without those of the warm-up."""
    found: Counter[tuple[bytes, int | None]] = Counter()
    deadline = time.monotonic() + PATIENCE
    while last not in {mark for mark, _ in found}:
        assert time.monotonic() < deadline, f"{last!r} does not arrive; so far {found}"
        copy = heard(ear, 1.0)
        if copy is not None and copy[0] != WARM:
            found[copy] += 1
    return found


def heard(ear: RawSocket, patience: float) -> tuple[bytes, int | None] | None:
    """Mark and VID of the next datagram; None: there is none in time."""
    frame = ear.hears(b"EVB ", patience)
    # Ports are closed: errors quote the datagrams.
    if frame is None or frame.data[PROTOCOL] != UDP:
        return None
    return frame.data.split(b"EVB ")[1].split(b".")[0], frame.vid


def warm_up(ids: RawSocket, source: Stack, target: Stack) -> set[bytes]:
    """Send until there is a copy: a switch may still have cached the drop of earlier frames.

    Returns the marks of all frames that were copied.
    """
    found: set[bytes] = set()
    deadline = time.monotonic() + PATIENCE
    while WARM not in found:
        assert time.monotonic() < deadline, "no frame is copied"
        send(source, target, WARM)
        while copy := heard(ids, 0.05):
            found.add(copy[0])
    return found


@pytest.mark.parametrize("here", ["hv1", "hv5"], ids=["at the switch of the mirror", "at the other switch"])
@pytest.mark.parametrize("peer", ["client", "nms"])
def test_each_frame_in_either_direction_is_copied_once(cluster: Cluster, here: str, peer: str) -> None:
    end = stack_of(cluster.hosts[peer])
    with guest(cluster, 1, here, COPIED) as vm, ears(cluster, end, vm.stack) as (ids, outside, inside):
        warm_up(ids, vm.stack, end)
        warm_up(ids, end, vm.stack)
        for number in range(FRAMES):
            send(vm.stack, end, b"from %d" % number)
            send(end, vm.stack, b"to %d" % number)
        send(vm.stack, end, b"end")
        send(end, vm.stack, b"last")
        sent = [b"from %d" % number for number in range(FRAMES)] + [b"end"]
        received = [b"to %d" % number for number in range(FRAMES)] + [b"last"]
        # Their order at the analyser is that of neither: the two ways differ in length.
        copies = heard_until(ids, b"end")
        if (b"last", two_switch.NATIVE_VLAN) not in copies:
            copies += heard_until(ids, b"last")
        assert copies == Counter((mark, two_switch.NATIVE_VLAN) for mark in (*sent, *received))
        assert heard_until(outside, b"end") == Counter((mark, None) for mark in sent)
        assert heard_until(inside, b"last") == Counter((mark, None) for mark in received), "and nothing of its own"


def test_the_copy_is_of_what_arrives_and_of_what_is_delivered(cluster: Cluster) -> None:
    client = stack_of(cluster.hosts["client"])
    with guest(cluster, 1, "hv5", STRICT) as vm, ears(cluster) as (ids,):
        warm_up(ids, vm.stack, client)
        send(client, vm.stack, b"refused to it")
        send(vm.stack, client, b"refused from it", port=80)
        send(vm.stack, client, b"end")
        assert {mark for mark, _ in heard_until(ids, b"end")} == {b"refused from it", b"end"}


def test_between_two_vms_there_is_a_copy_for_each_that_asks(cluster: Cluster) -> None:
    kinds = ((1, "hv1", COPIED), (2, "hv5", COPIED), (3, "hv6", PLAIN))
    with ExitStack() as stack:
        first, second, plain = (stack.enter_context(guest(cluster, *kind)) for kind in kinds)
        (ids,) = stack.enter_context(ears(cluster))
        for source, target in ((first, second), (plain, first), (plain, second)):
            warm_up(ids, source.stack, target.stack)
        send(first.stack, second.stack, b"both")
        send(first.stack, plain.stack, b"one")
        send(plain.stack, second.stack, b"other")
        send(plain.stack, stack_of(cluster.hosts["nms"]), b"none")
        wanted = Counter({b"both": 2, b"one": 1, b"other": 1})
        found: Counter[bytes] = Counter()
        number = 0
        # The last copy of a frame may come by a longer way than that of a later frame.
        while sum(found.values()) < wanted.total():
            end = b"end %d" % number
            send(first.stack, stack_of(cluster.hosts["nms"]), end)
            found.update(mark for mark, _ in heard_until(ids, end).elements() if not mark.startswith(b"end"))
            number += 1
        assert found == wanted


def test_nothing_is_copied_before_associate(cluster: Cluster) -> None:
    client = stack_of(cluster.hosts["client"])
    vm = FirewallVm(cluster, 1, "hv5", COPIED)
    station = cluster.hypervisors["hv5"].station
    try:
        with ears(cluster) as (ids,):
            assert station.request(VdptoolMode.PREASSOCIATE_RR, vm.vsi).granted
            send(vm.stack, client, b"staged from it")
            send(client, vm.stack, b"staged to it")
            assert station.request(VdptoolMode.ASSOCIATE, vm.vsi).granted
            assert warm_up(ids, vm.stack, client) == {WARM}
    finally:
        dismiss(cluster.hypervisors["hv5"], vm.vsi)
        cluster.shut_down(vm.vm.name, "hv5")


@pytest.mark.parametrize("ladder", LIVE_LADDERS)
@pytest.mark.parametrize(("source", "target"), [("hv1", "hv5"), ("hv5", "hv1")])
def test_copies_follow_the_vm(cluster: Cluster, source: str, target: str, ladder: Ladder) -> None:
    client = stack_of(cluster.hosts["client"])
    with guest(cluster, 1, source, COPIED) as vm, ears(cluster) as (ids,):
        warm_up(ids, vm.stack, client)
        vm.moves(target, ladder)
        warm_up(ids, vm.stack, client)
        for number in range(FRAMES):
            send(vm.stack, client, b"after %d" % number)
        send(vm.stack, client, b"end")
        copies = heard_until(ids, b"end")
        marks = [*(b"after %d" % number for number in range(FRAMES)), b"end"]
        assert copies == Counter((mark, two_switch.NATIVE_VLAN) for mark in marks)


def test_what_the_analyser_sends_reaches_nobody(cluster: Cluster) -> None:
    client = stack_of(cluster.hosts["client"])
    analyser = client._replace(namespace=cluster.analysers["ids"], interface="ids-eth0", mac="02:00:00:00:00:55")
    with guest(cluster, 1, "hv1", COPIED) as vm, ears(cluster, vm.stack) as (ids, inside):
        warm_up(ids, client, vm.stack)
        send(analyser, vm.stack, b"of the analyser")
        send(analyser, vm.stack._replace(mac="ff:ff:ff:ff:ff:ff"), b"of the analyser to all")
        send(client, vm.stack, b"end")
        assert {mark for mark, _ in heard_until(inside, b"end")} == {b"end"}


@pytest.mark.parametrize("here", ["hv1", "hv5"])
def test_a_vsi_of_two_addresses_and_two_vlans_with_sets_network_and_bandwidth(cluster: Cluster, here: str) -> None:
    """One VSI has two MAC addresses in the native VLAN, and one of them tagged in another; the peer has both VLANs."""
    second = "52:54:00:f1:00:99"
    with ExitStack() as stack:
        vms = [FirewallVm(cluster, number, place, RICH) for number, place in ((1, here), (2, "hv2"))]
        for vm, macs in zip(vms, ((vms[0].stack.mac, second), (vms[1].stack.mac,)), strict=True):
            filters = (*(f"{two_switch.NATIVE_VLAN}-{mac}" for mac in macs), f"200-{vm.stack.mac}")
            vm.vsi = replace(vm.vsi, filters=filters)
            stack.callback(cluster.shut_down, vm.vm.name, vm.at)
            admit(cluster.hypervisors[vm.at], vm.vsi)
            stack.callback(dismiss, cluster.hypervisors[vm.at], vm.vsi)
        first, peer = vms
        ids, outside = stack.enter_context(ears(cluster, peer.stack))
        warm_up(ids, first.stack, peer.stack)
        send(first.stack, peer.stack, b"first")
        send(first.stack._replace(mac=second), peer.stack, b"second")
        send(first.stack, peer.stack, b"tagged", vid=200)
        send(first.stack, peer.stack._replace(mac=second), b"no member", vid=200)
        send(first.stack._replace(ip="10.0.100.250"), peer.stack, b"of another")
        send(first.stack, peer.stack, b"end")
        received = {(b"first", None), (b"second", None), (b"tagged", 200), (b"end", None)}
        assert set(heard_until(outside, b"end")) == received
        twice = {(b"first", 100): 2, (b"second", 100): 2, (b"tagged", 200): 2, (b"end", 100): 2}
        wanted = Counter(twice) + Counter({(b"no member", 200): 1, (b"of another", 100): 1})
        copies = heard_until(ids, b"end")
        deadline = time.monotonic() + PATIENCE
        while copies.total() < wanted.total() and time.monotonic() < deadline:
            # The copy of the sender and that of the receiver come by ways of different lengths.
            if (copy := heard(ids, 0.2)) is not None and copy[0] != WARM:
                copies[copy] += 1
        assert copies == wanted
