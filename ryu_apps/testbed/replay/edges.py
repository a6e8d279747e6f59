"""Edges of the hypervisors of a scenario: VEPA and VEB, by agreement and by the setting of their ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ryu_apps.evb.topology.evb_settings import ReflectiveRelay
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.testbed.harness.cluster import EdgeMaker, StationMaker
from ryu_apps.testbed.harness.shell import Namespace
from ryu_apps.testbed.harness.station import LldpadStation
from ryu_apps.testbed.harness.station_daemon import DaemonStation
from ryu_apps.testbed.harness.veb import VebEdge
from ryu_apps.testbed.harness.vepa import VepaEdge
from ryu_apps.testbed.replay.schema import ClusterSpec, HypervisorSpec

_USUAL = HypervisorSpec()


def with_relay(fabric: Fabric, specs: Mapping[str, HypervisorSpec]) -> Fabric:
    """The same fabric, with reflective relay at the ports of these hypervisors as they have it."""

    def port(interface: Interface) -> Interface:
        written = specs.get(interface.name, _USUAL).reflective_relay if interface.role is Role.STATION else None
        return interface if written is None else replace(interface, reflective_relay=ReflectiveRelay(written))

    switches = {
        dpid: replace(switch, interfaces={number: port(found) for number, found in switch.interfaces.items()})
        for dpid, switch in fabric.switches.items()
    }
    return replace(fabric, switches=switches)


def station_maker(spec: ClusterSpec) -> StationMaker:
    """Maker of a station: ``evbridge station``, or lldpad, which requests reflective relay if its hypervisor does."""
    if spec.station == "evbridge":
        return DaemonStation

    def make(namespace: Namespace, uplink: str, folder: Path) -> LldpadStation:
        hypervisor = spec.hypervisors.get(namespace.name, _USUAL)
        return LldpadStation(namespace, uplink, folder, reflective_relay=hypervisor.requests)

    return make


def edge_maker(specs: Mapping[str, HypervisorSpec]) -> EdgeMaker:
    """Maker of the edge of a hypervisor."""

    def make(namespace: Namespace, uplink: str) -> VepaEdge:
        kind = VebEdge if specs.get(namespace.name, _USUAL).edge == "veb" else VepaEdge
        return kind(namespace, uplink)

    return make
