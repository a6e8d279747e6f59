"""Changes of evbridge.yaml that a running bridge refuses, each with its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ryu_apps.evb.config import BridgeConfig, load_config
from ryu_apps.evb.config import changes as changing
from ryu_apps.evb.config.changes import RefusedChanges
from ryu_apps.evb.topology.port_id import PortId

MANUAL = Path(__file__).parents[3] / "docs/configuration.rst"
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
        (
            "tagged_vlans: [7]}",
            "reflective_relay: never}",
            "6:55: reflective_relay of port hv1 cannot change while VSIs are there",
        ),
    ],
)
def test_what_a_vsi_is_made_of_stays(old: str, new: str, told: str) -> None:
    refused = changes(old, new)
    assert [str(mistake) for mistake in refused.in_use([(HV1, "")])] == [f"evbridge.yaml:{told}"]
    if "hv1" in told:
        assert refused.in_use([(HV2, "")]) == []
    assert refused.in_use([]) == []


#: A fabric whose switch may have another profile, and VIDs of its own for the group.
SWITCH = """\
version: 1
groups: {1000: 100, 2000: 200}
dps:
  s1:
    dp_id: 1
    interfaces:
      1: {name: hv1, role: station, native_vlan: 100}
"""
OPENFLOW13 = "    profile: openflow13\n"


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("", OPENFLOW13, "profile"),
        (OPENFLOW13, OPENFLOW13 + "    meters: false\n", "meters"),
        ("", "    groups: {1000: 200, 2000: 100}\n", "groups"),
    ],
)
def test_what_the_gates_of_a_switch_are_made_of_stays(old: str, new: str, key: str) -> None:
    before, after = (SWITCH.replace("    interfaces", f"{lines}    interfaces") for lines in (old, new))
    refused = RefusedChanges(read(before), "evbridge.yaml", after, read(after))
    told = [mistake.reason for mistake in refused.in_use([(HV1, "")])]
    assert f"{key} of s1 cannot change while VSIs are there" in told
    assert refused.in_use([]) == []


def test_the_rule_by_which_ports_of_vsis_are_found_stays() -> None:
    refused = changes("role: local_station}", "role: local_station, port_names: 'vnet{vsi:8}'}")
    (mistake,) = refused.in_use([(SERVER, "vnet3")])
    assert str(mistake) == "evbridge.yaml:8:46: port_names of port server cannot change while VSIs are there"


def test_the_choice_of_a_link_stays() -> None:
    before = BEFORE.replace("tagged_vlans: [7]}", "bond: [1, 8]}")
    after = before.replace("bond: [1, 8]}", "bond: [1, 8], bond_mode: lacp}")
    (mistake,) = RefusedChanges(read(before), "evbridge.yaml", after, read(after)).in_use([(HV1, "")])
    assert str(mistake) == "evbridge.yaml:6:69: bond_mode of port hv1 cannot change while VSIs are there"


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


STORE = 'store: {remotes: ["tcp:127.0.0.1:1"]}\n'
DIRECTORY = 'directory: ["tcp:127.0.0.1:2"], peers: {b: {urls: ["http://127.0.0.1:3/"]}}'
#: Keys that the process has read, as they are and as they become; lines of the file behind the first.
OF_THE_PROCESS = {
    "state_dir": ("", "state_dir: state\n"),
    "store": (STORE, STORE.replace(":1", ":9")),
    "cluster": (STORE + "cluster: {name: c1}\n", STORE + "cluster: {name: c2}\n"),
    "pod": (STORE + f"pod: {{name: a, {DIRECTORY}}}\n", STORE + f"pod: {{name: c, {DIRECTORY}}}\n"),
    "rest": ("", "rest: {names: [other]}\n"),
    "openflow_reader": ("", "openflow_reader: ryu\n"),
}


@pytest.mark.parametrize("key", OF_THE_PROCESS)
def test_what_the_process_was_started_with_needs_another_start(key: str) -> None:
    old, new = (BEFORE.replace("version: 1\n", f"version: 1\n{lines}") for lines in OF_THE_PROCESS[key])
    refused = RefusedChanges(read(old), "evbridge.yaml", new, read(new))
    line = new.splitlines().index(next(line for line in new.splitlines() if line.startswith(key))) + 1
    told = f"evbridge.yaml:{line}:1: {key} cannot change while the bridge runs; start it anew"
    assert [str(mistake) for mistake in refused.of_the_process()] == [told]


def test_the_manual_and_the_cases_have_every_key() -> None:
    table = MANUAL.read_text().partition("\nChanges while it runs\n")[2].partition("While\n")[2]
    process, _, others = table.partition("removing a port")
    port, _, others = others.partition("``ports`` and VLANs")
    switch = others.partition("a VLAN or a GroupID")[0].partition("these names\n")[2]
    keys = [set(re.findall(r"``(\w+)``", rows)) for rows in (process, port, switch)]
    assert keys[0] == set(OF_THE_PROCESS) == set(changing._OF_THE_PROCESS)
    assert keys[1] - {"role"} == set(changing._OF_A_PORT)
    assert keys[2] == set(changing._OF_A_SWITCH.values())


def test_a_vsi_that_would_be_lost_is_told_with_its_port() -> None:
    (mistake,) = changes("tagged_vlans: [7]", "tagged_vlans: [8]").lost([(HV1, "a-vsi", "VID 7 is not configured")])
    place = "evbridge.yaml:6:7"
    assert str(mistake) == f"{place}: VSI a-vsi is at port 0000000000000001:1: VID 7 is not configured"
