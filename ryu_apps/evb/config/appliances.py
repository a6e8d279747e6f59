"""Appliances in evbridge.yaml: checks, conversion, and writing."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.config.schema import ConfigFile
from ryu_apps.evb.config.service_sections import ApplianceSection, InstanceSection
from ryu_apps.evb.config.switch_sections import HostSection, PodPortSection
from ryu_apps.evb.config.text import flow_map, quoted
from ryu_apps.evb.policy.document import Finding, Path
from ryu_apps.evb.topology.appliance import MOST_APPLIANCES, Appliance, ApplianceInstance, Probing
from ryu_apps.evb.topology.numbering import numbers_of
from ryu_apps.evb.wire.mac import mac_to_text


def own_vids(section: ApplianceSection) -> Iterator[int]:
    """Yield the VIDs that nothing but an appliance may use."""
    if section.passed is not None:
        yield section.passed
    for instance in section.instances.values():
        yield from (vid for vid in (instance.inside, instance.outside) if vid is not None)


# --- checks -------------------------------------------------------------------------------------
def odd_appliances(parsed: ConfigFile) -> Iterator[Finding]:
    """Findings: instances of two kinds, VIDs and addresses that are in use, a load balancer in the VLAN of clients."""
    users: dict[int, str] = {}
    macs: dict[tuple[int, int], str] = {}
    for name, appliance in parsed.appliances.items():
        here: Path = ("appliances", name)
        yield from _odd_kinds(here, appliance)
        if next((True for found in parsed.load_balancers.values() if found.vlan == appliance.vlan), False):
            yield (*here, "vlan"), f"VLAN {appliance.vlan} has a load balancer, so no traffic in it can be led"
        for place, vid in _vids(here, appliance):
            if vid == appliance.vlan:
                yield place, f"VLAN {vid} is that of the clients"
            elif (first := users.setdefault(vid, str(place))) != str(place):
                yield place, f"VLAN {vid} is given twice"
            else:
                yield from _used_elsewhere(parsed, place, vid, is_leg=vid != appliance.passed)
        yield from _odd_hardware(parsed, here, appliance)
        for instance, section in appliance.instances.items():
            first = macs.setdefault((appliance.vlan, section.mac), instance) if section.mac else instance
            if first != instance:
                yield (*here, "instances", instance, "mac"), f"{mac_to_text(section.mac or 0)} is that of {first}"


def _odd_kinds(here: Path, appliance: ApplianceSection) -> Iterator[Finding]:
    routers = [name for name, instance in appliance.instances.items() if instance.mac is not None]
    if routers and len(routers) < len(appliance.instances):
        yield (*here, "instances"), "instances are all routers, or none is"
    elif routers and appliance.passed is not None:
        yield (*here, "passed"), "routers need no VLAN for what has passed"
    elif not routers and appliance.passed is None:
        yield here, "passed was expected: the VLAN of frames that have passed"
    for name in routers if appliance.probe is not None else ():
        if appliance.instances[name].address is None:
            yield (*here, "instances", name), "address was expected: a router that is probed is asked for it"


def _vids(here: Path, appliance: ApplianceSection) -> Iterator[tuple[Path, int]]:
    if appliance.passed is not None:
        yield (*here, "passed"), appliance.passed
    for name, instance in appliance.instances.items():
        for key in ("inside", "outside"):
            vid = getattr(instance, key)
            if vid is not None:
                yield (*here, "instances", name, key), vid


def _used_elsewhere(parsed: ConfigFile, place: Path, vid: int, is_leg: bool) -> Iterator[Finding]:
    for name, other in parsed.appliances.items():
        if other.vlan == vid:
            yield place, f"VLAN {vid} is that of clients of {name}"
    for name, balancer in parsed.load_balancers.items():
        if balancer.vlan == vid:
            yield place, f"VLAN {vid} is that of load balancer {name}"
    for port, section in _ports(parsed):
        if vid in _vlans(section) and not (is_leg and isinstance(section, HostSection)):
            yield place, f"VLAN {vid} is in use at {port}"


def _odd_hardware(parsed: ConfigFile, here: Path, appliance: ApplianceSection) -> Iterator[Finding]:
    """Findings: legs at two host ports, or one leg alone at one; routers whose port has not the VLAN of the clients."""
    for name, instance in appliance.instances.items():
        place = (*here, "instances", name)
        legs = {vid: _hosts_with(parsed, vid) for vid in (instance.inside, instance.outside) if vid is not None}
        for vid, ports in legs.items():
            if len(ports) > 1:
                yield place, f"VLAN {vid} is at {ports[0]} and at {ports[1]}: a leg has one port"
        missing = next((vid for vid, ports in legs.items() if not ports), None)
        if missing is not None and any(legs.values()):
            yield place, f"one leg is at a host port, and VLAN {missing} of the other one is at none"
        for port, section in _ports(parsed):
            is_there = isinstance(section, HostSection) and instance.mac in section.macs
            if is_there and appliance.vlan not in _vlans(section):
                yield (*place, "mac"), f"{port}, where this address is, has no VLAN {appliance.vlan}"


def hosts_without_addresses(parsed: ConfigFile) -> Iterator[Finding]:
    """Findings: host ports without MAC addresses where there is more than legs of appliances."""
    instances = [each for appliance in parsed.appliances.values() for each in appliance.instances.values()]
    legs = {vid for instance in instances for vid in (instance.inside, instance.outside)}
    for name, dp in parsed.dps.items():
        for port_no, section in dp.interfaces.items():
            if not isinstance(section, HostSection) or section.macs:
                continue
            if section.appliance is not None or not set(_vlans(section)) <= legs:
                reason = "macs were expected: only VLANs that are legs of appliances have no addresses"
                yield ("dps", name, "interfaces", port_no), reason


def _hosts_with(parsed: ConfigFile, vid: int) -> list[str]:
    return [port for port, section in _ports(parsed) if isinstance(section, HostSection) and vid in _vlans(section)]


def _ports(parsed: ConfigFile) -> Iterator[tuple[str, HostSection | PodPortSection]]:
    for name, dp in parsed.dps.items():
        for port_no, section in dp.interfaces.items():
            if isinstance(section, HostSection | PodPortSection):
                yield f"port {port_no} of {name}", section


def _vlans(section: HostSection | PodPortSection) -> tuple[int, ...]:
    native = () if section.native_vlan is None else (section.native_vlan,)
    return *native, *section.tagged_vlans


# --- conversion and writing ---------------------------------------------------------------------
def appliances(written: dict[str, ApplianceSection]) -> tuple[Appliance, ...]:
    """The appliances, in the order of their names."""
    numbers = numbers_of(written, MOST_APPLIANCES)
    return tuple(
        Appliance(
            numbers[name],
            name,
            section.vlan,
            tuple(_instance(*named) for named in section.instances.items()),
            section.passed or 0,
            None if section.probe is None else Probing(section.probe.interval, section.probe.missed),
        )
        for name, section in sorted(written.items())
    )


def _instance(name: str, section: InstanceSection) -> ApplianceInstance:
    return ApplianceInstance(name, section.inside or 0, section.outside or 0, section.mac or 0, section.address)


def appliance_lines(found: tuple[Appliance, ...]) -> Iterator[str]:
    """The lines of the file for these appliances."""
    if found:
        yield "appliances:"
    for appliance in found:
        yield f"  {quoted(appliance.name)}:"
        yield f"    vlan: {appliance.vid}"
        if appliance.passed:
            yield f"    passed: {appliance.passed}"
        if appliance.probing is not None:
            yield f"    probe: {flow_map(appliance.probing._asdict())}"
        yield "    instances:"
        for instance in appliance.instances:
            yield f"      {quoted(instance.name)}: {flow_map(_written(instance))}"


def _written(instance: ApplianceInstance) -> dict[str, object]:
    if instance.mac:
        address = {} if instance.address is None else {"address": instance.address}
        return {"mac": quoted(mac_to_text(instance.mac)), **address}
    return {"inside": instance.inside, "outside": instance.outside}
