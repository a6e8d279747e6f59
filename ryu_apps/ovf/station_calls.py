"""The VSIs of a virtual system as calls to a station: what its hypervisor requests for each adapter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.ovf.model import Package, VsiAdapter


class AdapterCall(NamedTuple):
    """An adapter, and the keys of a call for its VSI."""

    adapter: str
    call: dict[str, Any]


class AdapterError(ValueError):
    """A virtual system for which nothing can be requested; the text says why."""


def calls_of(packages: Iterable[Package], vm: str, addresses: Mapping[str, list[str]] = {}) -> list[AdapterCall]:
    """Return the calls for a virtual system, in the order of its adapters.

    An adapter without a VSIID has one that follows from VM and address: the same at each hypervisor.

    Args:
        vm: identifier of the virtual system.
        addresses: IP addresses by adapter.

    Raises:
        AdapterError: there is no such virtual system, an adapter lacks something, or an address has no adapter.
    """
    adapters = [adapter for package in packages for adapter in package.vsis if adapter.vm == vm]
    if not adapters:
        raise AdapterError(f"no descriptor has a virtual system {vm!r}")
    for name in addresses:
        if all(adapter.adapter != name for adapter in adapters):
            raise AdapterError(f"{vm} has no adapter {name!r}")
    return [AdapterCall(adapter.adapter, _call(adapter, addresses.get(adapter.adapter, []))) for adapter in adapters]


def _call(adapter: VsiAdapter, addresses: list[str]) -> dict[str, Any]:
    if adapter.vsi_type is None:
        raise AdapterError(f"{adapter.adapter} of {adapter.vm} has no VSI type")
    if adapter.mac is None:
        raise AdapterError(f"{adapter.adapter} of {adapter.vm} has no address")
    mac = mac_to_text(adapter.mac)
    group = "" if adapter.group_id is None else f"-{adapter.group_id}"
    call: dict[str, Any] = {
        "vsi": str(adapter.vsi_id or uuid5(NAMESPACE_URL, f"{adapter.vm}/{mac}")),
        "type": adapter.vsi_type.type_id,
        "version": adapter.vsi_type.version,
        "filters": [f"{adapter.vlan or 0}-{mac}{group}"],
    }
    if adapter.manager_id is not None:
        call["manager"] = adapter.manager_id
    return {**call, "addresses": addresses} if addresses else call
