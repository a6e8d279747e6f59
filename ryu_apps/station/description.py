"""Description of a VSI by its hypervisor: everything that its requests contain beside their mode."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from ryu_apps.evb.wire.association import ASSOCIATIONS
from ryu_apps.evb.wire.cisco import L3Address
from ryu_apps.evb.wire.filter_info import FilterInfo
from ryu_apps.evb.wire.manager_text import manager_text
from ryu_apps.evb.wire.port_name import PortName
from ryu_apps.evb.wire.vdp import ManagerId, RequestStatus, VdpMode
from ryu_apps.evb.wire.vsi_id import VsiId
from ryu_apps.station.filter_text import filter_to_text
from ryu_apps.station.station import VsiRequest


@dataclass(frozen=True, slots=True)
class VsiDescription:
    """A VSI as its hypervisor describes it.

    Attributes:
        vsi_id: the VSI.
        type_id, version: its VSI type, 24 and 8 bits.
        manager_id: the VSI manager that owns the type.
        filter_info: VIDs, MAC addresses and groups; a null VID is filled in by the bridge.
        addresses: the VM's IP addresses.
        port: the VM's port at the switch of its server; None: by ``iface_id``, by the bridge's rule, or there is none.
        iface_id: ``external_ids:iface-id`` of that port; None: it is not known by that.
    """

    vsi_id: VsiId
    type_id: int
    version: int
    manager_id: ManagerId
    filter_info: FilterInfo
    addresses: tuple[IPv4Address | IPv6Address, ...] = ()
    port: PortName | None = None
    iface_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The description as a JSON object, in the form of a call."""
        return {
            "vsi": str(self.vsi_id),
            "type": self.type_id,
            "version": self.version,
            "manager": manager_text(self.manager_id),
            "filters": list(filter_to_text(self.filter_info)),
            "addresses": [str(address) for address in self.addresses],
            **({"port": self.port.name} if self.port else {}),
            **({"iface_id": self.iface_id} if self.iface_id else {}),
        }

    def request(
        self, mode: VdpMode, suspended: bool = False, migrating: bool = False, port: PortName | None = None
    ) -> VsiRequest:
        """The request in this mode, with the S bit and the M bit.

        Args:
            port: of the VM, if its name is known by :attr:`iface_id`.
        """
        status = RequestStatus(migrating=migrating)
        association = ASSOCIATIONS[mode](status, self.type_id, self.version, self.vsi_id, self.filter_info)
        addresses = tuple(L3Address(self.vsi_id, address).encode() for address in self.addresses)
        named = port or self.port or (PortName("") if self.iface_id else None)
        more = (named.encode(),) if named else ()
        return VsiRequest(association, self.manager_id, (*addresses, *more), suspended)
