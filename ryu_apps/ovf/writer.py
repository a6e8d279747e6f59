"""Networks, VSI types and VSIs as an OVF 2 envelope."""

from __future__ import annotations

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.ovf import names
from ryu_apps.ovf.markup import Node, write_markup
from ryu_apps.ovf.model import Network, Package, PortProfile, Vsi
from ryu_apps.ovf.port import port_nodes
from ryu_apps.ovf.profile import item_node, profile_node

_NAMESPACES = {"": names.OVF} | {prefix: one for prefix, one in names.PREFIXES.items() if prefix != "rasd"}


def write_envelope(package: Package) -> str:
    """The envelope from which :func:`~ryu_apps.ovf.envelope.read_package` reads the same package.

    A VSI type is described where the first network has it, or behind the networks if none has; another network that has
    it names it only.
    """
    content = _systems(package.vsis)
    root = Node("Envelope", (Node("References"), _network_section(package), content), (("ovf:version", "2.0"),))
    return write_markup(root, _NAMESPACES)


def _network_section(package: Package) -> Node:
    left = {one.key: one for one in package.profiles}
    networks = [_network(one, left) for one in package.networks]
    return Node("NetworkSection", (_info("Networks"), *networks, *(profile_node(one, "npp:") for one in left.values())))


def _network(network: Network, left: dict[VsiTypeKey, PortProfile]) -> Node:
    content = [Node("Description", network.description)] if network.description else []
    for key in network.vsi_types:
        profile = left.pop(key, None)
        if profile is None:
            content.append(Node("NetworkPortProfile", (item_node(key, f"VSI type {key}", "", network.vlan),)))
        else:
            content.append(profile_node(profile, "", network.vlan))
    if network.vlan is not None and not network.vsi_types:
        content.append(Node("NetworkPortProfile", (item_node(None, network.name, "", network.vlan),)))
    return Node("Network", tuple(content), (("ovf:name", network.name),))


def _systems(vsis: tuple[Vsi, ...]) -> Node:
    adapters: dict[str, list[Vsi]] = {}
    for one in vsis:
        adapters.setdefault(one.vm, []).append(one)
    systems = tuple(_system(vm, some) for vm, some in adapters.items())
    if len(systems) == 1:
        return systems[0]
    return Node("VirtualSystemCollection", (_info("Virtual systems"), *systems), (("ovf:id", "systems"),))


def _system(vm: str, vsis: list[Vsi]) -> Node:
    adapters = tuple(Node("EthernetPortItem", port_nodes(one, number)) for number, one in enumerate(vsis, start=1))
    hardware = Node("VirtualHardwareSection", (_info("Adapters"), *adapters))
    return Node("VirtualSystem", (_info("Virtual system"), hardware), (("ovf:id", vm),))


def _info(text: str) -> Node:
    return Node("Info", text)
