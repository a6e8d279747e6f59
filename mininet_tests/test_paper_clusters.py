"""The clusters of the founding paper: moves between all kinds of ports, traffic through both appliances."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mininet_tests.conftest import SCENARIOS
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.replay.player import Replay, running_cluster
from ryu_apps.testbed.replay.report import ReplayReport
from ryu_apps.testbed.replay.scenario import Scenario, load_scenario

pytestmark = [pytest.mark.privileged, pytest.mark.slow]


class Played:
    """The scenario, run once: its report, and what REST and the metrics have said when the VMs had moved."""

    def __init__(self, scenario: Scenario, cluster: Cluster, output: Path) -> None:
        self.fabric: Fabric = cluster.fabric
        self.scenario = scenario
        self.vswitches: dict[str, Any] = {}
        self._cluster = cluster
        self.report: ReplayReport = Replay(scenario, cluster, finished=self._finished).run(output)

    def _finished(self) -> None:
        names = [vswitch.name for vswitch in self.fabric.vswitches]
        self.vswitches = {name: self._cluster.controller.get(f"/evb/vswitches/{name}") for name in names}

    def kind(self, hypervisor: str, vlan: int) -> str:
        """The vSwitch of a VLAN at a hypervisor, or the VEPA."""
        (port,) = [port for port in self._cluster_ports() if port[0] == hypervisor]
        found = [vswitch.name for vswitch in self.fabric.vswitches if port[1] in vswitch.members]
        return next((name for name in found if vlan in self._vids(name)), "vepa")

    def _cluster_ports(self) -> list[tuple[str, int]]:
        return [(name, hypervisor.port.dpid) for name, hypervisor in self._cluster.hypervisors.items()]

    def _vids(self, name: str) -> tuple[int, ...]:
        return next(vswitch.vids for vswitch in self.fabric.vswitches if vswitch.name == name)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    scenario = load_scenario(SCENARIOS / "paper-modest.yaml")
    output = tmp_path_factory.mktemp("paper")
    with inside(), running_cluster(scenario, output / "logs") as cluster:
        yield Played(scenario, cluster, output)


def test_moves_between_all_kinds_of_ports_leak_nothing_and_lose_nothing_else(played: Played) -> None:
    report = played.report
    assert [migration.failures for migration in report.migrations] == [()] * len(report.migrations)
    vlans = {name: spec.vlan or 0 for name, spec in played.scenario.file.vms.items()}
    moves = [
        tuple(
            played.kind(end, vlans[migration.figures.vm])
            for end in (migration.figures.source, migration.figures.destination)
        )
        for migration in report.migrations
    ]
    assert moves == [
        ("vepa", "dvs1"),
        ("dvs1", "dvs1"),
        ("dvs1", "svs1"),
        ("svs1", "dvs1"),
        ("dvs1", "vepa"),
        ("vepa", "dvs1"),
        ("vepa", "dvs1"),
        ("dvs2", "dvs2"),
    ]
    assert all(migration.figures.blocked > 100 for migration in report.migrations[:5])


def test_traffic_goes_through_each_appliance_and_past_none(played: Played) -> None:
    firewall, balancer = played.report.appliances
    assert (firewall.kind, firewall.failures, balancer.kind, balancer.failures) == ("firewall", (), "balancer", ())
    assert min(firewall.counts[way] for way in ("there", "back", "there6", "back6")) > 1000
    assert firewall.counts["bypassed"] == 0 and firewall.counts["dropped"] > 1000
    assert balancer.counts["connections"] >= 1 and balancer.counts["bypassed"] == 0
    assert played.report.ok


def test_nms_on_its_host_knows_totals_and_steps_of_vms_across_their_moves(played: Played) -> None:
    assert [vm.failures for vm in played.report.gathered] == [()] * len(played.scenario.vsis)
    gathered = {vm.vm: vm for vm in played.report.gathered}
    # The only one whose type has statistics.
    assert gathered["vm2"].places[:1] + gathered["vm2"].places[-1:] == ("hv8", "hv3")
    assert min(gathered["vm2"].counts.values()) > 100
    assert [name for name, vm in gathered.items() if vm.counts] == ["vm2"]
    activated = [step for step in gathered["vm1"].steps if step.startswith("activate")]
    assert [step.split()[1] for step in activated if step.split()[1] != "hv5"] == ["hv2", "hv3", "hv1", "hv4", "hv6"]


def test_each_vswitch_is_shown_as_one(played: Played) -> None:
    where = {name: sorted(vsi["name"] for vsi in shown["vsis"]) for name, shown in played.vswitches.items()}
    # fw at hv4 and vm2 at hv3; vm3 at hv4 and vm4 at hv1.  The VEPA at hv6 has vm1, in no vSwitch.
    assert where == {"dvs1": ["hv3", "hv4"], "dvs2": ["hv1", "hv4"], "svs1": [], "svs2": []}
    counted = played.vswitches["dvs1"]
    assert counted["counted"] == 1 and counted["from_vm"]["passed"]["packets"] > 1000, "those of vm2"
    assert counted["to_vm"]["passed"]["packets"] > 1000
    members = [member for shown in played.vswitches.values() for member in shown["members"]]
    assert all(member["ready"] for member in members)
    assert {uplink["link"] for member in members for uplink in member["uplinks"]} == {"up"}


@pytest.mark.soak
@pytest.mark.parametrize("name", ["paper-larger", "paper-dual"])
def test_larger_clusters_lose_nothing_and_no_frame_passes_by_an_appliance(name: str, tmp_path: Path) -> None:
    scenario = load_scenario(SCENARIOS / f"{name}.yaml")
    with inside(), running_cluster(scenario, tmp_path / "logs") as cluster:
        report = Played(scenario, cluster, tmp_path).report
    assert [migration.failures for migration in report.migrations] == [()] * len(report.migrations)
    assert report.appliances and all(appliance.counts["bypassed"] == 0 for appliance in report.appliances)
    assert report.ok
