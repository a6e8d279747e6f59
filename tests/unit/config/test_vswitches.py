"""vSwitches in evbridge.yaml: VSI ports of each member, VLANs apart, mistakes with their lines."""

from __future__ import annotations

import textwrap

import pytest

from ryu_apps.evb.config import dump_config
from ryu_apps.evb.config.changes import RefusedChanges
from ryu_apps.evb.config.reading import load_config
from ryu_apps.evb.topology.planes import MOST_PLANES
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.station_limits import StationLimits
from ryu_apps.evb.topology.vsi_ports import VsiPortPattern
from ryu_apps.evb.topology.vswitches import Vswitch

RACK = """\
    version: 1
    vswitches:
      dvs1: {members: [vs1, vs2], native_vlan: 100, uplinks: [1], types: ["1/*"], max_vsis: 64}
      dvs2: {members: [vs2, vs1], native_vlan: 300, tagged_vlans: [301]}
      svs1: {members: [vs1], native_vlans: [200, 201], ports: "veth*"}
    dps:
      s1:
        dp_id: 0x1
        interfaces:
          3: {name: nms, role: host, native_vlan: 100, macs: ["02:00:00:00:0f:01"]}
          21: {name: vs1, role: trunk, link: {dp: vs1, port: 1}}
          22: {name: vs2, role: trunk, link: {dp: vs2, port: 1}}
      vs1:
        dp_id: 0x11
        interfaces:
          1: {name: s1, role: trunk, link: {dp: s1, port: 21}}
          2: {name: hv1, role: local_station}
      vs2:
        dp_id: 0x12
        interfaces:
          1: {name: s1, role: trunk, link: {dp: s1, port: 22}}
          2: {name: hv2, role: local_station}
"""


def found(text: str) -> list[str]:
    _, diagnostics = load_config("e.yaml", textwrap.dedent(text))
    return [str(diagnostic) for diagnostic in diagnostics]


def test_each_member_has_the_vsi_ports_of_its_vswitches() -> None:
    config, mistakes = load_config("e.yaml", textwrap.dedent(RACK))
    assert config is not None and not mistakes
    limits = StationLimits(types=("1/*",))
    first, _, third = config.fabric.vswitches
    assert first == Vswitch("dvs1", (0x11, 0x12), "tap*", (100,), (), (1,), limits, 64)
    assert [vswitch.is_distributed for vswitch in config.fabric.vswitches] == [True, True, False]
    assert third.vids == (200, 201)
    shared, own = VsiPortPattern("tap*", 100, (301,), (100, 300)), VsiPortPattern("veth*", 200, (), (200, 201))
    assert config.fabric.switches[0x11].vsi_ports == (shared, own)
    assert config.fabric.switches[0x12].vsi_ports == (shared,)
    assert config.fabric.switches[1].vsi_ports == ()


def test_they_are_written_back_unchanged() -> None:
    config, _ = load_config("e.yaml", textwrap.dedent(RACK))
    assert config is not None
    assert "role: vsi" not in dump_config(config), "they are those of the vSwitches"
    assert load_config("e.yaml", dump_config(config)) == (config, [])


def test_a_member_with_local_vids_has_its_own_numbers_at_its_ports() -> None:
    groups = RACK.replace("    version: 1\n", "    version: 1\n    groups: {1000: 100}\n")
    config, mistakes = load_config(
        "e.yaml", textwrap.dedent(groups.replace("dp_id: 0x12", "dp_id: 0x12\n        groups: {1000: 777}"))
    )
    assert config is not None, mistakes
    assert config.fabric.switches[0x11].vsi_ports[0].native_vlans == (100, 300)
    assert config.fabric.switches[0x12].vsi_ports[0].native_vlans == (777, 300)
    assert load_config("e.yaml", dump_config(config)) == (config, [])


@pytest.mark.parametrize(
    ("before", "after", "mistake"),
    [
        ("members: [vs1, vs2]", "members: [vs1, vs3]", "3:25: there is no dp 'vs3'"),
        ("members: [vs1, vs2]", "members: [vs1, vs1]", "3:25: vs1 is given twice"),
        ("members: [vs1, vs2]", "members: [vs1, s1]", "3:25: s1 has no local_station, which a member needs"),
        ("members: [vs1, vs2]", "members: []", "3:19: list should have"),
        ("native_vlan: 100, uplinks", "uplinks", "3:9: a vSwitch needs VLANs"),
        ("native_vlan: 300", "native_vlan: 100", "4:20: VLAN 100 at vs2 is already that of vSwitch dvs1"),
        ("[200, 201]", "[200, 301]", "5:20: VLAN 301 at vs1 is already that of vSwitch dvs2"),
        ("[200, 201]", "[200, 200]", "5:46: VLAN 200 is given twice"),
        ("[200, 201]", "[200, 201], native_vlan: 203", "one of native_vlan and native_vlans was expected"),
        ("tagged_vlans: [301]", "tagged_vlans: [300]", "4:64: VLAN 300 is already the native VLAN"),
        ("uplinks: [1]", "uplinks: [2]", "3:59: port 2 of vs1 is not a trunk"),
        ("uplinks: [1]", "uplinks: [1, 1]", "3:62: port 1 is given twice"),
        ('ports: "veth*"', 'ports: "*"', "5:59: a name of VSI ports such as tap* was expected"),
        (
            "22: {name: vs2, role: trunk, link: {dp: vs2, port: 1}}",
            "22: {name: other, role: station}",
            "3:25: no trunks lead from vs1 to vs2: they cannot be one switch",
        ),
        (
            "2: {name: hv2, role: local_station}",
            "2: {name: hv2, role: local_station}\n          tap*: {role: vsi}",
            "23:13: the dp is a member of vSwitch dvs1, which has all of its VSI ports",
        ),
        (
            "3: {name: nms, role: host,",
            "9: {name: ids, role: mirror, remote_vlan: 301}\n          3: {name: nms, role: host,",
            "VID 301 is in use at vSwitch dvs2",
        ),
        (
            "dp_id: 0x12",
            "dp_id: 0x12\n        groups: {7: 300}",
            "VLAN 300 of vSwitch dvs2 has no VID at the VSI ports of vs2",
        ),
    ],
)
def test_mistakes_have_their_place(before: str, after: str, mistake: str) -> None:
    text = RACK.replace("    version: 1\n", "    version: 1\n    groups: {7: 7}\n") if "groups" in after else RACK
    assert before in text
    lines = found(text.replace(before, after, 1))
    assert any(mistake in line for line in lines), lines


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("members: [vs2, vs1], native_vlan: 300", "members: [vs2, vs1], native_vlan: 300, max_vsis: 7", []),
        ("dvs1: {members: [vs1, vs2], ", 'dvs1: {members: [vs1, vs2], macs: ["02:*"], ', []),
        (
            "native_vlans: [200, 201]",
            "native_vlans: [200, 202]",
            ["e.yaml:15:5: VSI port veth1 of vs1 cannot change while its VSI is there"],
        ),
    ],
)
def test_a_reload_changes_limits_and_refuses_other_vlans_of_a_port_in_use(
    before: str, after: str, told: list[str]
) -> None:
    text, changed = textwrap.dedent(RACK), textwrap.dedent(RACK).replace(before, after)
    assert text != changed
    old, _ = load_config("e.yaml", text)
    new, mistakes = load_config("e.yaml", changed)
    assert old is not None and new is not None, mistakes
    refused = RefusedChanges(old, "e.yaml", changed, new).in_use([(PortId(0x11, 2), "veth1")])
    assert [str(diagnostic) for diagnostic in refused] == told


# --- uplinks --------------------------------------------------------------------------------------
def servers(size: int, uplinks: int) -> str:
    """A rack of servers with two uplinks each, and a vSwitch of each with one of them; ``dvs`` spans the first two."""
    both = (1, 2)
    lines = ["version: 1", "vswitches:"]
    lines += [f"  svs{n}: {{members: [vs{n}], native_vlan: {100 + n}, uplinks: [1]}}" for n in range(size)]
    lines += [f"  dvs: {{members: [vs0, vs1], native_vlan: 99, uplinks: [{uplinks}]}}"]
    lines += ["dps:", "  s1:", "    dp_id: 0x1", "    interfaces:"]
    lines += [f"      9{end}: {{name: s2, role: trunk, link: {{dp: s2, port: 9{end}}}}}" for end in both]
    for n in range(size):
        ports = (f"{2 * n + end}: {{name: vs{n}, role: trunk, link: {{dp: vs{n}, port: {end}}}}}" for end in both)
        lines += [f"      {port}" for port in ports]
    for n in range(size):
        lines += [f"  vs{n}:", f"    dp_id: {0x100 + n}", "    interfaces:"]
        lines += [f"      {end}: {{name: s1, role: trunk, link: {{dp: s1, port: {2 * n + end}}}}}" for end in both]
        lines += [f"      3: {{name: hv{n}, role: local_station}}"]
    lines += ["  s2:", "    dp_id: 0x2", "    interfaces:"]
    lines += [f"      9{end}: {{name: s1, role: trunk, link: {{dp: s1, port: 9{end}}}}}" for end in both]
    return "\n".join(lines) + "\n"


def test_uplinks_lead_to_each_member() -> None:
    text = servers(2, 2)
    assert found(text) == []
    swapped = "{dp: s2, port: 97}}"
    other = text.replace(
        "{name: s1, role: trunk, link: {dp: s1, port: 4}}", f"{{name: s2, role: trunk, link: {swapped}"
    )
    other = other.replace("      4: {name: vs1, role: trunk, link: {dp: vs1, port: 2}}\n", "")
    other += "      97: {name: vs1, role: trunk, link: {dp: vs1, port: 2}}\n"
    assert found(other) == [], "by the link between the racks"
    between = [line for line in other.splitlines() if not line.startswith(("      91:", "      92:"))]
    (mistake,) = found("\n".join(between) + "\n")
    assert "no uplinks lead from vs0 to vs1: they cannot be one switch" in mistake


def test_uplinks_that_leave_out_trunks_need_switches_that_choose_by_vlan() -> None:
    mistakes = found(servers(2, 2).replace("dp_id: 0x1\n", "dp_id: 0x1\n    profile: openflow13\n"))
    assert [line.partition(": uplinks")[2] for line in mistakes] == [
        " need the extensions of Open vSwitch at every dp, and s1 has none"
    ] * 3
    assert found(RACK.replace("dp_id: 0x1\n", "dp_id: 0x1\n        profile: openflow13\n")) == [], "all are named"


def test_vlans_have_a_bounded_number_of_choices_of_uplinks() -> None:
    assert not any("choices" in line for line in found(servers(MOST_PLANES - 1, 1)))
    assert any(
        f"more than {MOST_PLANES} different choices of uplinks" in line for line in found(servers(MOST_PLANES, 1))
    )
