"""Load balancers in evbridge.yaml: checks, conversion, and writing."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from ryu_apps.evb.config.schema import ConfigFile
from ryu_apps.evb.config.service_sections import BackendSection as WrittenBackend
from ryu_apps.evb.config.service_sections import BalancerTimeouts
from ryu_apps.evb.config.service_sections import LoadBalancerSection as Written
from ryu_apps.evb.config.switch_sections import HostSection
from ryu_apps.evb.config.text import flow_list, flow_map, quoted
from ryu_apps.evb.policy.document import Finding, Path
from ryu_apps.evb.topology.balancer import MOST_BALANCERS, Backend, LoadBalancer, TransportProtocol
from ryu_apps.evb.topology.numbering import numbers_of
from ryu_apps.evb.wire.mac import mac_to_text

#: Default seconds without a frame until an established connection expires.
_IDLE = {TransportProtocol.TCP: 3600, TransportProtocol.UDP: 60}


# --- checks -------------------------------------------------------------------------------------
def odd_balancers(parsed: ConfigFile) -> Iterator[Finding]:
    """Findings: services with the same address and port, addresses in use, unreachable back ends."""
    services: dict[tuple[object, ...], str] = {}
    macs: dict[tuple[int, object], tuple[str, int]] = {}
    for name, balancer in parsed.load_balancers.items():
        here: Path = ("load_balancers", name)
        for index, address in enumerate(balancer.addresses):
            place = (*here, "addresses", index)
            first = services.setdefault((balancer.vlan, address, balancer.protocol, balancer.port), name)
            if first != name or address in balancer.addresses[:index]:
                yield place, f"{address} {balancer.protocol} port {balancer.port} is already the service of {first}"
            other, mac = macs.setdefault((balancer.vlan, address), (name, balancer.mac))
            if mac != balancer.mac:
                yield (*here, "mac"), f"{address} has the MAC address {mac_to_text(mac)} in {other}"
        yield from _taken(parsed, here, balancer)
        yield from _odd_backends(here, balancer)


def _taken(parsed: ConfigFile, here: Path, balancer: Written) -> Iterator[Finding]:
    """Findings: the load balancer's MAC address is that of a host or a back end in its VLAN."""
    for dp_name, dp in parsed.dps.items():
        for port_no, host in dp.interfaces.items():
            if (
                isinstance(host, HostSection)
                and balancer.mac in host.macs
                and balancer.vlan in (host.native_vlan, *host.tagged_vlans)
            ):
                yield (*here, "mac"), f"{mac_to_text(balancer.mac)} is the address of port {port_no} of {dp_name}"
    for name, other in parsed.load_balancers.items():
        for backend in other.backends if other.vlan == balancer.vlan else ():
            if other.backends[backend].mac == balancer.mac:
                yield (*here, "mac"), f"{mac_to_text(balancer.mac)} is the address of back end {backend} of {name}"


def _odd_backends(here: Path, balancer: Written) -> Iterator[Finding]:
    seen: dict[tuple[object, int], str] = {}
    for name, backend in balancer.backends.items():
        for index, address in enumerate(backend.addresses):
            place = (*here, "backends", name, "addresses", index)
            if address in balancer.addresses:
                yield place, f"{address} is the address of the load balancer itself"
            first = seen.setdefault((address, backend.port or balancer.port), name)
            if first != name or address in backend.addresses[:index]:
                yield place, f"{address} port {backend.port or balancer.port} is already back end {first}"
    served = {address.version for backend in balancer.backends.values() for address in backend.addresses}
    for index, address in enumerate(balancer.addresses):
        if address.version not in served:
            yield (*here, "addresses", index), f"no back end has an IPv{address.version} address"


# --- conversion and writing ---------------------------------------------------------------------
def balancers(written: dict[str, Written]) -> tuple[LoadBalancer, ...]:
    """The load balancers, in the order of their names."""
    numbers = numbers_of(written, MOST_BALANCERS)
    return tuple(_balancer(numbers[name], name, section) for name, section in sorted(written.items()))


def _balancer(number: int, name: str, section: Written) -> LoadBalancer:
    protocol = TransportProtocol(section.protocol)
    return LoadBalancer(
        number,
        name,
        section.vlan,
        section.mac,
        tuple(section.addresses),
        protocol,
        section.port,
        tuple(_backend(section, *named) for named in section.backends.items()),
        section.max_connections,
        section.timeouts.opening,
        section.timeouts.idle or _IDLE[protocol],
        section.timeouts.closing,
    )


def _backend(balancer: Written, name: str, section: WrittenBackend) -> Backend:
    return Backend(name, section.mac, tuple(section.addresses), section.port or balancer.port, section.weight)


def balancer_lines(found: tuple[LoadBalancer, ...]) -> Iterator[str]:
    """The lines of the file for these load balancers."""
    if found:
        yield "load_balancers:"
    for balancer in found:
        yield f"  {quoted(balancer.name)}:"
        yield f"    vlan: {balancer.vid}"
        yield f"    mac: {quoted(mac_to_text(balancer.mac))}"
        yield f"    addresses: {_addresses(balancer.addresses)}"
        yield f"    protocol: {balancer.protocol.value}"
        yield f"    port: {balancer.port}"
        yield f"    max_connections: {balancer.max_connections}"
        times = {name: getattr(balancer, name) for name in BalancerTimeouts.model_fields}
        yield f"    timeouts: {flow_map(times)}"
        yield "    backends:"
        for backend in balancer.backends:
            yield f"      {quoted(backend.name)}: {flow_map(_written(backend))}"


def _written(backend: Backend) -> dict[str, object]:
    return {
        "mac": quoted(mac_to_text(backend.mac)),
        "addresses": _addresses(backend.addresses),
        "port": backend.port,
        "weight": backend.weight,
    }


def _addresses(found: tuple[IPv4Address | IPv6Address, ...]) -> str:
    return flow_list([quoted(str(address)) for address in found])
