"""Descriptors of VMs (OVF): their adapters as VSIs, and the descriptor that a hypervisor gets for one VM.

Texts in, values and diagnostics out; the caller passes a function that finds network port profiles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ryu_apps.evb.policy.diagnostic import Diagnostic, Position, error
from ryu_apps.evb.policy.section import Section
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.evb.wire.vsi_id import VsiId
from ryu_apps.ovf.envelope import ReadFile, read_package
from ryu_apps.ovf.model import Package, VsiAdapter
from ryu_apps.ovf.writer import write_envelope


@dataclass(frozen=True, slots=True)
class VmDescriptor:
    """A virtual system of one adapter.

    Attributes:
        file: where it was read.
        package: networks and VSI types of the adapter.
    """

    file: str
    adapter: VsiAdapter
    package: Package

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes of an inventory's VM that it has, as a file writes them."""
        adapter = self.adapter
        found = {
            "mac": None if adapter.mac is None else mac_to_text(adapter.mac),
            "vlan": adapter.vlan or None,
            "group_id": adapter.group_id,
            "type": None if adapter.vsi_type is None else adapter.vsi_type.type_id,
            "version": None if adapter.vsi_type is None else adapter.vsi_type.version,
            "vsi": None if adapter.vsi_id is None else str(adapter.vsi_id),
        }
        return {name: value for name, value in found.items() if value is not None}

    def text(self, vsi: str) -> str:
        """The descriptor for a hypervisor: this VM alone, with its network, its port profile and its VSIID."""
        adapter = replace(self.adapter, vsi_id=VsiId.from_text(vsi))
        return write_envelope(replace(self.package, vsis=(adapter,)))


def read_descriptors(
    sources: Iterable[tuple[str, str]], fetch: Mapping[str, ReadFile], sections: tuple[Section, ...] = ()
) -> tuple[dict[str, VmDescriptor], list[Diagnostic]]:
    """Read descriptors.

    Args:
        sources: ``(file name, text)``, an OVF envelope each.
        fetch: by file name: finds the network port profiles that it points to.
        sections: the services that a policy may have.

    Returns:
        descriptor of each virtual system by its identifier, and all mistakes.
    """
    described: dict[str, VmDescriptor] = {}
    found: list[Diagnostic] = []
    for file, text in sources:
        package, diagnostics = read_package(((file, text),), fetch[file], sections)
        found += diagnostics
        for descriptor in _systems(file, package or Package()):
            vm = descriptor.adapter.vm
            other = described.setdefault(vm, descriptor)
            if other is not descriptor:
                where = "has a second adapter" if other.file == file else f"is already described in {other.file}"
                found.append(error(file, Position(), f"{vm} {where}"))
    return described, found


def _systems(file: str, package: Package) -> Iterable[VmDescriptor]:
    for adapter in package.vsis:
        networks = tuple(network for network in package.networks if network.name == adapter.network)
        profiles = tuple(profile for profile in package.profiles if profile.key == adapter.vsi_type)
        known = {profile.key for profile in profiles}
        # A type that this VM does not have is not described to its hypervisor.
        own = tuple(replace(network, vsi_types=tuple(known.intersection(network.vsi_types))) for network in networks)
        yield VmDescriptor(file, adapter, Package(own, profiles))
