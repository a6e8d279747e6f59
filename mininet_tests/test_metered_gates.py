"""VMs move between switches whose gates open by meters, by both ladders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from mininet_tests.conftest import emulated_cluster, tables, wait_as_found
from ryu_apps.evb.pipeline.metered_gate import gate_meter_id
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.switch import GateMode
from ryu_apps.testbed.guests import HTTPS, arrives, is_dropped, vsi
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.shell import run
from ryu_apps.testbed.harness.staged import StagedTarget
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.moves.attempt import admit, dismiss
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.moves.single import SingleMove
from ryu_apps.topologies import two_switch
from ryu_apps.vcm.move_events import Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]


def fabric() -> Fabric:
    described = two_switch.fabric()
    switches = {dpid: replace(switch, gate=GateMode.METER) for dpid, switch in described.switches.items()}
    return replace(described, switches=switches)


@pytest.fixture(scope="module")
def metered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with emulated_cluster(tmp_path_factory.mktemp("metered"), fabric=fabric()) as cluster:
        yield cluster


@pytest.mark.parametrize("ladder", [Ladder.MINIMIZE_LATENCY, Ladder.SAFEST_EXCHANGE])
def test_a_vm_moves_and_nothing_passes_a_staged_port(metered: Cluster, ladder: Ladder) -> None:
    before = tables(metered)
    client = metered.hosts["client"]
    vm, here = NamespaceVm("t1", "52:54:00:bb:00:01", "10.0.100.101"), "hv1"
    metered.boot(vm, here)
    admit(metered.hypervisors[here], vsi(1))
    try:
        # Across switches, within one, and back to where a gate was before.
        for there in ("hv5", "hv6", "hv1"):
            target = StagedTarget(client.mac, client.ip, HTTPS)
            move = SingleMove(metered, vsi(1), vm.name, here, there, ladder, 0.1, target=target)
            evidence = move.run().evidence
            assert evidence.outcome is MoveOutcome.COMPLETED
            here = there
            assert evidence.injected > 0 and evidence.at_staged_port == []
            assert arrives(client.namespace, vm.namespace, vm.ip, HTTPS)
            assert arrives(vm.namespace, client.namespace, client.ip, HTTPS)
            assert is_dropped(client.namespace, vm.namespace, vm.ip, 5002, HTTPS)
    finally:
        dismiss(metered.hypervisors[here], vsi(1))
        metered.shut_down(vm.name, here)
    wait_as_found(partial(tables, metered), before)
    for switch in metered.fabric.switches.values():
        meters = run(["ovs-ofctl", "-O", "OpenFlow13", "dump-meters", switch.name])
        # Some gates were staged as meters, and all of them are shut.
        shown = [text for text in meters.split("meter=")[1:] if int(text.split()[0]) > gate_meter_id(0)]
        mine = [text for text in shown if int(text.split()[0]) < gate_meter_id(1 << 20)]
        assert mine and all("rate=1 burst_size=1\n" in text for text in mine), meters
