"""Storage: nodes that reach a VM's disk, and disks that are copied with their VMs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.vcm.goal_events import MoveLimits
from ryu_apps.vcm.inventory import Datastore, Inventory, Occupancy, VmDisk
from ryu_apps.vcm.loader import load_inventory
from ryu_apps.vcm.memory_copy import CopyRound, copy_of_span
from ryu_apps.vcm.move_events import MoveStep
from ryu_apps.vcm.placement import PlacementQuestion, Ranking, rank
from ryu_apps.vcm.plans import Goal, GoalKind, make_plan
from ryu_apps.vcm.service import ManagerService
from ryu_apps.vcm.snapshots import restore, snapshot_of
from ryu_apps.vcm.storage import copied_to, disk_copy
from tests.worlds.vcm import a_vm, start_plan, two_switches


def cluster(*disks: VmDisk) -> Inventory:
    """VMs at hv1; ``san`` is reached from hv1 and hv2, ``local`` from hv3 alone; hv4 reaches none."""
    made = two_switches([a_vm(f"vm{number}", "hv1", disk=disk) for number, disk in enumerate(disks, 1)])
    stores = {
        "san": Datastore("san", frozenset({"hv1", "hv2"}), 100),
        "local": Datastore("local", frozenset({"hv3"}), 50),
    }
    return replace(made, datastores=stores)


def ranked(inventory: Inventory, now: Occupancy | None = None) -> Ranking:
    return rank(PlacementQuestion(inventory, now or Occupancy(inventory), inventory.vms["vm1"]))


def test_a_node_that_does_not_reach_the_disk_is_out_of_the_question() -> None:
    found = ranked(cluster(VmDisk("san", 40)))
    assert [candidate.node for candidate in found.candidates] == ["hv2"]
    assert {node.node: node.reasons for node in found.rejected} == {
        "hv3": ("it does not reach datastore san",),
        "hv4": ("it does not reach datastore san",),
    }


def test_a_disk_that_may_be_copied_goes_with_its_vm_but_rather_stays() -> None:
    found = ranked(cluster(VmDisk("san", 40, copied=True)))
    assert [candidate.node for candidate in found.candidates] == ["hv2", "hv3"]
    assert "reaches datastore san" in found.candidates[0].words
    assert "although its disk of 40 GiB is copied to local" in found.candidates[1].words
    assert found.rejected[0].reasons == ("no datastore that it reaches has 40 GiB left",)


def test_a_copy_needs_room_beside_those_that_were_copied_before() -> None:
    both = cluster(VmDisk("san", 40, copied=True), VmDisk("san", 20, copied=True))
    taken = Occupancy(both).with_vm("vm2", "hv3")
    assert [candidate.node for candidate in ranked(both).candidates] == ["hv2", "hv3"]
    assert [candidate.node for candidate in ranked(both, taken).candidates] == ["hv2"]


INVENTORY = """\
version: 1
name: stored
switches: {s1: {}}
nodes: {hv1: {switch: s1, slots: 4, memory_mib: 4096}, hv2: {switch: s1, slots: 4, memory_mib: 4096}}
datastores: {san: {nodes: [hv1], capacity_gib: 50}}
vms:
  vm1: {at: hv1, mac: "52:54:00:aa:00:01", vlan: 100, type: 1, version: 1, memory_mib: 512,
        disk: {datastore: san, gib: 40}}
"""


def test_an_inventory_has_datastores_and_disks() -> None:
    loaded, found = load_inventory("inventory.yaml", INVENTORY)
    assert loaded is not None and found == []
    assert loaded.inventory.vms["vm1"].disk == VmDisk("san", 40)
    assert loaded.inventory.reach(loaded.inventory.vms["vm1"], "hv1")
    assert not loaded.inventory.reach(loaded.inventory.vms["vm1"], "hv2")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("nodes: [hv1], cap", "nodes: [hv9], cap", "there is no node 'hv9'"),
        ("nodes: [hv1], cap", "nodes: [hv2], cap", "hv1 does not reach san"),
        ("datastore: san", "datastore: nas", "there is no datastore 'nas'"),
        ("gib: 40", "gib: 60", "san has 50 GiB, its disks take 60"),
    ],
)
def test_storage_that_cannot_be_is_a_mistake(old: str, new: str, reason: str) -> None:
    loaded, found = load_inventory("inventory.yaml", INVENTORY.replace(old, new))
    assert loaded is None
    assert reason in [diagnostic.reason for diagnostic in found]


# --- datastores that only dead nodes reach ---
LOCAL = "its disk is in datastore local, which only hv3 reached: it comes back with the node"


def at_hv3() -> Inventory:
    """A VM at hv3 with a disk there, and one with a disk in ``san``; both may be copied."""
    made = cluster(VmDisk("local", 20, copied=True), VmDisk("san", 20, copied=True))
    moved = {"vm1": replace(made.vms["vm1"], at="hv3"), "vm2": replace(made.vms["vm2"], at="hv2")}
    return replace(made, vms=moved)


@pytest.mark.parametrize("kind", [GoalKind.FAIL_OVER, GoalKind.PROTECT])
def test_a_disk_at_a_dead_node_is_not_copied_from_there(kind: GoalKind) -> None:
    made = at_hv3()
    assert make_plan(made, Goal(GoalKind.EVACUATE, "hv3")).moves[0].target is not None
    (stuck,) = make_plan(made, Goal(kind, "hv3")).stuck
    assert stuck.vm == "vm1" and stuck.words.count(LOCAL) == len(stuck.ranking.rejected) == 3
    # A store of several nodes is not lost with one of them.
    assert make_plan(made, Goal(kind, "hv2")).moves[0].target is not None


def test_its_vm_is_never_tried_and_is_back_with_the_node() -> None:
    service = ManagerService(at_hv3())
    run = service.pursue(Goal(GoalKind.FAIL_OVER, "hv3"), MoveLimits(), 2, 0.0)
    (move,) = run.orchestrator.moves
    assert not run.handed and move.ended and LOCAL in move.log[-1].text
    assert service.rank("vm1").candidates == () and service.as_it_is().vms["vm1"].at == "hv3"
    # Neither is it by a later goal.
    again = service.pursue(Goal(GoalKind.EVACUATE, "hv3"), MoveLimits(), 2, 1.0)
    assert not again.handed
    service.revived("hv3")
    assert [candidate.node for candidate in service.rank("vm1").candidates] == ["hv1", "hv2"]
    last = service.pursue(Goal(GoalKind.EVACUATE, "hv3"), MoveLimits(), 2, 2.0)
    assert [do.step for do in last.handed.values()] == [MoveStep.RESERVE]


def test_a_node_that_dies_meanwhile_takes_its_disks_along() -> None:
    made = at_hv3()
    service = ManagerService(made)
    run = service.pursue(Goal(GoalKind.EVACUATE, "hv3"), MoveLimits(), 2, 0.0)
    service.lost(1, "hv3", 1.0)
    run = service.answered(1, 1, "refused", 2.0)
    assert run.orchestrator.moves[0].ended and LOCAL in run.orchestrator.moves[0].log[-1].text


# --- the time of a copy, and where the disk is afterwards ---
def timed(*disks: VmDisk) -> Inventory:
    """The same, with rates: ``san`` 1024 MiB/s, ``local`` 512 MiB/s."""
    made = cluster(*disks)
    rates = {"san": 1024.0, "local": 512.0}
    return replace(
        made, datastores={name: replace(store, copy_mib_s=rates[name]) for name, store in made.datastores.items()}
    )


def test_a_copy_takes_the_time_of_the_slower_datastore() -> None:
    made = timed(VmDisk("san", 40, copied=True))
    plan = disk_copy(made, made.vms["vm1"], "san", "local")
    assert plan is not None and plan.rounds == (CopyRound(40960, 80.0),)
    assert "its disk of 40 GiB is copied to local in 80 s" in ranked(made).candidates[1].words
    unknown = cluster(VmDisk("san", 40, copied=True))
    assert disk_copy(unknown, unknown.vms["vm1"], "san", "local") is None


def test_blocks_that_are_written_meanwhile_are_copied_again_and_the_rest_in_the_suspend() -> None:
    made = timed(VmDisk("san", 1, copied=True, dirty_mib_s=51.2))
    disk = disk_copy(made, made.vms["vm1"], "san", "local", 0.05)
    assert disk is not None
    assert [piece.mib for piece in disk.rounds] == pytest.approx([1024.0, 102.4])
    whole = copy_of_span(0.3).with_disk(disk)
    assert whole.seconds == pytest.approx(2.5) and whole.last_blocks.seconds == pytest.approx(0.02)


def test_a_disk_is_copied_only_to_a_node_that_does_not_reach_it_and_back_again() -> None:
    made = timed(VmDisk("san", 40, copied=True))
    vm, now = made.vms["vm1"], Occupancy(made)
    assert [copied_to(made, now, vm, ("hv1", node)) for node in ("hv2", "hv3")] == [None, "local"]
    assert [copied_to(made, now, vm, ("hv3", node)) for node in ("hv1", "hv3")] == ["san", None]
    assert copied_to(made, now, a_vm("diskless", "hv1"), ("hv1", "hv3")) is None


def test_the_steps_of_a_move_say_where_the_disk_goes() -> None:
    made = timed(VmDisk("san", 40, copied=True))
    played = start_plan(made, make_plan(made, Goal(GoalKind.EVACUATE, "s1")))
    played.run()
    stores = {do.step: do.datastore for do in played.done}
    assert stores[MoveStep.RESERVE] == stores[MoveStep.COPY] == "local"
    assert stores[MoveStep.SUSPEND] == stores[MoveStep.ASSOCIATE] == ""


def test_the_next_goal_finds_the_disk_where_it_was_copied() -> None:
    service = ManagerService(timed(VmDisk("san", 40, copied=True)))
    run = service.pursue(Goal(GoalKind.EVACUATE, "s1"), MoveLimits(), 1, 0.0)
    while run.handed:
        service.answered(1, min(run.handed), None, 1.0)
    found = service.as_it_is()
    assert (found.vms["vm1"].at, found.vms["vm1"].disk) == ("hv3", VmDisk("local", 40, copied=True))
    snapshot = snapshot_of(service)
    assert snapshot is not None
    again = ManagerService(timed(VmDisk("san", 40, copied=True)))
    restore(again, snapshot)
    assert again.inventory.vms == found.vms
    restore(again, {key: value for key, value in snapshot.items() if key != "datastores"})
    assert again.inventory.vms["vm1"].at == "hv3", "a snapshot of an earlier version"


def test_a_disk_does_not_count_where_its_vm_could_have_gone() -> None:
    """``hv1`` reaches a second datastore: the disk of a VM that stays there is in its own one alone."""
    made = cluster(VmDisk("san", 40, copied=True), VmDisk("san", 20, copied=True))
    wide = replace(made.datastores["local"], nodes=frozenset({"hv1", "hv3"}))
    both = replace(made, datastores={**made.datastores, "local": wide})
    assert "hv3" in [candidate.node for candidate in ranked(both).candidates]
