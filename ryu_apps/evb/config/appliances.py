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
                yield from _used_elsewhere(parsed, place, vid)
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


def _used_elsewhere(parsed: ConfigFile, place: Path, vid: int) -> Iterator[Finding]:
    for name, other in parsed.appliances.items():
        if other.vlan == vid:
            yield place, f"VLAN {vid} is that of clients of {name}"
    for name, balancer in parsed.load_balancers.items():
        if balancer.vlan == vid:
            yield place, f"VLAN {vid} is that of load balancer {name}"
    for dp_name, dp in parsed.dps.items():
        for port_no, section in dp.interfaces.items():
            if isinstance(section, HostSection | PodPortSection) and vid in (
                section.native_vlan,
                *section.tagged_vlans,
            ):
                yield place, f"VLAN {vid} is in use at port {port_no} of {dp_name}"


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
