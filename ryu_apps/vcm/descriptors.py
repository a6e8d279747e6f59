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
    """A virtual system: each of its adapters is a VSI.

    Attributes:
        file: where it was read.
        adapters: one or more, the first one first.
        package: networks and VSI types of the adapters.
    """

    file: str
    adapters: tuple[VsiAdapter, ...]
    package: Package

    @property
    def vm(self) -> str:
        """Identifier of the virtual system."""
        return self.adapters[0].vm

    @property
    def attributes(self) -> tuple[dict[str, Any], ...]:
        """The attributes of an inventory's interfaces that its adapters have, as a file writes them."""
        return tuple(map(_attributes, self.adapters))

    def text(self, vsis: Iterable[str]) -> str:
        """The descriptor for a hypervisor: this VM alone, with its networks, its port profiles and its VSIIDs."""
        adapters = zip(self.adapters, vsis, strict=True)
        named = tuple(replace(adapter, vsi_id=VsiId.from_text(vsi)) for adapter, vsi in adapters)
        return write_envelope(replace(self.package, vsis=named))


def _attributes(adapter: VsiAdapter) -> dict[str, Any]:
    found = {
        "mac": None if adapter.mac is None else mac_to_text(adapter.mac),
        "vlan": adapter.vlan or None,
        "group_id": adapter.group_id,
        "type": None if adapter.vsi_type is None else adapter.vsi_type.type_id,
        "version": None if adapter.vsi_type is None else adapter.vsi_type.version,
        "vsi": None if adapter.vsi_id is None else str(adapter.vsi_id),
    }
    return {name: value for name, value in found.items() if value is not None}


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
            vm = descriptor.vm
            other = described.setdefault(vm, descriptor)
            if other is not descriptor:
                found.append(error(file, Position(), f"{vm} is already described in {other.file}"))
    return described, found


def _systems(file: str, package: Package) -> Iterable[VmDescriptor]:
    systems: dict[str, list[VsiAdapter]] = {}
    for adapter in package.vsis:
        systems.setdefault(adapter.vm, []).append(adapter)
    for adapters in systems.values():
        named = {adapter.network for adapter in adapters}
        types = {adapter.vsi_type for adapter in adapters}
        profiles = tuple(profile for profile in package.profiles if profile.key in types)
        known = {profile.key for profile in profiles}
        networks = (network for network in package.networks if network.name in named)
        # A type that this VM does not have is not described to its hypervisor.
        own = tuple(replace(network, vsi_types=tuple(known.intersection(network.vsi_types))) for network in networks)
        yield VmDescriptor(file, tuple(adapters), Package(own, profiles))
