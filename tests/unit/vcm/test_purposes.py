"""Purposes of VMs: the order in which they are moved and started, and which of them are not moved at the same time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ryu_apps.vcm.goal_events import HaltGoal, MoveLimits, NodeLost
from ryu_apps.vcm.inventory import Inventory, InventoryVm, Purpose
from ryu_apps.vcm.loader import load_inventory
from ryu_apps.vcm.move_events import Ladder, MoveStep
from ryu_apps.vcm.plans import Goal, GoalKind, make_plan
from tests.worlds.vcm import PlanRun, a_vm, start_plan, two_switches

INFRASTRUCTURE, APPLIANCE = Purpose.INFRASTRUCTURE, Purpose.APPLIANCE
DNS, DHCP = (a_vm(name, "hv1", 100, purpose=INFRASTRUCTURE) for name in ("dns", "dhcp"))
FW = a_vm("fw", "hv1", 100, purpose=APPLIANCE)
WEB = a_vm("web", "hv1", 4000, reaches=("fw",))
DB = a_vm("db", "hv1", 3000)
#: Between these a VM is being moved: its client or its appliance is not.
BEGINS, ENDS = MoveStep.COPY, MoveStep.RESUME


def cluster(*vms: InventoryVm) -> Inventory:
    return two_switches(list(vms), per_switch=3)


def evacuated(*vms: InventoryVm, limits: MoveLimits = MoveLimits()) -> list[tuple[str, MoveStep]]:
    """The steps of an evacuation of hv1 with as many moves at a time as there are VMs, in their order."""
    made = cluster(*vms)
    played = start_plan(made, make_plan(made, Goal(GoalKind.EVACUATE, "hv1"), parallel=len(vms)), limits)
    played.run()
    assert "hv1" not in played.places().values()
    return [(do.vm, do.step) for do in played.done]


def overlap(steps: list[tuple[str, MoveStep]], one: str, other: str) -> bool:
    """True if two VMs were under way at the same time."""
    spans = [(steps.index((vm, BEGINS)), steps.index((vm, ENDS))) for vm in (one, other)]
    (first, last), (begun, ended) = spans
    return first < ended and begun < last


def test_infrastructure_goes_first_and_then_appliances_whatever_their_size() -> None:
    plan = make_plan(cluster(WEB, DB, FW, DNS), Goal(GoalKind.EVACUATE, "hv1"))
    assert [move.vm for move in plan.moves] == ["dns", "fw", "web", "db"]


@pytest.mark.parametrize("ladder", [Ladder.MINIMIZE_LATENCY, Ladder.SAFEST_EXCHANGE])
def test_an_appliance_does_not_move_while_those_that_need_it_do(ladder: Ladder) -> None:
    steps = evacuated(FW, WEB, DB, limits=MoveLimits(ladder))
    assert not overlap(steps, "fw", "web")
    assert overlap(steps, "fw", "db") or overlap(steps, "web", "db"), "others are not waited for"


def test_two_vms_of_infrastructure_do_not_move_at_the_same_time() -> None:
    steps = evacuated(DNS, DHCP, DB)
    assert not overlap(steps, "dns", "dhcp") and overlap(steps, "dhcp", "db")


def test_the_log_of_a_move_names_the_vm_that_it_waits_for() -> None:
    made = cluster(FW, WEB)
    played = start_plan(made, make_plan(made, Goal(GoalKind.EVACUATE, "hv1"), parallel=2), MoveLimits())
    played.run()
    texts = {move.vm: [note.text for note in move.log] for move in played.orchestrator.moves}
    assert texts["web"].count("waits for fw") == 1
    assert not [text for text in texts["fw"] if text.startswith("waits")]


def test_a_move_back_has_its_turn_too() -> None:
    made = cluster(FW, WEB)
    played = start_plan(made, make_plan(made, Goal(GoalKind.EVACUATE, "hv1"), parallel=2), MoveLimits())
    played.run()
    done = len(played.done)
    played.feed(HaltGoal(undo=True))
    played.run()
    assert played.places() == {"fw": "hv1", "web": "hv1"}
    assert not overlap([(do.vm, do.step) for do in played.done[done:]], "fw", "web")


def dead(*vms: InventoryVm, goal: GoalKind = GoalKind.FAIL_OVER) -> PlanRun:
    made = cluster(*vms)
    played = start_plan(made, make_plan(made, Goal(goal, "hv1"), parallel=len(vms)))
    played.hypervisors.die("hv1")
    return played


def boots(played: PlanRun) -> list[str]:
    return [do.vm for do in played.done if do.step is MoveStep.BOOT]


def last_before(played: PlanRun, vm: str) -> Iterator[str]:
    """VMs that run when a VM is booted."""
    booted = next(number for number, do in enumerate(played.done) if (do.vm, do.step) == (vm, MoveStep.BOOT))
    return (do.vm for do in played.done[:booted] if do.step is MoveStep.RESUME)


def test_after_a_failure_infrastructure_runs_before_the_rest_is_started() -> None:
    played = dead(WEB, DB, FW, DNS)
    played.run()
    assert set(played.places().values()) <= {"hv2", "hv3", "hv4", "hv5", "hv6"}
    for vm in ("fw", "db", "web"):
        assert "dns" in last_before(played, vm)
    assert "fw" in last_before(played, "web") and "fw" not in last_before(played, "db")


def test_places_that_are_kept_are_used_in_this_order() -> None:
    made = cluster(WEB, FW, DNS)
    played = start_plan(made, make_plan(made, Goal(GoalKind.PROTECT, "hv1")))
    played.run()
    played.hypervisors.die("hv1")
    played.feed(NodeLost("hv1"))
    played.run()
    assert boots(played) == ["dns", "fw", "web"]


def test_a_node_that_dies_during_another_goal_has_its_infrastructure_started_first() -> None:
    last = a_vm("zone", "hv1", 100, purpose=INFRASTRUCTURE)
    made = cluster(DB, last, a_vm("other", "hv2"))
    played = start_plan(made, make_plan(made, Goal(GoalKind.EVACUATE, "hv2"), parallel=1))
    played.run()
    played.hypervisors.die("hv1")
    played.feed(NodeLost("hv1"))
    played.run()
    assert boots(played) == ["zone", "db"]


def test_infrastructure_that_has_no_place_is_not_waited_for() -> None:
    large = a_vm("dns", "hv1", 8001, purpose=INFRASTRUCTURE)
    played = dead(large, DB)
    played.run()
    assert boots(played) == ["db"]


def test_infrastructure_is_not_moved_to_balance_load() -> None:
    crowd = [a_vm(f"vm{number}", "hv1", 2000) for number in range(3)]
    assert make_plan(cluster(*crowd), Goal(GoalKind.REBALANCE)).moves
    still = [a_vm(vm.name, "hv1", 2000, purpose=INFRASTRUCTURE) for vm in crowd]
    assert make_plan(cluster(*still), Goal(GoalKind.REBALANCE)).moves == ()


INVENTORY = """\
version: 1
name: purposes
switches: {s1: {}}
nodes: {hv1: {switch: s1, slots: 9, memory_mib: 4096}}
vms:
  fw: {at: hv1, mac: "52:54:00:aa:00:01", vlan: 100, type: 1, version: 1, memory_mib: 1}
  web: {at: hv1, mac: "52:54:00:aa:00:02", vlan: 100, type: 1, version: 1, memory_mib: 1, needs: {fw: reachable}}
  dns: {at: hv1, mac: "52:54:00:aa:00:03", vlan: 100, type: 1, version: 1, memory_mib: 1, purpose: infrastructure}
"""


def test_a_vm_that_others_need_is_an_appliance_unless_the_inventory_says_otherwise() -> None:
    loaded, found = load_inventory("inventory.yaml", INVENTORY)
    assert loaded is not None and found == []
    purposes = {name: vm.purpose.value for name, vm in loaded.inventory.vms.items()}
    assert purposes == {"fw": "appliance", "web": "application", "dns": "infrastructure"}
    loaded, _ = load_inventory("inventory.yaml", INVENTORY.replace("purpose: infra", "purpose: super"))
    assert loaded is None
