"""Checks of one part of evbridge.yaml against another, which pydantic's models cannot express."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.config.appliances import hosts_without_addresses, odd_appliances
from ryu_apps.evb.config.balancers import odd_balancers
from ryu_apps.evb.config.cluster import odd_cluster
from ryu_apps.evb.config.groups import odd_groups
from ryu_apps.evb.config.managers import odd_managers
from ryu_apps.evb.config.mirrors import odd_mirrors
from ryu_apps.evb.config.pods import odd_pod
from ryu_apps.evb.config.rest import odd_rest
from ryu_apps.evb.config.schema import ConfigFile
from ryu_apps.evb.config.store import odd_store
from ryu_apps.evb.config.switch_sections import (
    DatapathSection,
    HostSection,
    LinkSection,
    StationSection,
    TrunkSection,
    VsiPortSection,
)
from ryu_apps.evb.config.vsi_ports import odd_vsi_ports
from ryu_apps.evb.config.vswitches import memberships, odd_vswitches
from ryu_apps.evb.policy.diagnostic import Diagnostic, error
from ryu_apps.evb.policy.document import Document, Path
from ryu_apps.evb.topology.graph import MOST_TRUNKS
from ryu_apps.evb.wire.mac import mac_to_text


def inconsistencies(parsed: ConfigFile, document: Document) -> list[Diagnostic]:
    found = [*_ambiguous_dp_ids(parsed), *_ambiguous_macs(parsed), *odd_balancers(parsed), *odd_managers(parsed)]
    found += [*odd_groups(parsed), *odd_mirrors(parsed), *odd_rest(parsed), *odd_store(parsed), *odd_cluster(parsed)]
    found += [*odd_pod(parsed), *odd_vswitches(parsed), *odd_appliances(parsed)]
    found += hosts_without_addresses(parsed)
    vswitches = memberships(parsed)
    for name, dp in parsed.dps.items():
        here: Path = ("dps", name, "interfaces")
        if sum(isinstance(section, TrunkSection) for section in dp.interfaces.values()) > MOST_TRUNKS:
            found.append((here, f"more than {MOST_TRUNKS} trunks"))
        found += _odd_appliances(here, dp)
        found += _beyond_profile(name, dp, parsed)
        found += _odd_bonds(here, dp)
        found += odd_vsi_ports(here, dp, vswitches.get(name, ()))
        for port_no, section in dp.interfaces.items():
            if isinstance(section, TrunkSection):
                found += _broken_link(parsed, name, port_no, section.link)
            elif isinstance(section, StationSection | HostSection | VsiPortSection):
                found += _odd_vlans((*here, port_no), section)
    return [error(document.file, document.value_place(path), reason) for path, reason in found]


def _ambiguous_dp_ids(parsed: ConfigFile) -> Iterator[tuple[Path, str]]:
    owners: dict[int, str] = {}
    for name, dp in parsed.dps.items():
        first = owners.setdefault(dp.dp_id, name)
        if first != name:
            yield ("dps", name, "dp_id"), f"dp_id {dp.dp_id:#x} is already used by {first}"


def _ambiguous_macs(parsed: ConfigFile) -> Iterator[tuple[Path, str]]:
    """MAC addresses that are configured at two places of one VLAN."""
    owners: dict[tuple[int, int], Path] = {}
    for name, dp in parsed.dps.items():
        for port_no, section in dp.interfaces.items():
            if not isinstance(section, HostSection):
                continue
            for index, mac in enumerate(section.macs):
                here: Path = ("dps", name, "interfaces", port_no, "macs", index)
                firsts = [owners.setdefault((vid, mac), here) for vid in _vids(section)]
                other = next((first for first in firsts if first != here), None)
                if other is not None:
                    yield here, f"{mac_to_text(mac)} is already configured at port {other[3]} of {other[1]}"


def _odd_vlans(here: Path, section: StationSection | HostSection | VsiPortSection) -> Iterator[tuple[Path, str]]:
    if isinstance(section, HostSection) and not _vids(section):
        yield here, "a host needs a native_vlan or tagged_vlans"
    natives = section.native_vlans if isinstance(section, VsiPortSection) else []
    for index, vid in enumerate(section.tagged_vlans):
        if vid == section.native_vlan or vid in natives:
            yield (*here, "tagged_vlans", index), f"VLAN {vid} is already the native VLAN"
        elif vid in section.tagged_vlans[:index]:
            yield (*here, "tagged_vlans", index), f"VLAN {vid} is given twice"


def _odd_bonds(here: Path, dp: DatapathSection) -> Iterator[tuple[Path, str]]:
    """Bonds without the port that they are configured at, and links that are used for something else too."""
    owners: dict[int, int | str] = {}
    for port_no, section in dp.interfaces.items():
        if not isinstance(section, StationSection):
            continue
        if section.bond_mode is not None and not section.bond:
            yield (*here, port_no, "bond_mode"), "a bond_mode needs a bond"
        if section.bond and port_no not in section.bond:
            yield (*here, port_no, "bond"), f"port {port_no} is not among the links of its bond"
        for index, link in enumerate(section.bond):
            place = (*here, port_no, "bond", index)
            first = owners.setdefault(link, port_no)
            if first != port_no:
                yield place, f"port {link} is already a link of the bond at port {first}"
            elif link in section.bond[:index]:
                yield place, f"port {link} is given twice"
            elif link != port_no and link in dp.interfaces:
                yield place, f"port {link} is also an interface of its own"


def _odd_appliances(here: Path, dp: DatapathSection) -> Iterator[tuple[Path, str]]:
    """Appliances with more than one address for a VLAN of a switch: frames are redirected to one address."""
    owners: dict[tuple[str, int], int | str] = {}
    for port_no, section in dp.interfaces.items():
        if not isinstance(section, HostSection) or section.appliance is None:
            continue
        if len(set(section.macs)) > 1:
            yield (
                (*here, port_no, "macs"),
                f"an appliance {section.appliance} has one address, not {len(section.macs)}",
            )
        firsts = {vid: owners.setdefault((section.appliance, vid), port_no) for vid in _vids(section)}
        other = next((vid for vid, first in firsts.items() if first != port_no), None)
        if other is not None:
            reason = f"port {firsts[other]} is already the appliance {section.appliance} of VLAN {other} at this switch"
            yield (*here, port_no, "appliance"), reason


def _beyond_profile(name: str, dp: DatapathSection, parsed: ConfigFile) -> Iterator[tuple[Path, str]]:
    """Settings that need the extensions of Open vSwitch where a profile excludes them, and the reverse."""
    here: Path = ("dps", name)
    if dp.profile == "openvswitch":
        if not dp.meters:
            yield (*here, "meters"), "only a dp of the profile openflow13 may be without meters"
        return
    if dp.gate == "meter":
        yield (*here, "gate"), "a gate with a meter needs the extensions of Open vSwitch"
    if parsed.converge == "copy":
        yield ("converge",), f"copies need the extensions of Open vSwitch at every dp, and {name} has none"
    if dp.groups:
        yield (*here, "groups"), "groups of a dp need the extensions of Open vSwitch"
    if parsed.load_balancers:
        yield (*here, "profile"), "load_balancers need the extensions of Open vSwitch at every dp"
    if parsed.appliances:
        yield (*here, "profile"), "appliances need the extensions of Open vSwitch at every dp"
    for port_no, section in dp.interfaces.items():
        if isinstance(section, HostSection) and section.appliance is not None:
            reason = f"an appliance {section.appliance} needs the extensions of Open vSwitch"
            yield (*here, "interfaces", port_no, "appliance"), reason
        if isinstance(section, StationSection) and section.bond:
            yield (*here, "interfaces", port_no, "bond"), "a bond needs the extensions of Open vSwitch"
        if isinstance(section, StationSection) and section.reflective_relay == "always":
            yield (*here, "interfaces", port_no, "reflective_relay"), "it needs the extensions of Open vSwitch"


def _broken_link(parsed: ConfigFile, name: str, port_no: int | str, link: LinkSection) -> Iterator[tuple[Path, str]]:
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


def _vids(section: StationSection | HostSection) -> list[int]:
    return [vid for vid in (section.native_vlan, *section.tagged_vlans) if vid is not None]
