"""Changes of evbridge.yaml that a running bridge refuses, each with its line."""

from __future__ import annotations

import pytest

from ryu_apps.evb.config import BridgeConfig, load_config
from ryu_apps.evb.config.changes import RefusedChanges
from ryu_apps.evb.topology.fabric import PortId

HV1, HV2, SERVER = PortId(1, 1), PortId(1, 2), PortId(1, 9)
BEFORE = """\
version: 1
dps:
  s1:
    dp_id: 1
    interfaces:
      1: {name: hv1, role: station, native_vlan: 100, tagged_vlans: [7]}
      2: {name: hv2, role: station, native_vlan: 100}
      9: {name: server, role: local_station}
      vnet*: {role: vsi, native_vlan: 100}
"""


def read(text: str) -> BridgeConfig:
    config, mistakes = load_config("evbridge.yaml", text)
    assert config is not None, mistakes
    return config


def changes(old: str, new: str) -> RefusedChanges:
    text = BEFORE.replace(old, new)
    assert text != BEFORE
    return RefusedChanges(read(BEFORE), "evbridge.yaml", text, read(text))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("dp_id: 1", "dp_id: 2", "2:1: s1 has VSIs and cannot be removed"),
        (
            "      1: {name: hv1",
            "      3: {name: hv1",
            "5:5: port 0000000000000001:1 (hv1) has VSIs and cannot be removed",
        ),
        (
            "1: {name: hv1, role: station, native_vlan: 100, tagged_vlans: [7]}",
            '1: {name: hv1, role: host, native_vlan: 100, macs: ["02:00:00:00:00:01"]}',
            "6:7: port 0000000000000001:1 (hv1) has VSIs and remains a station",
        ),
        (
            "hv1, role: station, native_vlan: 100",
            "hv1, role: station, native_vlan: 200",
            "6:37: native_vlan of port hv1 cannot change while VSIs are there",
        ),
        (
            "tagged_vlans: [7]}",
            "bond: [1, 8]}",
            "6:55: bond of port hv1 cannot change while VSIs are there",
        ),
    ],
)
def test_what_a_vsi_is_made_of_stays(old: str, new: str, told: str) -> None:
    refused = changes(old, new)
    assert [str(mistake) for mistake in refused.in_use([(HV1, "")])] == [f"evbridge.yaml:{told}"]
    if "hv1" in told:
        assert refused.in_use([(HV2, "")]) == []
    assert refused.in_use([]) == []


def test_a_vsi_port_stays_as_it_is_while_its_vsi_is_there() -> None:
    refused = changes("vsi, native_vlan: 100", "vsi, native_vlan: 200")
    (mistake,) = refused.in_use([(SERVER, "vnet3"), (HV2, "")])
    assert str(mistake) == "evbridge.yaml:5:5: VSI port vnet3 of s1 cannot change while its VSI is there"
    assert refused.in_use([(HV2, "")]) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tagged_vlans: [7]", "tagged_vlans: [7, 8], timers: {rwd: 22, rka: 24}"),
        ("name: hv1", "name: first"),
        ("      2:", "      3: {name: hv3, role: station, native_vlan: 100}\n      2:"),
    ],
)
def test_all_else_may_change(old: str, new: str) -> None:
    refused = changes(old, new)
    assert refused.in_use([(HV1, ""), (HV2, "")]) == [] == refused.of_the_process()


@pytest.mark.parametrize("key", ["state_dir: state", "rest: {names: [other]}", "openflow_reader: ryu"])
def test_what_the_process_was_started_with_needs_another_start(key: str) -> None:
    (mistake,) = changes("version: 1\n", f"version: 1\n{key}\n").of_the_process()
    name = key.partition(":")[0]
    assert str(mistake) == f"evbridge.yaml:2:1: {name} cannot change while the bridge runs; start it anew"


def test_a_vsi_that_would_be_lost_is_told_with_its_port() -> None:
    (mistake,) = changes("tagged_vlans: [7]", "tagged_vlans: [8]").lost([(HV1, "a-vsi", "VID 7 is not configured")])
    place = "evbridge.yaml:6:7"
    assert str(mistake) == f"{place}: VSI a-vsi is at port 0000000000000001:1: VID 7 is not configured"
