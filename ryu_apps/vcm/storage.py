"""Datastores of disks: which one a disk is in once its VM has moved, and to which one it is copied."""

from __future__ import annotations

from ryu_apps.vcm.inventory import Inventory, InventoryVm, Occupancy, VmDisk, natural
from ryu_apps.vcm.memory_copy import CopyPlan, CopySettings, plan_copy

MIB_OF_GIB = 1024


def store_for(inventory: Inventory, occupancy: Occupancy, vm: InventoryVm, node: str) -> str | None:
    """The datastore that a disk would be copied to: of those with room that the node reaches, the emptiest."""
    assert vm.disk is not None
    left = {
        name: store.capacity_gib - _stored(inventory, occupancy, name, vm.name)
        for name, store in inventory.datastores.items()
        if node in store.nodes
    }
    fitting = [name for name, gib in left.items() if gib >= vm.disk.gib]
    return min(fitting, key=lambda name: (-left[name], natural(name)), default=None)


def copied_to(inventory: Inventory, occupancy: Occupancy, vm: InventoryVm, ways: tuple[str, str]) -> str | None:
    """The datastore that a disk is copied to when its VM moves; None: the new node reaches it where it is.

    Args:
        ways: source and destination.
    """
    if vm.disk is None:
        return None
    source, node = ways
    at = datastore_of(inventory, occupancy, vm, source)
    if at is None or node in inventory.datastores[at].nodes:
        return None
    return datastore_of(inventory, occupancy, vm, node)


def datastore_of(inventory: Inventory, occupancy: Occupancy, vm: InventoryVm, node: str) -> str | None:
    """The datastore of a disk when its VM is at a node: from one that does not reach the first, it was copied."""
    assert vm.disk is not None
    return vm.disk.datastore if inventory.reach(vm, node) else store_for(inventory, occupancy, vm, node)


def disk_copy(
    inventory: Inventory, vm: InventoryVm, source: str, target: str, downtime: float = CopySettings(1.0).downtime
) -> CopyPlan | None:
    """The rounds of copying a disk from one datastore to another; None: neither has a rate.

    Args:
        downtime: seconds in which what is left for the suspend has to be copied.
    """
    assert vm.disk is not None
    rates = [rate for name in (source, target) if (rate := inventory.datastores[name].copy_mib_s) is not None]
    if not rates:
        return None
    return plan_copy(vm.disk.gib * MIB_OF_GIB, vm.disk.dirty_mib_s, CopySettings(min(rates), downtime))


def _stored(inventory: Inventory, occupancy: Occupancy, datastore: str, without: str) -> int:
    """GiB of disks in a datastore, those that were copied to it included."""
    return sum(
        vm.disk.gib
        for vm in inventory.vms.values()
        if vm.disk is not None
        and vm.name != without
        and _is_in(inventory, vm.disk, occupancy.places[vm.name], datastore)
    )


def _is_in(inventory: Inventory, disk: VmDisk, places: frozenset[str], datastore: str) -> bool:
    """Return True if a disk is, or may be copied to, a datastore when its VM has these places."""
    elsewhere = places - inventory.datastores[disk.datastore].nodes
    return disk.datastore == datastore or (
        disk.copied and not elsewhere.isdisjoint(inventory.datastores[datastore].nodes)
    )
