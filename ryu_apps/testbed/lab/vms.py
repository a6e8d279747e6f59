"""The VMs of a lab.  Values only."""

from __future__ import annotations

from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5

from ryu_apps.testbed.harness.station import VdptoolVsi


class LabVm(NamedTuple):
    """A VM of the lab: addresses, and its VSI type (version 1)."""

    name: str
    mac: str
    ip: str
    type_id: int

    @property
    def vsi(self) -> VdptoolVsi:
        """Its VSI."""
        uuid = str(uuid5(NAMESPACE_URL, f"evbridge-lab/{self.name}"))
        return VdptoolVsi(uuid, self.type_id, 1, (f"100-{self.mac}",), self.ip)


#: All are at the first hypervisor in the beginning.  Type 1 is web-server, type 4 is visitor.
VMS = (
    LabVm("vm1", "52:54:00:aa:00:01", "10.0.100.11", 1),
    LabVm("vm2", "52:54:00:aa:00:02", "10.0.100.12", 1),
    LabVm("vm3", "52:54:00:aa:00:03", "10.0.100.13", 4),
)
