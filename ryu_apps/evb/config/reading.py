"""Text of evbridge.yaml to a :class:`BridgeConfig`, or to diagnostics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ryu_apps.evb.config.appliances import appliances
from ryu_apps.evb.config.balancers import balancers
from ryu_apps.evb.config.bridge_config import BridgeConfig
from ryu_apps.evb.config.cluster import membership
from ryu_apps.evb.config.consistency import inconsistencies
from ryu_apps.evb.config.groups import group_vids, translation
from ryu_apps.evb.config.managers import vsi_managers
from ryu_apps.evb.config.pods import pod_membership
from ryu_apps.evb.config.rest import rest_access
from ryu_apps.evb.config.schema import BridgeMulticastSection, ConfigFile, QuerierValues
from ryu_apps.evb.config.store import shared_store
from ryu_apps.evb.config.switch_sections import (
    DatapathSection,
    HostSection,
    LocalStationSection,
    MirrorPortSection,
    PodPortSection,
    StationSection,
    StationValues,
    TimerLimitValues,
    TimerValues,
    TrunkSection,
    VsiPortSection,
)
from ryu_apps.evb.config.vswitches import vswitches
from ryu_apps.evb.model import Retention
from ryu_apps.evb.policy.diagnostic import Diagnostic, has_errors, in_reading_order
from ryu_apps.evb.policy.document import read_document
from ryu_apps.evb.policy.validate import validate
from ryu_apps.evb.snooping.settings import USUAL, Querying, Snooping
from ryu_apps.evb.topology.evb_settings import ReflectiveRelay, TimerLimits, Timers
from ryu_apps.evb.topology.fabric import Converge, Fabric
from ryu_apps.evb.topology.interface import BondMode, Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.station_limits import StationLimits
from ryu_apps.evb.topology.station_treatment import StationKind, Takeover
from ryu_apps.evb.topology.switch import GateMode, Profile, Switch
from ryu_apps.evb.topology.vsi_ports import VsiPortPattern

#: A port that is given by its number.
NumberedPort = StationSection | LocalStationSection | HostSection | PodPortSection | TrunkSection | MirrorPortSection
#: Attributes of the treatment of stations, of a port and of the file.
_OF_STATIONS = {"null_vid", "notify_displaced", "stage_on"}


def load_config(file: str, text: str) -> tuple[BridgeConfig | None, list[Diagnostic]]:
    """Check and convert a configuration.

    Returns:
        the configuration, None if there is any error, and all diagnostics in reading order.
    """
    document = read_document(file, text)
    if document.data is None:
        return None, document.diagnostics
    parsed, found = validate(ConfigFile, document)
    found += document.diagnostics
    if parsed is None:
        return None, in_reading_order(found)
    found += inconsistencies(parsed, document)
    if has_errors(found):
        return None, in_reading_order(found)
    config = BridgeConfig(
        _fabric(parsed),
        tuple(parsed.policies),
        parsed.state_dir,
        _snooping(parsed.multicast),
        parsed.statistics_interval,
        vsi_managers(parsed),
        parsed.forward_in_flight,
        rest_access(parsed.rest),
        Retention(parsed.statistics_retention.secs, parsed.statistics_retention.vsis),
        parsed.openflow_reader,
        shared_store(parsed.store),
        membership(parsed),
        pod_membership(parsed.pod),
    )
    return config, in_reading_order(found)


def _fabric(parsed: ConfigFile) -> Fabric:
    fabric = Fabric(
        {
            dp.dp_id: Switch(
                dpid=dp.dp_id,
                name=name,
                interfaces={
                    port_no: _interface(parsed, port_no, section)
                    for port_no, section in dp.interfaces.items()
                    if isinstance(port_no, int) and not isinstance(section, VsiPortSection)
                },
                max_rules=dp.max_rules,
                translation=translation(parsed, dp),
                vsi_ports=tuple(_vsi_ports(dp)),
                gate=GateMode(dp.gate),
            ).with_profile(Profile(dp.profile), dp.meters)
            for name, dp in parsed.dps.items()
        },
        balancers(parsed.load_balancers),
        group_vids(parsed.groups),
        Converge(parsed.converge),
        appliances=appliances(parsed.appliances),
    )
    return fabric.with_vswitches(vswitches(parsed))


def _vsi_ports(dp: DatapathSection) -> Iterator[VsiPortPattern]:
    for names, section in dp.interfaces.items():
        if isinstance(section, VsiPortSection):
            natives = tuple(section.native_vlans)
            native = section.native_vlan if not natives else natives[0]
            yield VsiPortPattern(str(names), native, tuple(section.tagged_vlans), natives)


def _interface(parsed: ConfigFile, port_no: int, section: NumberedPort) -> Interface:
    match section:
        case TrunkSection(name=name, link=link):
            peer = PortId(parsed.dps[link.dp].dp_id, link.port)
            return Interface(port_no, name, Role.TRUNK, peer=peer, speed=section.speed)
        case PodPortSection(name=name, native_vlan=native, tagged_vlans=tagged):
            return Interface(port_no, name, Role.HOST, native, tuple(tagged), uplink=True)
        case MirrorPortSection(name=name):
            return Interface(port_no, name, Role.MIRROR, remote_vlan=section.remote_vlan)
        case HostSection(name=name, native_vlan=native, tagged_vlans=tagged, macs=macs, appliance=appliance):
            found, addresses = tuple(dict.fromkeys(macs)), tuple(dict.fromkeys(section.addresses))
            return Interface(
                port_no, name, Role.HOST, native, tuple(tagged), found, appliance=appliance, addresses=addresses
            )
        case LocalStationSection(name=name):
            return Interface(
                port_no,
                name,
                Role.STATION,
                **_station(parsed, section),
                # Its VMs have ports of their own.
                reflective_relay=ReflectiveRelay.NEVER,
                port_names=section.port_names,
            )
        case StationSection(name=name, native_vlan=native, tagged_vlans=tagged):
            return Interface(
                port_no,
                name,
                Role.STATION,
                native,
                tuple(tagged),
                **_station(parsed, section),
                speed=section.speed,
                bond=tuple(section.bond),
                bond_mode=BondMode(section.bond_mode or BondMode.ACTIVE_BACKUP),
                reflective_relay=ReflectiveRelay(section.reflective_relay or parsed.reflective_relay),
            )


def _station(parsed: ConfigFile, section: StationValues) -> dict[str, Any]:
    """Return timers and treatment of a port's station; a kind given at the port replaces the file's treatment."""
    given = section.model_dump(include=_OF_STATIONS, exclude_none=True)
    if section.station is None:
        given = parsed.model_dump(include=_OF_STATIONS, exclude_none=True) | given
    return {
        "timers": _timers(parsed.timers, section.timers),
        "timer_limits": _timer_limits(parsed.timer_limits, section.timer_limits),
        "takeover": Takeover(section.takeover or parsed.takeover),
        "limits": StationLimits(tuple(section.vsis), tuple(section.types), tuple(section.macs)),
        "station": StationKind(section.station or parsed.station),
        "keep_null_vids": given["null_vid"] == "keep" if "null_vid" in given else None,
        "notify_displaced": given.get("notify_displaced"),
        "stage_on_preassociate": given["stage_on"] == "preassociate" if "stage_on" in given else None,
    }


def _snooping(written: BridgeMulticastSection) -> Snooping:
    usual = _querying(written, USUAL.usual)
    return Snooping(usual, {vid: _querying(section, usual) for vid, section in written.vlans.items()})


def _querying(written: QuerierValues, usual: Querying) -> Querying:
    given = written.model_dump(exclude_none=True, exclude={"vlans", "querier"})
    seconds: dict[str, Any] = {
        name: float(value) if name.endswith("interval") else value for name, value in given.items()
    }
    return Querying(usual.on if written.querier is None else written.querier, replace(usual.timers, **seconds))


def _timers(common: TimerValues, own: TimerValues) -> Timers:
    given = {**common.model_dump(exclude_none=True), **own.model_dump(exclude_none=True)}
    return Timers(**given)


def _timer_limits(common: TimerLimitValues, own: TimerLimitValues) -> TimerLimits:
    return TimerLimits(**{**common.model_dump(exclude_none=True), **own.model_dump(exclude_none=True)})
