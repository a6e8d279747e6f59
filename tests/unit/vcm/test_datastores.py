"""Storage: nodes that reach a VM's disk, and disks that are copied with their VMs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.vcm.inventory import Datastore, Inventory, Occupancy, VmDisk
from ryu_apps.vcm.loader import load_inventory
from ryu_apps.vcm.placement import PlacementQuestion, Ranking, rank
from tests.worlds.vcm import a_vm, two_switches


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
