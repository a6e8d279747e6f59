"""A cluster's inventory: nodes and their capacity, VMs and their needs, switches and their links.

Plain values; ``loader`` makes them from a file.  Who is where at the moment is an :class:`Occupancy`, a value too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

import networkx as nx

from ryu_apps.vcm.bridge_room import NO_ROOM_KNOWN, BridgeRoom
from ryu_apps.vcm.move_events import Coordination
from ryu_apps.vcm.vm_interface import VmInterface

__all__ = [
    "AntiAffinityGroup",
    "Datastore",
    "Inventory",
    "InventoryAppliance",
    "InventoryNode",
    "InventoryVm",
    "Level",
    "Occupancy",
    "Purpose",
    "Size",
    "VmDisk",
    "VmInterface",
    "natural",
]


class Level(Enum):
    """Kinds of failure domains: what two VMs can lose together."""

    NODE = "node"
    POWER = "power"
    SWITCH = "switch"


class Purpose(Enum):
    """Purposes of VMs, in the order in which they are moved and started; the values are the file's words."""

    INFRASTRUCTURE = "infrastructure"
    """It serves the whole cluster: names, addresses, directories."""
    APPLIANCE = "appliance"
    """It serves the VMs that need it: a firewall, a load balancer, a proxy."""
    APPLICATION = "application"
    """It serves its own users."""

    @property
    def rank(self) -> int:
        """Place in the order, from 0."""
        return list(Purpose).index(self)


@dataclass(frozen=True, slots=True)
class Size:
    """Resources that a VM takes or a node has: slots, and memory in MiB."""

    slots: int = 0
    memory_mib: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.slots + other.slots, self.memory_mib + other.memory_mib)

    def __sub__(self, other: Size) -> Size:
        return Size(self.slots - other.slots, self.memory_mib - other.memory_mib)

    def holds(self, other: Size) -> bool:
        """Return True if there is room for the other."""
        return self.slots >= other.slots and self.memory_mib >= other.memory_mib

    def __str__(self) -> str:
        return f"{self.slots} slots and {self.memory_mib} MiB"


@dataclass(frozen=True, slots=True)
class InventoryNode:
    """A hypervisor.

    Attributes:
        power: its power domain; None is one of its own.
        rack: the switch of the rack, if ``switch`` is that of a server; else the same; empty: the same, too.
    """

    name: str
    switch: str
    power: str | None
    capacity: Size
    rack: str = ""

    @property
    def ways(self) -> frozenset[str]:
        """The switches without which it is cut off."""
        return frozenset((self.switch, self.rack or self.switch))

    def domain(self, level: Level) -> str | None:
        """Failure domain of the node at a level."""
        return {Level.NODE: self.name, Level.POWER: self.power, Level.SWITCH: self.rack or self.switch}[level]


@dataclass(frozen=True, slots=True)
class InventoryVm:
    """A VM.

    Attributes:
        at: node it was at when the inventory was taken.
        interface: its first one.
        others: more interfaces, each a VSI of its own.
        purpose: see :class:`Purpose`.
        group: those it should not fail together with, None for none.
        reaches: appliances, VMs or not, that it has to reach.
        local: appliances that have to be at its own switch.
        disk: None: it has none that the manager knows of.
        ovf: its descriptor, which a hypervisor needs before it can ask for the VM; empty: it needs none.
    """

    name: str
    at: str
    size: Size
    interface: VmInterface
    group: str | None = None
    reaches: tuple[str, ...] = ()
    local: tuple[str, ...] = ()
    ovf: str = ""
    disk: VmDisk | None = None
    others: tuple[VmInterface, ...] = ()
    purpose: Purpose = Purpose.APPLICATION

    @property
    def interfaces(self) -> tuple[VmInterface, ...]:
        """All of them, the first one first."""
        return (self.interface, *self.others)


@dataclass(frozen=True, slots=True)
class AntiAffinityGroup:
    """VMs that belong together; ``apart``: what two of them must never share."""

    name: str
    apart: frozenset[Level] = frozenset()


@dataclass(frozen=True, slots=True)
class InventoryAppliance:
    """An appliance that serves VMs and is no VM, at these switches."""

    name: str
    switches: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Datastore:
    """Storage that these nodes reach; capacity in GiB.

    Attributes:
        copy_mib_s: rate at which disks are copied to it and from it; None: not known.
    """

    name: str
    nodes: frozenset[str]
    capacity_gib: int
    copy_mib_s: float | None = None


@dataclass(frozen=True, slots=True)
class VmDisk:
    """The disk of a VM: its datastore and its size in GiB.

    Attributes:
        copied: it may move to another datastore with the VM.
        dirty_mib_s: rate at which the VM writes to it.
    """

    datastore: str
    gib: int
    copied: bool = False
    dirty_mib_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything there is, by name; links as unordered pairs of switches.

    Attributes:
        room: that the bridge had left when it was asked.
        coordination: components that moves wait for; None: none.
    """

    name: str
    nodes: Mapping[str, InventoryNode]
    vms: Mapping[str, InventoryVm]
    switches: tuple[str, ...]
    links: frozenset[frozenset[str]] = frozenset()
    groups: Mapping[str, AntiAffinityGroup] = field(default_factory=dict)
    appliances: Mapping[str, InventoryAppliance] = field(default_factory=dict)
    datastores: Mapping[str, Datastore] = field(default_factory=dict)
    room: BridgeRoom = NO_ROOM_KNOWN
    coordination: Coordination | None = None

    def reach(self, vm: InventoryVm, node: str) -> bool:
        """Return True if a node reaches the disk of a VM where it is, or the VM has none."""
        return vm.disk is None or node in self.datastores[vm.disk.datastore].nodes

    def nodes_of(self, switch: str) -> tuple[str, ...]:
        """The nodes at a switch, and the servers whose own switches hang on it, in natural order."""
        return tuple(sorted((name for name, node in self.nodes.items() if switch in node.ways), key=natural))

    def with_servers(self, switches: frozenset[str]) -> frozenset[str]:
        """Some switches, and those of the servers that hang on them."""
        return switches | {node.switch for node in self.nodes.values() if not switches.isdisjoint(node.ways)}

    def hops(self, without: frozenset[str] = frozenset()) -> dict[str, dict[str, int]]:
        """Distances from each switch to those that it reaches without some others; those reach none."""
        graph = nx.Graph(tuple(link) for link in self.links)
        graph.add_nodes_from(self.switches)
        graph.remove_nodes_from(without)
        return {**{switch: {} for switch in without}, **dict(nx.all_pairs_shortest_path_length(graph))}


class Occupancy:
    """Nodes of each VM: the one it runs at, and the one where a place is kept for it.

    A VM that moves weighs on both ends until it has left one of them.
    """

    def __init__(self, inventory: Inventory, places: Mapping[str, Iterable[str]] | None = None) -> None:
        """
        Args:
            inventory: sizes and capacities.
            places: VM -> nodes; None: where the inventory says.
        """
        self._inventory = inventory
        given = {name: (vm.at,) for name, vm in inventory.vms.items()} if places is None else places
        self.places = {name: frozenset(nodes) for name, nodes in given.items()}
        self._at: dict[str, list[str]] = {name: [] for name in inventory.nodes}
        for vm, nodes in self.places.items():
            for node in nodes:
                self._at[node].append(vm)

    def at(self, node: str) -> tuple[str, ...]:
        """The VMs that weigh on a node, in natural order."""
        return tuple(sorted(self._at[node], key=natural))

    def used(self, node: str) -> Size:
        """Resources that the VMs of a node take."""
        return sum((self._inventory.vms[vm].size for vm in self._at[node]), Size())

    def free(self, node: str) -> Size:
        """Resources that a node has left."""
        return self._inventory.nodes[node].capacity - self.used(node)

    def with_vm(self, vm: str, *nodes: str) -> Occupancy:
        """The same with a VM elsewhere."""
        return Occupancy(self._inventory, {**self.places, vm: nodes})


def natural(name: str) -> tuple[tuple[int, str, int], ...]:
    """Sorts ``hv2`` before ``hv10``."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return tuple((0, "", int(part)) if part.isdecimal() else (1, part, 0) for part in parts)
