"""The cluster manager by REST, with hypervisors of paper: goals in, steps out, answers in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ryu_apps.vcm.move_events import Do, MoveStep, StepFailed
from ryu_apps.vcm.resources import serve
from ryu_apps.vcm.service import ManagerService
from tests.worlds.vcm import Hypervisors, a_vm, two_switches

VMS = [a_vm("vm1", "hv1"), a_vm("vm2", "hv1"), a_vm("vm3", "hv3")]


class Party:
    """Somebody who has hypervisors, and knows the manager by REST only."""

    def __init__(self) -> None:
        self.service = ManagerService(two_switches(VMS))
        self.hypervisors = Hypervisors(self.service.inventory)
        self.now = 0.0
        self.refuse: set[tuple[str, str]] = set()
        self.network: dict[str, int] = {}

    def call(self, method: str, path: str, **body: object) -> tuple[int, Any]:
        self.now += 1.0
        reply = serve(self.service, method, path, json.dumps(body).encode() if body else b"", self.now)
        json.dumps(reply.body)
        return reply.status, reply.body

    def get(self, path: str) -> Any:
        status, body = self.call("GET", path)
        assert status == 200
        return body

    def begin(self, goal: str, subject: str = "", **more: object) -> Any:
        status, body = self.call("POST", "/vcm/goals", goal=goal, subject=subject, **more)
        assert status == 201, body
        return body

    def answer(self, goal: Any) -> Any:
        """Carry the first step out that is handed out, and tell."""
        step = goal["steps"][0]
        do = Do(step["vm"], MoveStep(step["step"]), step["node"], step["source"])
        willing = (step["step"], step["node"]) not in self.refuse
        event = self.hypervisors.perform(do, willing).event
        failure = event.reason if isinstance(event, StepFailed) else None
        told = {"step": step["id"], "failure": failure, **self.network}
        status, body = self.call("POST", f"/vcm/goals/{goal['id']}/answers", **told)
        assert status == 200, body
        return body

    def carry_out(self, goal: Any) -> Any:
        """All that is handed out, until nothing is."""
        while goal["steps"]:
            goal = self.answer(goal)
        return goal

    def at(self) -> dict[str, list[str]]:
        """Place of each VM in the manager's inventory."""
        return {vm["vm"]: vm["at"] for vm in self.get("/vcm/inventory")["vms"]}


@pytest.fixture
def party() -> Party:
    return Party()


def agree(party: Party) -> None:
    assert party.at() == {vm: [node] for vm, node in party.hypervisors.running.items()}


# --- goals ---
def test_a_node_is_evacuated_step_by_step(party: Party) -> None:
    goal = party.begin("evacuate", "hv1", parallel=1)
    assert [step["step"] for step in goal["steps"]] == ["reserve"]
    assert goal["plan"][0]["words"]
    goal = party.carry_out(goal)
    assert (goal["open"], goal["settled"]) == (False, True)
    assert {move["state"] for move in goal["moves"]} == {"done"}
    assert "hv1" not in party.hypervisors.running.values()
    agree(party)


def test_the_next_goal_begins_where_the_last_one_ended(party: Party) -> None:
    party.carry_out(party.begin("evacuate", "hv1"))
    party.carry_out(party.begin("evacuate", "s2"))
    agree(party)
    assert set(party.hypervisors.running.values()) <= {"hv1", "hv2"}
    assert [goal["id"] for goal in party.get("/vcm/goals")] == [1, 2]


def test_a_refusal_takes_the_next_node(party: Party) -> None:
    first = party.begin("evacuate", "hv3")["plan"][0]["target"]
    party = Party()
    party.refuse.add(("reserve", first))
    goal = party.carry_out(party.begin("evacuate", "hv3"))
    (move,) = goal["moves"]
    assert move["state"] == "done" and move["node"] != first and list(move["tried"]) == [first]
    agree(party)


def test_the_network_that_the_bridge_has_answered_is_shown(party: Party) -> None:
    goal = party.begin("evacuate", "hv3")
    assert goal["moves"][0]["network"] is None
    party.network = {"vid": 200, "pcp": 5}
    goal = party.answer(goal)
    assert goal["moves"][0]["network"] == {"vid": 200, "pcp": 5}
    assert "reserved, VLAN 200, PCP 5" in [note["text"] for note in goal["moves"][0]["story"]]
    # Only a reservation and an Associate are answered with a network; what another step tells changes nothing.
    party.network = {"vid": 100}
    goal = party.answer(goal)
    assert goal["moves"][0]["network"] == {"vid": 200, "pcp": 5}
    goal = party.carry_out(goal)
    assert (goal["moves"][0]["state"], goal["moves"][0]["network"]) == ("done", {"vid": 100, "pcp": None})


def test_the_network_of_a_node_that_has_lapsed_is_forgotten(party: Party) -> None:
    party.network = {"vid": 200}
    goal = party.answer(party.begin("evacuate", "hv3", ahead=True, delay=60))
    move = goal["moves"][0]
    assert move["network"] == {"vid": 200, "pcp": None}
    status, goal = party.call("POST", "/vcm/goals/1/lapsed", vm=move["vm"], node=move["node"])
    assert (status, goal["moves"][-1]["network"]) == (200, None)


@pytest.mark.parametrize("told", [{"vid": 0}, {"vid": 4095}, {"vid": 100, "pcp": 8}, {"pcp": 5}])
def test_a_network_that_cannot_be_is_refused(party: Party, told: dict[str, int]) -> None:
    (step,) = party.begin("evacuate", "hv3")["steps"]
    assert party.call("POST", "/vcm/goals/1/answers", step=step["id"], **told)[0] == 422
    assert party.call("POST", "/vcm/goals/1/answers", step=step["id"])[0] == 200


def test_the_inventory_says_who_has_a_vid_of_its_own(party: Party) -> None:
    assert {vm["vm"]: vm["vlan"] for vm in party.get("/vcm/inventory")["vms"]} == {"vm1": 100, "vm2": 100, "vm3": 100}


def test_places_are_kept_until_the_node_dies(party: Party) -> None:
    goal = party.carry_out(party.begin("protect", "hv1"))
    assert goal["open"] and goal["settled"] and {move["state"] for move in goal["moves"]} == {"reserved"}
    assert all(len(at) == 2 for vm, at in party.at().items() if vm != "vm3")
    assert party.call("POST", "/vcm/goals", goal="rebalance")[0] == 409
    party.hypervisors.die("hv1")
    _, goal = party.call("POST", f"/vcm/goals/{goal['id']}/lost", node="hv1")
    assert {step["step"] for step in goal["steps"]} == {"boot"}
    goal = party.carry_out(goal)
    assert not goal["open"] and {move["way"] for move in goal["moves"]} == {"restart"}
    agree(party)
    assert [node["alive"] for node in party.get("/vcm/inventory")["nodes"]] == [False, True, True, True]


def test_places_are_kept_until_they_are_used_or_given_up(party: Party) -> None:
    goal = party.carry_out(party.begin("protect", "hv1"))
    _, goal = party.call("POST", "/vcm/goals/1/use", vms=["vm1"])
    assert {step["vm"] for step in goal["steps"]} == {"vm1"}
    party.carry_out(goal)
    _, goal = party.call("POST", "/vcm/goals/1/release")
    goal = party.carry_out(goal)
    assert not goal["open"]
    assert (party.hypervisors.running["vm1"] != "hv1", party.hypervisors.running["vm2"]) == (True, "hv1")
    agree(party)


def test_a_reservation_that_has_lapsed_is_made_anew(party: Party) -> None:
    goal = party.carry_out(party.begin("protect", "hv3"))
    (move,) = goal["moves"]
    party.hypervisors.reserved["vm3"].discard(move["node"])
    status, goal = party.call("POST", "/vcm/goals/1/lapsed", vm="vm3", node=move["node"])
    assert status == 200 and [step["step"] for step in goal["steps"]] == ["reserve"]
    assert party.carry_out(goal)["moves"][0]["state"] == "reserved"


def test_a_halt_takes_back_and_may_undo(party: Party) -> None:
    goal = party.begin("evacuate", "hv1", parallel=1)
    while not any(move["state"] == "done" for move in goal["moves"]):
        goal = party.answer(goal)
    _, goal = party.call("POST", "/vcm/goals/1/halt", undo=True)
    goal = party.carry_out(goal)
    assert goal["halted"] and not goal["open"]
    assert party.hypervisors.running == {"vm1": "hv1", "vm2": "hv1", "vm3": "hv3"}
    agree(party)


def test_what_is_done_may_be_undone_while_nothing_else_has_begun(party: Party) -> None:
    party.carry_out(party.begin("evacuate", "hv1"))
    _, goal = party.call("POST", "/vcm/goals/1/halt", undo=True)
    party.carry_out(goal)
    assert party.hypervisors.running["vm1"] == party.hypervisors.running["vm2"] == "hv1"
    agree(party)


def test_a_dead_node_stays_out_until_it_is_back(party: Party) -> None:
    party.hypervisors.die("hv1")
    party.carry_out(party.begin("fail-over", "hv1"))
    rejected = {refusal["node"]: refusal["reasons"] for refusal in party.get("/vcm/vms/vm3/places")["rejected"]}
    assert "hv1 is dead" in rejected["hv1"]
    plan = party.begin("evacuate", "hv3")
    assert {move["target"] for move in plan["plan"]} <= {"hv2", "hv4"}
    party.carry_out(plan)
    status, node = party.call("PUT", "/vcm/nodes/hv1", alive=True)
    assert (status, node["alive"], node["vms"]) == (200, True, [])
    assert "hv1" in {candidate["node"] for candidate in party.get("/vcm/vms/vm3/places")["candidates"]}


def test_nothing_is_evened_out_onto_a_dead_node() -> None:
    """All VMs are at two nodes, a third one is dead, and the fourth is empty."""
    party = Party()
    for subject in ("hv1", "hv2"):
        party.hypervisors.die(subject)
        party.carry_out(party.begin("fail-over", subject))
    party.call("PUT", "/vcm/nodes/hv2", alive=True)
    plan = party.begin("rebalance")["plan"]
    assert plan and {move["target"] for move in plan} == {"hv2"}


def test_a_delay_ends_when_somebody_asks_behind_it(party: Party) -> None:
    goal = party.carry_out(party.begin("evacuate", "hv3", delay=100))
    assert goal["steps"] == [] and not goal["settled"]
    assert party.service.deadline is not None
    party.now = party.service.deadline
    party.service.tick(party.now)
    assert [step["step"] for step in party.get("/vcm/goals/1")["steps"]] == ["copy"]


# --- refusals ---
@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/", {}, 404, "there is nothing at /"),
        ("GET", "/evb/vsis", {}, 404, "there is nothing at /evb/vsis"),
        ("GET", "/vcm/goals/7", {}, 404, "there is no goal 7"),
        ("GET", "/vcm/goals/0", {}, 404, "there is no goal 0"),
        ("GET", "/vcm/goals/x", {}, 400, "'x' is not the number of a goal"),
        ("GET", "/vcm/goals/²", {}, 400, "not the number"),
        ("POST", "/vcm/goals/1/dance", {}, 404, "there is nothing"),
        ("GET", "/vcm/vms/vm9/places", {}, 404, "there is no VM 'vm9'"),
        ("PUT", "/vcm/nodes/hv9", {"alive": True}, 404, "there is no node 'hv9'"),
        ("PUT", "/vcm/nodes/hv1", {"alive": False}, 409, "fail-over"),
        ("DELETE", "/vcm/goals", {}, 405, "DELETE is none of GET, POST"),
        ("GET", "/vcm/goals/1/answers", {}, 405, "GET is none of POST"),
        ("POST", "/vcm/goals", {}, 400, "JSON"),
        ("POST", "/vcm/goals", {"goal": "destroy"}, 422, "one of evacuate, protect, fail-over, rebalance was expected"),
        ("POST", "/vcm/goals", {"goal": "evacuate", "subject": "hv9"}, 422, "no node, switch or power domain"),
        ("POST", "/vcm/goals", {"goal": "evacuate", "ladder": "restart"}, 422, "minimize-latency, safest-exchange"),
        ("POST", "/vcm/goals", {"goal": "evacuate", "delay": -1}, 422, "delay: "),
        ("POST", "/vcm/goals", {"goal": "evacuate", "speed": 1}, 422, "speed: "),
    ],
)
def test_what_cannot_be_served_says_why_and_changes_nothing(
    party: Party, method: str, path: str, body: dict[str, object], status: int, words: str
) -> None:
    found, said = party.call(method, path, **body)
    assert found == status and words in said["error"]
    assert party.get("/vcm/goals") == []


def test_an_answer_to_a_step_that_nobody_waits_for_is_refused(party: Party) -> None:
    goal = party.begin("evacuate", "hv3")
    (step,) = goal["steps"]
    assert party.call("POST", "/vcm/goals/1/answers", step=step["id"] + 1)[0] == 409
    assert party.call("POST", "/vcm/goals/1/answers", step=step["id"])[0] == 200
    status, body = party.call("POST", "/vcm/goals/1/answers", step=step["id"])
    assert (status, body["error"]) == (409, f"no answer to step {step['id']} is awaited")


def test_a_step_that_was_given_up_is_answered_for_nothing(party: Party) -> None:
    (first,) = party.begin("protect", "hv3")["steps"]
    party.now += 11.0  # too late: that is a refusal, and what was asked for is taken back
    party.service.tick(party.now)
    goal = party.get("/vcm/goals/1")
    assert [step["step"] for step in goal["steps"]] == ["reserve", "release"]
    status, goal = party.call("POST", "/vcm/goals/1/answers", step=first["id"])
    assert status == 200 and [step["step"] for step in goal["steps"]] == ["release"]
    _, goal = party.call("POST", "/vcm/goals/1/answers", step=goal["steps"][0]["id"])
    (again,) = goal["steps"]
    assert again["step"] == "reserve" and again["node"] != first["node"]


def test_of_two_equal_steps_the_later_one_counts(party: Party) -> None:
    pursuit = party.service.pursuit(party.begin("protect", "hv3")["id"])
    ((number, step),) = pursuit.handed.items()
    pursuit.handed[number + 10] = step
    _, goal = party.call("POST", "/vcm/goals/1/answers", step=number, failure="too late")
    assert [move["state"] for move in goal["moves"]] == ["reserving"]
    _, goal = party.call("POST", "/vcm/goals/1/answers", step=number + 10)
    assert [move["state"] for move in goal["moves"]] == ["reserved"]


def test_a_goal_that_is_over_waits_for_nobody(party: Party) -> None:
    """A hypervisor that never answers does not hold up the next goal."""
    (step,) = party.begin("evacuate", "hv3")["steps"]
    _, goal = party.call("POST", "/vcm/goals/1/halt")
    release = next(step for step in goal["steps"] if step["step"] == "release")
    _, goal = party.call("POST", "/vcm/goals/1/answers", step=release["id"])
    assert [step["id"] for step in goal["steps"]] == [step["id"]] and not goal["open"]
    assert party.call("POST", "/vcm/goals", goal="evacuate", subject="hv3")[0] == 201
    assert party.call("POST", "/vcm/goals/1/answers", step=step["id"])[0] == 200


def test_what_could_not_be_undone_is_where_it_is_in_the_next_goal(party: Party) -> None:
    party.carry_out(party.begin("evacuate", "hv1"))
    there = dict(party.hypervisors.running)
    party.refuse.add(("reserve", "hv1"))
    party.carry_out(party.call("POST", "/vcm/goals/1/halt", undo=True)[1])
    assert party.hypervisors.running == there
    agree(party)
    party.carry_out(party.begin("evacuate", "hv1"))
    agree(party)


def test_vms_that_are_left_at_a_dead_node_are_started_and_not_moved(party: Party) -> None:
    party.refuse.update(("reserve", node) for node in ("hv2", "hv3", "hv4"))
    party.hypervisors.die("hv1")
    party.carry_out(party.begin("fail-over", "hv1"))
    party.refuse.clear()
    assert party.begin("rebalance")["plan"] == []
    goal = party.begin("evacuate", "s1")
    assert {move["way"] for move in goal["moves"]} == {"restart"}
    party.carry_out(goal)
    agree(party)


def test_a_switch_whose_nodes_are_all_dead_is_no_way_to_anybody(party: Party) -> None:
    for node in ("hv3", "hv4"):
        party.hypervisors.die(node)
    party.carry_out(party.begin("fail-over", "s2"))
    party.begin("rebalance")
    assert party.service.pursuits[-1].plan.down == {"s2"}


def test_a_goal_that_is_over_takes_nothing_more(party: Party) -> None:
    party.carry_out(party.begin("evacuate", "hv3"))
    party.carry_out(party.begin("evacuate", "hv1"))
    for what, body in (("use", {}), ("release", {}), ("halt", {}), ("lost", {"node": "hv2"})):
        assert party.call("POST", f"/vcm/goals/1/{what}", **body)[0] == 409
    assert party.call("POST", "/vcm/goals/2/use", vms=["vm9"])[0] == 404
