"""Contents that an envelope and evbridge's own files share: networks, VSI types, and adapters as VSIs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.fields import Alternatives
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.evb.wire.vsi_id import VsiId

#: The largest VSI Manager ID and GroupID that an envelope can name (``uint32`` in CIM).
MAX_UINT32 = (1 << 32) - 1
#: VLANs that a frame can be in, and in place of one: a null VID is requested, and the VLAN is that of the VSI type.
MAX_VLAN, NULL_VID = 4094, 0


@dataclass(frozen=True, slots=True)
class PortNetwork:
    """A logical network.

    Attributes:
        name: what adapters are connected to.
        vlan: of its ports, unless a port has its own; None: not given.
        vsi_types: those of its port profiles; a network that has one gives it to its adapters.
        description: for people.
    """

    name: str
    vlan: int | None = None
    vsi_types: tuple[VsiTypeKey, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class VsiAdapter:
    """A VSI instance: one adapter of a VM.  What is None is not known, and is the station's to say.

    Attributes:
        vm: identifier of the virtual system.
        adapter: for people.
        network: name of the network that it is connected to.
        vsi_type: VSI Type ID and version.
        mac: 48-bit address.
        vlan: VID.
        vsi_id: VSIID.
        manager_id: VSI Manager ID.
        group_id: GroupID.
    """

    vm: str
    adapter: str
    network: str | None = None
    vsi_type: VsiTypeKey | None = None
    mac: int | None = None
    vlan: int | None = None
    vsi_id: VsiId | None = None
    manager_id: int | None = None
    group_id: int | None = None


@dataclass(frozen=True, slots=True)
class FilterRule:
    """One rule of an ACL: all tests must hold.

    Attributes:
        allow: what happens to a frame that matches.
        tests: match field -> the alternatives it may be, prerequisites included, in OpenFlow order.
        description: for people.
    """

    allow: bool
    tests: tuple[tuple[str, Alternatives], ...]
    description: str = ""


@dataclass(frozen=True, slots=True)
class FilterAcl:
    """One direction; the first rule that matches decides, and ``default`` if none does."""

    rules: tuple[FilterRule, ...] = ()
    default: bool = False


@dataclass(frozen=True, slots=True)
class PortProfile:
    """One VSI type, split into what CIM has words for and the rest.

    Attributes:
        key: VSI Type ID and version.
        name: for people.
        from_vm, to_vm: the ACL of each direction; None where the type has none, and a firewall or the default decides.
        rest: the other keys of its policy file, as plain data.
    """

    key: VsiTypeKey
    name: str
    from_vm: FilterAcl | None = None
    to_vm: FilterAcl | None = None
    rest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bare(self) -> bool:
        """True if it only names a type."""
        return self.from_vm is None and self.to_vm is None and not self.rest


@dataclass(frozen=True, slots=True)
class Package:
    """All there is to know of a package, or of a set of policy files and their instances."""

    networks: tuple[PortNetwork, ...] = ()
    profiles: tuple[PortProfile, ...] = ()
    vsis: tuple[VsiAdapter, ...] = ()


def settled(vsi: VsiAdapter, networks: Mapping[str, PortNetwork]) -> VsiAdapter:
    """A VSI with what it gets from its network: the VLAN, and the VSI type if the network has just one."""
    network = networks.get(vsi.network) if vsi.network is not None else None
    if network is None:
        return vsi
    only = network.vsi_types[0] if len(network.vsi_types) == 1 else None
    return replace(
        vsi,
        vlan=network.vlan if vsi.vlan is None else vsi.vlan,
        vsi_type=only if vsi.vsi_type is None else vsi.vsi_type,
    )


def clashes(vsis: tuple[VsiAdapter, ...]) -> Iterator[tuple[int, str, str]]:
    """VSIs that cannot both be: index, attribute at fault, reason."""
    ids: dict[VsiId, VsiAdapter] = {}
    addresses: dict[tuple[object, int], VsiAdapter] = {}
    for index, vsi in enumerate(vsis):
        if vsi.vsi_id is not None and (other := ids.setdefault(vsi.vsi_id, vsi)) is not vsi:
            yield index, "vsi_id", f"VSIID {vsi.vsi_id} is already that of {other.adapter} of {other.vm}"
        # A null VID stands for the VLAN of the type.
        network = vsi.vsi_type if vsi.vlan == NULL_VID else vsi.vlan
        if vsi.mac is not None and (other := addresses.setdefault((network, vsi.mac), vsi)) is not vsi:
            where = f" in VLAN {vsi.vlan}" if vsi.vlan else ""
            yield index, "mac", f"{mac_to_text(vsi.mac)} is already {other.adapter} of {other.vm}{where}"
