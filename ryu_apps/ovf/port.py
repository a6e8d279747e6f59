"""CIM_EthernetPortAllocationSettingData: what one port of a network, or one adapter of a VM, asks for.

The same class serves a network port profile and an adapter (``EthernetPortItem``).  An ``Item`` of resource type 10 is
its base class, CIM_ResourceAllocationSettingData, which has no VLAN and no VSI.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.diagnostic import Diagnostic
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.evb.wire.vsi_id import VsiId
from ryu_apps.ovf.markup import Element, MarkupNode
from ryu_apps.ovf.model import MAX_UINT32, MAX_VLAN, NULL_VID, VsiAdapter
from ryu_apps.ovf.names import EPASD, RASD
from ryu_apps.ovf.properties import NAMING, Properties
from ryu_apps.ovf.values import mac

#: ``NetworkPortProfileIDType``.
ID_IS_URI = 2
ID_IS_VSI_ID = 4

#: Beside the network: what the hypervisor and the guest make of the adapter.
_OF_THE_HOST = {
    *("AddressOnParent", "AllocationUnits", "AutomaticAllocation", "AutomaticDeallocation", "ChangeableType"),
    *("ConfigurationName", "ConsumerVisibility", "HostResource", "MappingBehavior", "OtherResourceType", "Parent"),
    *("PoolID", "ResourceSubType", "ResourceType", "VirtualQuantity", "VirtualQuantityUnits"),
}
#: Asked for, and not to be had from a bridge that only filters.
_QUALITY = {
    "Reservation": "no bandwidth is reserved",
    "Limit": "no bandwidth is limited",
    "Weight": "bandwidth is not shared by weight",
    "ReceiveBandwidthLimit": "no bandwidth is limited",
    "ReceiveBandwidthReservation": "no bandwidth is reserved",
    "DefaultPriority": "no frame is given a priority",
}
_ARRAYS = {
    *("AllowedPriorities", "AllowedToReceiveMACAddresses", "AllowedToReceiveVLANs"),
    *("AllowedToTransmitMACAddresses", "AllowedToTransmitVLANs", "Connection", "HostResource"),
}
_OF_A_VSI = {
    *("DefaultPortVID", "DesiredVLANEndpointMode", "GroupID", "ManagerID", "NetworkPortProfileID"),
    *("NetworkPortProfileIDType", "OtherEndpointMode", "OtherNetworkPortProfileIDTypeInfo", "PortCorrelationID"),
    *("PortVID", "Promiscuous", "SourceMACFilteringEnabled", "VSITypeID", "VSITypeIDVersion", "Address"),
}
_KNOWN = NAMING | _OF_THE_HOST | set(_QUALITY) | _ARRAYS | _OF_A_VSI

_ACCESS, _TRUNK = 2, 5


@dataclass(frozen=True, slots=True)
class EthernetPort:
    """One instance of the class; a property that it does not have is None or "".

    Attributes:
        element: where it stands.
        name: for people.
        instance_id: unique among the adapters of one VM.
        network: the network it is connected to.
        vsi_type: VSI Type ID and version.
        profile_id: the network port profile that it is, or wants.
        vlan, mac, vsi_id, manager_id, group_id: as in :class:`~ryu_apps.ovf.model.VsiAdapter`.
    """

    element: Element
    name: str = ""
    instance_id: str = ""
    network: str | None = None
    vsi_type: VsiTypeKey | None = None
    profile_id: str = ""
    vlan: int | None = None
    mac: int | None = None
    vsi_id: VsiId | None = None
    manager_id: int | None = None
    group_id: int | None = None


def read_port(element: Element) -> tuple[EthernetPort, list[Diagnostic]]:
    """Read an instance; return the port, and errors and warnings about it."""
    said = Properties(element, (EPASD, RASD), _KNOWN, _ARRAYS)
    port = EthernetPort(
        element,
        name=said.text("ElementName", "Caption"),
        instance_id=said.text("InstanceID"),
        network=_network(said),
        vsi_type=_vsi_type(said),
        profile_id=_profile_id(said),
        vlan=_vlan(said),
        mac=_mac(said, said.one("Address")),
        vsi_id=_vsi_id(said),
        manager_id=said.number("ManagerID", 0, MAX_UINT32),
        group_id=said.number("GroupID", 0, MAX_UINT32),
    )
    _quality(said)
    _filtering(said, port)
    return port, said.found


def port_nodes(vsi: VsiAdapter, instance_id: int) -> tuple[MarkupNode, ...]:
    """The properties of an adapter, in the order of the schema."""
    properties = {
        "Address": None if vsi.mac is None else mac_to_text(vsi.mac),
        "Connection": vsi.network,
        "ElementName": vsi.adapter,
        "GroupID": vsi.group_id,
        "InstanceID": instance_id,
        "ManagerID": vsi.manager_id,
        "PortCorrelationID": vsi.vsi_id,
        "PortVID": vsi.vlan,
        "ResourceType": 10,
        "VSITypeID": vsi.vsi_type and vsi.vsi_type.type_id,
        "VSITypeIDVersion": vsi.vsi_type and vsi.vsi_type.version,
    }
    return property_nodes("epasd", properties)


def property_nodes(prefix: str, properties: Mapping[str, object]) -> tuple[MarkupNode, ...]:
    """Elements for the properties that have a value, in the given order; a tuple is an array."""
    return tuple(
        MarkupNode(f"{prefix}:{name}", str(word))
        for name, value in properties.items()
        if value is not None
        for word in (value if isinstance(value, tuple) else (value,))
    )


def _network(said: Properties) -> str | None:
    connections = said.all("Connection")
    for connection in connections[1:]:
        said.complain(connection, "an adapter is connected to one network here, not to several")
    return connections[0].words if connections else None


def _vlan(said: Properties) -> int | None:
    names = ["PortVID", "DefaultPortVID"]
    if len(said.all("AllowedToTransmitVLANs")) == 1:
        names.append("AllowedToTransmitVLANs")
    found = (said.number(name, NULL_VID, MAX_VLAN) for name in names)
    return next((vlan for vlan in found if vlan is not None), None)


def _vsi_type(said: Properties) -> VsiTypeKey | None:
    type_id = said.number("VSITypeID", 0, 0xFFFFFF)
    version = said.number("VSITypeIDVersion", 0, 0xFF)
    if type_id is not None and said.one("VSITypeIDVersion") is None:
        said.complain(said.one("VSITypeID") or said.element, "VSITypeID without VSITypeIDVersion")
    if version is not None and said.one("VSITypeID") is None:
        said.complain(said.one("VSITypeIDVersion") or said.element, "VSITypeIDVersion without VSITypeID")
    return None if type_id is None or version is None else VsiTypeKey(type_id, version)


def _profile_id(said: Properties) -> str:
    is_vsi_id = said.text("NetworkPortProfileIDType") == str(ID_IS_VSI_ID)
    return "" if is_vsi_id else said.text("NetworkPortProfileID")


def _mac(said: Properties, element: Element | None) -> int | None:
    if element is None:
        return None
    try:
        return mac(element.words)
    except ValueError as problem:
        said.complain(element, str(problem))
        return None


def _vsi_id(said: Properties) -> VsiId | None:
    names = ["PortCorrelationID"]
    if said.number("NetworkPortProfileIDType", 0, 0xFFFF) == ID_IS_VSI_ID:
        names.append("NetworkPortProfileID")
    elements = [candidate for name in names for candidate in said.all(name)]
    found: list[VsiId] = []
    for element in elements:
        try:
            found.append(VsiId.from_text(element.words))
        except ValueError as problem:
            said.complain(element, str(problem))
    if len(set(found)) > 1:
        said.complain(elements[1], f"VSIID {found[1]}, and {found[0]} on line {elements[0].place.line}")
    return found[0] if found else None


def _quality(said: Properties) -> None:
    for name, reason in _QUALITY.items():
        element = said.one(name)
        if element is not None and element.words != "0":
            said.warn(element, f"{name} is not taken over: {reason}")
    for element in said.all("AllowedPriorities")[:1]:
        said.warn(element, "AllowedPriorities is not taken over: a rule with vlan_pcp says as much")


def _filtering(said: Properties, port: EthernetPort) -> None:
    """Check the properties that widen a port beyond its own address and VLAN."""
    if said.flag("Promiscuous"):
        said.warn(
            said.one("Promiscuous") or said.element, "Promiscuous is not taken over: a VSI gets its own frames only"
        )
    if said.flag("SourceMACFilteringEnabled") is False:
        reason = "SourceMACFilteringEnabled is not taken over: the source address is always checked"
        said.warn(said.one("SourceMACFilteringEnabled") or said.element, reason)
    mode = said.number("DesiredVLANEndpointMode", 0, 0xFFFF)
    if mode not in (None, _ACCESS, _TRUNK):
        said.warn(said.one("DesiredVLANEndpointMode") or said.element, f"VLAN endpoint mode {mode} is not taken over")
    for direction in ("Receive", "Transmit"):
        _only(said, said.all(f"AllowedTo{direction}VLANs"), {str(port.vlan)}, "VLAN")
        own = {mac_to_text(port.mac)} if port.mac is not None else set()
        _only(said, said.all(f"AllowedTo{direction}MACAddresses"), own, "address")


def _only(said: Properties, elements: Iterable[Element], own: set[str], thing: str) -> None:
    for element in elements:
        if element.words.replace("-", ":").lower() not in own:
            said.complain(element, f"{element.words} is not the port's own {thing}, and a VSI has one {thing} here")
