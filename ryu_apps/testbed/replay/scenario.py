"""Scenarios: cluster, VMs, flows and migrations of a file, checked as strictly as a policy.

``load_scenario`` returns plain values, or raises with a list of mistakes and their lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from ryu_apps.evb.policy.diagnostic import Diagnostic, error, in_reading_order
from ryu_apps.evb.policy.document import Document, read_document
from ryu_apps.evb.policy.validate import validate
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.links import names_of_links
from ryu_apps.testbed.harness.probes import Flow
from ryu_apps.testbed.harness.station import VdptoolVsi
from ryu_apps.testbed.replay.filled_types import FilledTypes, FillingError, fill
from ryu_apps.testbed.replay.schema import ClusterSpec, FlowSpec, ScenarioFile, VmSpec
from ryu_apps.testbed.site import Site, SiteError, misfits, policies_of, site_of

_AS_WRITTEN: Mapping[str, object] = {}


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
        filled: the VSI types in the place of those, if ``cluster.rules`` fills them up; else None.
        flows: ready for the probers.
        vsis: the VSI of each VM, by VM name.
    """

    file: ScenarioFile
    site: Site
    policies: tuple[str, ...]
    filled: FilledTypes | None
    flows: tuple[Flow, ...]
    vsis: dict[str, VdptoolVsi]


def load_scenario(path: Path, given: Mapping[str, object] = _AS_WRITTEN) -> Scenario:
    """Read and check a scenario.

    Args:
        given: values in place of attributes of ``cluster``.

    Raises:
        ScenarioError: it has mistakes.
        OSError: it cannot be read.
    """
    return check_scenario(read_document(str(path), path.read_text(encoding="utf-8")), path, given)


def check_scenario(document: Document, path: Path, given: Mapping[str, object] = _AS_WRITTEN) -> Scenario:
    """Check a scenario that has been read from a file, to whose folder its paths are relative.

    Args:
        given: values in place of attributes of ``cluster``.

    Raises:
        ScenarioError: it has mistakes.
    """
    if document.data is None:
        raise ScenarioError(document.diagnostics)
    parsed, found = validate(ScenarioFile, document)
    found += document.diagnostics
    if parsed is not None and given:
        parsed = parsed.model_copy(update={"cluster": parsed.cluster.model_copy(update=given)})
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
    policies = policies_of(parsed.cluster.topology, parsed.cluster.policies, path.parent)
    try:
        filled = _filled(parsed, policies)
    except FillingError as problem:
        raise ScenarioError([error(str(path), document.value_place(("cluster", "rules")), str(problem))]) from None
    return Scenario(
        parsed,
        site,
        policies,
        filled,
        tuple(_flow(name, spec) for name, spec in parsed.flows.items()),
        {name: _vsi(parsed.name, name, spec) for name, spec in parsed.vms.items()},
    )


def _filled(parsed: ScenarioFile, policies: tuple[str, ...]) -> FilledTypes | None:
    if parsed.cluster.rules is None:
        return None
    return fill(policies, {(vm.type, vm.version) for vm in parsed.vms.values()}, parsed.cluster.rules)


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
        for attribute in ("address", "group") if flow.ipv6 else ():
            if getattr(flow, attribute):
                yield ("flows", name, attribute), "an IPv4 address, of a flow over IPv6"
    for name, hypervisor in cluster.hypervisors.items():
        if cluster.station == "evbridge" and not hypervisor.requests:
            yield ("cluster", "hypervisors", name), "evbridge station always requests reflective relay"
    users: list[Stray] = [(("flows", name, "vm"), flow.vm) for name, flow in parsed.flows.items()]
    users += [(("migrations", number, "vm"), move.vm) for number, move in enumerate(parsed.migrations)]
    for name, balancer in cluster.balancers.items():
        users += [(("cluster", "balancers", name, "backends", n), vm) for n, vm in enumerate(balancer.backends)]
    routers = _routers(parsed)
    for name, spec in parsed.vms.items():
        between = {} if spec.firewall is None else spec.firewall.between
        if spec.firewall is not None and spec.mac not in map(mac_to_text, routers):
            yield ("vms", name, "firewall"), f"no router of cluster.appliances has the address {spec.mac}"
        users += [(("vms", name, "firewall", "between", vm), vm) for vm in between]
        for vm, peer in between.items():
            if len({name, vm, peer}) < 3:
                yield ("vms", name, "firewall", "between", vm), "a firewall is between two others"
    for place, vm in users:
        if vm not in parsed.vms:
            yield place, f"there is no VM {vm!r}"
    sockets: set[tuple[str, str, int, bool]] = set()
    for name, flow in parsed.flows.items():
        if flow.host == flow.vm:
            yield ("flows", name, "host"), "a flow has two ends"
        socket = flow.vm, flow.proto, flow.port, flow.ipv6
        if socket in sockets:
            yield ("flows", name, "port"), f"another flow has {flow.proto} port {flow.port} of {flow.vm}"
        sockets.add(socket)


def _routers(parsed: ScenarioFile) -> set[int]:
    """The addresses of the routers among the appliances."""
    sections = parsed.cluster.appliances.values()
    return {instance.mac for section in sections for instance in section.instances.values() if instance.mac is not None}


def _macs_of(site: Site, host: str) -> set[int]:
    interfaces = (each for switch in site.config.fabric.switches.values() for each in switch.interfaces.values())
    return {mac for interface in interfaces if interface.name == host for mac in interface.macs}


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
    routers = _routers(parsed)
    for name in parsed.cluster.hosts:
        if name not in hosts:
            yield ("cluster", "hosts", name), f"there is no end system {name!r}"
    for name in parsed.cluster.balancers:
        if not hosts.get(name):
            yield ("cluster", "balancers", name), f"there is no end system {name!r} with an address"
        elif not routers & _macs_of(site, name):
            yield ("cluster", "balancers", name), f"no router of cluster.appliances has an address of {name}"
    for name, vm in parsed.vms.items():
        for other, peer in () if vm.firewall is None else vm.firewall.between.items():
            if peer not in parsed.vms and not hosts.get(peer):
                place = ("vms", name, "firewall", "between", other)
                yield place, f"there is no VM {peer!r}, and no end system of that name with an address"
    if parsed.cluster.nms and "nms" not in hosts:
        yield ("cluster", "nms"), "there is no end system 'nms'"
    for name in parsed.cluster.hosts6:
        if name not in hosts:
            yield ("cluster", "hosts6", name), f"there is no end system {name!r}"
    links = {name for name, _ in names_of_links(site.config.fabric)}
    for name in parsed.cluster.links:
        if name not in links:
            yield ("cluster", "links", name), f"there is no link {name!r}; there are: {', '.join(sorted(links))}"
    with_ipv6 = {*parsed.cluster.hosts6, *(name for name, vm in parsed.vms.items() if vm.ip6)}
    for name, flow in parsed.flows.items():
        if flow.ipv6 and (missing := [end for end in (flow.vm, flow.host) if end not in with_ipv6]):
            yield ("flows", name, "ipv6"), f"{missing[0]} has no IPv6 address: ip6 of a VM, cluster.hosts6"
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
        ipv6=spec.ipv6,
    )


def _vsi(scenario: str, name: str, spec: VmSpec) -> VdptoolVsi:
    uuid = str(uuid5(NAMESPACE_URL, f"{scenario}/{name}"))
    return VdptoolVsi(uuid, spec.type, spec.version, (f"{spec.vlan or 0}-{spec.mac}",), spec.ip, ip6=spec.ip6)
