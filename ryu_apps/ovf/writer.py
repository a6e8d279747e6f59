"""Networks, VSI types and VSIs as an OVF 2 envelope."""

from __future__ import annotations

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.ovf import names
from ryu_apps.ovf.markup import MarkupNode, write_markup
from ryu_apps.ovf.model import Package, PortNetwork, PortProfile, VsiAdapter
from ryu_apps.ovf.port import port_nodes
from ryu_apps.ovf.profile import item_node, profile_node

_NAMESPACES = {"": names.OVF} | {prefix: uri for prefix, uri in names.PREFIXES.items() if prefix != "rasd"}


def write_envelope(package: Package) -> str:
    """The envelope from which :func:`~ryu_apps.ovf.envelope.read_package` reads the same package.

    A VSI type is described where the first network has it, or behind the networks if none has; another network that has
    it names it only.
    """
    content = _systems(package.vsis)
    root = MarkupNode(
        "Envelope", (MarkupNode("References"), _network_section(package), content), (("ovf:version", "2.0"),)
    )
    return write_markup(root, _NAMESPACES)


def _network_section(package: Package) -> MarkupNode:
    left = {profile.key: profile for profile in package.profiles}
    networks = [_network(network, left) for network in package.networks]
    return MarkupNode(
        "NetworkSection", (_info("Networks"), *networks, *(profile_node(profile, "npp:") for profile in left.values()))
    )


def _network(network: PortNetwork, left: dict[VsiTypeKey, PortProfile]) -> MarkupNode:
    content = [MarkupNode("Description", network.description)] if network.description else []
    for key in network.vsi_types:
        profile = left.pop(key, None)
        if profile is None:
            content.append(MarkupNode("NetworkPortProfile", (item_node(key, f"VSI type {key}", "", network.vlan),)))
        else:
            content.append(profile_node(profile, "", network.vlan))
    if network.vlan is not None and not network.vsi_types:
        content.append(MarkupNode("NetworkPortProfile", (item_node(None, network.name, "", network.vlan),)))
    return MarkupNode("Network", tuple(content), (("ovf:name", network.name),))


def _systems(vsis: tuple[VsiAdapter, ...]) -> MarkupNode:
    adapters: dict[str, list[VsiAdapter]] = {}
    for vsi in vsis:
        adapters.setdefault(vsi.vm, []).append(vsi)
    systems = tuple(_system(vm, some) for vm, some in adapters.items())
    if len(systems) == 1:
        return systems[0]
    return MarkupNode("VirtualSystemCollection", (_info("Virtual systems"), *systems), (("ovf:id", "systems"),))


def _system(vm: str, vsis: list[VsiAdapter]) -> MarkupNode:
    adapters = tuple(
        MarkupNode("EthernetPortItem", port_nodes(vsi, number)) for number, vsi in enumerate(vsis, start=1)
    )
    hardware = MarkupNode("VirtualHardwareSection", (_info("Adapters"), *adapters))
    return MarkupNode("VirtualSystem", (_info("Virtual system"), hardware), (("ovf:id", vm),))


def _info(text: str) -> MarkupNode:
    return MarkupNode("Info", text)
