"""The larger cluster: its wiring at every size, what the controller is told, what mn and scenarios accept."""

from __future__ import annotations

import re
import subprocess
from itertools import pairwise
from pathlib import Path

import networkx as nx
import pytest
from click.testing import CliRunner

from ryu_apps.cli.topology import topology
from ryu_apps.evb.config import load_config
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.graph import TrunkGraph, graph_of
from ryu_apps.evb.topology.interface import Role
from ryu_apps.testbed.harness import mininet_api
from ryu_apps.testbed.replay.player import cluster_for
from ryu_apps.testbed.replay.scenario import ScenarioError, load_scenario
from ryu_apps.topologies import multi_switch
from ryu_apps.topologies.catalogue import describe
from ryu_apps.topologies.mininet_topo import topo_of
from ryu_apps.topologies.multi_switch import END_SYSTEMS, PROXIES

FILE = Path(multi_switch.__file__)
#: leaves, spines, nodes, links.
SIZES = [(2, 1, 32, 1), (4, 2, 32, 1), (4, 1, 5, 2), (16, 4, 256, 1), (15, 3, 250, 4), (48, 8, 48, 1)]


@pytest.fixture(params=SIZES, ids=str)
def size(request: pytest.FixtureRequest) -> tuple[int, int, int, int]:
    size: tuple[int, int, int, int] = request.param
    return size


@pytest.fixture
def fabric(size: tuple[int, int, int, int]) -> Fabric:
    return multi_switch.fabric(*size)


def leaves_of(fabric: Fabric) -> list[int]:
    return [dpid for dpid, switch in fabric.switches.items() if switch.name.startswith("leaf")]


def spines_of(fabric: Fabric) -> list[int]:
    return [dpid for dpid, switch in fabric.switches.items() if switch.name.startswith("spine")]


def names(fabric: Fabric, role: Role, dpid: int | None = None) -> list[str]:
    ports = [port for port in fabric.ports(role) if dpid in (None, port.dpid)]
    return [fabric.switches[port.dpid].interfaces[port.port_no].name for port in ports]


# --- wiring ---
def test_there_are_as_many_of_everything_as_asked_for(fabric: Fabric, size: tuple[int, int, int, int]) -> None:
    leaves, spines, nodes, _ = size
    assert (len(leaves_of(fabric)), len(spines_of(fabric))) == (leaves, spines)
    assert names(fabric, Role.STATION) == [f"hv{number}" for number in range(1, nodes + 1)]


def test_every_leaf_is_linked_to_every_spine_and_to_no_leaf(fabric: Fabric, size: tuple[int, int, int, int]) -> None:
    graph = graph_of(fabric)
    for leaf in leaves_of(fabric):
        assert all(graph.number_of_edges(leaf, spine) == size[3] for spine in spines_of(fabric))
        assert not any(graph.has_edge(leaf, other) for other in leaves_of(fabric))


def test_nodes_are_dealt_out_evenly_and_only_to_leaves(fabric: Fabric) -> None:
    shares = [len(names(fabric, Role.STATION, leaf)) for leaf in leaves_of(fabric)]
    assert max(shares) - min(shares) <= 1
    assert all(
        {interface.role for interface in fabric.switches[spine].interfaces.values()} == {Role.TRUNK}
        for spine in spines_of(fabric)
    )


def test_each_trunk_says_the_same_at_both_ends(fabric: Fabric) -> None:
    for port in fabric.ports(Role.TRUNK):
        interface = fabric.interface(port)
        assert interface is not None and interface.peer is not None
        there = fabric.interface(interface.peer)
        assert there is not None and there.peer == port
        assert interface.name == fabric.switches[interface.peer.dpid].name


def test_one_spine_makes_a_tree_of_two_tiers() -> None:
    fabric = multi_switch.fabric(leaves=4, spines=1, n=32)
    backbone = nx.Graph((port.dpid, fabric.interface(port).peer.dpid) for port in fabric.ports(Role.TRUNK))  # type: ignore[union-attr]
    assert nx.is_tree(backbone)
    assert nx.diameter(backbone) == 2


def test_port_numbers_do_not_depend_on_the_size() -> None:
    small, large = multi_switch.fabric(4, 1, 32), multi_switch.fabric(16, 4, 256, links=2)
    for dpid, switch in small.switches.items():
        there = large.switches[dpid].interfaces
        trunks = {number: interface for number, interface in switch.interfaces.items() if interface.role is Role.TRUNK}
        assert trunks.items() <= there.items()
    assert [port.port_no for port in small.ports(Role.HOST)] == [901, 901, 901, 901, 902]


def test_every_end_system_is_there_once_and_not_all_at_one_leaf(fabric: Fabric) -> None:
    assert sorted(names(fabric, Role.HOST)) == sorted(system.name for system in END_SYSTEMS)
    assert "nms" in names(fabric, Role.HOST, 1) and "client" in names(fabric, Role.HOST, 2)
    assert "router" in names(fabric, Role.HOST, len(leaves_of(fabric)))


def test_no_two_end_systems_share_an_address() -> None:
    systems = END_SYSTEMS + PROXIES
    for addresses in (
        [system.mac for system in systems],
        [system.ip for system in systems],
        [system.name for system in systems],
    ):
        assert len(set(addresses)) == len(systems)


def test_proxies_are_an_option_that_moves_nothing_else() -> None:
    plain, proxied = multi_switch.fabric(4, 2, 32), multi_switch.fabric(4, 2, 32, proxies=1)
    added = set(proxied.ports(Role.HOST)) - set(plain.ports(Role.HOST))
    assert [port.dpid for port in sorted(added)] == [1, 2, 3, 4]
    assert {proxied.interface(port).appliance for port in added} == {"tcp_proxy"}  # type: ignore[union-attr]
    for dpid, switch in plain.switches.items():
        assert switch.interfaces.items() <= proxied.switches[dpid].interfaces.items()


def test_the_largest_is_within_what_a_switch_can_number() -> None:
    """Broadcasts reach every leaf: the wiring accepts it."""
    fabric = multi_switch.fabric(48, 8, 256)
    wiring = TrunkGraph(fabric)
    reached = nx.Graph(
        (dpid, trunk.neighbour) for dpid in fabric.switches for trunk in wiring.trunks(dpid) if trunk.in_tree
    )
    assert nx.is_tree(reached) and set(reached) == set(fabric.switches)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"leaves": 1}, "leaves=1: a multi-switch cluster has 2 to 48 leaves"),
        ({"leaves": 49, "n": 256}, "2 to 48 leaves"),
        ({"spines": 0}, "spines=0: a multi-switch cluster has 1 to 8 spines"),
        ({"spines": 9}, "1 to 8 spines"),
        ({"n": 3}, "n=3: a multi-switch cluster has 4 to 256 hypervisors at 4 leaves"),
        ({"n": 257}, "4 to 256 hypervisors"),
        ({"n": "32"}, "n='32'"),
        ({"links": 5}, "1 to 4 links from a leaf to a spine"),
        ({"proxies": 2}, "0 to 1 proxies a leaf"),
        ({"leaves": 16, "links": 4}, "a spine has 64 links, 63 at the most"),
    ],
)
def test_other_sizes_are_refused_with_the_limits(parameters: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        multi_switch.fabric(**parameters)


# --- what it is turned into ---
def test_mininet_gets_the_same_ports_and_its_names_are_short_enough(fabric: Fabric) -> None:
    mininet_api.load()
    topo = topo_of(fabric, END_SYSTEMS)
    for dpid, switch in fabric.switches.items():
        assert int(topo.nodeInfo(switch.name)["dpid"], 16) == dpid
        for port_no, interface in switch.interfaces.items():
            assert len(f"{switch.name}-eth{port_no}") <= 15
            if interface.role is not Role.TRUNK:
                assert topo.port(switch.name, interface.name)[0] == port_no
    assert topo.nodeInfo("router")["ip"] == "10.0.100.254/24"
    assert len(topo.links()) == len(names(fabric, Role.STATION)) + 5 + len(fabric.ports(Role.TRUNK)) // 2


def test_the_written_configuration_is_without_a_mistake_and_describes_the_same_fabric(
    fabric: Fabric, size: tuple[int, int, int, int], tmp_path: Path
) -> None:
    target = tmp_path / "evbridge.yaml"
    settings = [f"--set={name}={value}" for name, value in zip(("leaves", "spines", "n", "links"), size, strict=True)]
    result = CliRunner().invoke(topology, ["multi_switch", *settings, "-o", str(target)])
    assert result.exit_code == 0, result.output
    config, diagnostics = load_config(str(target), target.read_text(encoding="utf-8"))
    assert diagnostics == []
    assert config is not None and config.fabric == fabric


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "leaves=1"], "multi_switch: leaves=1: a multi-switch cluster has 2 to 48 leaves"),
        (["--set", "leafs=4"], "'leafs'; there is leaves, spines, n, links, proxies"),
    ],
)
def test_a_topology_that_cannot_be_described_is_explained(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(topology, ["multi_switch", *arguments])
    assert result.exit_code == 1
    assert words in result.output


# --- mn ---
_AS_MN_DOES = """
import sys
names = {}
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), names, names)
topo = names["topos"]["multiswitch"](**{name: int(value) for name, value in (one.split("=") for one in sys.argv[2:])})
print(len(topo.hosts()), len(topo.switches()))
"""


def _as_mn_does(folder: Path, *sizes: str) -> subprocess.CompletedProcess[str]:
    command = ["/usr/bin/python3", "-c", _AS_MN_DOES, str(FILE), *sizes]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env={})


def test_mn_can_execute_the_file(tmp_path: Path) -> None:
    assert _as_mn_does(tmp_path, "leaves=4", "spines=2", "n=32").stdout.split() == ["37", "6"]


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ("spines=9", "multiswitch: spines=9: a multi-switch cluster has 1 to 8 spines"),
        ("spine=2", "multiswitch: fabric() got an unexpected keyword argument 'spine'"),
    ],
)
def test_mn_is_told_in_one_line_what_is_wrong(tmp_path: Path, sizes: str, words: str) -> None:
    done = _as_mn_does(tmp_path, sizes)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(words)


def test_no_name_of_the_file_replaces_one_of_mn() -> None:
    text = Path("/usr/bin/mn").read_text(encoding="utf-8")
    mine = {name for name in vars(multi_switch) if not name.startswith("__")}
    assert {name for name in mine if f"\n{name} =" in text or f"import {name}\n" in text} <= {"sys"}


# --- scenarios ---
def scenario(tmp_path: Path, cluster: str) -> Path:
    path = tmp_path / "scenario.yaml"
    path.write_text(
        "version: 1\n"
        "name: a-move\n"
        f"cluster: {cluster}\n"
        'vms: {vm1: {at: hv1, mac: "52:54:00:aa:00:01", ip: 10.0.100.11, type: 1, version: 1}}\n'
        "migrations: [{vm: vm1, to: hv5, ladder: safest-exchange}]\n",
        encoding="utf-8",
    )
    return path


def test_a_scenario_sets_parameters_of_its_topology(tmp_path: Path) -> None:
    path = scenario(tmp_path, "{topology: multi_switch, n: 12, proxies: true, parameters: {leaves: 3, spines: 2}}")
    cluster = cluster_for(load_scenario(path), tmp_path)
    cluster.stop()
    assert cluster.fabric == multi_switch.fabric(leaves=3, spines=2, n=12, proxies=1)


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        ("{topology: no_such_one}", "no topology 'no_such_one'"),
        ("{topology: multi_switch, parameters: {leafs: 4}}", "'leafs'; there is leaves, spines, n, links, proxies"),
        ("{topology: multi_switch, n: 300}", "4 to 256 hypervisors"),
        ("{topology: two_switch, parameters: {leaves: 4}}", "'leaves'; there is n, proxies"),
    ],
)
def test_a_scenario_with_a_topology_that_cannot_be_built_is_refused(tmp_path: Path, cluster: str, words: str) -> None:
    path = scenario(tmp_path, cluster)
    with pytest.raises(ScenarioError, match=re.escape(words)) as caught:
        load_scenario(path)
    assert str(caught.value).startswith(f"{path}:3:21: ")


def test_a_topology_of_ones_own_is_a_python_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from ryu_apps.topologies import multi_switch\n\ndef fabric(n=6):\n    return multi_switch.fabric(3, 1, n)\n"
    )
    found = describe(str(path), n=9)
    assert found.fabric == multi_switch.fabric(3, 1, 9)
    assert found.hosts == ()


def test_hypervisors_of_a_leaf_are_neighbours() -> None:
    """hv1 to hv8 are at leaf1, hv9 to hv16 at leaf2, and so on: scenario files are written by that."""
    fabric = multi_switch.fabric(4, 2, 32)
    firsts = [names(fabric, Role.STATION, leaf)[0] for leaf in (1, 2, 3, 4)]
    assert firsts == ["hv1", "hv9", "hv17", "hv25"]
    assert all(int(b[2:]) - int(a[2:]) == 1 for a, b in pairwise(names(fabric, Role.STATION, 2)))
