"""The interface of a VM, as VDP names it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VmInterface:
    """A VM's network interface as VDP names it: VSIID, VSI type, filter.

    Attributes:
        vsi: canonical UUID.
        vlan: VID; None: a null VID is requested, and the bridge answers that of the GroupID or of the VSI type.
        group_id: GroupID of the request, 32 bits; None: it has none.
        mac: text form.
        addresses: IP addresses, text.
    """

    vsi: str
    type_id: int
    version: int
    vlan: int | None
    mac: str
    addresses: tuple[str, ...] = ()
    group_id: int | None = None

    @property
    def vsi_type(self) -> tuple[int, int]:
        """Identifier and version of its VSI type."""
        return self.type_id, self.version

    @property
    def filter(self) -> str:
        """The filter entry of a request, as vdptool writes it."""
        group = "" if self.group_id is None else f"-{self.group_id}"
        return f"{self.vlan or 0}-{self.mac}{group}"

    @property
    def network(self) -> str:
        """Name of the VLAN that a null VID stands for, in words."""
        return f"VSI type {self.type_id}/{self.version}" if self.group_id is None else f"GroupID {self.group_id}"
