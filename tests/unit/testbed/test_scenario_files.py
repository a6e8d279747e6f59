"""Scenario files: the ones we ship are good, and mistakes are told with their line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ryu_apps.evb.topology.evb_settings import ReflectiveRelay
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.replay.edges import with_relay
from ryu_apps.testbed.replay.scenario import ScenarioError, load_scenario
from ryu_apps.topologies import two_switch
from ryu_apps.vcm.move_events import LIVE_LADDERS

SHIPPED = sorted((Path(__file__).parents[3] / "mininet_tests" / "scenarios").glob("*.yaml"))
GOOD = """\
version: 1
name: a-move
vms:
  vm1: {at: hv1, mac: "52:54:00:AA:00:01", ip: 10.0.100.11, type: 1, version: 2}
flows:
  probe: {proto: udp, vm: vm1, port: 443}
migrations:
  - {vm: vm1, to: hv5, ladder: safest-exchange}
"""


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_scenario_is_good_and_named_as_its_file(path: Path) -> None:
    scenario = load_scenario(path)
    assert scenario.file.name == path.stem
    assert all(Path(place).is_dir() for place in scenario.policies)


def test_both_ladders_and_all_outcomes_are_shipped() -> None:
    migrations = [migration for path in SHIPPED for migration in load_scenario(path).file.migrations]
    assert {migration.ladder for migration in migrations} == set(LIVE_LADDERS)
    assert {migration.expect.outcome for migration in migrations} == set(MoveOutcome)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_vsi_is_what_vdptool_will_be_told(tmp_path: Path) -> None:
    vsi = load_scenario(write(tmp_path, GOOD)).vsis["vm1"]
    assert (vsi.type_id, vsi.version, vsi.filters, vsi.ip) == (1, 2, ("100-52:54:00:aa:00:01",), "10.0.100.11")


def test_a_flow_over_ipv6_has_both_ends(tmp_path: Path) -> None:
    text = GOOD.replace("ip: 10.0.100.11", 'ip: 10.0.100.11, ip6: "FD00::11"').replace("443}", "443, ipv6: true}")
    with pytest.raises(ScenarioError, match="client has no IPv6 address"):
        load_scenario(write(tmp_path, text))
    scenario = load_scenario(write(tmp_path, text.replace("vms:", "cluster: {hosts6: {client: 'fd00::2'}}\nvms:")))
    assert scenario.flows[0].ipv6 and scenario.vsis["vm1"].ip6 == "fd00::11"


def test_ports_have_reflective_relay_as_a_scenario_has_it(tmp_path: Path) -> None:
    specs = load_scenario(SHIPPED[0].parent / "veb.yaml").file.cluster.hypervisors
    fabric = with_relay(two_switch.fabric(8), specs)
    ports = {
        interface.name: interface for switch in fabric.switches.values() for interface in switch.interfaces.values()
    }
    assert ports["hv1"].reflective_relay is ReflectiveRelay.NEVER
    assert all(ports[name].reflective_relay is ReflectiveRelay.AGREED for name in ("hv2", "hv5", "client"))
    assert {name: spec.requests for name, spec in specs.items()} == {"hv1": True, "hv5": False}
    text = GOOD.replace("vms:", "cluster: {hypervisors: {hv1: {}, hv2: {edge: vepa, request: false}}}\nvms:")
    usual = load_scenario(write(tmp_path, text)).file.cluster.hypervisors
    assert {name: spec.requests for name, spec in usual.items()} == {"hv1": True, "hv2": False}


def test_policies_are_looked_for_beside_the_scenario(tmp_path: Path) -> None:
    text = GOOD.replace("vms:", "cluster: {policies: [mine]}\nvms:")
    assert load_scenario(write(tmp_path, text)).policies == (str(tmp_path / "mine"),)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("ladder: safest-exchange", "ladder: fastest", 8, "fastest"),
        ("ladder: safest-exchange", "ladder: restart", 8, "one of minimize-latency, safest-exchange was expected"),
        ("vm: vm1, port", "vm: vm2, port", 6, "there is no VM 'vm2'"),
        ("vm: vm1, to", "vm: vm3, to", 8, "there is no VM 'vm3'"),
        ("port: 443", "port: 70000", 6, "65535"),
        ("52:54:00:AA:00:01", "52:54:00:AA:00", 4, "a MAC address was expected"),
        ("ip: 10.0.100.11", "ip: 10.0.100.256", 4, "10.0.100.256"),
        ("name: a-move", "nmae: a-move", 2, "nmae"),
        ("port: 443", "port: 443, host: vm1", 6, "a flow has two ends"),
        ("port: 443", "port: 443, host: vm2", 6, "there is no end system or VM 'vm2'"),
        ("probe:", "other: {proto: udp, vm: vm1, port: 443}\n  probe:", 7, "another flow has udp port 443 of vm1"),
        ("vms:", "cluster: {hypervisors: {hv9: {edge: veb}}}\nvms:", 3, "there is no hypervisor 'hv9'"),
        ("vms:", "cluster: {hypervisors: {hv1: {edge: evb}}}\nvms:", 3, "'vepa' or 'veb'"),
        ("vms:", "cluster: {hypervisors: {hv1: {reflective_relay: on}}}\nvms:", 3, "'agreed', 'always' or 'never'"),
        ("vms:", "cluster: {hosts6: {nms9: 'fd00::1'}}\nvms:", 3, "there is no end system 'nms9'"),
        ("vms:", "cluster: {hosts6: {client: 'fe80::1'}}\nvms:", 3, "no unicast address beyond one link"),
        ("vms:", "cluster: {links: {hv9: {rate_mbit: 1}}}\nvms:", 3, "there is no link 'hv9'; there are: client, hv1"),
        ("vms:", "cluster: {links: {s1-s2: {delay_ms: -1}}}\nvms:", 3, "greater than or equal to 0"),
        ("vms:", "cluster: {station: ladder}\nvms:", 3, "'lldpad' or 'evbridge'"),
        (
            "vms:",
            "cluster: {station: evbridge, hypervisors: {hv1: {edge: veb}}}\nvms:",
            3,
            "always requests reflective relay",
        ),
        ("port: 443", "port: 443, ipv6: true", 6, "vm1 has no IPv6 address: ip6 of a VM, cluster.hosts6"),
        ("port: 443", "port: 443, ipv6: true, group: 239.1.1.1", 6, "an IPv4 address, of a flow over IPv6"),
        ("ip: 10.0.100.11", "ip: 10.0.100.11, ip6: 10.0.0.1", 4, "10.0.0.1"),
        ("vms:", "cluster: {parameters: {n: 9}}\nvms:", 3, "n has an attribute of its own: cluster.n"),
        ("vms:", "cluster: {balancers: {nms: {port: 80, backends: [vm9]}}}\nvms:", 3, "there is no VM 'vm9'"),
        ("vms:", "cluster: {balancers: {lb: {port: 80, backends: [vm1]}}}\nvms:", 3, "there is no end system 'lb'"),
        (
            "vms:",
            "cluster: {balancers: {nms: {port: 80, backends: [vm1]}}}\nvms:",
            3,
            "no router of cluster.appliances has an address of nms",
        ),
        ("version: 2}", "version: 2, firewall: {between: {vm1: nms}, tcp: [80]}}", 4, "between two others"),
        ("version: 2}", "version: 2, firewall: {between: {vm9: nms}, tcp: [80]}}", 4, "there is no VM 'vm9'"),
        ("version: 2}", "version: 2, firewall: {between: {vm1: rt}, tcp: [80]}}", 4, "there is no VM 'rt'"),
        ("version: 2}", "version: 2, firewall: {between: {vm1: nms}}}", 4, "tcp or udp was expected"),
        (
            "version: 2}",
            "version: 2, firewall: {between: {vm9: nms}, tcp: [80]}}",
            4,
            "no router of cluster.appliances has the address 52:54:00:aa:00:01",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    assert any(
        complaint.startswith(f"{path}:{line}:") and words in complaint for complaint in str(caught.value).splitlines()
    )


def test_an_nms_needs_its_host(tmp_path: Path) -> None:
    assert load_scenario(write(tmp_path, GOOD), {"nms": True}).file.cluster.nms
    fabric = SHIPPED[0].parents[1] / "inventories" / "fabrics" / "tenants.yaml"
    with pytest.raises(ScenarioError, match="there is no end system 'nms'"):
        load_scenario(write(tmp_path, GOOD.replace("vms:", f"cluster: {{topology: {fabric}, nms: true}}\nvms:")))


def test_the_number_of_nodes_may_be_another_one(tmp_path: Path) -> None:
    assert len(load_scenario(write(tmp_path, GOOD), {"n": 12}).site.hypervisors) == 12
    with pytest.raises(ScenarioError, match="2 to 128 hypervisors"):
        load_scenario(write(tmp_path, GOOD), {"n": 129})
