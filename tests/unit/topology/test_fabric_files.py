"""A fabric of the user's own in a YAML file: checked as evbridge check does, drawn, built by mn, played on."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ryu_apps.cli.check import check
from ryu_apps.cli.topology import topology
from ryu_apps.evb.config import load_config
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.testbed.harness import mininet_api
from ryu_apps.testbed.replay.player import cluster_for
from ryu_apps.testbed.replay.scenario import Scenario, ScenarioError, load_scenario
from ryu_apps.topologies import from_file, multi_switch, servers, two_switch
from ryu_apps.topologies.mininet_topo import EndSystem, oddities, topo_of

FILE = Path(from_file.__file__)
GOOD = """\
version: 1
policies: [types]
state_dir: state
multicast: {querier: false}
dps:
  north:
    dp_id: 0x1
    interfaces:
      1: {name: blade1, role: station, native_vlan: 100, timers: {rka: 18}}
      7: {name: desk, role: host, native_vlan: 100, macs: ["02:00:00:00:0f:01"]}
      48: {name: south, role: trunk, link: {dp: south, port: 48}}
  south:
    dp_id: 0x2
    interfaces:
      1: {name: blade2, role: station, native_vlan: 100, tagged_vlans: [200]}
      48: {name: north, role: trunk, link: {dp: north, port: 48}}
"""
TYPE = "version: 1\nvsi_type: {type_id: 7, version: 2, name: web}\n"
SCENARIO = """\
version: 1
name: a-move
cluster: {topology: mine.yaml, hosts: {desk: 10.0.100.9}}
vms: {vm1: {at: blade1, mac: "52:54:00:aa:00:01", ip: 10.0.100.11, type: 7, version: 2}}
flows: {probe: {proto: udp, host: desk, vm: vm1, port: 443}}
migrations: [{vm: vm1, to: blade2, ladder: safest-exchange}]
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "types").mkdir()
    (tmp_path / "types" / "web.yaml").write_text(TYPE, encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD, encoding="utf-8")
    return path


def fabric_of(path: Path) -> Fabric:
    config, diagnostics = load_config(str(path), path.read_text(encoding="utf-8"))
    assert config is not None, diagnostics
    return config.fabric


def command(*arguments: object) -> Result:
    return CliRunner().invoke(topology, list(map(str, arguments)))


# --- evbridge topology ------------------------------------------------------------------------------
def test_a_file_is_read_and_written_as_the_same_configuration(mine: Path) -> None:
    result = command(mine)
    assert result.exit_code == 0, result.output
    assert load_config("", result.output)[0] == load_config("", GOOD)[0]


def test_a_file_is_drawn(mine: Path, tmp_path: Path) -> None:
    result = command(mine, "--svg", tmp_path / "mine.svg")
    assert (result.exit_code, result.output) == (0, "")
    text = (tmp_path / "mine.svg").read_text(encoding="utf-8")
    assert all(f">{name}<" in text for name in ("north", "south", "blade1", "blade2", "desk"))


def test_policies_of_the_command_line_take_the_place_of_those_of_the_file(mine: Path) -> None:
    assert "policies: [types]" in command(mine).output
    assert "policies: [a, b]" in command(mine, "--policies", "a", "--policies", "b").output


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("role: station", "role: stations"),
        ("native_vlan: 100", "native_vlan: 5000"),
        ("{dp: north, port: 48}", "{dp: north, port: 47}"),
        ("dp_id: 0x2", "dp_id: 0x1"),
        ("dps:", "colour: red\ndps:"),
        ("policies: [types]", "policies: [nowhere]"),
        (GOOD, ""),
        (GOOD, "version: 1\n  dps: {"),
    ],
)
def test_mistakes_are_told_exactly_as_check_tells_them(mine: Path, tmp_path: Path, old: str, new: str) -> None:
    mine.write_text(GOOD.replace(old, new), encoding="utf-8")
    (tmp_path / "types" / "web.yaml").write_text(f"{TYPE}colour: red\n", encoding="utf-8")
    told = CliRunner().invoke(check, [str(mine)])
    result = command(mine, "-o", tmp_path / "out.yaml")
    *mistakes, last = result.output.splitlines()
    assert result.exit_code == told.exit_code == 1
    if "dps" in mine.read_text(encoding="utf-8"):  # check cannot know what an empty file was to be
        assert mistakes == told.output.splitlines()
    assert mistakes and all(re.match(rf"{tmp_path}/\S+:\d+:\d+: ", mistake) for mistake in mistakes[:-1])
    assert last == f"Error: {mine} cannot be used"
    assert not (tmp_path / "out.yaml").exists()


def test_warnings_are_told_and_do_not_matter(mine: Path, tmp_path: Path) -> None:
    odd = "to_vm:\n  rules:\n  - rule: {actions: {allow: 1}}\n  - rule: {tcp_dst: 1, actions: {allow: 1}}\n"
    (tmp_path / "types" / "web.yaml").write_text(TYPE + odd, encoding="utf-8")
    result = command(mine, "-o", tmp_path / "out.yaml")
    assert result.exit_code == 0
    assert "warning: shadowed" in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.yaml"], "nowhere.yaml:1:1: No such file"),
        (["MINE", "--set", "n=8"], "has no parameters"),
        (["MINE", "--address", "desk=10.0.100.9/24"], "--address is of use with --mininet alone"),
        (["MINE", "--mininet", "OUT", "--address", "desk=10.0.100.9"], "HOST=IP/LENGTH was expected"),
        (["MINE", "--mininet", "OUT", "--address", "desk=10.0.100/24"], "10.0.100"),
        (["MINE", "--mininet", "OUT", "--address", "chair=10.0.100.9/24"], "there is no end system 'chair'"),
    ],
)
def test_what_a_file_does_not_go_with_is_explained(
    mine: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    places = {"MINE": str(mine), "OUT": str(tmp_path / "out.json")}
    result = command(*(places.get(argument, argument) for argument in arguments))
    assert result.exit_code != 0
    assert words in result.output
    assert not (tmp_path / "out.json").exists()


# --- mn ---------------------------------------------------------------------------------------------
_AS_MN_DOES = """
import sys
names = {}
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), names, names)
topo = names["topos"]["fromfile"](path=sys.argv[2])
print(*sorted(topo.nodes()), topo.nodeInfo("desk")["ip"], topo.nodeInfo("desk")["mac"])
"""


def _as_mn_does(path: Path) -> subprocess.CompletedProcess[str]:
    command = ["/usr/bin/python3", "-c", _AS_MN_DOES, str(FILE), str(path)]
    return subprocess.run(command, capture_output=True, text=True, cwd=path.parent, env={})


def test_mn_builds_what_the_file_describes(mine: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine.json"
    result = command(mine, "--mininet", target, "--address", "desk=10.0.100.9/24")
    assert (result.exit_code, result.output) == (0, "")
    done = _as_mn_does(target)
    assert done.stdout.split() == [
        "blade1",
        "blade2",
        "desk",
        "north",
        "south",
        "10.0.100.9/24",
        "02:00:00:00:0f:01",
    ], done


def test_an_end_system_without_an_address_gets_none(mine: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine.json"
    assert command(mine, "--mininet", target).exit_code == 0
    assert _as_mn_does(target).stdout.split()[-2:] == ["None", "02:00:00:00:0f:01"]


@pytest.mark.parametrize(
    "fabric",
    [
        two_switch.fabric(9, proxies=1),
        two_switch.fabric(8, bonds=2, lacp=1),
        multi_switch.fabric(4, 2, 32, links=2),
        servers.fabric(3),
    ],
    ids=["two", "bonded", "multi", "servers"],
)
def test_topologies_in_python_are_the_same_by_way_of_a_file(fabric: Fabric) -> None:
    mininet_api.load()
    hosts = two_switch.END_SYSTEMS + two_switch.PROXIES + multi_switch.END_SYSTEMS
    direct, read = topo_of(fabric, hosts), topo_of(*from_file.read(from_file.written(fabric, hosts)))
    assert read.nodes() == direct.nodes()
    assert read.links(withInfo=True) == direct.links(withInfo=True)
    assert [read.nodeInfo(name) for name in read.nodes()] == [direct.nodeInfo(name) for name in direct.nodes()]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "No such file or directory"),
        ("dps: {}", "not what evbridge topology --mininet writes"),
        ("[]", "not what evbridge topology --mininet writes"),
        (json.dumps({"version": 2, "switches": []}), "version 2, this reads 1"),
        (json.dumps({"version": 1, "switches": [{"name": "s1"}]}), "not what evbridge"),
    ],
)
def test_mn_is_told_in_one_line_what_is_wrong(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "mine.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    done = _as_mn_does(path)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"fromfile: path={path}: ") and words in line


def test_no_name_of_the_file_replaces_one_of_mn() -> None:
    text = Path("/usr/bin/mn").read_text(encoding="utf-8")
    mine = {name for name in vars(from_file) if not name.startswith("__")}
    assert {name for name in mine if f"\n{name} =" in text or f"import {name}\n" in text} <= {"sys"}


# --- what Mininet cannot build ------------------------------------------------------------------------
def test_what_a_controller_does_not_mind_and_mininet_does(mine: Path, tmp_path: Path) -> None:
    text = GOOD.replace("blade2", "blade1").replace("desk", "a desk").replace("north", "the-north-pole")
    mine.write_text(text, encoding="utf-8")
    assert command(mine).exit_code == 0
    result = command(mine, "--mininet", tmp_path / "out.json")
    assert result.exit_code == 1
    assert result.output.removeprefix("Error: ").splitlines() == [
        "2 nodes are named 'blade1', Mininet wants a name for each",
        "'a desk' cannot be the name of a node in Mininet: letters, digits, '_', '.' and '-'",
        "'the-north-pole-eth1' is too long for the name of an interface, 15 characters",
        "'the-north-pole-eth48' is too long for the name of an interface, 15 characters",
        "'the-north-pole-eth7' is too long for the name of an interface, 15 characters",
    ]


def test_a_scenario_on_a_fabric_that_mininet_cannot_build_is_refused(mine: Path, tmp_path: Path) -> None:
    mine.write_text(GOOD.replace("south:", "blade1:").replace("dp: south", "dp: blade1"), encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        scenario(tmp_path)
    assert {line[2:] for line in told(caught)} == {
        ("mine.yaml", "mine.yaml: 2 nodes are named 'blade1', Mininet wants a name for each")
    }


def test_a_switch_may_not_be_named_as_a_node() -> None:
    clash = Fabric({1: Switch(1, "s1", {1: Interface(1, "s1", Role.STATION, 100)})})
    assert list(oddities(clash)) == ["2 nodes are named 's1', Mininet wants a name for each"]
    assert list(oddities(multi_switch.fabric(48, 8, 256))) == []


def test_the_bridge_of_a_bond_has_a_name_of_its_own() -> None:
    ports = {1: Interface(1, "hv1", Role.STATION, 100, bond=(1, 2)), 3: Interface(3, "hv1b", Role.STATION, 100)}
    clash = Fabric({1: Switch(1, "s1", ports)})
    assert list(oddities(clash)) == ["2 nodes are named 'hv1b', Mininet wants a name for each"]
    assert list(oddities(two_switch.fabric(128, bonds=64))) == []
    with pytest.raises(ValueError, match="bonds=5: a switch has 4 hypervisors"):
        two_switch.fabric(8, bonds=5)


# --- scenarios ----------------------------------------------------------------------------------------
def scenario(folder: Path, old: str = "", new: str = "") -> Scenario:
    path = folder / "scenario.yaml"
    path.write_text(SCENARIO.replace(old, new) if old else SCENARIO, encoding="utf-8")
    return load_scenario(path)


def test_a_scenario_is_played_on_the_fabric_of_a_file(mine: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    folder.mkdir()
    cluster = cluster_for(scenario(tmp_path), folder)
    cluster.stop()
    assert cluster.fabric == fabric_of(mine)
    told, _ = load_config("", (folder / "evbridge.yaml").read_text(encoding="utf-8"))
    assert told is not None and told.fabric == cluster.fabric
    assert told.policies == (str(tmp_path / "types"),)
    assert not told.multicast.usual.on


def test_what_the_users_own_bridge_remembers_is_left_alone(mine: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    folder.mkdir()
    cluster_for(scenario(tmp_path), folder).stop()
    assert "state_dir" not in (folder / "evbridge.yaml").read_text(encoding="utf-8")


def test_a_scenario_gives_end_systems_their_addresses(mine: Path, tmp_path: Path) -> None:
    assert scenario(tmp_path).site.hosts == (EndSystem("desk", 0x020000000F01, "10.0.100.9/24"),)


def test_a_scenario_may_have_policies_of_its_own(mine: Path, tmp_path: Path) -> None:
    assert scenario(tmp_path, "{topology", "{policies: [others], topology").policies == (str(tmp_path / "others"),)


def test_rule_budgets_leave_load_balancers_of_the_file_alone(mine: Path, tmp_path: Path) -> None:
    balancer = (
        "load_balancers:\n"
        "  web: {vlan: 100, mac: '02:00:00:00:64:c8', addresses: [10.0.100.200], port: 80,\n"
        "        backends: {one: {mac: '52:54:00:aa:00:01', addresses: [10.0.100.11]}}}\n"
    )
    mine.write_text(GOOD.replace("dps:", f"{balancer}dps:"), encoding="utf-8")
    folder = tmp_path / "cluster"
    folder.mkdir()
    cluster = cluster_for(scenario(tmp_path, "{topology", "{max_rules: {south: 9}, topology"), folder)
    cluster.stop()
    assert [balancer.name for balancer in cluster.fabric.balancers] == ["web"]
    assert [switch.max_rules for switch in cluster.fabric.switches.values()] == [None, 9]


def told(caught: pytest.ExceptionInfo[ScenarioError]) -> set[tuple[str, int, str, str]]:
    """File, line, what stands at the place, and the reason of each mistake."""
    found = set()
    for entry in str(caught.value).splitlines():
        file, line, column, reason = entry.split(":", 3)
        text = Path(file).read_text(encoding="utf-8").splitlines()[int(line) - 1][int(column) - 1 :]
        found.add((Path(file).name, int(line), re.split(r"[,}\]]", text)[0], reason.strip()))
    return found


@pytest.mark.parametrize(
    ("old", "new", "line", "at", "words"),
    [
        ("mine.yaml", "nowhere.yaml", 3, "nowhere.yaml", "nowhere.yaml: No such file or directory"),
        ("{topology", "{n: 9, topology", 3, "9", "a file has no n: mine.yaml is what it is"),
        ("{topology", "{proxies: true, topology", 3, "true", "a file has no proxies: mine.yaml is what it is"),
        ("{topology", "{parameters: {a: 2}, topology", 3, "{a: 2", "a file has no parameters: mine.yaml is what it is"),
        ("{desk:", "{chair:", 3, "10.0.100.9", "there is no end system 'chair'"),
        ("{desk: 10.0.100.9}", "{}", 5, "desk", "desk has no address: cluster.hosts may give it one"),
        ("host: desk", "host: chair", 5, "chair", "there is no end system or VM 'chair'"),
        ("at: blade1", "at: desk", 4, "desk", "there is no hypervisor 'desk'"),
        ("to: blade2", "to: blade3", 6, "blade3", "there is no hypervisor 'blade3'"),
        ("{topology", "{max_rules: {east: 9}, topology", 3, "9", "there is no switch 'east'"),
    ],
)
def test_mistakes_of_a_scenario_have_their_place(
    mine: Path, tmp_path: Path, old: str, new: str, line: int, at: str, words: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario(tmp_path, old, new)
    assert ("scenario.yaml", line, at, words.replace("nowhere.yaml:", f"{tmp_path}/nowhere.yaml:")) in told(caught)


def test_mistakes_of_the_fabric_are_told_with_those_of_the_scenario(mine: Path, tmp_path: Path) -> None:
    mine.write_text(GOOD.replace("dp: north, port: 48", "dp: north, port: 47"), encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        scenario(tmp_path, "vm: vm1, port", "vm: vm2, port")
    assert {line[:3] for line in told(caught)} == {
        ("mine.yaml", 11, "{dp: south"),
        ("mine.yaml", 16, "47"),
        ("scenario.yaml", 3, "mine.yaml"),
        ("scenario.yaml", 5, "vm2"),
    }


def test_a_python_file_is_looked_for_beside_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from ryu_apps.topologies.two_switch import END_SYSTEMS, fabric\n", encoding="utf-8"
    )
    text = SCENARIO.replace("mine.yaml, hosts: {desk: 10.0.100.9}", "mine.py, n: 9").replace("desk", "client")
    (tmp_path / "scenario.yaml").write_text(text.replace("blade", "hv"), encoding="utf-8")
    loaded = load_scenario(tmp_path / "scenario.yaml")
    assert loaded.site.config.fabric == two_switch.fabric(9)
    assert PortId(1, 1) in loaded.site.config.fabric.ports(Role.STATION)


def test_the_smallest_two_switches_have_a_hypervisor_each() -> None:
    fabric = two_switch.fabric(2)
    stations = [
        [port.name for port in switch.interfaces.values() if port.role is Role.STATION]
        for switch in fabric.switches.values()
    ]
    assert stations == [["hv1"], ["hv2"]]
    for n in (1, 129):
        with pytest.raises(ValueError, match="2 to 128 hypervisors"):
            two_switch.fabric(n)
