"""Load balancers in evbridge.yaml: what contradicts itself, what it comes to, and how it is written back."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from ryu_apps.evb.config.schema import BackendSection as WrittenBackend
from ryu_apps.evb.config.schema import BalancerTimeouts, ConfigFile, HostSection
from ryu_apps.evb.config.schema import LoadBalancerSection as Written
from ryu_apps.evb.config.text import flow_list, flow_map, quoted
from ryu_apps.evb.policy.document import Finding, Path
from ryu_apps.evb.topology.balancer import Backend, LoadBalancer, TransportProtocol
from ryu_apps.evb.wire.mac import mac_to_text

#: Seconds without a frame until a connection that stands is forgotten, unless the file says otherwise.
_IDLE = {TransportProtocol.TCP: 3600, TransportProtocol.UDP: 60}


# --- what contradicts itself --------------------------------------------------------------------
def odd_balancers(parsed: ConfigFile) -> Iterator[Finding]:
    """Services that could not be told apart, addresses that somebody has already, and back ends nobody can reach."""
    services: dict[tuple[object, ...], str] = {}
    macs: dict[tuple[int, object], tuple[str, int]] = {}
    for name, one in parsed.load_balancers.items():
        here: Path = ("load_balancers", name)
        for index, address in enumerate(one.addresses):
            place = (*here, "addresses", index)
            first = services.setdefault((one.vlan, address, one.protocol, one.port), name)
            if first != name or address in one.addresses[:index]:
                yield place, f"{address} {one.protocol} port {one.port} is already the service of {first}"
            other, mac = macs.setdefault((one.vlan, address), (name, one.mac))
            if mac != one.mac:
                yield (*here, "mac"), f"{address} has the address {mac_to_text(mac)} in {other}"
        yield from _taken(parsed, here, one)
        yield from _odd_backends(here, one)


def _taken(parsed: ConfigFile, here: Path, one: Written) -> Iterator[Finding]:
    """The MAC address is nobody's."""
    for dp_name, dp in parsed.dps.items():
        for port_no, host in dp.interfaces.items():
            if (
                isinstance(host, HostSection)
                and one.mac in host.macs
                and one.vlan in (host.native_vlan, *host.tagged_vlans)
            ):
                yield (*here, "mac"), f"{mac_to_text(one.mac)} is the address of port {port_no} of {dp_name}"
    for name, other in parsed.load_balancers.items():
        for backend in other.backends if other.vlan == one.vlan else ():
            if other.backends[backend].mac == one.mac:
                yield (*here, "mac"), f"{mac_to_text(one.mac)} is the address of back end {backend} of {name}"


def _odd_backends(here: Path, one: Written) -> Iterator[Finding]:
    seen: dict[tuple[object, int], str] = {}
    for name, backend in one.backends.items():
        for index, address in enumerate(backend.addresses):
            place = (*here, "backends", name, "addresses", index)
            if address in one.addresses:
                yield place, f"{address} is the address of the load balancer itself"
            first = seen.setdefault((address, backend.port or one.port), name)
            if first != name or address in backend.addresses[:index]:
                yield place, f"{address} port {backend.port or one.port} is already back end {first}"
    served = {address.version for backend in one.backends.values() for address in backend.addresses}
    for index, address in enumerate(one.addresses):
        if address.version not in served:
            yield (*here, "addresses", index), f"no back end has an IPv{address.version} address"


# --- the file's words to values, and back -------------------------------------------------------
def balancers(written: dict[str, Written]) -> tuple[LoadBalancer, ...]:
    """The load balancers, numbered in the order of their names."""
    return tuple(_balancer(number, name, one) for number, (name, one) in enumerate(sorted(written.items()), 1))


def _balancer(number: int, name: str, one: Written) -> LoadBalancer:
    protocol = TransportProtocol(one.protocol)
    return LoadBalancer(
        number,
        name,
        one.vlan,
        one.mac,
        tuple(one.addresses),
        protocol,
        one.port,
        tuple(_backend(one, *named) for named in one.backends.items()),
        one.max_connections,
        one.timeouts.opening,
        one.timeouts.idle or _IDLE[protocol],
        one.timeouts.closing,
    )


def _backend(balancer: Written, name: str, one: WrittenBackend) -> Backend:
    return Backend(name, one.mac, tuple(one.addresses), one.port or balancer.port, one.weight)


def balancer_lines(found: tuple[LoadBalancer, ...]) -> Iterator[str]:
    """The lines of the file that these come from."""
    if found:
        yield "load_balancers:"
    for one in found:
        yield f"  {quoted(one.name)}:"
        yield f"    vlan: {one.vid}"
        yield f"    mac: {quoted(mac_to_text(one.mac))}"
        yield f"    addresses: {_addresses(one.addresses)}"
        yield f"    protocol: {one.protocol.value}"
        yield f"    port: {one.port}"
        yield f"    max_connections: {one.max_connections}"
        times = {name: getattr(one, name) for name in BalancerTimeouts.model_fields}
        yield f"    timeouts: {flow_map(times)}"
        yield "    backends:"
        for backend in one.backends:
            yield f"      {quoted(backend.name)}: {flow_map(_written(backend))}"


def _written(one: Backend) -> dict[str, object]:
    return {
        "mac": quoted(mac_to_text(one.mac)),
        "addresses": _addresses(one.addresses),
        "port": one.port,
        "weight": one.weight,
    }


def _addresses(found: tuple[IPv4Address | IPv6Address, ...]) -> str:
    return flow_list([quoted(str(one)) for one in found])
