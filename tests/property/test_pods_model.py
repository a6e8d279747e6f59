"""Two pods in any order of requests, with the directory, requests and answers lost: a VSI is active in one at most."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.pod_link.holdings import ABANDONED
from tests.worlds.bridge import HV1, HV3, PortId, Vm
from tests.worlds.pods import PodWorld, two_pods

VM = Vm(1)
MODES = {"announce": VdpMode.PREASSOCIATE_RR, "associate": VdpMode.ASSOCIATE, "leave": VdpMode.DEASSOCIATE}
FAULTS = ("stop", "go on", "cut off", "heal", "lose answers", "hear", "look", "wait", "restart")
ACTIONS = (*MODES, "move", "move", *FAULTS)
Step = tuple[int, PortId, str]
STEPS = st.lists(st.tuples(st.integers(0, 1), st.sampled_from([HV1, HV3]), st.sampled_from(ACTIONS)), max_size=40)


def act(pod: PodWorld, port: PortId, action: str) -> None:
    match action:
        case "stop":
            pod.stopped = True
        case "go on":
            pod.go_on()
        case "cut off" | "heal":
            pod.view.away = action == "cut off"
        case "lose answers" | "hear":
            pod.answers_lost = pod.view.lost = action == "lose answers"
        case "look":
            pod.look(1)
        case "wait":
            pod.look(1)
            for _ in range(int(ABANDONED)):
                pod.advance(1.0)
                if pod.has_gate(VM):
                    pod.ask(port, VM, VdpMode.ASSOCIATE)
            pod.look(1)
        case "restart":
            pod.waiting.clear()
            pod.restart_pod()
        case "move":
            for mode in (VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE):
                pod.ask(port, VM, mode)
        case _:
            pod.ask(port, VM, MODES[action])


@settings(deadline=None, max_examples=25)
@given(STEPS)
def test_vsi_is_active_in_one_pod_at_most(steps: list[Step]) -> None:
    model, *pods = two_pods()
    for number, port, action in steps:
        act(pods[number], port, action)
        assert sum(pod.has_gate(VM) for pod in pods) <= 1
    for pod in pods:
        pod.view.away = pod.view.lost = pod.answers_lost = False
        pod.go_on()
    for pod in pods:
        pod.look()
    # When everything is reached again, the next announced Associate gets the VSI, and the directory knows it.
    for port in (HV1, HV3):
        pods[1].ask(port, VM, VdpMode.DEASSOCIATE)
    pods[1].advance(60.0)
    pods[1].ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    pods[1].ask(HV1, VM, VdpMode.ASSOCIATE)
    assert [pod.has_gate(VM) for pod in pods] == [False, True]
    assert model.owners[VM.text].pod == "b"
