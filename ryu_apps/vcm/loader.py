"""An inventory file to an inventory, every mistake with its line and column.  Text in, values or diagnostics out."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from types import MappingProxyType
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from ryu_apps.evb.policy.diagnostic import Diagnostic, Position, error, has_errors, in_reading_order, warning
from ryu_apps.evb.policy.document import Document, Finding, Path, read_document
from ryu_apps.evb.policy.validate import validate
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.vcm import policy_sections, schema
from ryu_apps.vcm.descriptors import VmDescriptor
from ryu_apps.vcm.inventory import (
    AntiAffinityGroup,
    Datastore,
    Inventory,
    InventoryAppliance,
    InventoryNode,
    InventoryVm,
    Level,
    Occupancy,
    Purpose,
    Size,
    VmDisk,
    VmInterface,
)
from ryu_apps.vcm.move_events import COMPONENT_STEPS, Coordination
from ryu_apps.vcm.schema import InventoryFile


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checked file: what the manager plans with, and the file as written, for who builds such a cluster."""

    inventory: Inventory
    file: InventoryFile


def ovf_places(file: str, text: str) -> tuple[str, ...]:
    """Return the places of descriptors that an inventory names; none if it cannot be read."""
    data = read_document(file, text).data
    places = data.get("ovf") if isinstance(data, dict) else None
    return tuple(place for place in places if isinstance(place, str)) if isinstance(places, list) else ()


def load_inventory(
    file: str,
    text: str,
    types: Container[tuple[int, int]] | None = None,
    descriptors: Mapping[str, VmDescriptor] = MappingProxyType({}),
) -> tuple[Loaded | None, list[Diagnostic]]:
    """Check an inventory.

    Args:
        types: identifier and version of the VSI types that there are; None: not known.
        descriptors: of VMs by name; they have what the file leaves out.

    Returns:
        the inventory, None if there is any error, and all diagnostics in reading order.
    """
    document = read_document(file, text)
    if document.data is None:
        return None, document.diagnostics
    _fill_in(document.data, descriptors)
    parsed, found = validate(InventoryFile, document)
    found += document.diagnostics
    if parsed is not None:
        strays = [*_inconsistencies(parsed), *_without_type(parsed, types), *_contradictions(parsed, descriptors)]
        found += [error(file, _place(document, path), reason) for path, reason in strays]
    if parsed is None or has_errors(found):
        return None, in_reading_order(found)
    inventory = _inventory(parsed, descriptors)
    found += [warning(file, _place(document, path), reason) for path, reason in _shared(inventory)]
    return Loaded(inventory, parsed), in_reading_order(found)


def _place(document: Document, path: Path) -> Position:
    """A path that ends in ``[key]`` means the key, any other its value."""
    if path[-1] == "[key]":
        return document.key_place(path[:-1])
    return document.value_place(path)


def _fill_in(data: Any, descriptors: Mapping[str, VmDescriptor]) -> None:
    """Give VMs of a file, which is not checked yet, the attributes of their descriptors that it leaves out."""
    vms = data.get("vms") if isinstance(data, dict) else None
    for name, vm in vms.items() if isinstance(vms, dict) else ():
        if isinstance(vm, dict) and name in descriptors:
            first, *others = descriptors[name].attributes
            vm.update({**first, **vm})
            written = vm.setdefault("interfaces", [])
            if isinstance(written, list):
                written += [{} for _ in others[len(written) :]]
                for interface, attributes in zip(written, others, strict=False):
                    if isinstance(interface, dict):
                        interface.update({**attributes, **interface})


# --- what pydantic cannot see: one part of the file against another -----------------------------
def _inconsistencies(parsed: InventoryFile) -> Iterator[Finding]:
    yield from _unknown_switches(parsed)
    yield from _unknown_to_vms(parsed)
    yield from _ambiguous(parsed)
    yield from _overfull(parsed)
    yield from _misplaced_disks(parsed)
    yield from _idle_firewalls(parsed)
    powers = {node.power for node in parsed.nodes.values() if node.power is not None}
    yield from policy_sections.strays(parsed.policies, parsed.nodes, parsed.switches, powers)


def _unknown_switches(parsed: InventoryFile) -> Iterator[Finding]:
    named: list[tuple[Path, str]] = [(("nodes", name, "switch"), node.switch) for name, node in parsed.nodes.items()]
    for name, switch in parsed.switches.items():
        for index, other in enumerate(switch.links):
            named.append((("switches", name, "links", index), other))
            if other == name:
                yield ("switches", name, "links", index), "a link leads to another switch"
        if switch.rack is not None:
            named.append((("switches", name, "rack"), switch.rack))
            above = parsed.switches.get(switch.rack)
            if switch.rack == name or (above is not None and above.rack is not None):
                yield ("switches", name, "rack"), f"{switch.rack} is the switch of a server, not of a rack"
    for name, appliance in parsed.appliances.items():
        named += [(("appliances", name, "switches", index), switch) for index, switch in enumerate(appliance.switches)]
    named += [(("cluster", "max_rules", name, "[key]"), name) for name in parsed.cluster.max_rules]
    yield from ((path, f"there is no switch {name!r}") for path, name in named if name not in parsed.switches)


def _unknown_to_vms(parsed: InventoryFile) -> Iterator[Finding]:
    for name, vm in parsed.vms.items():
        here: Path = ("vms", name)
        if vm.at not in parsed.nodes:
            yield (*here, "at"), f"there is no node {vm.at!r}"
        if vm.group is not None and vm.group not in parsed.groups:
            yield (*here, "group"), f"there is no group {vm.group!r}"
        for needed, how in vm.needs.items():
            if needed == name:
                yield (*here, "needs", needed, "[key]"), "a VM does not need itself"
            elif needed not in parsed.vms and needed not in parsed.appliances:
                yield (*here, "needs", needed, "[key]"), f"there is no appliance and no VM {needed!r}"
            elif needed in parsed.vms and how == "local":
                yield (*here, "needs", needed), f"{needed} is a VM and may move: it can only be reachable"


def _without_type(parsed: InventoryFile, types: Container[tuple[int, int]] | None) -> Iterator[Finding]:
    """VMs whose VSI type is nowhere: the bridge would refuse them in the middle of a plan."""
    for path, face in _interfaces(parsed):
        if types is not None and (face.type, face.version) not in types:
            yield (*path, "type"), f"there is no VSI type {face.type}/{face.version}"


def _contradictions(parsed: InventoryFile, descriptors: Mapping[str, VmDescriptor]) -> Iterator[Finding]:
    """Attributes that are not those of the descriptor."""
    for name, vm in parsed.vms.items():
        descriptor = descriptors.get(name)
        if descriptor is None:
            continue
        if len(vm.interfaces) >= len(descriptor.adapters):
            yield ("vms", name, "interfaces"), f"{name} has {len(descriptor.adapters)} adapters in {descriptor.file}"
            continue
        for (path, face), attributes in zip(_of_vm(name, vm), descriptor.attributes, strict=True):
            for attribute, value in attributes.items():
                written = getattr(face, attribute)
                if (mac_to_text(written) if attribute == "mac" else written) != value:
                    yield (*path, attribute), f"{value} in {descriptor.file}"


def _interfaces(parsed: InventoryFile) -> Iterator[tuple[Path, schema.InterfaceSection]]:
    """All interfaces: where they are in the file, and what is written."""
    for name, vm in parsed.vms.items():
        yield from _of_vm(name, vm)


def _of_vm(name: str, vm: schema.VmSection) -> Iterator[tuple[Path, schema.InterfaceSection]]:
    yield ("vms", name), vm
    for index, face in enumerate(vm.interfaces):
        yield ("vms", name, "interfaces", index), face


def _ambiguous(parsed: InventoryFile) -> Iterator[Finding]:
    """Names and addresses that mean two things."""
    for name in parsed.appliances:
        if name in parsed.vms:
            yield ("appliances", name, "[key]"), f"{name} is a VM already"
    for name, node in parsed.nodes.items():
        if name in parsed.switches:
            yield ("nodes", name, "[key]"), f"{name} is a switch already"
        if node.power in parsed.switches or node.power in parsed.nodes:
            yield ("nodes", name, "power"), f"{node.power} is a switch or a node already"
    owners: dict[Any, Path] = {}
    for here, face in _interfaces(parsed):
        # A VM without a VID is in a VLAN of its GroupID, or else of its type.
        network = face.vlan or ((face.type, face.version) if face.group_id is None else ("group", face.group_id))
        claims: list[tuple[Path, Any, str]] = [(("mac",), (network, face.mac), mac_to_text(face.mac))]
        claims += [(("addresses", index), (network, ip), str(ip)) for index, ip in enumerate(face.addresses)]
        claims.append((("vsi",), _vsi(parsed, here, face), f"VSI {_vsi(parsed, here, face)}"))
        for path, key, words in claims:
            owner = owners.setdefault(key, here)
            if owner != here:
                yield (*here, *path), f"{words} is already the one of {owner[1]}"


def _overfull(parsed: InventoryFile) -> Iterator[Finding]:
    """More VMs than a node can bear."""
    for name, node in parsed.nodes.items():
        sizes = [Size(vm.slots, vm.memory_mib) for vm in parsed.vms.values() if vm.at == name]
        used, capacity = sum(sizes, Size()), Size(node.slots, node.memory_mib)
        if not capacity.holds(used):
            yield ("nodes", name, "[key]"), f"{name} has {capacity}, its VMs take {used}"


def _misplaced_disks(parsed: InventoryFile) -> Iterator[Finding]:
    """Datastores that are not there, not reached or too small."""
    for name, store in parsed.datastores.items():
        for index, node in enumerate(store.nodes):
            if node not in parsed.nodes:
                yield ("datastores", name, "nodes", index), f"there is no node {node!r}"
        used = sum(vm.disk.gib for vm in parsed.vms.values() if vm.disk is not None and vm.disk.datastore == name)
        if used > store.capacity_gib:
            yield ("datastores", name, "[key]"), f"{name} has {store.capacity_gib} GiB, its disks take {used}"
    for name, vm in parsed.vms.items():
        if vm.disk is not None and vm.disk.datastore not in parsed.datastores:
            yield ("vms", name, "disk", "datastore"), f"there is no datastore {vm.disk.datastore!r}"
        elif vm.disk is not None and vm.at not in parsed.datastores[vm.disk.datastore].nodes:
            yield ("vms", name, "disk", "datastore"), f"{vm.at} does not reach {vm.disk.datastore}"


def _idle_firewalls(parsed: InventoryFile) -> Iterator[Finding]:
    """Firewalls through which no traffic would go."""
    sections = parsed.cluster.appliances.values()
    routers = {instance.mac for section in sections for instance in section.instances.values()}
    for name, vm in parsed.vms.items():
        if vm.firewall is None:
            continue
        here: Path = ("vms", name, "firewall")
        if not vm.firewall.tcp and not vm.firewall.udp:
            yield here, "tcp or udp was expected: a firewall that lets nothing through needs no VM"
        if vm.mac not in routers:
            yield here, f"no router of cluster.appliances has the address {mac_to_text(vm.mac)}"
        if not any(name in other.needs for other in parsed.vms.values()):
            yield here, "no VM needs it"


def _shared(inventory: Inventory) -> Iterator[Finding]:
    """VMs that share already what their group must never share; not a mistake of the file, but a warning."""
    occupancy = Occupancy(inventory)
    for name, vm in inventory.vms.items():
        if vm.group is None:
            continue
        for level in sorted(inventory.groups[vm.group].apart, key=attrgetter("value")):
            domain = inventory.nodes[vm.at].domain(level)
            others = [
                other
                for node in inventory.nodes.values()
                if domain is not None and node.domain(level) == domain
                for other in occupancy.at(node.name)
                if other != name and inventory.vms[other].group == vm.group
            ]
            if others:
                yield ("vms", name, "at"), f"shares {level.value} {domain} with {', '.join(others)} of its group"


# --- the file's words to values -----------------------------------------------------------------
def _inventory(parsed: InventoryFile, descriptors: Mapping[str, VmDescriptor]) -> Inventory:
    return Inventory(
        parsed.name,
        {
            name: InventoryNode(
                name,
                node.switch,
                node.power,
                Size(node.slots, node.memory_mib),
                parsed.switches[node.switch].rack or node.switch,
            )
            for name, node in parsed.nodes.items()
        },
        {name: _vm(parsed, name, vm, descriptors.get(name)) for name, vm in parsed.vms.items()},
        tuple(parsed.switches),
        frozenset(
            frozenset((name, other))
            for name, switch in parsed.switches.items()
            for other in (*switch.links, *([] if switch.rack is None else [switch.rack]))
        ),
        {name: AntiAffinityGroup(name, frozenset(map(Level, group.apart))) for name, group in parsed.groups.items()},
        {name: InventoryAppliance(name, tuple(appliance.switches)) for name, appliance in parsed.appliances.items()},
        {
            name: Datastore(name, frozenset(store.nodes), store.capacity_gib, store.copy_mib_s)
            for name, store in parsed.datastores.items()
        },
        coordination=None
        if parsed.nms is None
        else Coordination(parsed.nms.bridge, frozenset(parsed.nms.steps or COMPONENT_STEPS), parsed.nms.deadline),
    )


def _vm(parsed: InventoryFile, name: str, section: schema.VmSection, descriptor: VmDescriptor | None) -> InventoryVm:
    first, *others = (_interface(parsed, path, face) for path, face in _of_vm(name, section))
    return InventoryVm(
        name,
        section.at,
        Size(section.slots, section.memory_mib),
        first,
        section.group,
        tuple(section.needs),
        tuple(needed for needed, how in section.needs.items() if how == "local"),
        "" if descriptor is None else descriptor.text(face.vsi for face in (first, *others)),
        None if section.disk is None else VmDisk(**section.disk.model_dump()),
        tuple(others),
        _purpose(parsed, name, section),
    )


def _interface(parsed: InventoryFile, path: Path, section: schema.InterfaceSection) -> VmInterface:
    return VmInterface(
        _vsi(parsed, path, section),
        section.type,
        section.version,
        section.vlan,
        mac_to_text(section.mac),
        tuple(map(str, section.addresses)),
        section.group_id,
    )


def _purpose(parsed: InventoryFile, name: str, section: schema.VmSection) -> Purpose:
    """Its own; without one, a VM that another one needs is an appliance."""
    if section.purpose is not None:
        return Purpose(section.purpose)
    return Purpose.APPLIANCE if any(name in vm.needs for vm in parsed.vms.values()) else Purpose.APPLICATION


def _vsi(parsed: InventoryFile, path: Path, section: schema.InterfaceSection) -> str:
    """Its own, or one that is always the same for this interface of this VM of this inventory."""
    _, *name = path
    return section.vsi or str(uuid5(NAMESPACE_URL, "/".join((parsed.name, *map(str, name)))))
