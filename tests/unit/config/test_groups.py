"""GroupIDs in evbridge.yaml: VIDs of the fabric, local VIDs of switches, and every mistake at its place."""

from __future__ import annotations

import random

import pytest

from ryu_apps.evb.config import BridgeConfig, dump_config, load_config
from ryu_apps.evb.config.group_ids import LAST_GROUP, LAST_VID
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.evb.topology.vid_translation import VidTranslation

EXAMPLE = """\
version: 1
groups:
  1000: 100
  2000: 200
  0x5000-0x5009: 1000
dps:
  tor1:
    dp_id: 1
    interfaces:
      1: {name: hv1, role: station, native_vlan: 100}
  tor2:
    dp_id: 2
    groups: {1000: 200, 2000: 100, 20482-20484: 300}
    interfaces:
      1: {name: hv2, role: station, native_vlan: 200, tagged_vlans: [100, 1001]}
      2: {name: nms, role: host, native_vlan: 1002, macs: ['02:00:00:00:0f:01']}
"""


def fabric_of(text: str) -> Fabric:
    config, found = load_config("e.yaml", text)
    assert config is not None and not found
    return config.fabric


def test_a_range_of_groups_has_as_many_vids() -> None:
    groups = fabric_of(EXAMPLE).groups
    assert groups == {1000: 100, 2000: 200, **{0x5000 + number: 1000 + number for number in range(10)}}


def test_a_switch_has_local_vids_of_its_own() -> None:
    first, second = fabric_of(EXAMPLE).switches.values()
    assert not first.translation
    assert second.translation == VidTranslation({100: 200, 200: 100, 1002: 300, 1003: 301, 1004: 302})
    assert [second.translation.relay(vid) for vid in (200, 300, 1001, 1002)] == [100, 1002, 1001, None]
    assert [second.translation.local(vid) for vid in (200, 300, 1001, 1002)] == [100, None, 1001, 300]


def test_a_vni_is_a_group_id() -> None:
    """The lower three octets are the VNI, the upper one is 0."""
    assert fabric_of(EXAMPLE.replace("2000:", "0x00fffffe:", 1).replace("2000:", "16777214:")).groups[0xFFFFFE] == 200


@pytest.mark.parametrize("seed", range(20))
def test_groups_are_written_and_read_back_unchanged(seed: int) -> None:
    chance = random.Random(seed)
    number = chance.choice([0, 1, 5, 300])
    ids = chance.sample(range(1, 3000), number) if seed % 2 else list(range(LAST_GROUP - number + 1, LAST_GROUP + 1))
    vids = chance.sample(range(1, LAST_VID + 1), number) if seed % 3 else list(range(1, number + 1))
    groups = dict(zip(ids, vids, strict=True))
    moved = chance.sample(vids, number // 2)
    shuffled = chance.sample(moved, len(moved))
    local_vids = {relay: local for relay, local in zip(moved, shuffled, strict=True) if relay != local}
    fabric = Fabric({1: Switch(1, "s1", translation=VidTranslation(local_vids))}, groups=groups)
    assert fabric_of(dump_config(BridgeConfig(fabric))) == fabric


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("2000: 200", "2000: 100", "4:9: VID 100 is already that of group 1000: two groups never share a VLAN"),
        ("0x5009: 1000", "0x5009: 195", "5:18: VID 200 is already that of group 2000: two groups never share a VLAN"),
        ("0x5000-0x5009: 1000", "0x5000-0x5009: 4090", "5:18: 10 groups from VID 4090 on go beyond VID 4094"),
        ("0x5000-0x5009", "990-1009", "5:13: group 1000 is already in 1000"),
        ("0x5000-0x5009", "9-1", "5:3: key '9-1': range 9-1 runs backwards"),
        ("0x5000-0x5009", "red", "5:3: key 'red': a GroupID or a range was expected, such as 1000 or 5000-5999"),
        ("0x5000-0x5009", "0", "5:3: key 0: a GroupID is 1 to 4294967295"),
        ("0x5000-0x5009", "4294967296", "5:3: key 4294967296: a GroupID is 1 to 4294967295"),
        ("0x5000-0x5009", "1-9999999", "5:3: key '1-9999999': range 1-9999999 has more groups than there are VIDs"),
        ("2000: 200", "2000: 4095", "4:9: input should be less than or equal to 4094, not 4095"),
        ("2000: 100,", "2000: 100, 77: 5,", "13:40: group 77 has no VID in the fabric: it is not in the file's groups"),
        (
            "1000: 200, 2000: 100,",
            "2000: 100,",
            "13:20: VID 100 is that of group 1000 at this switch: two groups never share a VLAN",
        ),
        (
            "[100, 1001]",
            "[100, 1002]",
            "15:75: VLAN 1002 has VID 300 at the station ports of this switch, and no other has 1002",
        ),
    ],
)
def test_each_mistake_has_its_place(old: str, new: str, found: str) -> None:
    assert old in EXAMPLE
    _, diagnostics = load_config("e.yaml", EXAMPLE.replace(old, new, 1))
    reasons = [str(diagnostic).removeprefix("e.yaml:") for diagnostic in diagnostics]
    assert found in reasons


def test_the_groups_of_a_file_are_no_more_than_there_are_vids() -> None:
    ranges = ", ".join(f"{first}-{first + 4093}: 1" for first in range(1, 4_000_000, 4094))
    _, diagnostics = load_config("e.yaml", f"version: 1\ngroups: {{{ranges}}}\ndps: {{}}\n")
    assert [str(diagnostic) for diagnostic in diagnostics] == ["e.yaml:2:9: more groups than there are VIDs"]


def test_a_host_port_has_relay_vids() -> None:
    host = fabric_of(EXAMPLE).switches[2].interfaces[2]
    assert host.native_vlan == 1002
