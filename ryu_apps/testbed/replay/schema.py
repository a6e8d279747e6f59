"""Scenario files as they are written: cluster, VMs, flows and migrations."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ryu_apps.evb.config.service_sections import ApplianceSection, LoadBalancerSection
from ryu_apps.evb.config.values import RelayText
from ryu_apps.evb.policy.loader import MAX_ACL_RULES
from ryu_apps.evb.policy.validate import Strict
from ryu_apps.testbed.measurement.verdict import Expectation
from ryu_apps.vcm.memory_copy import CopyPlan, CopySettings, copy_of_span, plan_copy
from ryu_apps.vcm.move_events import LIVE_LADDERS, Ladder

_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}\Z")


# A function, since on Python 3.13 an enumeration does not look like one of a single argument.
def _ladder(value: object) -> Ladder:
    for ladder in LIVE_LADDERS:
        if value in (ladder, ladder.value):
            return ladder
    words = ", ".join(ladder.value for ladder in LIVE_LADDERS)
    raise ValueError(f"one of {words} was expected, not {value!r}")


def _mac(text: str) -> str:
    if not _MAC.match(text.lower()):
        raise ValueError("a MAC address was expected, such as 52:54:00:aa:00:01")
    return text.lower()


def _ip(text: str) -> str:
    return str(IPv4Address(text))


def _ip6(text: str) -> str:
    address = IPv6Address(text)
    if address.is_multicast or address.is_link_local or address.is_unspecified:
        raise ValueError(f"{text} is no unicast address beyond one link")
    return str(address)


def _group(text: str) -> str:
    if not IPv4Address(text).is_multicast:
        raise ValueError(f"{text} is not a multicast group")
    return text


GroupText = Annotated[str, AfterValidator(_group)]
MacAsText = Annotated[str, AfterValidator(_mac)]
Ip = Annotated[str, AfterValidator(_ip)]
Ip6 = Annotated[str, AfterValidator(_ip6)]


class HypervisorSpec(Strict):
    """The edge of a hypervisor, and reflective relay at its port.

    Attributes:
        edge: ``vepa``, which sends every frame to the bridge; ``veb``, which bridges between its VMs itself.
        request: the station requests reflective relay; None: as the edge needs it.
        reflective_relay: of the port, as in evbridge.yaml; None: as the topology has it.
    """

    edge: Literal["vepa", "veb"] = "vepa"
    request: bool | None = None
    reflective_relay: RelayText | None = None

    @property
    def requests(self) -> bool:
        """True if the station requests reflective relay."""
        return self.edge == "vepa" if self.request is None else self.request


class BalancerSpec(Strict):
    """A load balancer in hardware: an end system that hands TCP connections to VMs, from the addresses of the clients.

    It is a router of one of ``cluster.appliances``, through which the types of the VMs send what they answer.
    """

    port: Annotated[int, Field(ge=1, le=65535)]
    backends: Annotated[list[str], Field(min_length=1)]


class FirewallSpec(Strict):
    """A firewall in a VM: a router that is an instance of one of ``cluster.appliances``.

    Attributes:
        between: VM -> other end (an end system or a VM): pairs whose traffic the type of the VM sends through it.
        tcp, udp: ports that it lets through.
    """

    between: Annotated[dict[str, str], Field(min_length=1)]
    tcp: list[Annotated[int, Field(ge=1, le=65535)]] = Field(default_factory=list)
    udp: list[Annotated[int, Field(ge=1, le=65535)]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _lets_something_through(self) -> FirewallSpec:
        if not self.tcp and not self.udp:
            raise ValueError("tcp or udp was expected: a firewall that lets nothing through needs no VM")
        return self


class LinkSpec(Strict):
    """Bandwidth and delay of a link, in each direction.

    Attributes:
        rate_mbit: megabits a second; None: no limit.
        delay_ms: milliseconds; 0: none.
    """

    rate_mbit: Annotated[float, Field(ge=0.1, le=100_000)] | None = None
    delay_ms: Annotated[float, Field(ge=0, le=10_000)] = 0.0


class ClusterSpec(Strict):
    """Topology, and settings of the controller that differ from its defaults.

    Attributes:
        topology: a module of topologies/, or a Python or YAML file relative to the scenario.
        parameters: of the topology, besides ``n`` and ``proxies``; a YAML file has none.
        hosts: addresses of end systems, where the topology has none or others.
        hosts6: IPv6 addresses of end systems, in a /64.
        station: of each hypervisor: lldpad, or ``evbridge station``.
        links: by the device at a port, or by two switches, ``s1-s2``: those that are not as fast as the machine.
        hypervisors: those that differ from a VEPA by agreement.
        balancers: end systems that are load balancers in hardware.
        appliances: as in evbridge.yaml, of VMs that are firewalls and of balancers.
        nms: ``evbridge nms serve`` runs on the host ``nms``, and REST has TLS and tokens.
        rules: ACL rules towards the VM of each VSI type in use, see ``filled_types``; None: as the types have them.
    """

    topology: str = "two_switch"
    n: Annotated[int, Field(ge=1)] | None = None
    proxies: bool = False
    parameters: dict[str, int] = Field(default_factory=dict)
    hosts: dict[str, Ip] = Field(default_factory=dict)
    hosts6: dict[str, Ip6] = Field(default_factory=dict)
    station: Literal["lldpad", "evbridge"] = "lldpad"
    links: dict[str, LinkSpec] = Field(default_factory=dict)
    hypervisors: dict[str, HypervisorSpec] = Field(default_factory=dict)
    load_balancers: dict[str, LoadBalancerSection] = Field(default_factory=dict)
    balancers: dict[str, BalancerSpec] = Field(default_factory=dict)
    appliances: dict[str, ApplianceSection] = Field(default_factory=dict)
    max_rules: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    nms: bool = False
    policies: list[str] | None = None
    rules: Annotated[int, Field(ge=1, le=MAX_ACL_RULES)] | None = None


class VmSpec(Strict):
    """A VM: where it starts, its addresses, its VSI type.

    Attributes:
        ip6: IPv6 address; None: the VM has none.  lldpad does not tell it to the bridge, ``evbridge station`` does.
        vlan: VID; None: a null VID is requested, and the bridge answers that of the VSI type.
        firewall: it is one; None: it is none.
    """

    at: str
    mac: MacAsText
    ip: Ip
    ip6: Ip6 | None = None
    type: Annotated[int, Field(ge=0, le=0xFFFFFF)]
    version: Annotated[int, Field(ge=0, le=0xFF)]
    vlan: Annotated[int, Field(ge=1, le=4094)] | None = 100
    firewall: FirewallSpec | None = None


class FlowSpec(Strict):
    """Traffic between a VM and another end; see ``harness.probes.Flow``.

    Attributes:
        host: the other end: an end system, or another VM.
        address: destination of the end system, if it is not the VM: a load balancer that has this back end only.
        ipv6: between the IPv6 addresses of both ends.
    """

    proto: Literal["udp", "tcp"]
    host: str = "client"
    vm: str
    port: Annotated[int, Field(ge=1, le=65535)]
    interval_ms: Annotated[float, Field(gt=0)] = 1.0
    group: GroupText | None = None
    address: Ip | None = None
    ipv6: bool = False
    expect: Literal["pass", "block"] = "pass"


class MemorySpec(Strict):
    """Memory of a VM that is copied in rounds: MiB, rates in MiB/s, and the time that its last pages may take."""

    mib: Annotated[float, Field(gt=0, le=1_000_000)]
    mib_s: Annotated[float, Field(gt=0, le=1_000_000)]
    dirty_mib_s: Annotated[float, Field(ge=0, le=1_000_000)] = 0.0
    downtime_ms: Annotated[float, Field(ge=0, le=10_000)] = 50.0


class MigrationSpec(Strict):
    """One move; they are done one after the other.

    Attributes:
        copy_ms: how long the memory copy takes while the VM still runs at the source.
        memory: in place of ``copy_ms``: what is copied, in rounds.
        abort: cancel once the destination has reserved.
    """

    vm: str
    to: str
    ladder: Annotated[Ladder, BeforeValidator(_ladder)]
    copy_ms: Annotated[float, Field(ge=0)] = 300.0
    memory: MemorySpec | None = None
    abort: bool = False
    expect: Expectation = Expectation()

    @property
    def copy_plan(self) -> CopyPlan:
        """Rounds of copying the memory, and the last pages."""
        if self.memory is None:
            return copy_of_span(self.copy_ms / 1000.0)
        settings = CopySettings(self.memory.mib_s, self.memory.downtime_ms / 1000.0)
        return plan_copy(self.memory.mib, self.memory.dirty_mib_s, settings)


class ScenarioFile(Strict):
    """A scenario file as it is written."""

    version: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    description: str = ""
    cluster: ClusterSpec = ClusterSpec()
    vms: Annotated[dict[str, VmSpec], Field(min_length=1)]
    flows: dict[str, FlowSpec] = Field(default_factory=dict)
    migrations: Annotated[list[MigrationSpec], Field(min_length=1)]
