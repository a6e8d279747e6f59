"""VMs that a hypervisor has been given as OVF: what it requests for them comes from there."""

from __future__ import annotations

from collections.abc import Sequence

from ryu_apps.evb.policy.diagnostic import has_errors
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.ovf.envelope import read_package
from ryu_apps.ovf.model import VsiAdapter
from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.station import VdptoolVsi


class VmDefinitions:
    """The descriptors of one hypervisor."""

    def __init__(self, hypervisor: str) -> None:
        self._hypervisor = hypervisor
        self._adapters: dict[str, tuple[VsiAdapter, ...]] = {}

    def accept(self, vm: str, text: str) -> None:
        """Take the descriptor of a VM, in place of an earlier one.

        Raises:
            TestbedError: it has mistakes, or does not describe an adapter of that VM that VDP can request.
        """
        package, found = read_package(((f"{vm}.ovf", text),), lambda uri: "not here", SECTIONS)
        if package is None or has_errors(found):
            raise TestbedError(f"{self._hypervisor}: {found[0]}")
        adapters = tuple(adapter for adapter in package.vsis if adapter.vm == vm)
        lacking = [adapter for adapter in adapters if None in (adapter.vsi_type, adapter.vsi_id, adapter.mac)]
        if not adapters or lacking:
            raise TestbedError(f"{self._hypervisor}: {vm}.ovf has no adapter with a VSI type, a VSIID and an address")
        self._adapters[vm] = adapters

    def vsis(self, vm: str, ips: Sequence[str | None]) -> tuple[VdptoolVsi, ...]:
        """The VSIs of a VM: without a VID in the descriptor a null VID is requested, with the GroupID if it has one.

        Args:
            ips: that the VM uses at each interface.

        Raises:
            TestbedError: this hypervisor has no descriptor of the VM.
        """
        adapters = self._adapters.get(vm)
        if adapters is None:
            raise TestbedError(f"{self._hypervisor} has no descriptor of {vm}")
        return tuple(_vsi_of(adapter, ip) for adapter, ip in zip(adapters, ips, strict=True))


def _vsi_of(adapter: VsiAdapter, ip: str | None) -> VdptoolVsi:
    assert adapter.vsi_type is not None and adapter.mac is not None, "checked"
    group = "" if adapter.group_id is None else f"-{adapter.group_id}"
    entry = f"{adapter.vlan or 0}-{mac_to_text(adapter.mac)}{group}"
    return VdptoolVsi(str(adapter.vsi_id), adapter.vsi_type.type_id, adapter.vsi_type.version, (entry,), ip)
