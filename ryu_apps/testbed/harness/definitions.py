"""VMs that a hypervisor has been given as OVF: what it requests for them comes from there."""

from __future__ import annotations

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
        self._adapters: dict[str, VsiAdapter] = {}

    def accept(self, vm: str, text: str) -> None:
        """Take the descriptor of a VM, in place of an earlier one.

        Raises:
            TestbedError: it has mistakes, or does not describe an adapter of that VM that VDP can request.
        """
        package, found = read_package(((f"{vm}.ovf", text),), lambda uri: "not here", SECTIONS)
        if package is None or has_errors(found):
            raise TestbedError(f"{self._hypervisor}: {found[0]}")
        adapters = [adapter for adapter in package.vsis if adapter.vm == vm]
        if len(adapters) != 1 or None in (adapters[0].vsi_type, adapters[0].vsi_id, adapters[0].mac):
            raise TestbedError(f"{self._hypervisor}: {vm}.ovf has no adapter with a VSI type, a VSIID and an address")
        self._adapters[vm] = adapters[0]

    def vsi(self, vm: str, ip: str | None) -> VdptoolVsi:
        """The VSI of a VM: without a VID in the descriptor a null VID is requested, with the GroupID if it has one.

        Args:
            ip: that the VM uses.

        Raises:
            TestbedError: this hypervisor has no descriptor of the VM.
        """
        adapter = self._adapters.get(vm)
        if adapter is None:
            raise TestbedError(f"{self._hypervisor} has no descriptor of {vm}")
        assert adapter.vsi_type is not None and adapter.mac is not None, "checked"
        group = "" if adapter.group_id is None else f"-{adapter.group_id}"
        entry = f"{adapter.vlan or 0}-{mac_to_text(adapter.mac)}{group}"
        return VdptoolVsi(str(adapter.vsi_id), adapter.vsi_type.type_id, adapter.vsi_type.version, (entry,), ip)
