"""State of a manager between two goals as plain data, from which another one goes on.

Goals that are over are left out, but for their number.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ryu_apps.vcm.inventory import VmDisk
from ryu_apps.vcm.service import ManagerService


def snapshot_of(service: ManagerService) -> dict[str, Any] | None:
    """Return the state as JSON-serialisable data; None while a goal is open."""
    if service.is_busy:
        return None
    inventory = service.as_it_is()
    return {
        "goals": service.goals,
        "places": {name: vm.at for name, vm in inventory.vms.items()},
        "datastores": {name: vm.disk.datastore for name, vm in inventory.vms.items() if vm.disk is not None},
        "dead": sorted(service.dead),
        "triggers": service.triggers.state(),
    }


def restore(service: ManagerService, snapshot: dict[str, Any]) -> None:
    """Go on from a snapshot; the service is a new one of the same inventory.

    Raises:
        KeyError, TypeError: it is none.
    """
    places = snapshot["places"]
    stores = snapshot.get("datastores", {})  # an earlier version did not write them
    vms = {
        name: replace(vm, at=places[name], disk=_in_store(vm.disk, stores.get(name)))
        for name, vm in service.inventory.vms.items()
    }
    service.inventory = replace(service.inventory, vms=vms)
    service.forgotten = snapshot["goals"]
    service.pursuits.clear()
    service.dead = set(snapshot["dead"])
    service.triggers.set_state(snapshot["triggers"])


def _in_store(disk: VmDisk | None, datastore: str | None) -> VmDisk | None:
    return disk if disk is None or datastore is None else replace(disk, datastore=datastore)
