"""Inventory files as pydantic models; ``loader`` checks the parts against each other."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from ryu_apps.evb.config import service_sections
from ryu_apps.evb.config.values import IpAddressText, MacText, PlainName, VlanId
from ryu_apps.evb.policy.validate import Strict
from ryu_apps.vcm.policy_sections import OperatorPolicySection

WholeNumber = Annotated[int, Field(ge=0, le=1_000_000)]
Positive = Annotated[int, Field(ge=1, le=1_000_000)]
PortNumber = Annotated[int, Field(ge=1, le=65535)]
LevelText = Literal["node", "power", "switch"]


def _uuid(written: object) -> str:
    if not isinstance(written, str):
        raise ValueError("a UUID was expected, such as '52540000-0000-4000-8000-000000000007'")
    return str(UUID(written))


def _ipv4(address: IPv4Address | IPv6Address) -> IPv4Address:
    if not isinstance(address, IPv4Address):
        raise ValueError("an IPv4 address was expected")
    return address


Ipv4Address = Annotated[IpAddressText, AfterValidator(_ipv4)]
VsiUuid = Annotated[str, PlainValidator(_uuid), WithJsonSchema({"type": "string"})]


class SwitchSection(Strict):
    """A switch; a link is written at one of its ends or at both.

    Attributes:
        rack: of the switch of one server: the switch that it hangs on.
    """

    links: list[PlainName] = Field(default_factory=list)
    rack: PlainName | None = None


class NodeSection(Strict):
    """A hypervisor: where it hangs, and what fits."""

    switch: PlainName
    power: PlainName | None = None
    slots: Positive
    memory_mib: Positive


class GroupSection(Strict):
    """VMs of one purpose; they are spread anyway, and never share what is in ``apart``."""

    apart: list[LevelText] = Field(default_factory=list)


class ApplianceSection(Strict):
    """An appliance that serves VMs and is no VM: a proxy, a load balancer, a router."""

    switches: Annotated[list[PlainName], Field(min_length=1)]


class Traffic(Strict):
    """Traffic of ``evbridge vcm run`` between a VM and an end system, ``host``; a port that is null sends nothing."""

    host: PlainName = "client"
    udp: PortNumber | None = 443
    tcp: PortNumber | None = 80
    blocked: PortNumber | None = 5002


class DatastoreSection(Strict):
    """Storage: the nodes that reach it, its capacity, and the rate at which disks are copied to it and from it."""

    nodes: Annotated[list[PlainName], Field(min_length=1)]
    capacity_gib: Positive
    copy_mib_s: Annotated[float, Field(gt=0, le=1_000_000)] | None = None


class DiskSection(Strict):
    """A VM's disk; ``copied``: to a datastore of the new node, if that does not reach this one."""

    datastore: PlainName
    gib: Positive
    copied: bool = False
    dirty_mib_s: Annotated[float, Field(ge=0, le=1_000_000)] = 0.0


class FirewallSection(Strict):
    """A firewall of ``evbridge vcm run`` in a VM: TCP and UDP ports of the VMs that need it, which it lets through."""

    tcp: list[PortNumber] = Field(default_factory=list)
    udp: list[PortNumber] = Field(default_factory=list)


class InterfaceSection(Strict):
    """A network interface of a VM: a VSI."""

    mac: MacText
    addresses: list[IpAddressText] = Field(default_factory=list)
    vlan: VlanId | None = None
    group_id: Annotated[int, Field(ge=0, le=0xFFFFFFFF)] | None = None
    type: Annotated[int, Field(ge=0, le=0xFFFFFF)]
    version: Annotated[int, Field(ge=0, le=0xFF)]
    vsi: VsiUuid | None = None


class FurtherInterfaceSection(InterfaceSection):
    """Another interface of a VM; ``run`` sends traffic over it if it has some."""

    traffic: Traffic | None = None


class VmSection(InterfaceSection):
    """A VM: where it is, its network interfaces, the first one here, its size, group and purpose, and what it needs."""

    at: PlainName
    interfaces: list[FurtherInterfaceSection] = Field(default_factory=list)
    slots: WholeNumber = 1
    memory_mib: Positive
    dirty_mib_s: Annotated[float, Field(ge=0, le=1_000_000)] = 0.0
    disk: DiskSection | None = None
    group: PlainName | None = None
    purpose: Literal["infrastructure", "appliance", "application"] | None = None
    needs: dict[PlainName, Literal["reachable", "local"]] = Field(default_factory=dict)
    traffic: Traffic = Traffic()
    firewall: FirewallSection | None = None


class ClusterSection(Strict):
    """The cluster that ``evbridge vcm run`` builds.

    Attributes:
        topology: a module of topologies/, or a Python or YAML file relative to the inventory.
        parameters: of the topology, besides ``n``; a YAML file has neither.
        hosts: addresses of end systems, where the topology has none or others.
        copy_mib_s: rate at which memory is copied, in rounds; None: a copy takes a fixed time.
        downtime_ms: time in which the last pages have to be sent.
        appliances: as in evbridge.yaml, in place of those of a fabric's file; firewalls in VMs are routers of them.
        nms: file of ``evbridge nms serve``, relative to the inventory, with the bridge at http://127.0.0.1:8080.
    """

    topology: str = "two_switch"
    n: Positive | None = None
    parameters: dict[PlainName, WholeNumber] = Field(default_factory=dict)
    hosts: dict[PlainName, Ipv4Address] = Field(default_factory=dict)
    appliances: dict[PlainName, service_sections.ApplianceSection] = Field(default_factory=dict)
    max_rules: dict[PlainName, WholeNumber] = Field(default_factory=dict)
    policies: list[str] | None = None
    copy_mib_s: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    downtime_ms: Annotated[float, Field(ge=0, le=10_000)] = 50.0
    nms: str | None = None


class NmsSection(Strict):
    """An NMS whose components moves wait for: its name of the bridge, the steps, and seconds for each."""

    bridge: PlainName
    steps: Annotated[list[Literal["stage", "activate", "fix-up", "release"]], Field(min_length=1)] | None = None
    deadline: Annotated[float, Field(gt=0, le=3600, strict=False)] = 30.0


class InventoryFile(Strict):
    """The whole file.

    Attributes:
        nms: None: moves wait for no component.
        policies: goals that start by themselves.
        ovf: files, directories and URLs of descriptors; a virtual system describes the VM of its name.
    """

    version: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64)]
    description: str = ""
    switches: Annotated[dict[PlainName, SwitchSection], Field(min_length=1)]
    nodes: Annotated[dict[PlainName, NodeSection], Field(min_length=1)]
    groups: dict[PlainName, GroupSection] = Field(default_factory=dict)
    appliances: dict[PlainName, ApplianceSection] = Field(default_factory=dict)
    datastores: dict[PlainName, DatastoreSection] = Field(default_factory=dict)
    vms: dict[PlainName, VmSection]
    ovf: list[str] = Field(default_factory=list)
    policies: dict[PlainName, OperatorPolicySection] = Field(default_factory=dict)
    nms: NmsSection | None = None
    cluster: ClusterSection = ClusterSection()
