"""A VM behind the stateful firewall moves between two pods whose bridges talk over TLS; Associates in both at once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest

from mininet_tests.conftest import CHECKOUT, SHORT, Tables, rules_of_vsis, wait_as_found
from ryu_apps.testbed.conversations import (
    DNS,
    HERE,
    HTTP,
    MYSQL,
    SILENCE,
    FirewallVm,
    asked,
    connected,
    datagram_passes,
    guest,
    over_ipv6,
    passes,
    stack_of,
    trespasses,
)
from ryu_apps.testbed.emulator import EmulatedStation, StationLoop
from ryu_apps.testbed.harness.pods import SWITCHES, PodsCluster, two_pods
from ryu_apps.testbed.harness.rest_secrets import certify
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.station import VdptoolMode
from ryu_apps.vcm.move_events import LIVE_LADDERS, Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

RR, ASSOCIATE, GONE = VdptoolMode.PREASSOCIATE_RR, VdptoolMode.ASSOCIATE, VdptoolMode.DEASSOCIATE
#: Hypervisors of pod a, at both switches, and of pod b.
HERE_1, THERE_3, THERE_4 = "hv1", "hv3", "hv4"
LIMIT = 30.0


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodsCluster]:
    folder = tmp_path_factory.mktemp("pods")
    with inside(), closing(StationLoop()) as loop:
        rules = {"a": "refuse", "b": "take"}
        station = partial(EmulatedStation, loop)
        with PodsCluster(folder, CHECKOUT / "policies", station, rules, two_pods(SHORT), secure=True) as cluster:
            yield cluster


@pytest.fixture(scope="module")
def fresh(both: PodsCluster) -> Tables:
    """Rules before the first test: before a later one a switch may have learnt another rule for a VSI that has gone."""
    return rules_of_vsis(both)


@pytest.fixture
def pods(both: PodsCluster, fresh: Tables) -> Iterator[PodsCluster]:
    """A test leaves the flow tables of both pods as they were, and no owner in the directory."""
    yield both
    wait_as_found(partial(rules_of_vsis, both), fresh)
    wait_until(lambda: not any(both.pod(pod)["owned"] for pod in SWITCHES), "no owner", LIMIT, pause=0.1)


def places(cluster: PodsCluster, vm: FirewallVm) -> list[str]:
    """The ports at which a VM is active, in both pods."""
    return [port for pod in SWITCHES if (port := cluster.owner(vm.vsi.uuid, pod)) is not None]


@pytest.mark.parametrize("ladder", LIVE_LADDERS)
def test_connections_of_a_vm_go_on_in_another_pod_and_nothing_else_gets_in(pods: PodsCluster, ladder: Ladder) -> None:
    near, far = stack_of(pods.hosts["nms"]), stack_of(pods.hosts["client"])
    with guest(pods, hypervisor=HERE_1) as vm, ExitStack() as ends:
        # Receive-only both ways: the VM has connected, or was connected to, and just listens.
        receiver, pusher = ends.enter_context(connected(vm.stack, far, MYSQL))
        uploader, server = ends.enter_context(connected(near, vm.stack, HTTP))
        listener, streamer = ends.enter_context(asked(vm.stack, far, DNS))
        for there in (THERE_4, HERE_1, THERE_3):
            vm.moves(there, ladder)
            assert len(places(pods, vm)) == 1
            assert passes(pusher, receiver) and passes(uploader, server)
            assert datagram_passes(streamer, listener)
            # Those of the VM, too.
            assert passes(receiver, pusher) and passes(server, uploader)
        assert trespasses(far, vm.stack, (MYSQL, receiver.getsockname()[1])) == ["known"]
        assert trespasses(near, vm.stack, (uploader.getsockname()[1], HTTP)) == ["known"]
        assert trespasses(far, vm.stack, (DNS, HERE), udp=True) == ["known"]


@pytest.mark.parametrize("ladder", LIVE_LADDERS)
def test_connections_over_ipv6_go_on_in_another_pod(pods: PodsCluster, ladder: Ladder) -> None:
    with guest(pods, hypervisor=HERE_1) as vm, ExitStack() as ends:
        ours, far = ends.enter_context(over_ipv6(vm.stack, stack_of(pods.hosts["client"])))
        receiver, pusher = ends.enter_context(connected(ours, far, DNS))
        uploader, server = ends.enter_context(connected(far, ours, HTTP))
        listener, streamer = ends.enter_context(asked(ours, far, DNS))
        for there in (THERE_4, HERE_1):
            vm.moves(there, ladder)
            assert passes(pusher, receiver) and passes(uploader, server)
            assert datagram_passes(streamer, listener)
            assert passes(receiver, pusher) and passes(server, uploader)
        with closing(far.socket(socket.SOCK_STREAM)) as stranger:
            stranger.settimeout(SILENCE)
            with pytest.raises(TimeoutError):
                stranger.connect((ours.ip, MYSQL))


def test_connections_outlive_a_vm_that_goes_to_and_fro_without_a_pause(pods: PodsCluster) -> None:
    far = stack_of(pods.hosts["client"])
    with guest(pods, hypervisor=THERE_3) as vm, ExitStack() as ends:
        receiver, pusher = ends.enter_context(connected(vm.stack, far, MYSQL))
        listener, streamer = ends.enter_context(asked(vm.stack, far, DNS))
        for there in (HERE_1, THERE_3) * 5:
            for mode in (RR, ASSOCIATE):
                assert pods.hypervisors[there].request(mode, vm.vsi).granted
            assert len(places(pods, vm)) == 1
        assert passes(pusher, receiver) and passes(receiver, pusher)
        assert datagram_passes(streamer, listener)
        assert trespasses(far, vm.stack, (MYSQL, receiver.getsockname()[1])) == ["known"]


@pytest.mark.parametrize("mistake", ["wrong token", "token of the role read", "wrong certificate authority"])
def test_pod_that_is_not_authenticated_gets_no_vsi(pods: PodsCluster, mistake: str, tmp_path: Path) -> None:
    """The VM goes from b to a, which refuses what it does not reach."""
    secrets = pods.secrets["b"]
    spoilt = secrets.certificate if "authority" in mistake else secrets.token_of_peers
    kept = spoilt.read_text(encoding="ascii")
    with guest(pods, hypervisor=THERE_3) as vm:
        wrong = {"wrong token": "evb_" + 40 * "a", "token of the role read": secrets.token(tmp_path.name, "read")}
        certify(tmp_path / "other.pem", tmp_path / "other.key")
        spoilt.write_text(wrong.get(mistake) or (tmp_path / "other.pem").read_text(encoding="ascii"))
        try:
            pods.hypervisors[HERE_1].request(RR, vm.vsi)
            assert not pods.hypervisors[HERE_1].request(ASSOCIATE, vm.vsi).granted
            assert places(pods, vm) == [str(pods.hypervisors[THERE_3].port)]
            (peer,) = pods.pod("a")["peers"]
            assert {"wrong token": "HTTP 401", "token of the role read": "HTTP 403"}.get(
                mistake, "certificate verify failed"
            ) in peer["unreachable"]
            assert "pod.unreachable" in pods.alarms("a")
        finally:
            spoilt.write_text(kept, encoding="ascii")
        vm.moves(HERE_1, Ladder.SAFEST_EXCHANGE)
        assert "pod.unreachable" not in pods.alarms("a")


def test_both_pods_associate_at_once(pods: PodsCluster) -> None:
    with guest(pods, hypervisor=HERE_1) as vm:
        pods.hypervisors[HERE_1].request(GONE, vm.vsi)
        for place in (HERE_1, THERE_4):
            pods.hypervisors[place].request(RR, vm.vsi)
        asking = [
            threading.Thread(target=pods.hypervisors[place].request, args=(ASSOCIATE, vm.vsi))
            for place in (HERE_1, THERE_4)
        ]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        active = places(pods, vm)
        for place in (HERE_1, THERE_4):
            pods.hypervisors[place].request(GONE, vm.vsi)
        assert len(active) == 1
