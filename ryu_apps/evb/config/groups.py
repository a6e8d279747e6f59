"""GroupIDs and local VIDs in evbridge.yaml: checks, conversion, and writing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from ryu_apps.evb.config.group_ids import LAST_VID, group_range
from ryu_apps.evb.config.schema import ConfigFile
from ryu_apps.evb.config.switch_sections import DatapathSection, StationSection
from ryu_apps.evb.config.text import flow_map
from ryu_apps.evb.config.values import GroupsWritten
from ryu_apps.evb.policy.document import Finding, Path
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.evb.topology.vid_translation import VidTranslation


# --- checks -------------------------------------------------------------------------------------
def odd_groups(parsed: ConfigFile) -> Iterator[Finding]:
    """Findings: groups with two VIDs, VIDs with two groups, and station ports with VIDs of no VLAN."""
    places: list[tuple[Path, GroupsWritten]] = [(("groups",), parsed.groups)]
    places += [(("dps", name, "groups"), dp.groups) for name, dp in parsed.dps.items()]
    too_many = [here for here, written in places if sum(len(group_range(key)) for key in written) > LAST_VID]
    if too_many:
        # The other checks go through all groups.
        yield from ((here, "more groups than there are VIDs") for here in too_many)
        return
    yield from _overlapping(("groups",), parsed.groups)
    for name, dp in parsed.dps.items():
        here: Path = ("dps", name, "groups")
        yield from _overlapping(here, dp.groups)
        yield from _unknown(here, dp.groups, group_vids(parsed.groups))
        yield from _shared(here, dp.groups, group_vids(parsed.groups))
        there = translation(parsed, dp)
        for port_no, section in dp.interfaces.items():
            if isinstance(section, StationSection):
                yield from _unused(("dps", name, "interfaces", port_no), section, there)


def _overlapping(here: Path, written: GroupsWritten) -> Iterator[Finding]:
    """Findings: a group or a VID that is given twice, and VIDs beyond the last."""
    keys: dict[int, object] = {}
    owners: dict[int, int] = {}
    for key, first_vid in written.items():
        groups = group_range(key)
        if first_vid + len(groups) - 1 > LAST_VID:
            yield (*here, key), f"{len(groups)} groups from VID {first_vid} on go beyond VID {LAST_VID}"
        twice = next((group for group in groups if keys.setdefault(group, key) != key), None)
        if twice is not None:
            yield (*here, key), f"group {twice} is already in {keys[twice]!r}"
            continue
        for group, vid in zip(groups, range(first_vid, LAST_VID + 1), strict=False):
            other = owners.setdefault(vid, group)
            if other != group:
                yield (*here, key), f"VID {vid} is already that of group {other}: two groups never share a VLAN"
                break


def _unknown(here: Path, written: GroupsWritten, fabric: dict[int, int]) -> Iterator[Finding]:
    for key in written:
        group = next((group for group in group_range(key) if group not in fabric), None)
        if group is not None:
            yield (*here, key), f"group {group} has no VID in the fabric: it is not in the file's groups"


def _shared(here: Path, written: GroupsWritten, fabric: dict[int, int]) -> Iterator[Finding]:
    """Findings: a local VID of a group at this switch that is also that of a group without an entry here."""
    local = group_vids(written)
    owners = {vid: group for group, vid in fabric.items() if group not in local}
    for key in written:
        clash = next((group for group in group_range(key) if local.get(group) in owners), None)
        if clash is not None:
            vid = local[clash]
            yield (
                (*here, key),
                f"VID {vid} is that of group {owners[vid]} at this switch: two groups never share a VLAN",
            )


def _unused(here: Path, section: StationSection, translation: VidTranslation) -> Iterator[Finding]:
    places: list[tuple[Path, int | None]] = [((*here, "native_vlan"), section.native_vlan)]
    places += [((*here, "tagged_vlans", index), vid) for index, vid in enumerate(section.tagged_vlans)]
    for place, vid in places:
        if vid is not None and translation.relay(vid) is None:
            local = translation.local(vid)
            yield place, f"VLAN {vid} has VID {local} at the station ports of this switch, and no other has {vid}"


# --- conversion and writing ---------------------------------------------------------------------
def group_vids(written: GroupsWritten) -> dict[int, int]:
    """GroupID -> VID, with a group of its own for each of a range."""
    return {
        group: vid
        for key, first_vid in written.items()
        for group, vid in zip(group_range(key), range(first_vid, LAST_VID + 1), strict=False)
    }


def translation(parsed: ConfigFile, dp: DatapathSection) -> VidTranslation:
    """The VIDs at the station ports of a switch."""
    relay_vids = group_vids(parsed.groups)
    local_vids = {relay_vids[group]: vid for group, vid in group_vids(dp.groups).items() if group in relay_vids}
    return VidTranslation({relay: local for relay, local in local_vids.items() if relay != local})


def groups_line(groups: dict[int, int]) -> str:
    """The mapping as YAML text; consecutive groups with consecutive VIDs are one range."""
    runs = [list(run) for _, run in groupby(sorted(groups.items()), key=_Offset())]
    return flow_map({_range_text(run[0][0], run[-1][0]): run[0][1] for run in runs})


def local_groups(fabric: Fabric, switch: Switch) -> dict[int, int]:
    """GroupID -> local VID, of the groups with a local VID of their own at a switch."""
    local_vids = switch.translation.local_vids
    return {group: local_vids[vid] for group, vid in fabric.groups.items() if vid in local_vids}


class _Offset:
    """Key of :func:`groupby`: changes where a range of groups or the range of their VIDs ends."""

    def __init__(self) -> None:
        self._last = (-1, -1)
        self._run = 0

    def __call__(self, item: tuple[int, int]) -> int:
        group, vid = item
        if (group - 1, vid - 1) != self._last:
            self._run += 1
        self._last = item
        return self._run


def _range_text(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
