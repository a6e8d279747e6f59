"""Ports of mirrors in evbridge.yaml: their names, and the VIDs that their copies have on trunks."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.config.appliances import own_vids
from ryu_apps.evb.config.groups import group_vids
from ryu_apps.evb.config.schema import ConfigFile
from ryu_apps.evb.config.switch_sections import HostSection, MirrorPortSection, StationSection, VsiPortSection
from ryu_apps.evb.policy.document import Finding, Path

#: Mirrors of one fabric.
MAX_MIRRORS = 64


def odd_mirrors(parsed: ConfigFile) -> Iterator[Finding]:
    """Yield mirrors without a name or a VID of their own."""
    names: dict[str, str] = {}
    users = dict(_users(parsed))
    for dp_name, dp in parsed.dps.items():
        for port_no, section in dp.interfaces.items():
            if not isinstance(section, MirrorPortSection):
                continue
            here: Path = ("dps", dp_name, "interfaces", port_no)
            place = f"port {port_no} of {dp_name}"
            if (first := names.setdefault(section.name, place)) != place:
                yield (*here, "name"), f"mirror {section.name!r} is already {first}"
            if section.remote_vlan is not None:
                own = f"that of mirror {section.name!r}"
                if (user := users.setdefault(section.remote_vlan, own)) != own:
                    yield (*here, "remote_vlan"), f"VID {section.remote_vlan} is {user}"
    if len(names) > MAX_MIRRORS:
        yield ("dps",), f"{len(names)} mirrors, at most {MAX_MIRRORS} are possible"


def _users(parsed: ConfigFile) -> Iterator[tuple[int, str]]:
    """Yield the VIDs that are in use otherwise, with words for their use."""
    for name, appliance in parsed.appliances.items():
        for vid in own_vids(appliance):
            yield vid, f"that of appliance {name!r}"
    for vid in group_vids(parsed.groups).values():
        yield vid, "that of a group"
    for name, balancer in parsed.load_balancers.items():
        yield balancer.vlan, f"that of load balancer {name}"
    for name, vswitch in parsed.vswitches.items():
        for used_vid in (vswitch.native_vlan, *vswitch.native_vlans, *vswitch.tagged_vlans):
            yield used_vid or 0, f"in use at vSwitch {name}"
    for dp_name, dp in parsed.dps.items():
        for port_no, section in dp.interfaces.items():
            if isinstance(section, StationSection | HostSection | VsiPortSection):
                used = f"in use at port {port_no} of {dp_name}"
                several = section.native_vlans if isinstance(section, VsiPortSection) else ()
                for used_vid in (section.native_vlan, *several, *section.tagged_vlans):
                    yield used_vid or 0, used
