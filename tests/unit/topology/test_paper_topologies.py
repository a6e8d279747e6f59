"""The clusters of the founding paper's pictures: sizes, switches, servers with vSwitches of both kinds."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from ryu_apps.evb.config import BridgeConfig, dump_config, load_config
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Role
from ryu_apps.picture import render
from ryu_apps.topologies import paper_larger, paper_modest
from ryu_apps.topologies.mininet_topo import oddities

MODEST = [paper_modest.fabric(n) for n in (8, 9, 16, 32)]
LARGER = [
    paper_larger.fabric(),
    paper_larger.fabric(33, 5, 1, 4),
    paper_larger.fabric(256, 24, 8, 60),
    paper_larger.fabric(256, 2, 0, 60),
]


def names(fabric: Fabric, role: Role) -> list[str]:
    return [fabric.switches[port.dpid].interfaces[port.port_no].name for port in fabric.ports(role)]


@pytest.mark.parametrize("fabric", [*MODEST, *LARGER])
def test_every_node_is_at_one_port_and_the_controller_reads_what_mininet_builds(fabric: Fabric) -> None:
    nodes = names(fabric, Role.STATION)
    assert sorted(nodes) == sorted(f"hv{number}" for number in range(1, len(nodes) + 1))
    assert list(oddities(fabric)) == []
    assert load_config("e.yaml", dump_config(BridgeConfig(fabric))) == (BridgeConfig(fabric), [])
    assert {"nms", "client", "balancer"} <= set(names(fabric, Role.HOST))


@pytest.mark.parametrize("fabric", [*MODEST, *LARGER])
def test_there_are_several_vswitches_of_each_kind_in_the_cluster_and_in_a_server(fabric: Fabric) -> None:
    kinds = {vswitch.name: vswitch.is_distributed for vswitch in fabric.vswitches}
    assert kinds == {"dvs1": True, "dvs2": True, "svs1": False, "svs2": False}
    servers = {port.dpid for port in fabric.local_stations()}
    assert {dpid for vswitch in fabric.vswitches for dpid in vswitch.members} == servers
    of_server = {
        dpid: {vswitch.name for vswitch in fabric.vswitches if dpid in vswitch.members} for dpid in sorted(servers)
    }
    assert list(of_server.values())[:4] == [{"svs1", "dvs2"}, {"dvs1", "svs2"}, {"dvs1"}, {"dvs1", "dvs2"}]
    assert len(servers) < len(fabric.ports(Role.STATION)), "the others have a VEPA"


def test_the_modest_cluster_has_two_switches_and_the_larger_ones_many_or_two() -> None:
    rack = [[name for name in by if not name.startswith("vs")] for by in map(switch_names, [MODEST[-1], *LARGER[2:]])]
    assert rack[0] == ["s1", "s2"]
    assert len(rack[1]) == 32 and rack[2] == ["leaf1", "leaf2"]
    assert len(LARGER[-1].ports(Role.STATION)) == 256


def switch_names(fabric: Fabric) -> list[str]:
    return [switch.name for switch in fabric.switches.values()]


def test_a_node_stays_what_it_is_when_the_modest_cluster_grows() -> None:
    small, large = MODEST[0], MODEST[-1]
    for port in small.ports(Role.STATION):
        mine, same = small.interface(port), large.interface(port)
        assert mine is not None and same is not None and mine.name == same.name


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ({"n": 7}, "8 to 32 nodes"),
        ({"n": 33}, "8 to 32 nodes"),
        ({"n": "8"}, "8 to 32 nodes"),
    ],
)
def test_other_modest_sizes_are_refused(sizes: dict[str, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        paper_modest.fabric(**sizes)


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ({"n": 31}, "32 to 256 nodes"),
        ({"n": 257}, "32 to 256 nodes"),
        ({"leaves": 3, "spines": 0}, "2 to 2 leaves"),
        ({"leaves": 25}, "2 to 24 leaves"),
        ({"spines": 9}, "0 to 8 spines"),
        ({"servers": 3}, "4 to 32 servers"),
        ({"n": 128, "servers": 61}, "4 to 60 servers"),
    ],
)
def test_other_larger_sizes_are_refused(sizes: dict[str, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        paper_larger.fabric(**sizes)


def test_the_picture_names_the_vswitches_of_each_server() -> None:
    picture = render("modest", MODEST[0])
    assert ">dvs1, svs2</text>" in picture and ">dvs2, svs1</text>" in picture


#: What mn does with a custom file: it executes the text, without the name of the file, and builds a topology of it.
_AS_MN_DOES = """
import sys
names = {}
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), names, names)
topo = names["topos"][sys.argv[2]](n=int(sys.argv[3]))
print(len(topo.hosts()), len(topo.switches()))
"""


@pytest.mark.parametrize(
    ("module", "name", "size", "built"),
    [(paper_modest, "papermodest", 8, "11 6"), (paper_larger, "paperlarger", 32, "36 14")],
)
def test_mn_builds_them_under_the_systems_python(module: ModuleType, name: str, size: int, built: str) -> None:
    def done(n: int) -> subprocess.CompletedProcess[str]:
        command = ["/usr/bin/python3", "-c", _AS_MN_DOES, str(module.__file__), name, str(n)]
        return subprocess.run(command, capture_output=True, text=True, cwd="/", env={}, check=False)

    assert done(size).stdout.strip() == built
    assert done(7).stderr.startswith(f"{name}: n=7: ")
    text = Path("/usr/bin/mn").read_text(encoding="utf-8")
    names = {found for found in vars(module) if not found.startswith("__")}
    assert {found for found in names if f"\n{found} =" in text or f"import {found}\n" in text} <= {"sys"}


@pytest.mark.parametrize("fabric", [MODEST[0], LARGER[0]])
def test_the_load_balancer_is_drawn_as_an_appliance(fabric: Fabric) -> None:
    drawn = re.findall(r'<title>(\w+), [^<]*</title><rect class="(\w+)"', render("paper", fabric))
    assert [name for name, kind in drawn if kind == "appliance"] == ["balancer"]
    assert {"nms", "client"} <= {name for name, kind in drawn if kind == "host"}
