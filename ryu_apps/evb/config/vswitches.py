"""vSwitches in evbridge.yaml: checks, conversion, and writing."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.config.groups import translation
from ryu_apps.evb.config.schema import ConfigFile
from ryu_apps.evb.config.switch_sections import LocalStationSection, TrunkSection, VswitchSection
from ryu_apps.evb.config.text import flow_list, flow_map, quoted
from ryu_apps.evb.config.vsi_ports import MAX_PATTERNS
from ryu_apps.evb.policy.document import Finding, Path
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.planes import MOST_PLANES
from ryu_apps.evb.topology.station_limits import StationLimits
from ryu_apps.evb.topology.vswitches import USUAL_PORTS, Vswitch


def memberships(parsed: ConfigFile) -> dict[str, list[str]]:
    """Return the names of the vSwitches of each dp that is a member of some, by its name."""
    found: dict[str, list[str]] = {}
    for name, vswitch in parsed.vswitches.items():
        for member in dict.fromkeys(vswitch.members):
            found.setdefault(member, []).append(name)
    return found


# --- checks -------------------------------------------------------------------------------------
def odd_vswitches(parsed: ConfigFile) -> Iterator[Finding]:
    """Findings: members that are no servers, VLANs that are not apart, uplinks that are no trunks."""
    for name, vswitch in parsed.vswitches.items():
        here: Path = ("vswitches", name)
        yield from _odd_vlans(here, vswitch)
        for index, member in enumerate(vswitch.members):
            place = (*here, "members", index)
            if member not in parsed.dps:
                yield place, f"there is no dp {member!r}"
            elif member in vswitch.members[:index]:
                yield place, f"{member} is given twice"
            else:
                yield from _odd_member(parsed, name, vswitch, member, place)
        yield from _odd_uplinks(parsed, here, vswitch)
        yield from _beyond_extensions(parsed, here, vswitch)
        yield from _apart(parsed, here, vswitch)
    yield from _shared_vlans(parsed)
    yield from _too_many_choices(parsed)
    for member, names in memberships(parsed).items():
        patterns = {parsed.vswitches[name].ports for name in names}
        if len(patterns) > MAX_PATTERNS:
            yield ("vswitches", names[-1], "ports"), f"{member} has more than {MAX_PATTERNS} names of VSI ports"


def _odd_vlans(here: Path, vswitch: VswitchSection) -> Iterator[Finding]:
    if vswitch.native_vlans and vswitch.native_vlan is not None:
        yield (*here, "native_vlan"), "one of native_vlan and native_vlans was expected"
    if not _vids(vswitch):
        yield here, "a vSwitch needs VLANs: native_vlan, native_vlans or tagged_vlans"
    for index, vid in enumerate(vswitch.native_vlans):
        if vid in vswitch.native_vlans[:index]:
            yield (*here, "native_vlans", index), f"VLAN {vid} is given twice"
    for index, vid in enumerate(vswitch.tagged_vlans):
        if vid in _natives(vswitch):
            yield (*here, "tagged_vlans", index), f"VLAN {vid} is already the native VLAN"
        elif vid in vswitch.tagged_vlans[:index]:
            yield (*here, "tagged_vlans", index), f"VLAN {vid} is given twice"


def _odd_member(parsed: ConfigFile, name: str, vswitch: VswitchSection, member: str, place: Path) -> Iterator[Finding]:
    dp = parsed.dps[member]
    if not any(isinstance(section, LocalStationSection) for section in dp.interfaces.values()):
        yield place, f"{member} has no local_station, which a member needs"
    local = translation(parsed, dp)
    strange = next((vid for vid in _vids(vswitch) if local.local(vid) is None), None)
    if strange is not None:
        yield place, f"VLAN {strange} of vSwitch {name} has no VID at the VSI ports of {member}"


def _odd_uplinks(parsed: ConfigFile, here: Path, vswitch: VswitchSection) -> Iterator[Finding]:
    for index, port_no in enumerate(vswitch.uplinks):
        place = (*here, "uplinks", index)
        if port_no in vswitch.uplinks[:index]:
            yield place, f"port {port_no} is given twice"
            continue
        for member in vswitch.members:
            dp = parsed.dps.get(member)
            if dp is not None and not isinstance(dp.interfaces.get(port_no), TrunkSection):
                yield place, f"port {port_no} of {member} is not a trunk"
                break


def _beyond_extensions(parsed: ConfigFile, here: Path, vswitch: VswitchSection) -> Iterator[Finding]:
    """Findings: uplinks that leave out trunks, beside switches that cannot choose by VLAN."""
    plain = next((name for name, dp in parsed.dps.items() if dp.profile != "openvswitch"), None)
    if plain is not None and any(_left_out(parsed, vswitch, member) for member in vswitch.members):
        yield (*here, "uplinks"), f"uplinks need the extensions of Open vSwitch at every dp, and {plain} has none"


def _left_out(parsed: ConfigFile, vswitch: VswitchSection, member: str) -> list[int | str]:
    """The trunks of a member that the VLANs of a vSwitch do not use."""
    ports = parsed.dps[member].interfaces.items() if vswitch.uplinks and member in parsed.dps else ()
    return [no for no, section in ports if isinstance(section, TrunkSection) and no not in vswitch.uplinks]


def _too_many_choices(parsed: ConfigFile) -> Iterator[Finding]:
    """Findings: more sets of trunks that some VLAN does not use than there are planes."""
    left_out: dict[int, set[tuple[str, int | str]]] = {}
    for vswitch in parsed.vswitches.values():
        ports = {(member, port_no) for member in vswitch.members for port_no in _left_out(parsed, vswitch, member)}
        for vid in _vids(vswitch):
            left_out.setdefault(vid, set()).update(ports)
    if len({frozenset(ports) for ports in left_out.values() if ports}) > MOST_PLANES:
        yield ("vswitches",), f"VLANs have more than {MOST_PLANES} different choices of uplinks"


def _apart(parsed: ConfigFile, here: Path, vswitch: VswitchSection) -> Iterator[Finding]:
    """Findings: members to which no trunks lead from the first one, or none that are uplinks."""
    members = [member for member in dict.fromkeys(vswitch.members) if member in parsed.dps]
    left_out = {(member, port_no) for member in members for port_no in _left_out(parsed, vswitch, member)}
    linked, reached = (_reachable(parsed, members[:1], ports) for ports in (set(), left_out))
    for member in members:
        place = (*here, "members", vswitch.members.index(member))
        if member not in linked:
            yield place, f"no trunks lead from {members[0]} to {member}: they cannot be one switch"
        elif member not in reached:
            yield place, f"no uplinks lead from {members[0]} to {member}: they cannot be one switch"


def _reachable(parsed: ConfigFile, first: list[str], left_out: set[tuple[str, int | str]]) -> set[str]:
    """The dps to which trunks lead, without those of which one end is left out."""
    found, left = set(first), list(first)
    while left:
        here = left.pop()
        new = {
            section.link.dp
            for port_no, section in parsed.dps[here].interfaces.items()
            if isinstance(section, TrunkSection)
            and left_out.isdisjoint(((here, port_no), (section.link.dp, section.link.port)))
        } & set(parsed.dps) - found
        found |= new
        left += new
    return found


def _shared_vlans(parsed: ConfigFile) -> Iterator[Finding]:
    """Findings: a VLAN of two vSwitches at one member, once for each pair of vSwitches."""
    owners: dict[tuple[str, int], str] = {}
    told: set[tuple[str, str]] = set()
    for name, vswitch in parsed.vswitches.items():
        for member in dict.fromkeys(vswitch.members):
            for vid in _vids(vswitch):
                first = owners.setdefault((member, vid), name)
                if first != name and (first, name) not in told:
                    told.add((first, name))
                    place = ("vswitches", name, "members", vswitch.members.index(member))
                    yield place, f"VLAN {vid} at {member} is already that of vSwitch {first}"


def _natives(vswitch: VswitchSection) -> list[int]:
    return vswitch.native_vlans or ([] if vswitch.native_vlan is None else [vswitch.native_vlan])


def _vids(vswitch: VswitchSection) -> list[int]:
    return [*_natives(vswitch), *vswitch.tagged_vlans]


# --- conversion and writing ---------------------------------------------------------------------
def vswitches(parsed: ConfigFile) -> Iterator[Vswitch]:
    """The vSwitches of a file without mistakes."""
    for name, section in parsed.vswitches.items():
        yield Vswitch(
            name,
            tuple(parsed.dps[member].dp_id for member in section.members),
            section.ports,
            tuple(_natives(section)),
            tuple(section.tagged_vlans),
            tuple(section.uplinks),
            StationLimits(tuple(section.vsis), tuple(section.types), tuple(section.macs)),
            section.max_vsis,
        )


def vswitch_lines(fabric: Fabric) -> Iterator[str]:
    """The lines of the file for the vSwitches of a fabric."""
    if fabric.vswitches:
        yield "vswitches:"
    for vswitch in fabric.vswitches:
        yield f"  {quoted(vswitch.name)}: {flow_map(_written(fabric, vswitch))}"


def _written(fabric: Fabric, vswitch: Vswitch) -> dict[str, object]:
    natives = vswitch.native_vlans
    parts: dict[str, object] = {
        "members": flow_list([quoted(fabric.switches[dpid].name) for dpid in vswitch.members]),
        "ports": quoted(vswitch.ports) if vswitch.ports != USUAL_PORTS else None,
        "native_vlan": natives[0] if len(natives) == 1 else None,
        "native_vlans": _numbers(natives) if len(natives) > 1 else None,
        "tagged_vlans": _numbers(vswitch.tagged_vlans),
        "uplinks": _numbers(vswitch.uplinks),
        **{key: flow_list([quoted(text) for text in texts]) for key, texts in _limits(vswitch)},
        "max_vsis": vswitch.max_vsis,
    }
    return {key: value for key, value in parts.items() if value is not None}


def _limits(vswitch: Vswitch) -> Iterator[tuple[str, tuple[str, ...]]]:
    return ((key, texts) for key, texts in vswitch.limits._asdict().items() if texts)


def _numbers(numbers: tuple[int, ...]) -> str | None:
    return flow_list([str(number) for number in numbers]) if numbers else None
