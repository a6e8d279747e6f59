"""Scenario files: cluster, VMs, flows and migrations, checked as strictly as a policy.

``load_scenario`` returns plain values, or raises with a list of mistakes and their lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import NAMESPACE_URL, uuid5

from pydantic import AfterValidator, BeforeValidator, Field

from ryu_apps.evb.config.schema import LoadBalancerSection, RelayText
from ryu_apps.evb.policy.diagnostic import Diagnostic, error, in_reading_order
from ryu_apps.evb.policy.document import read_document
from ryu_apps.evb.policy.validate import Strict, validate
from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.probes import Flow
from ryu_apps.testbed.harness.station import VdptoolVsi
from ryu_apps.testbed.measurement.verdict import Expectation
from ryu_apps.testbed.site import Site, SiteError, misfits, policies_of, site_of
from ryu_apps.vcm.move import LIVE_LADDERS, Ladder

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


def _group(text: str) -> str:
    if not IPv4Address(text).is_multicast:
        raise ValueError(f"{text} is not a multicast group")
    return text


GroupText = Annotated[str, AfterValidator(_group)]
MacAsText = Annotated[str, AfterValidator(_mac)]
Ip = Annotated[str, AfterValidator(_ip)]


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


class ClusterSpec(Strict):
    """Topology, and settings of the controller that differ from its defaults.

    Attributes:
        topology: a module of topologies/, or a Python or YAML file relative to the scenario.
        parameters: of the topology, besides ``n`` and ``proxies``; a YAML file has none.
        hosts: addresses of end systems, where the topology has none or others.
        hypervisors: those that differ from a VEPA by agreement.
    """

    topology: str = "two_switch"
    n: Annotated[int, Field(ge=1)] | None = None
    proxies: bool = False
    parameters: dict[str, int] = Field(default_factory=dict)
    hosts: dict[str, Ip] = Field(default_factory=dict)
    hypervisors: dict[str, HypervisorSpec] = Field(default_factory=dict)
    load_balancers: dict[str, LoadBalancerSection] = Field(default_factory=dict)
    max_rules: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    policies: list[str] | None = None


class VmSpec(Strict):
    """A VM: where it starts, its addresses, its VSI type.

    Attributes:
        vlan: VID; None: a null VID is requested, and the bridge answers that of the VSI type.
    """

    at: str
    mac: MacAsText
    ip: Ip
    type: Annotated[int, Field(ge=0, le=0xFFFFFF)]
    version: Annotated[int, Field(ge=0, le=0xFF)]
    vlan: Annotated[int, Field(ge=1, le=4094)] | None = 100


class FlowSpec(Strict):
    """Traffic between a VM and another end; see ``harness.probes.Flow``.

    Attributes:
        host: the other end: an end system, or another VM.
        address: destination of the end system, if it is not the VM: a load balancer that has this back end only.
    """

    proto: Literal["udp", "tcp"]
    host: str = "client"
    vm: str
    port: Annotated[int, Field(ge=1, le=65535)]
    interval_ms: Annotated[float, Field(gt=0)] = 1.0
    group: GroupText | None = None
    address: Ip | None = None
    expect: Literal["pass", "block"] = "pass"


class MigrationSpec(Strict):
    """One move; they are done one after the other.

    Attributes:
        copy_ms: how long the memory copy takes while the VM still runs at the source.
        abort: cancel once the destination has reserved.
    """

    vm: str
    to: str
    ladder: Annotated[Ladder, BeforeValidator(_ladder)]
    copy_ms: Annotated[float, Field(ge=0)] = 300.0
    abort: bool = False
    expect: Expectation = Expectation()


class ScenarioFile(Strict):
    """A scenario file as it is written."""

    version: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    description: str = ""
    cluster: ClusterSpec = ClusterSpec()
    vms: Annotated[dict[str, VmSpec], Field(min_length=1)]
    flows: dict[str, FlowSpec] = Field(default_factory=dict)
    migrations: Annotated[list[MigrationSpec], Field(min_length=1)]


class ScenarioError(TestbedError):
    """A scenario file cannot be used; the text lists every mistake as ``file:line:column: reason``."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        super().__init__("\n".join(map(str, diagnostics)))


@dataclass(frozen=True, slots=True)
class Scenario:
    """A checked scenario.

    Attributes:
        file: as written.
        site: its cluster.
        policies: absolute paths of the VSI types.
        flows: ready for the probers.
        vsis: the VSI of each VM, by VM name.
    """

    file: ScenarioFile
    site: Site
    policies: tuple[str, ...]
    flows: tuple[Flow, ...]
    vsis: dict[str, VdptoolVsi]


def load_scenario(path: Path) -> Scenario:
    """Read and check a scenario.

    Raises:
        ScenarioError: it has mistakes.
        OSError: it cannot be read.
    """
    document = read_document(str(path), path.read_text(encoding="utf-8"))
    if document.data is None:
        raise ScenarioError(document.diagnostics)
    parsed, found = validate(ScenarioFile, document)
    found += document.diagnostics
    site = None
    if parsed is not None:
        strays = list(_strays(parsed))
        try:
            site = _site(parsed.cluster, path.parent)
            strays += _lost(parsed, site)
        except SiteError as problem:
            found += problem.diagnostics
            strays.append((("cluster", "topology"), str(problem)))
        found += [error(str(path), document.value_place(place), reason) for place, reason in strays]
    if parsed is None or site is None or found:
        raise ScenarioError(in_reading_order(found))
    return Scenario(
        parsed,
        site,
        policies_of(parsed.cluster.topology, parsed.cluster.policies, path.parent),
        tuple(_flow(name, spec) for name, spec in parsed.flows.items()),
        {name: _vsi(parsed.name, name, spec) for name, spec in parsed.vms.items()},
    )


def _site(spec: ClusterSpec, folder: Path) -> Site:
    own = {"n": spec.n, "proxies": 1 if spec.proxies else None}
    given = {name: number for name, number in own.items() if number is not None}
    return site_of(spec.topology, given | spec.parameters, spec.hosts, folder)


Stray = tuple[tuple[Any, ...], str]


def _strays(parsed: ScenarioFile) -> Iterator[Stray]:
    """Names and attributes that are wrong in every cluster."""
    cluster = parsed.cluster
    for name in cluster.parameters:
        if name in ("n", "proxies"):
            yield ("cluster", "parameters", name), f"{name} has an attribute of its own: cluster.{name}"
    for name, reason in misfits(cluster.topology, cluster.model_fields_set).items():
        yield ("cluster", name), reason
    for name, flow in parsed.flows.items():
        if flow.address and flow.proto != "tcp":
            yield ("flows", name, "address"), "only TCP may have an address: of UDP both ends send"
    users: list[Stray] = [(("flows", name, "vm"), flow.vm) for name, flow in parsed.flows.items()]
    users += [(("migrations", number, "vm"), move.vm) for number, move in enumerate(parsed.migrations)]
    for place, vm in users:
        if vm not in parsed.vms:
            yield place, f"there is no VM {vm!r}"
    sockets: set[tuple[str, str, int]] = set()
    for name, flow in parsed.flows.items():
        if flow.host == flow.vm:
            yield ("flows", name, "host"), "a flow has two ends"
        if (flow.vm, flow.proto, flow.port) in sockets:
            yield ("flows", name, "port"), f"another flow has {flow.proto} port {flow.port} of {flow.vm}"
        sockets.add((flow.vm, flow.proto, flow.port))


def _lost(parsed: ScenarioFile, site: Site) -> Iterator[Stray]:
    """Names that are not in this cluster."""
    places: list[Stray] = [(("vms", name, "at"), vm.at) for name, vm in parsed.vms.items()]
    places += [(("migrations", number, "to"), move.to) for number, move in enumerate(parsed.migrations)]
    for place, hypervisor in places:
        if hypervisor not in site.hypervisors:
            yield place, f"there is no hypervisor {hypervisor!r}"
    for name in parsed.cluster.hypervisors:
        if name not in site.hypervisors:
            yield ("cluster", "hypervisors", name), f"there is no hypervisor {name!r}"
    switches = {switch.name for switch in site.config.fabric.switches.values()}
    for name in parsed.cluster.max_rules:
        if name not in switches:
            yield ("cluster", "max_rules", name), f"there is no switch {name!r}"
    hosts = {host.name: host.ip for host in site.hosts}
    for name in parsed.cluster.hosts:
        if name not in hosts:
            yield ("cluster", "hosts", name), f"there is no end system {name!r}"
    for name, flow in parsed.flows.items():
        if flow.host in parsed.vms:
            continue
        if flow.host not in hosts:
            yield ("flows", name, "host"), f"there is no end system or VM {flow.host!r}"
        elif not hosts[flow.host]:
            yield ("flows", name, "host"), f"{flow.host} has no address: cluster.hosts may give it one"


def _flow(name: str, spec: FlowSpec) -> Flow:
    return Flow(
        name,
        spec.proto,
        spec.host,
        spec.vm,
        spec.port,
        spec.interval_ms / 1000.0,
        spec.expect == "pass",
        spec.group or "",
        spec.address or "",
    )


def _vsi(scenario: str, name: str, spec: VmSpec) -> VdptoolVsi:
    uuid = str(uuid5(NAMESPACE_URL, f"{scenario}/{name}"))
    return VdptoolVsi(uuid, spec.type, spec.version, (f"{spec.vlan or 0}-{spec.mac}",), spec.ip)
