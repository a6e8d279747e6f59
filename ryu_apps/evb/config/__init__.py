"""evbridge.yaml: the switches, what hangs on each port, and where the policies are.

FAUCET's shape (``dps``, ``dp_id``, ``interfaces``) and OpenFlow port numbers.  Text in, values or
diagnostics out: reading the file, and finding the policies it names, is the caller's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ryu_apps.evb.config.balancers import balancer_lines, balancers, odd_balancers
from ryu_apps.evb.config.managers import manager_lines, odd_managers, vsi_managers
from ryu_apps.evb.config.schema import (
    FORWARD_IN_FLIGHT,
    STATISTICS_INTERVAL,
    BridgeMulticastSection,
    ConfigFile,
    DatapathSection,
    HostSection,
    LinkSection,
    QuerierValues,
    StationSection,
    TimerLimitValues,
    TimerValues,
    TrunkSection,
)
from ryu_apps.evb.config.text import flow_map, quoted
from ryu_apps.evb.model import Retention
from ryu_apps.evb.policy.diagnostic import Diagnostic, error, has_errors, in_reading_order
from ryu_apps.evb.policy.document import Document, Path, read_document
from ryu_apps.evb.policy.validate import validate
from ryu_apps.evb.snooping.settings import USUAL, Querying, Snooping
from ryu_apps.evb.topology.fabric import Fabric, Interface, PortId, Role, Switch, TimerLimits, Timers
from ryu_apps.evb.vsi_types.managers import ALL_LOCAL, VsiManagers
from ryu_apps.evb.wire.mac import mac_to_text

#: Trunks are numbered in 6 bits of metadata, 0 is none.
MAX_TRUNKS = 63
_QUERIER_NAMES = (
    "robustness",
    "query_interval",
    "query_response_interval",
    "last_member_query_interval",
    "last_member_query_count",
)
_TIMER_NAMES = ("r", "rte", "rwd", "rka")


@dataclass(frozen=True, slots=True)
class BridgeConfig:
    """A checked configuration.

    Attributes:
        fabric: the switches.
        policies: files and directories, as written: relative to the configuration file.
        state_dir: where state that outlives the process is kept, None for nowhere.
        multicast: the queriers.
        statistics_interval: seconds between readings of all counters.
        vsi_managers: where the VSI types of VSI managers are.
        statistics_retention: how long totals of VSIs that are gone are remembered.
        forward_in_flight: seconds for which the switch that a VM has left passes on what was under way to it.
        rest_names: host names under which REST may be asked besides the addresses of the machine.
    """

    fabric: Fabric
    policies: tuple[str, ...] = ()
    state_dir: str | None = None
    multicast: Snooping = USUAL
    statistics_interval: float = STATISTICS_INTERVAL
    vsi_managers: VsiManagers = ALL_LOCAL
    forward_in_flight: int = FORWARD_IN_FLIGHT
    rest_names: tuple[str, ...] = ()
    statistics_retention: Retention = Retention()


def load_config(file: str, text: str) -> tuple[BridgeConfig | None, list[Diagnostic]]:
    """Check a configuration.

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
    found += _inconsistencies(parsed, document)
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
        tuple(parsed.rest_names),
        Retention(parsed.statistics_retention.secs, parsed.statistics_retention.vsis),
    )
    return config, in_reading_order(found)


def dump_config(config: BridgeConfig) -> str:
    """The text that :func:`load_config` reads the same configuration from."""
    switches = config.fabric.switches
    names = {dpid: switch.name for dpid, switch in switches.items()}
    lines = ["version: 1", f"policies: [{', '.join(quoted(one) for one in config.policies)}]"]
    if config.state_dir is not None:
        lines.append(f"state_dir: {quoted(config.state_dir)}")
    lines += _multicast_lines(config.multicast)
    if config.statistics_interval != STATISTICS_INTERVAL:
        lines.append(f"statistics_interval: {config.statistics_interval}")
    if config.statistics_retention != Retention():
        lines.append(f"statistics_retention: {flow_map(config.statistics_retention._asdict())}")
    if config.forward_in_flight != FORWARD_IN_FLIGHT:
        lines.append(f"forward_in_flight: {config.forward_in_flight}")
    if config.rest_names:
        lines.append(f"rest_names: [{', '.join(quoted(one) for one in config.rest_names)}]")
    lines += balancer_lines(config.fabric.balancers)
    lines += manager_lines(config.vsi_managers)
    lines.append("dps:" if switches else "dps: {}")
    for switch in switches.values():
        lines += [f"  {quoted(switch.name)}:", f"    dp_id: {switch.dpid:#x}"]
        if switch.max_rules is not None:
            lines.append(f"    max_rules: {switch.max_rules}")
        lines.append("    interfaces:" if switch.interfaces else "    interfaces: {}")
        lines += [f"      {one.port_no}: {flow_map(_written(one, names))}" for one in switch.interfaces.values()]
    return "\n".join(lines) + "\n"


# --- what pydantic cannot see: one part of the file against another -----------------------------
def _inconsistencies(parsed: ConfigFile, document: Document) -> list[Diagnostic]:
    found = [*_ambiguous_dp_ids(parsed), *_ambiguous_macs(parsed), *odd_balancers(parsed), *odd_managers(parsed)]
    for name, dp in parsed.dps.items():
        here: Path = ("dps", name, "interfaces")
        if sum(isinstance(one, TrunkSection) for one in dp.interfaces.values()) > MAX_TRUNKS:
            found.append((here, f"more than {MAX_TRUNKS} trunks"))
        found += _odd_appliances(here, dp)
        for port_no, one in dp.interfaces.items():
            if isinstance(one, TrunkSection):
                found += _broken_link(parsed, name, port_no, one.link)
            else:
                found += _odd_vlans((*here, port_no), one)
    return [error(document.file, document.value_place(path), reason) for path, reason in found]


def _ambiguous_dp_ids(parsed: ConfigFile) -> Iterator[tuple[Path, str]]:
    owners: dict[int, str] = {}
    for name, dp in parsed.dps.items():
        first = owners.setdefault(dp.dp_id, name)
        if first != name:
            yield ("dps", name, "dp_id"), f"dp_id {dp.dp_id:#x} is already the one of {first}"


def _ambiguous_macs(parsed: ConfigFile) -> Iterator[tuple[Path, str]]:
    """In one VLAN an address can only be in one place."""
    owners: dict[tuple[int, int], Path] = {}
    for name, dp in parsed.dps.items():
        for port_no, one in dp.interfaces.items():
            if not isinstance(one, HostSection):
                continue
            for index, mac in enumerate(one.macs):
                here: Path = ("dps", name, "interfaces", port_no, "macs", index)
                firsts = [owners.setdefault((vid, mac), here) for vid in _vids(one)]
                other = next((first for first in firsts if first != here), None)
                if other is not None:
                    yield here, f"{mac_to_text(mac)} is already configured at port {other[3]} of {other[1]}"


def _odd_vlans(here: Path, one: StationSection | HostSection) -> Iterator[tuple[Path, str]]:
    if isinstance(one, HostSection) and not _vids(one):
        yield here, "a host needs a native_vlan or tagged_vlans"
    for index, vid in enumerate(one.tagged_vlans):
        if vid == one.native_vlan:
            yield (*here, "tagged_vlans", index), f"VLAN {vid} is the native one already"
        elif vid in one.tagged_vlans[:index]:
            yield (*here, "tagged_vlans", index), f"VLAN {vid} is given twice"


def _odd_appliances(here: Path, dp: DatapathSection) -> Iterator[tuple[Path, str]]:
    """Who is redirected to an appliance is redirected to one address."""
    owners: dict[tuple[str, int], int] = {}
    for port_no, one in dp.interfaces.items():
        if not isinstance(one, HostSection) or one.appliance is None:
            continue
        if len(set(one.macs)) > 1:
            yield (*here, port_no, "macs"), f"an appliance {one.appliance} has one address, not {len(one.macs)}"
        firsts = {vid: owners.setdefault((one.appliance, vid), port_no) for vid in _vids(one)}
        other = next((vid for vid, first in firsts.items() if first != port_no), None)
        if other is not None:
            reason = f"port {firsts[other]} is already the appliance {one.appliance} of VLAN {other} at this switch"
            yield (*here, port_no, "appliance"), reason


def _broken_link(parsed: ConfigFile, name: str, port_no: int, link: LinkSection) -> Iterator[tuple[Path, str]]:
    here: Path = ("dps", name, "interfaces", port_no, "link")
    if link.dp not in parsed.dps:
        yield (*here, "dp"), f"there is no dp {link.dp!r}"
        return
    other = parsed.dps[link.dp].interfaces.get(link.port)
    if link.dp == name:
        yield here, "a trunk leads to another switch"
    elif not isinstance(other, TrunkSection):
        yield (*here, "port"), f"port {link.port} of {link.dp} is not a trunk"
    elif (other.link.dp, other.link.port) != (name, port_no):
        yield here, f"port {link.port} of {link.dp} leads to port {other.link.port} of {other.link.dp}, not back here"


def _vids(one: StationSection | HostSection) -> list[int]:
    return [vid for vid in (one.native_vlan, *one.tagged_vlans) if vid is not None]


# --- the file's words to a fabric, and back ------------------------------------------------------
def _fabric(parsed: ConfigFile) -> Fabric:
    return Fabric(
        {
            dp.dp_id: Switch(
                dpid=dp.dp_id,
                name=name,
                interfaces={port_no: _interface(parsed, port_no, one) for port_no, one in dp.interfaces.items()},
                max_rules=dp.max_rules,
            )
            for name, dp in parsed.dps.items()
        },
        balancers(parsed.load_balancers),
    )


def _interface(parsed: ConfigFile, port_no: int, one: StationSection | HostSection | TrunkSection) -> Interface:
    match one:
        case TrunkSection(name=name, link=link):
            peer = PortId(parsed.dps[link.dp].dp_id, link.port)
            return Interface(port_no, name, Role.TRUNK, peer=peer)
        case HostSection(name=name, native_vlan=native, tagged_vlans=tagged, macs=macs, appliance=appliance):
            found, addresses = tuple(dict.fromkeys(macs)), tuple(dict.fromkeys(one.addresses))
            return Interface(
                port_no, name, Role.HOST, native, tuple(tagged), found, appliance=appliance, addresses=addresses
            )
        case StationSection(name=name, native_vlan=native, tagged_vlans=tagged):
            return Interface(
                port_no,
                name,
                Role.STATION,
                native,
                tuple(tagged),
                timers=_timers(parsed.timers, one.timers),
                timer_limits=_timer_limits(parsed.timer_limits, one.timer_limits),
                stage_on_preassociate=(one.stage_on or parsed.stage_on) == "preassociate",
                takeover_any=(one.takeover or parsed.takeover) == "any",
            )


def _snooping(written: BridgeMulticastSection) -> Snooping:
    usual = _querying(written, USUAL.usual)
    return Snooping(usual, {vid: _querying(one, usual) for vid, one in written.vlans.items()})


def _querying(written: QuerierValues, usual: Querying) -> Querying:
    given = written.model_dump(exclude_none=True, exclude={"vlans", "querier"})
    seconds: dict[str, Any] = {
        name: float(value) if name.endswith("interval") else value for name, value in given.items()
    }
    return Querying(usual.on if written.querier is None else written.querier, replace(usual.timers, **seconds))


def _multicast_lines(config: Snooping) -> list[str]:
    """What differs from what is usual."""
    parts = _querier_written(config.usual, USUAL.usual)
    vlans = {vid: flow_map(_querier_written(one, config.usual)) for vid, one in config.vlans.items()}
    if vlans:
        parts["vlans"] = flow_map({str(vid): text for vid, text in vlans.items()})
    return [f"multicast: {flow_map(parts)}"] if parts else []


def _querier_written(one: Querying, usual: Querying) -> dict[str, Any]:
    parts: dict[str, Any] = {} if one.on == usual.on else {"querier": str(one.on).lower()}
    values = {name: getattr(one.timers, name) for name in _QUERIER_NAMES}
    return parts | {name: int(value) for name, value in values.items() if value != getattr(usual.timers, name)}


def _timers(common: TimerValues, own: TimerValues) -> Timers:
    given = {**common.model_dump(exclude_none=True), **own.model_dump(exclude_none=True)}
    return Timers(**given)


def _timer_limits(common: TimerLimitValues, own: TimerLimitValues) -> TimerLimits:
    return TimerLimits(**{**common.model_dump(exclude_none=True), **own.model_dump(exclude_none=True)})


def _written(one: Interface, names: dict[int, str]) -> dict[str, Any]:
    """An interface as the file has it, what is usual left out."""
    default = Timers()
    timers = {name: getattr(one.timers, name) for name in _TIMER_NAMES}
    limits = {name: getattr(one.timer_limits, name) for name in _TIMER_NAMES[1:]}
    parts = {
        "name": quoted(one.name),
        "role": one.role.value,
        "native_vlan": one.native_vlan,
        "tagged_vlans": f"[{', '.join(str(vid) for vid in one.tagged_vlans)}]" if one.tagged_vlans else None,
        "macs": f"[{', '.join(quoted(mac_to_text(mac)) for mac in one.macs)}]" if one.macs else None,
        "addresses": f"[{', '.join(quoted(str(address)) for address in one.addresses)}]" if one.addresses else None,
        "appliance": one.appliance,
        "link": flow_map({"dp": quoted(names[one.peer.dpid]), "port": one.peer.port_no}) if one.peer else None,
        "timers": flow_map(timers) if one.timers != default else None,
        "timer_limits": flow_map(limits) if one.timer_limits != TimerLimits() else None,
        "stage_on": "preassociate" if one.stage_on_preassociate else None,
        "takeover": "any" if one.takeover_any else None,
    }
    return {key: value for key, value in parts.items() if value is not None}
