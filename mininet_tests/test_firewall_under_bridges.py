"""A firewall in a VM and the VMs behind it move while evbridge.yaml is read again, and while another bridge leads."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import yaml

from ryu_apps.evb.config.appliances import appliances
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.testbed.faults.members import MembersRig
from ryu_apps.testbed.faults.rig import Rig
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.manager.campaign import Campaign, Task
from ryu_apps.testbed.manager.report import ClusterReport
from ryu_apps.testbed.manager.run import Manager
from ryu_apps.topologies import two_switch
from ryu_apps.vcm.loader import Loaded, load_inventory
from ryu_apps.vcm.move_events import Do, MoveStep
from ryu_apps.vcm.plans import Goal, GoalKind

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

#: Seconds in which all has to be over; the longest patience of bridges.
SOON, LONG = 60.0, 5.0
#: The policy of web1 and web2 leads their traffic through fw (policies/inspected).
INVENTORY = """\
version: 1
name: inspected
switches: {s1: {links: [s2]}, s2: {}}
nodes:
  hv1: {switch: s1, slots: 4, memory_mib: 4096}
  hv2: {switch: s1, slots: 4, memory_mib: 4096}
  hv5: {switch: s2, slots: 4, memory_mib: 4096}
  hv6: {switch: s2, slots: 4, memory_mib: 4096}
vms:
  fw: {at: hv1, mac: "52:54:00:c4:00:01", addresses: [10.0.100.141], vlan: 100, type: 35, version: 1, memory_mib: 512,
       traffic: {blocked: null}, firewall: {tcp: [80], udp: [443]}}
  web1: {at: hv2, mac: "52:54:00:c4:00:02", addresses: [10.0.100.142], vlan: 100, type: 37, version: 1,
         memory_mib: 512, needs: {fw: reachable}}
  web2: {at: hv5, mac: "52:54:00:c4:00:03", addresses: [10.0.100.143], vlan: 100, type: 37, version: 1,
         memory_mib: 512, needs: {fw: reachable}}
cluster:
  appliances:
    firewall: {vlan: 100, instances: {fw: {mac: "52:54:00:c4:00:01"}}}
    spare: {vlan: 100, instances: {spare: {mac: "52:54:00:c4:00:09"}}}
"""


def loaded() -> tuple[Loaded, Fabric]:
    found, mistakes = load_inventory("inspected.yaml", INVENTORY)
    assert found is not None and mistakes == []
    return found, replace(two_switch.fabric(8), appliances=appliances(found.file.cluster.appliances))


def evacuated(rig: Rig, inventory: Loaded, *meanwhile: Callable[[], None]) -> ClusterReport:
    """Something is done each time when a VM is copied; its rules are staged at the other switch."""
    left = list(meanwhile)
    copied: list[str] = []

    def step(manager: Manager, do: Do) -> None:
        if do.step is not MoveStep.COPY:
            return
        copied.append(do.vm)
        if left:
            left.pop(0)()

    task = Task(Goal(GoalKind.EVACUATE, "s1"), parallel=1)
    report = Campaign(inventory, rig.cluster, task, "lldpad", meanwhile=step).run()
    assert sorted(copied) == ["fw", "web1"]
    return report


def nothing_has_passed_by(report: ClusterReport) -> None:
    assert report.failures == ()
    (firewall,) = report.appliances
    assert firewall.counts["bypassed"] == 0
    assert min(firewall.counts[way] for way in ("there", "back", "dropped")) > 50


def test_another_appliance_is_taken_out_and_added_while_they_move(tmp_path: Path) -> None:
    inventory, fabric = loaded()
    with inside(), Rig(tmp_path, fabric=fabric) as rig:
        file = rig.cluster.folder / "evbridge.yaml"
        whole = file.read_text()
        content = yaml.safe_load(whole)
        del content["appliances"]["spare"]

        def read_again(text: str, appliances_then: int) -> None:
            file.write_text(text)
            os.kill(rig.controller.pid, signal.SIGHUP)
            wait_until(lambda: len(rig.controller.get("/evb/appliances")) == appliances_then, "the appliances", SOON)

        reads = partial(read_again, yaml.safe_dump(content, sort_keys=False), 1), partial(read_again, whole, 2)
        nothing_has_passed_by(evacuated(rig, inventory, *reads))


def test_another_bridge_leads_while_they_move(tmp_path: Path) -> None:
    inventory, fabric = loaded()
    with inside(), MembersRig(tmp_path, patience=LONG, fabric=fabric) as rig:
        rig.await_standbys()
        former = rig.leader

        def kill() -> None:
            rig.kill(former)
            rig.cluster.controller = rig.await_leader(former, limit=SOON).controller

        nothing_has_passed_by(evacuated(rig, inventory, kill))
        assert rig.leader is not former
