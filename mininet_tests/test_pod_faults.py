"""Two pods with real bridges, switches and a directory of three servers: each fault of the page about pods.

Pod a refuses what an unreachable pod has, pod b takes it.  Bystanders of both pods have traffic and lose nothing; a VSI
is active in one pod at most, but where the page says otherwise; the former pod keeps no rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest

from mininet_tests.conftest import CHECKOUT, Tables, rules_of_vsis, wait_as_found
from ryu_apps.testbed.emulator import EmulatedStation, StationLoop
from ryu_apps.testbed.faults.bystanders import write_figures
from ryu_apps.testbed.faults.pods import HOMES, RULES, PodsRig
from ryu_apps.testbed.faults.rig import RigVm
from ryu_apps.testbed.harness.pods import SWITCHES
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.station import VdptoolMode

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

RR, ASSOCIATE, GONE = VdptoolMode.PREASSOCIATE_RR, VdptoolMode.ASSOCIATE, VdptoolMode.DEASSOCIATE
VM = RigVm("between-pods", 83)
#: Where the VM is, and where it goes: the rule is that of the pod to which it goes.
ROADS = {"take": ("hv1", "hv4"), "refuse": ("hv4", "hv1")}
POD = {"hv1": "a", "hv2": "a", "hv3": "b", "hv4": "b"}
LIMIT = 60.0


@pytest.fixture(scope="module")
def pods_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodsRig]:
    folder = tmp_path_factory.mktemp("pods")
    policies = CHECKOUT / "policies"
    with inside(), closing(StationLoop()) as loop, PodsRig(folder, policies, partial(EmulatedStation, loop)) as rig:
        yield rig
        write_figures("pods", rig.figures)


@pytest.fixture(scope="module")
def fresh(pods_rig: PodsRig) -> Tables:
    """Rules before the first test; see ``test_pods``."""
    return rules_of_vsis(pods_rig)


@pytest.fixture
def rig(pods_rig: PodsRig, fresh: Tables, request: pytest.FixtureRequest) -> Iterator[PodsRig]:
    """A test leaves the flow tables as they were, and the owners of the bystanders alone; none of these loses."""
    with pods_rig.unharmed(request.node.name):
        yield pods_rig
        pods_rig.heal()
        pods_rig.dismiss(VM)
        wait_as_found(partial(rules_of_vsis, pods_rig), fresh)
    owned = {POD[home]: 1 for home in HOMES.values()}
    wait_until(lambda: {pod: pods_rig.pod(pod)["owned"] for pod in SWITCHES} == owned, "owners", LIMIT, pause=0.2)


def event(rig: PodsRig, pod: str, kind: str) -> bool:
    """The log of a pod has an event about the VM."""
    events = rig.controllers[pod].get("/evb/events")
    return any(found["kind"] == kind and found.get("vsi") == VM.vsi.uuid for found in events)


def repeated(rig: PodsRig, hypervisor: str) -> None:
    """A station asks again until it is granted."""
    wait_until(lambda: rig.admit(VM, hypervisor).granted, f"an Associate at {hypervisor}", LIMIT, pause=0.2)
    rig.await_pod(VM, POD[hypervisor])


#: When the bridge of the former pod dies: before it is asked to shut its gate, with the request in front of it, behind
#: it; and the rule of the pod that asks.
DEATHS = [("before", "refuse"), ("during", "take"), ("behind", "refuse")]
MORE_DEATHS = [("before", "take"), ("during", "refuse"), ("behind", "take")]


@pytest.mark.parametrize(
    ("point", "rule"), [*DEATHS, *(pytest.param(*death, marks=pytest.mark.soak) for death in MORE_DEATHS)]
)
def test_bridge_of_the_former_pod_dies(rig: PodsRig, point: str, rule: str) -> None:
    source, target = ROADS[rule]
    former, pod = POD[source], POD[target]
    assert RULES[pod] == rule
    assert rig.admit(VM, source).granted and rig.ask(VM, target, RR).granted
    door = rig.doors[former]
    if point == "before":
        rig.kill(former)
        answer = rig.ask(VM, target, ASSOCIATE)
    else:
        # The request waits in front of the bridge that dies; or its gate is shut, and the answer is lost.
        if point == "during":
            door.hold()
        door.answers_lost = point == "behind"
        asking = rig.asking(VM, target)
        if point == "during":
            assert door.held.wait(LIMIT)
        else:
            wait_until(lambda: not rig.has_gate(VM, former), "the gate to be shut", LIMIT)
        rig.kill(former)
        door.heal()
        asking.join()
        answer = None
    taken = rule == "take"
    if answer is not None:
        assert answer.granted == taken
    assert rig.has_gate(VM, pod) == taken and rig.has_gate(VM, former) == (point != "behind")
    assert event(rig, pod, "vsi.taken") == taken
    assert "pod.unreachable" in rig.alarms(pod)
    rig.revive(former)
    if taken:
        rig.await_pod(VM, pod)
    else:
        assert rig.gates(VM) == ({former} if point != "behind" else set())
        with rig.never_in_both(VM, former, pod):
            repeated(rig, target)


@pytest.mark.parametrize("rule", ROADS)
def test_bridge_of_the_former_pod_is_stopped(rig: PodsRig, rule: str) -> None:
    source, target = ROADS[rule]
    former, pod = POD[source], POD[target]
    assert rig.admit(VM, source).granted and rig.ask(VM, target, RR).granted
    with rig.stopped(former):
        assert rig.ask(VM, target, ASSOCIATE).granted == (rule == "take")
        assert rig.has_gate(VM, former) and rig.has_gate(VM, pod) == (rule == "take")
    # It reads the request now, which holds no more if it was refused.
    if rule == "take":
        rig.await_pod(VM, pod)
        return
    rig.await_answers(former)
    assert rig.gates(VM) == {former}
    with rig.never_in_both(VM, former, pod):
        repeated(rig, target)


@pytest.mark.parametrize("rule", ROADS)
@pytest.mark.parametrize("fault", ["partition", "the answer is lost"])
def test_pods_do_not_reach_each_other(rig: PodsRig, fault: str, rule: str) -> None:
    source, target = ROADS[rule]
    former, pod = POD[source], POD[target]
    assert rig.admit(VM, source).granted and rig.ask(VM, target, RR).granted
    for door in rig.doors.values():
        door.answers_lost = fault != "partition"
        if fault == "partition":
            door.cut()
    assert rig.ask(VM, target, ASSOCIATE).granted == (rule == "take")
    assert "pod.unreachable" in rig.alarms(pod)
    if rule == "take":
        # The former pod finds the firm claim, though it does not reach this one.
        rig.await_pod(VM, pod)
        rig.heal()
    else:
        assert rig.gates(VM) == ({former} if fault == "partition" else set())
        rig.heal()
        with rig.never_in_both(VM, former, pod):
            repeated(rig, target)
    wait_until(lambda: "pod.unreachable" not in rig.alarms(pod) or rule == "take", "the end of the alarm", LIMIT)


@pytest.mark.parametrize("fault", ["killed", pytest.param("silent", marks=pytest.mark.soak)])
def test_one_server_of_the_directory_is_lost_and_moves_go_on(rig: PodsRig, fault: str) -> None:
    source, target = ROADS["refuse"]
    assert rig.admit(VM, source).granted
    lost = rig.directory.leader()
    rig.directory.kill(lost) if fault == "killed" else rig.directory.pause(lost)
    with rig.never_in_both(VM, POD[source], POD[target]):
        repeated(rig, target)
    rig.directory.start_server(lost) if fault == "killed" else rig.directory.go_on(lost)


@pytest.mark.parametrize("fault", ["two are killed", pytest.param("all are silent", marks=pytest.mark.soak)])
def test_directory_is_lost_and_nothing_new_associates(rig: PodsRig, fault: str) -> None:
    source, target = ROADS["refuse"]
    assert rig.admit(VM, source).granted
    lost = (rig.directory.leader(), (rig.directory.leader() + 1) % 3)
    if fault == "all are silent":
        # Not known yet: the connections are there.
        lost = range(3)
        for server in lost:
            rig.directory.pause(server)
        assert rig.ask(VM, "hv3", RR).granted and not rig.admit(VM, target).granted
    else:
        for server in lost:
            rig.directory.kill(server)
    for pod in SWITCHES:
        wait_until(lambda at=pod: "directory.lost" in rig.alarms(at), "an alarm", LIMIT)  # type: ignore[misc]
    assert not rig.admit(VM, target).granted
    assert rig.gates(VM) == {POD[source]}
    # Within its pod it moves all the same.
    assert rig.admit(VM, "hv3").granted and rig.gates(VM) == {POD["hv3"]}
    for server in lost:
        rig.directory.go_on(server) if fault == "all are silent" else rig.directory.start_server(server)
    for pod in SWITCHES:
        wait_until(lambda at=pod: "directory.lost" not in rig.alarms(at), "its end", LIMIT)  # type: ignore[misc]
    with rig.never_in_both(VM, POD[source], POD[target]):
        repeated(rig, target)


@pytest.mark.parametrize("fault", ["silent", pytest.param("cut", marks=pytest.mark.soak)])
def test_pod_that_is_cut_off_from_the_directory_is_asked_all_the_same(rig: PodsRig, fault: str) -> None:
    source, target = ROADS["refuse"]
    assert rig.admit(VM, source).granted and rig.ask(VM, target, RR).granted
    rig.cut_from_directory(POD[source], silently=fault == "silent")
    with rig.never_in_both(VM, POD[source], POD[target]):
        assert rig.ask(VM, target, ASSOCIATE).granted
        rig.await_pod(VM, POD[target])


@pytest.mark.parametrize("point", ["the gate there is open", "the gate there is shut"])
def test_bridge_dies_between_its_claim_and_its_gate(rig: PodsRig, point: str) -> None:
    source, target = ROADS["refuse"]
    former, pod = POD[source], POD[target]
    door, is_shut = rig.doors[former], point == "the gate there is shut"
    assert rig.admit(VM, source).granted and rig.ask(VM, target, RR).granted
    if is_shut:
        door.answers_lost = True
    else:
        door.hold()
    asking = rig.asking(VM, target, patience=0.1)
    if is_shut:
        wait_until(lambda: not rig.has_gate(VM, former), "the gate to be shut", LIMIT)
    else:
        assert door.held.wait(LIMIT)
    rig.kill(pod)
    asking.join()
    door.cut()
    rig.heal()
    assert rig.gates(VM) == (set() if is_shut else {former})
    with rig.never_in_both(VM, former, pod):
        rig.revive(pod)
        repeated(rig, target)


def test_both_pods_associate_at_once(rig: PodsRig) -> None:
    for hypervisor in ROADS["take"]:
        assert rig.ask(VM, hypervisor, RR).granted
    asking = [rig.asking(VM, hypervisor) for hypervisor in ROADS["take"]]
    for thread in asking:
        thread.join()
    wait_until(lambda: len(rig.gates(VM)) == 1, "one pod", LIMIT, pause=0.1)
    (pod,) = rig.gates(VM)
    # It is that of which the directory says so.
    assert rig.pod(pod)["owned"] == 2
