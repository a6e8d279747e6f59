"""Checks of the switch of a server: its station, and the ports of its VMs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ryu_apps.evb.config.switch_sections import DatapathSection, LocalStationSection, VsiPortSection
from ryu_apps.evb.policy.document import Path

#: Patterns of names of VSI ports at one switch.
MAX_PATTERNS = 64


def odd_vsi_ports(here: Path, dp: DatapathSection, vswitches: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """Return VSI ports without a station, a station without VSI ports, and the like.

    Args:
        vswitches: names of the vSwitches of which it is a member.
    """
    stations = [key for key, section in dp.interfaces.items() if isinstance(section, LocalStationSection)]
    vsi_ports = [key for key, section in dp.interfaces.items() if isinstance(section, VsiPortSection)]
    for key, section in dp.interfaces.items():
        if isinstance(section, VsiPortSection) and isinstance(key, int):
            yield (*here, key), "VSI ports are given by their names, such as tap*: Open vSwitch numbers them anew"
        elif not isinstance(section, VsiPortSection) and isinstance(key, str):
            yield (*here, key), "only VSI ports are given by their names, any other port by its number"
        elif isinstance(section, VsiPortSection):
            yield from _odd_natives((*here, key), section)
    if vsi_ports and not stations:
        yield (*here, vsi_ports[0]), "VSI ports need a local_station at the same dp"
    if len(vsi_ports) > MAX_PATTERNS:
        yield (*here, vsi_ports[MAX_PATTERNS]), f"more than {MAX_PATTERNS} names of VSI ports"
    if vsi_ports and vswitches:
        yield (*here, vsi_ports[0]), f"the dp is a member of vSwitch {vswitches[0]}, which has all of its VSI ports"
    if stations and not vsi_ports and not vswitches:
        yield (*here, stations[0]), "a local_station needs VSI ports at the same dp"
    for key in stations[1:]:
        yield (*here, key), f"port {stations[0]} is already the local_station of this dp"
    if stations and dp.profile != "openvswitch":
        yield (*here, stations[0]), "a local_station needs the extensions of Open vSwitch"


def _odd_natives(here: Path, section: VsiPortSection) -> Iterator[tuple[Path, str]]:
    if section.native_vlans and section.native_vlan is not None:
        yield (*here, "native_vlan"), "one of native_vlan and native_vlans was expected"
    for index, vid in enumerate(section.native_vlans):
        if vid in section.native_vlans[:index]:
            yield (*here, "native_vlans", index), f"VLAN {vid} is given twice"
