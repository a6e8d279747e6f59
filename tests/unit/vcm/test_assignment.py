"""Goals whose VMs do not all find a place one after the other."""

from __future__ import annotations

import random
from itertools import product

from ryu_apps.vcm.inventory import Inventory, Level
from ryu_apps.vcm.plans import Goal, GoalKind, make_plan
from tests.worlds.vcm import a_node, a_vm, inventory

EVACUATE = Goal(GoalKind.EVACUATE, "hv1")


def tight() -> Inventory:
    """VMs of 1500, 1500, 1000, 1000 and 1000 MiB for two nodes of 3000: the large ones have to share one of them."""
    nodes = [a_node("hv1", "s1", memory=8000), a_node("hv2", "s2", memory=3000), a_node("hv3", "s3", memory=3000)]
    vms = [
        a_vm("a", "hv1", 1500),
        a_vm("b", "hv1", 1500),
        a_vm("c", "hv1", 1000),
        a_vm("d", "hv1", 1000),
        a_vm("e", "hv1", 1000),
    ]
    return inventory(nodes, vms, (("s1", "s2"), ("s2", "s3")))


def test_vms_find_places_together_that_they_do_not_find_one_by_one() -> None:
    plan = make_plan(tight(), EVACUATE)
    assert plan.stuck == ()
    by_node: dict[str | None, int] = {}
    for move in plan.moves:
        by_node[move.target] = by_node.get(move.target, 0) + tight().vms[move.vm].size.memory_mib
    assert by_node == {"hv2": 3000, "hv3": 3000}


def test_a_place_that_is_not_the_best_one_is_explained() -> None:
    words = [move.words for move in make_plan(tight(), EVACUATE).moves]
    assert any("so that more VMs have a place" in told for told in words)


def test_what_has_no_place_at_all_is_named_and_the_others_keep_theirs() -> None:
    cluster = tight()
    vms = {**cluster.vms, "f": a_vm("f", "hv1", 2900)}
    crowded = inventory(list(cluster.nodes.values()), list(vms.values()), (("s1", "s2"), ("s2", "s3")))
    plan = make_plan(crowded, EVACUATE)
    assert len(plan.stuck) >= 1
    assert all("MiB are needed" in move.words for move in plan.stuck)


def test_a_protected_vm_weighs_on_both_nodes_in_the_search_too() -> None:
    plan = make_plan(tight(), Goal(GoalKind.PROTECT, "hv1"))
    assert plan.stuck == ()


# --- by how much ---
def drawn(seed: int) -> Inventory:
    """One node of eight VMs to evacuate to three that they fill to nine tenths; a group has to be apart."""
    chance = random.Random(seed)
    sizes = [chance.choice([500, 1000, 1500, 2000, 3000]) for _ in range(8)]
    room = [int(sum(sizes) * share) for share in (0.38, 0.37, 0.36)]
    nodes = [a_node("hv1", "s1", memory=sum(sizes), slots=8)]
    nodes += [a_node(f"hv{number}", "s2", memory=memory, slots=8) for number, memory in enumerate(room, 2)]
    vms = [a_vm(f"vm{number}", "hv1", size, group="db" if number < 3 else None) for number, size in enumerate(sizes, 1)]
    return inventory(nodes, vms, apart={"db": {Level.NODE}})


def places_there_are(cluster: Inventory) -> bool:
    """Try every way."""
    nodes = ["hv2", "hv3", "hv4"]
    vms = list(cluster.vms.values())
    for choice in product(range(3), repeat=len(vms)):
        used = [0, 0, 0]
        for vm, index in zip(vms, choice, strict=True):
            used[index] += vm.size.memory_mib
        apart = [index for vm, index in zip(vms, choice, strict=True) if vm.group]
        fits = all(used[index] <= cluster.nodes[name].capacity.memory_mib for index, name in enumerate(nodes))
        if fits and len(set(apart)) == len(apart):
            return True
    return False


def test_the_search_finds_every_evacuation_that_there_is() -> None:
    clusters = [drawn(seed) for seed in range(60)]
    possible = [cluster for cluster in clusters if places_there_are(cluster)]
    assert len(possible) > 30
    plans = [make_plan(cluster, EVACUATE) for cluster in possible]
    assert [plan.stuck for plan in plans] == [()] * len(plans)
    searched = [plan for plan in plans if any(move.searched for move in plan.moves)]
    assert searched, "one by one not all of them are evacuated"
