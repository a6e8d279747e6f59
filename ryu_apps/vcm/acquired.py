"""Descriptors that are acquired while a manager runs, as plain data for its journal.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from ryu_apps.vcm.inventory import Inventory
from ryu_apps.vcm.vm_interface import VmInterface

#: VM -> its descriptor and interfaces; JSON-serialisable.
AcquiredVms = Mapping[str, Mapping[str, Any]]


class UnfitError(ValueError):
    """Descriptors that are not those of VMs which may run; the text says why."""


def acquired_of(inventory: Inventory) -> dict[str, dict[str, Any]]:
    """Return what an inventory has of descriptors."""
    return {
        name: {
            "ovf": vm.ovf,
            "interfaces": [{**asdict(face), "addresses": list(face.addresses)} for face in vm.interfaces],
        }
        for name, vm in inventory.vms.items()
    }


def with_acquired(inventory: Inventory, acquired: AcquiredVms) -> Inventory:
    """Return an inventory with these descriptors; VMs are where they are.

    Raises:
        UnfitError: the MAC address, the VSIID or the number of interfaces of a VM would change.
    """
    vms = dict(inventory.vms)
    for name, written in acquired.items():
        faces = [VmInterface(**{**face, "addresses": tuple(face["addresses"])}) for face in written["interfaces"]]
        if [(face.mac, face.vsi) for face in faces] != [(face.mac, face.vsi) for face in vms[name].interfaces]:
            raise UnfitError(f"{name}: another MAC address, VSIID or number of adapters, and the VM may run")
        vms[name] = replace(vms[name], interface=faces[0], others=tuple(faces[1:]), ovf=written["ovf"])
    return replace(inventory, vms=vms)
