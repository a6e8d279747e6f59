"""Policies of the operator: when they fire, what they start, and what they keep out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ryu_apps.vcm.goal_events import MoveLimits, NodeLost
from ryu_apps.vcm.loader import load_inventory
from ryu_apps.vcm.move_events import MoveStep
from ryu_apps.vcm.plans import Goal, GoalKind, make_plan
from ryu_apps.vcm.policy_sections import policies_of
from ryu_apps.vcm.resources import serve
from ryu_apps.vcm.service import ManagerService
from ryu_apps.vcm.triggers import DAY, Condition, Observation, OperatorPolicy, Triggers
from tests.worlds.vcm import PlanRun, a_vm, start_plan, two_switches

HOUR = 3600.0
MIDNIGHT = 1_000 * DAY


def policy(name: str, condition: Condition, kind: GoalKind = GoalKind.EVACUATE, subject: str = "hv1") -> OperatorPolicy:
    return OperatorPolicy(name, condition, Goal(kind, subject))


def waiting(triggers: Triggers) -> list[str]:
    return [found.name for found in triggers.waiting]


# --- when ---
def test_a_threshold_fires_when_it_is_crossed_and_not_while_it_stays_so() -> None:
    triggers = Triggers([policy("hot", Condition(load_above=90.0, of="hv1"))])
    for load, fires in ((80.0, False), (95.0, True), (96.0, False), (50.0, False), (91.0, True)):
        triggers.observe(Observation(load={"hv1": load}), 1.0)
        assert (triggers.take() is not None) == fires, load


def test_rules_that_are_not_known_are_no_reason() -> None:
    triggers = Triggers([policy("full", Condition(rules_left_below=100, of="s1"), subject="s1")])
    triggers.look(1.0)
    assert waiting(triggers) == []
    triggers.observe(Observation(rules_left={"s1": 99}), 2.0)
    assert waiting(triggers) == ["full"]


def test_failures_come_first() -> None:
    triggers = Triggers(
        [
            policy("hot", Condition(load_above=90.0, of="hv2")),
            policy("dead", Condition(failed="hv1"), GoalKind.FAIL_OVER),
        ]
    )
    triggers.observe(Observation(load={"hv2": 99.0}), 1.0)
    triggers.observe(Observation(failed={"hv1": True}), 2.0)
    assert waiting(triggers) == ["dead", "hot"]
    triggers.observe(Observation(failed={"hv1": True}), 3.0)
    assert waiting(triggers) == ["dead", "hot"], "once"


def test_a_schedule_fires_once_a_day_and_is_not_made_up_for() -> None:
    triggers = Triggers([policy("nightly", Condition(start=2 * HOUR), GoalKind.REBALANCE, "")])
    assert triggers.deadline == 0.0
    triggers.look(MIDNIGHT + 3 * HOUR)
    assert waiting(triggers) == []
    assert triggers.deadline == MIDNIGHT + DAY + 2 * HOUR
    triggers.look(MIDNIGHT + DAY + 2 * HOUR)
    assert triggers.take() is not None
    triggers.look(MIDNIGHT + DAY + 2 * HOUR + 1)
    assert waiting(triggers) == []


@pytest.mark.parametrize(("hour", "closed"), [(21, False), (22, True), (23.5, True), (1, True), (2, False)])
def test_a_window_may_span_midnight(hour: float, closed: bool) -> None:
    triggers = Triggers([policy("window", Condition(start=22 * HOUR, until=2 * HOUR))])
    triggers.look(MIDNIGHT + hour * HOUR)
    assert list(triggers.closed) == ([("hv1", "window")] if closed else [])


# --- by REST ---
INVENTORY = """\
version: 1
name: small
switches: {s1: {}}
nodes:
  hv1: {switch: s1, power: a, slots: 4, memory_mib: 4096}
  hv2: {switch: s1, power: b, slots: 4, memory_mib: 4096}
  hv3: {switch: s1, power: b, slots: 4, memory_mib: 4096}
vms:
  vm1: {at: hv1, mac: "52:54:00:aa:00:01", vlan: 100, type: 1, version: 1, memory_mib: 512}
policies:
  power: {when: {failed: a}, goal: fail-over, restarts: 1}
  hot: {when: {load_above: 90, of: hv2}, goal: evacuate, parallel: 1, probe: 2}
  nightly: {when: {at: "02:00", until: "03:00"}, goal: evacuate, subject: hv2}
"""


class Served:
    def __init__(self) -> None:
        loaded, found = load_inventory("inventory.yaml", INVENTORY)
        assert loaded is not None, found
        self.service = ManagerService(loaded.inventory, policies_of(loaded.file.policies))
        self.now = MIDNIGHT + 12 * HOUR

    def call(self, method: str, path: str, **body: object) -> Any:
        self.now += 1.0
        reply = serve(self.service, method, path, json.dumps(body).encode() if body else b"", self.now)
        assert reply.status < 300, reply.body
        return reply.body

    def goals(self) -> list[tuple[str, str | None]]:
        return [(goal["goal"], goal["policy"]) for goal in self.call("GET", "/vcm/goals")]


def test_an_observation_starts_a_goal_and_the_next_one_waits_for_its_end() -> None:
    served = Served()
    answer = served.call("POST", "/vcm/observations", failed={"a": True}, load={"hv2": 95.0})
    assert answer == {"waiting": ["hot"]}
    assert served.goals() == [("fail-over a", "power")]
    shown = {found["policy"]: found["waiting"] for found in served.call("GET", "/vcm/policies")}
    assert shown == {"power": False, "hot": True, "nightly": False}
    while served.goals() == [("fail-over a", "power")]:
        goal = served.call("GET", "/vcm/goals/1")
        served.call("POST", "/vcm/goals/1/answers", step=goal["steps"][0]["id"])
    assert served.goals() == [("fail-over a", "power"), ("evacuate hv2", "hot")]
    assert served.call("GET", "/vcm/goals/2")["steps"][0]["step"] == "probe"


def test_a_window_keeps_vms_out_while_it_is_open() -> None:
    served = Served()
    served.service.tick(MIDNIGHT + HOUR)
    assert served.service.deadline == MIDNIGHT + 2 * HOUR
    served.service.tick(MIDNIGHT + 2 * HOUR)
    assert [run.policy for run in served.service.pursuits] == ["nightly"]
    rejected = {found.node: found.reasons for found in served.service.rank("vm1").rejected}
    assert "maintenance window nightly" in rejected["hv2"]
    served.service.tick(MIDNIGHT + 3 * HOUR)
    assert "hv2" not in {found.node for found in served.service.rank("vm1").rejected}


def test_what_is_not_in_the_inventory_is_not_observed() -> None:
    served = Served()
    for body in ({"failed": {"hv9": True}}, {"load": {"s1": 3.0}}, {"rules_left": {"hv1": 3}}):
        reply = serve(served.service, "POST", "/vcm/observations", json.dumps(body).encode(), served.now)
        assert reply.status == 404, body
    assert served.goals() == []


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("{failed: a}", "{failed: c}", "there is no node, switch or power domain 'c'"),
        ("{failed: a}", "{failed: a, at: '02:00'}", "one of failed, load_above, rules_left_below and at was expected"),
        ("of: hv2}", "of: s1}", "there is no node 's1'"),
        (", of: hv2}", "}", "of names the node"),
        ('at: "02:00", until', 'at: "25:00", until', "a time of day (UTC) was expected"),
        (", subject: hv2}", "}", "evacuate has no subject"),
        ("goal: fail-over", "goal: panic", "one of evacuate, protect, fail-over, rebalance was expected"),
    ],
)
def test_a_policy_with_a_mistake_is_named(old: str, new: str, reason: str) -> None:
    loaded, found = load_inventory("inventory.yaml", INVENTORY.replace(old, new))
    assert loaded is None
    assert reason in str(found[0]), found


# --- restarts ---
def dead(restarts: int) -> PlanRun:
    cluster = two_switches([a_vm(f"vm{number}", "hv1") for number in range(1, 5)])
    plan = make_plan(cluster, Goal(GoalKind.PROTECT, "hv1"))
    return start_plan(cluster, plan, MoveLimits(restarts=restarts))


@pytest.mark.parametrize(("restarts", "most"), [(0, 4), (1, 1), (3, 3)])
def test_at_most_so_many_vms_start_at_a_time(restarts: int, most: int) -> None:
    played = dead(restarts)
    played.run()
    played.hypervisors.die("hv1")
    played.feed(NodeLost("hv1"))
    assert [do.step for do in played.pending] == [MoveStep.BOOT] * most
    seen = 0
    while played.pending:
        seen = max(seen, sum(move.underway for move in played.orchestrator.moves))
        played.answer()
    played.run()
    assert seen == most
    assert "hv1" not in played.places().values() and None not in played.places().values()
