"""The section ``network`` of a VSI type."""

from __future__ import annotations

import pytest

from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import VsiNetwork, VsiType
from ryu_apps.evb.policy.schema import MAX_VLANS

HEAD = "version: 1\nvsi_type: {type_id: 7, version: 1, name: tenant}\n"


def load(section: str) -> tuple[VsiType | None, list[str]]:
    policies, found = load_policies([("t.yaml", HEAD + section)])
    loaded = next(iter(policies.types.values())) if policies else None
    return loaded, [str(diagnostic) for diagnostic in found]


@pytest.mark.parametrize(
    ("section", "network"),
    [
        ("", VsiNetwork()),
        ("network: {}\n", VsiNetwork()),
        ("network: {vlan: 100}\n", VsiNetwork(vids=(100,))),
        ("network: {vlan: [200, 100, 200], pcp: 0}\n", VsiNetwork(vids=(200, 100), pcp=0)),
        ("network: {group: 0x00fffffe, pcp: 7}\n", VsiNetwork(groups=(0xFFFFFE,), pcp=7)),
        ("network: {group: [4294967295, 1]}\n", VsiNetwork(groups=(4294967295, 1))),
    ],
)
def test_a_network_is_read(section: str, network: VsiNetwork) -> None:
    vsi_type, found = load(section)
    assert not found and vsi_type is not None
    assert vsi_type.network == network


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ("network: {vlan: 100, group: 1000}\n", "3:10: a network has a vlan or a group, not both"),
        ("network: {vlan: 0}\n", "3:17: input should be greater than or equal to 1, not 0"),
        ("network: {vlan: 4095}\n", "3:17: input should be less than or equal to 4094, not 4095"),
        ("network: {group: 4294967296}\n", "3:18: input should be less than or equal to 4294967295, not 4294967296"),
        ("network: {group: '1000'}\n", "3:18: input should be a valid integer, not '1000'"),
        ("network: {pcp: 8}\n", "3:16: input should be less than or equal to 7, not 8"),
        ("network: {vid: 100}\n", "3:11: unknown key 'vid'"),
        ("network: 100\n", "3:10: a mapping was expected, not 100"),
    ],
)
def test_each_mistake_has_its_place(section: str, reason: str) -> None:
    assert load(section) == (None, [f"t.yaml:{reason}"])


def test_the_list_of_vlans_is_bounded() -> None:
    assert load(f"network: {{vlan: {list(range(1, MAX_VLANS + 1))}}}\n")[1] == []
    _, (mistake,) = load(f"network: {{vlan: {list(range(1, MAX_VLANS + 2))}}}\n")
    assert mistake.startswith("t.yaml:3:17: list should have at most 64 items")


def test_another_network_is_another_type() -> None:
    digests = [load(section)[0] for section in ("", "network: {}\n", "network: {vlan: 7}\n", "network: {group: 7}\n")]
    without, empty, by_vlan, by_group = (vsi_type.digest for vsi_type in digests if vsi_type)
    assert without == empty
    assert len({without, by_vlan, by_group}) == 3
