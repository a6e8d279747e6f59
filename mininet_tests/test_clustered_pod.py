"""A pod that is a cluster, and one of a single bridge: the leader is killed while a VM moves between them.

The VM is behind the stateful firewall, with a TCP stream across.  Bystanders of both pods have traffic and lose
nothing; no two gates are open; the move ends, or is refused and ends when the station repeats its request.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial

import pytest

from mininet_tests.conftest import CHECKOUT, Tables, rules_of_vsis, wait_as_found
from ryu_apps.testbed.conversations import HTTP, MYSQL, FirewallVm, connected, guest, passes, stack_of, trespasses
from ryu_apps.testbed.emulator import EmulatedStation, StationLoop
from ryu_apps.testbed.faults.bystanders import write_figures
from ryu_apps.testbed.faults.clustered_pod import CLUSTER, ClusteredPodRig
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import PATIENCE, wait_until
from ryu_apps.testbed.harness.station import VdptoolMode

pytestmark = [pytest.mark.privileged, pytest.mark.soak]

RR, ASSOCIATE, GONE = VdptoolMode.PREASSOCIATE_RR, VdptoolMode.ASSOCIATE, VdptoolMode.DEASSOCIATE
ALONE = "a"
HOME = {ALONE: "hv1", CLUSTER: "hv4"}
POD = {home: pod for pod, home in HOME.items()}
LIMIT = 60.0
#: When the leader is killed: before the other pod asks, or it asks the other pod; while the request to shut the gate is
#: under way, behind the claim; when the gate is shut, and the answer is lost; when the move is over.
POINTS = ("before", "during", "behind", "after")
CASES = [(source, point) for source in (CLUSTER, ALONE) for point in POINTS]


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusteredPodRig]:
    folder, policies = tmp_path_factory.mktemp("pods"), CHECKOUT / "policies"
    with (
        inside(),
        closing(StationLoop()) as loop,
        ClusteredPodRig(folder, policies, partial(EmulatedStation, loop)) as rig,
    ):
        yield rig
        write_figures("clustered-pod", rig.figures)


@pytest.fixture(scope="module")
def fresh(pods: ClusteredPodRig) -> Tables:
    """Rules before the first test; see ``test_pods``."""
    return rules_of_vsis(pods)


@pytest.fixture
def rig(pods: ClusteredPodRig, fresh: Tables, request: pytest.FixtureRequest) -> Iterator[ClusteredPodRig]:
    """A test leaves the flow tables as they were, and both bridges of the cluster ready to lead."""
    with pods.unharmed(request.node.name):
        yield pods
        pods.heal()
        wait_as_found(partial(rules_of_vsis, pods), fresh)
    pods.await_standby()


def is_staged(rig: ClusteredPodRig, vm: FirewallVm, there: str) -> bool:
    """Reserve anew; True: the connections of the VM came with it.  A pod that is busy may not show them in time."""
    rig.ask(vm, there, GONE)
    since = time.monotonic()
    granted = rig.ask(vm, there, RR).granted
    events = rig.controllers[POD[there]].get(f"/evb/events?since={since}")
    carried = [event for event in events if event["kind"] == "state.carried" and event["vsi"] == vm.vsi.uuid]
    return granted and any(event["detail"]["rules"] for event in carried)


@pytest.mark.parametrize(("source", "point"), CASES)
def test_leader_of_a_pod_is_killed_while_a_vm_moves(rig: ClusteredPodRig, source: str, point: str) -> None:
    target = ALONE if source == CLUSTER else CLUSTER
    here, there = HOME[source], HOME[target]
    near, far = stack_of(rig.hosts["nms"]), stack_of(rig.hosts["client"])
    with guest(rig, hypervisor=here) as vm, ExitStack() as ends:
        receiver, pusher = ends.enter_context(connected(vm.stack, far, MYSQL))
        uploader, server = ends.enter_context(connected(near, vm.stack, HTTP))
        with rig.never_in_both(vm, source, target):
            wait_until(lambda: is_staged(rig, vm, there), f"connections at {there}", LIMIT)
            # A bridge that dies answers nothing.
            door, patience = rig.doors[source], 0.1 if target == CLUSTER else PATIENCE
            if point == "before":
                rig.kill(CLUSTER)
                rig.asking(vm, there, patience).join()
            elif point == "after":
                assert rig.ask(vm, there, ASSOCIATE).granted
                rig.kill(CLUSTER)
                assert rig.gates(vm) == {target}
            else:
                door.answers_lost = point == "behind"
                if point == "during":
                    door.hold()
                asking = rig.asking(vm, there, patience)
                if point == "during":
                    assert door.held.wait(LIMIT)
                else:
                    wait_until(lambda: not rig.has_gate(vm, source), "the gate to be shut", LIMIT)
                rig.kill(CLUSTER)
                door.heal()
                asking.join()
            if target == CLUSTER:
                rig.await_leader()
            wait_until(lambda: rig.ask(vm, there, ASSOCIATE).granted, f"an Associate at {there}", LIMIT, pause=0.2)
            rig.await_pod(vm, target)
            vm.lands(there)
        assert passes(pusher, receiver) and passes(receiver, pusher)
        assert passes(uploader, server) and passes(server, uploader)
        if source == CLUSTER and point != "after":
            rig.await_leader()
            (peer,) = rig.pod(ALONE)["peers"]
            assert peer["leader"] == rig.doors[CLUSTER].url and peer["unreachable"] is None
        assert trespasses(far, vm.stack, (MYSQL, receiver.getsockname()[1])) == ["known"]
        rig.await_leader()
