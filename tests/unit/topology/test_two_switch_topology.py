"""The two-switch cluster is one description: what Mininet builds, what the controller is told, what mn accepts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from ryu_apps.cli.topology import topology
from ryu_apps.evb.config import load_config
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.graph import graph_of
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.testbed.harness import mininet_api
from ryu_apps.topologies import two_switch
from ryu_apps.topologies.mininet_topo import topo_of

FILE = Path(two_switch.__file__)


@pytest.fixture(params=[2, 3, 8, 9, 32, 128])
def fabric(request: pytest.FixtureRequest) -> Fabric:
    return two_switch.fabric(request.param)


def test_every_hypervisor_has_a_station_port(fabric: Fabric) -> None:
    names = [fabric.interface(port).name for port in fabric.ports(Role.STATION)]  # type: ignore[union-attr]
    assert names == [f"hv{number}" for number in range(1, len(names) + 1)]
    assert len(names) in (2, 3, 8, 9, 32, 128)


def test_each_trunk_says_the_same_at_both_ends(fabric: Fabric) -> None:
    trunks = fabric.ports(Role.TRUNK)
    assert len(trunks) == 4
    for port in trunks:
        peer = fabric.interface(port).peer  # type: ignore[union-attr]
        assert peer is not None and fabric.interface(peer).peer == port  # type: ignore[union-attr]


def test_port_numbers_do_not_depend_on_the_size() -> None:
    small, large = two_switch.fabric(8), two_switch.fabric(128)
    assert small.ports(Role.HOST) == large.ports(Role.HOST) == [PortId(1, 50), PortId(2, 50)]
    assert small.ports(Role.TRUNK) == large.ports(Role.TRUNK)
    assert set(small.ports(Role.STATION)) <= set(large.ports(Role.STATION))


def test_proxies_are_an_option_that_moves_nothing_else() -> None:
    plain, proxied = two_switch.fabric(8), two_switch.fabric(8, proxies=1)
    added = set(proxied.ports(Role.HOST)) - set(plain.ports(Role.HOST))
    assert added == {PortId(1, 51), PortId(2, 51)}
    assert {proxied.interface(port).appliance for port in added} == {"tcp_proxy"}  # type: ignore[union-attr]
    for dpid, switch in plain.switches.items():
        assert switch.interfaces.items() <= proxied.switches[dpid].interfaces.items()


@pytest.mark.parametrize("n", [1, 129, 0, -8, "8", 8.5])
def test_other_sizes_are_refused_with_the_limits(n: object) -> None:
    with pytest.raises(ValueError, match="2 to 128 hypervisors"):
        two_switch.fabric(n)


def test_the_graph_has_both_links_between_the_switches(fabric: Fabric) -> None:
    assert graph_of(fabric).number_of_edges(1, 2) == 2


def test_mininet_gets_the_same_port_numbers_and_addresses(fabric: Fabric) -> None:
    mininet_api.load()
    topo = topo_of(fabric, two_switch.END_SYSTEMS)
    for dpid, switch in fabric.switches.items():
        assert int(topo.nodeInfo(switch.name)["dpid"], 16) == dpid
        for port_no, interface in switch.interfaces.items():
            if interface.role is not Role.TRUNK:
                assert topo.port(switch.name, interface.name)[0] == port_no
    assert topo.nodeInfo("client")["mac"] == "52:54:00:00:64:02"
    assert len(topo.links()) == len(fabric.ports(Role.STATION)) + 4


def test_the_written_configuration_describes_the_same_fabric(tmp_path: Path) -> None:
    target = tmp_path / "evbridge.yaml"
    result = CliRunner().invoke(topology, ["two_switch", "--set", "n=8", "-o", str(target)])
    assert result.exit_code == 0, result.output
    config, diagnostics = load_config(str(target), target.read_text(encoding="utf-8"))
    assert config is not None, diagnostics
    assert config.fabric == two_switch.fabric(8)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["two_switch", "--set", "n=1"], "2 to 128 hypervisors"),
        (["two_switch", "--set", "n"], "NAME=NUMBER"),
        (["two_switch", "--set", "m=8"], "unexpected keyword argument 'm'"),
        (["three_switch"], "no topology 'three_switch'"),
    ],
)
def test_a_topology_that_cannot_be_described_is_explained(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(topology, arguments)
    assert result.exit_code != 0
    assert words in result.output


#: As mn does it: the system's interpreter executes the text, without __file__ and from another folder.
_AS_MN_DOES = """
import sys
names = {}
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), names, names)
topo = names["topos"]["twoswitch"](n=int(sys.argv[2]))
print(len(topo.hosts()), len(topo.switches()))
"""


def _as_mn_does(n: int, folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["/usr/bin/python3", "-c", _AS_MN_DOES, str(FILE), str(n)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env={})


def test_mn_can_execute_the_file(tmp_path: Path) -> None:
    assert _as_mn_does(8, tmp_path).stdout.split() == ["10", "2"]


#: Prints the hosts that a file offers to mn, and whether it has imported Mininet for that.
_HOSTS_OF = """
import sys
names = {}
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), names, names)
print(*names["hosts"], names["hosts"]["station"].__name__, "mininet" in sys.modules)
"""


@pytest.mark.parametrize("name", ["two_switch", "multi_switch", "servers", "from_file"])
def test_every_file_offers_hosts_with_lldpad(name: str, tmp_path: Path) -> None:
    command = ["/usr/bin/python3", "-c", _HOSTS_OF, str(FILE.with_name(f"{name}.py"))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={})
    assert done.stdout.split() == ["station", "station_host", "False"], done.stderr


def test_mn_is_told_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    done = _as_mn_does(129, tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip() == "twoswitch: n=129: a two-switch cluster has 2 to 128 hypervisors"


def test_no_name_of_the_file_replaces_one_of_mn() -> None:
    """mn copies every name of a custom file into its own globals."""
    text = Path("/usr/bin/mn").read_text(encoding="utf-8")
    names = {name for name in vars(two_switch) if not name.startswith("__")}
    used = {name for name in names if f"\n{name} =" in text or f"import {name}\n" in text}
    assert used <= {"sys"}
