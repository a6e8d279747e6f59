"""The cluster manager on real switches: evacuation under traffic, refusals, dead nodes, and the way back."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from mininet_tests.conftest import CHECKOUT, emulated_cluster, tables, wait_as_found
from ryu_apps.evb.pipeline.tables import VSI_BITS, VSI_SHIFT
from ryu_apps.evb.wire.association import VdpMode
from ryu_apps.inventory_files import load_with_descriptors
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.exchanges import vdp_messages
from ryu_apps.testbed.harness.shell import run, wait_until
from ryu_apps.testbed.harness.station import VdptoolMode, VdptoolVsi
from ryu_apps.testbed.manager.campaign import Campaign, Task
from ryu_apps.testbed.manager.guests import MismatchError, cluster_of
from ryu_apps.testbed.manager.report import ClusterReport
from ryu_apps.testbed.manager.run import Manager
from ryu_apps.testbed.moves.attempt import admit, dismiss
from ryu_apps.vcm.goal_events import HaltGoal, MoveLimits
from ryu_apps.vcm.loader import Loaded, load_inventory
from ryu_apps.vcm.move_events import Do, Ladder, MoveStep
from ryu_apps.vcm.plans import Goal, GoalKind

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

INVENTORIES = CHECKOUT / "mininet_tests" / "inventories"
#: Learnt rules in a dump, and the time without a frame after which those of handshakes end (``tcp_opening``).
OF_CONNECTIONS, OPENING = "cookie=0xeb476", "idle_timeout=10,"
#: Seconds of copying that no machine needs for a whole task.
LONG = 300.0
#: Seconds that no machine needs for the end of a connection.
TIE_PATIENCE = 60
EVACUATE_S1 = Goal(GoalKind.EVACUATE, "s1")
AT_S1 = {"fw1", "web1", "web2", "web3", "db1"}


def shipped(name: str) -> Loaded:
    path = INVENTORIES / f"{name}.yaml"
    loaded, found = load_with_descriptors((str(path), path.read_text(encoding="utf-8")))
    assert loaded is not None and found == []
    return loaded


class Watched(Campaign):
    """A campaign that remembers what the switches held right before and, if that is to be the same, right after."""

    back = False
    before: dict[str, list[str]]
    after: dict[str, list[str]]

    def pursue(self) -> None:
        self.before = self._lasting()
        super().pursue()
        if not self.back:
            return
        with suppress(TimeoutError):
            wait_until(
                lambda: unnumbered(self._lasting()) == unnumbered(self.before), "flow tables as before", pause=0.2
            )
        self.after = self._lasting()

    def _lasting(self) -> dict[str, list[str]]:
        """The rules, but for those of handshakes: they stand below those of their connections, and end soon."""
        return {
            switch: [line for line in lines if not (line.startswith(OF_CONNECTIONS) and OPENING in line)]
            for switch, lines in self.tables().items()
        }


def unnumbered(tables: dict[str, list[str]]) -> dict[str, list[str]]:
    """Rules without the numbers that the bridge gives a VSI each time it comes to a switch."""
    return {name: sorted(_unnumbered(line) for line in lines) for name, lines in tables.items()}


def _unnumbered(line: str) -> str:
    def without(found: re.Match[str]) -> str:
        return f"{found[1]}{int(found[2], 16) & ~(((1 << VSI_BITS) - 1) << VSI_SHIFT):#x}"

    line = re.sub(r"(metadata=|write_metadata:|set_field:)(0x[0-9a-f]+)(?=/|->metadata|,goto)", without, line)
    line = re.sub(r"\bcookie=(0xeb47[346])[0-9a-f]*", r"cookie=\1", line)
    # What a first fragment teaches names its VSI too.
    line = re.sub(r"(OXM_OF_METADATA\[16\.\.35\]=)0x[0-9a-f]+", r"\1", line)
    return " ".join(sorted(re.split(r"resubmit\(,50\),?|(?<=metadata),|actions=", line)))


def nothing(manager: Manager, do: Do) -> None:
    """No meddling."""


def carried_out(
    cluster: Cluster, task: Task, meanwhile: Callable[[Manager, Do], None] = nothing, back: bool = False
) -> tuple[ClusterReport, Watched]:
    campaign = Watched(shipped("two-switch"), cluster, task, meanwhile=meanwhile)
    campaign.back = back
    return campaign.run(), campaign


def places_of(report: dict[str, Any]) -> dict[str, str]:
    """The same of a report that was written."""
    return {vm["vm"]: vm["node"] for vm in report["vms"]}


def places(report: ClusterReport) -> dict[str, str | None]:
    return {vm.vm: vm.node for vm in report.vms}


# --- planned ---
def test_a_switch_is_evacuated_under_traffic_and_each_vm_has_its_blackout(emulated: Cluster) -> None:
    report, _ = carried_out(emulated, Task(EVACUATE_S1))
    assert report.failures == ()
    assert {attempt.figures.vm for attempt in report.attempts} == AT_S1
    assert {places(report)[name] for name in AT_S1} <= {"hv5", "hv6", "hv7", "hv8"}
    for attempt in report.attempts:
        assert attempt.figures.blackout_ms is not None and 10 < attempt.figures.blackout_ms < 4000
        assert attempt.figures.rules_staged > 0 and attempt.figures.stage_ms and attempt.figures.associate_ms
        assert attempt.figures.injected > 0 or attempt.figures.vm.startswith("db"), "databases have no UDP to inject"
    assert {vm.state for vm in report.vms if vm.vm not in AT_S1} == {"stayed"}


def test_everything_is_reserved_before_anything_moves_if_so_wanted(emulated: Cluster) -> None:
    task = Task(EVACUATE_S1, MoveLimits(Ladder.SAFEST_EXCHANGE, delay=1.0, ahead=True), parallel=3, inject=False)
    steps: list[tuple[float, MoveStep]] = []
    report, _ = carried_out(emulated, task, lambda manager, do: steps.append((time.monotonic(), do.step)))
    assert report.failures == ()
    reserved = [t for t, step in steps if step is MoveStep.RESERVE]
    copied = [t for t, step in steps if step is MoveStep.COPY]
    assert len(reserved) == len(AT_S1) and min(copied) - max(reserved) > 1.0


# --- unplanned ---
def test_a_dead_nodes_vms_start_on_the_reservations_that_were_made_ahead(tmp_path: Path) -> None:
    # Its own cluster: the node stays dead.  Its stations repeat themselves every 5.2 s.
    with emulated_cluster(tmp_path) as cluster:
        report, campaign = carried_out(cluster, Task(Goal(GoalKind.FAIL_OVER, "hv1"), keep=8.0))
        uplinks = {name: list(hypervisor.tap.sightings) for name, hypervisor in cluster.hypervisors.items()}
    assert report.failures == ()
    (died,) = campaign.manager.executor.deaths.values()
    for attempt in report.attempts:
        figures = attempt.figures
        assert (attempt.way, figures.source) == ("restart", "hv1")
        assert figures.destination == places(report)[figures.vm]
        assert figures.blackout_ms is not None and 0 < figures.blackout_ms < 4000
        uuid = shipped("two-switch").inventory.vms[figures.vm].interface.vsi
        said = [
            message
            for message in vdp_messages(uplinks[figures.destination])
            if message.vsi == uuid and message.from_station
        ]
        asked = [message.t for message in said if message.mode is VdpMode.PREASSOCIATE_RR]
        associated = next(message.t for message in said if message.mode is VdpMode.ASSOCIATE)
        assert died - min(asked) > 8.0, "made ahead"
        assert len(asked) > 1 and max(asked) < associated, "and kept alive"


def test_each_interface_of_a_vm_is_probed(tmp_path: Path) -> None:
    """Traffic of the second interface goes on over the move, and what should not pass there is counted."""
    text = (INVENTORIES / "tenants.yaml").read_text(encoding="utf-8")
    text = re.sub(r"  blue1:\n(    .*\n)*", "", text).replace("client2: 10.0.100.3", "client2: 10.0.101.3")
    # Type 2000 permits port 443.
    probes = "addresses: [10.0.101.101], traffic: {host: client2, udp: 80, tcp: null, blocked: 443}"
    text = text.replace("addresses: [10.0.101.101]", probes).replace("fabrics/", f"{INVENTORIES}/fabrics/")
    (tmp_path / "coordinated.yaml").write_text(text, encoding="utf-8")
    report, printed = evacuation(tmp_path, "hv1")
    (attempt,) = report["attempts"]
    figures = attempt["figures"]
    assert figures["outcome"] == "completed" and figures["vm"] == "red1"
    # The one counter that is not 0.
    assert not report["ok"] and len(report["failures"]) == 1, printed
    assert re.fullmatch(r"red1 to hv\d: [1-9]\d* datagrams passed that policy blocks", report["failures"][0])


# --- components that speak no OpenFlow ---
NMS = """version: 1
state_dir: state
bridges: {rack1: {urls: ["http://127.0.0.1:8080"]}}
hooks:
  vlans: {steps: [stage, activate, release], attempts: 2,
          command: [/bin/sh, -c, "cat >> FOLDER/told; ! mkdir FOLDER/once"]}
  ports: {steps: [stage], command: [/bin/sh, -c, "! grep -q 0000000000000001:2"], attempts: 1}
"""


def evacuation(folder: Path, subject: str, *more: str) -> tuple[dict[str, Any], str]:
    """Type the command for ``coordinated.yaml``; returns its report and what it has printed."""
    arguments = ["evacuate", subject, "--output", str(folder / "report"), *more]
    command = ["evbridge", "vcm", "run", str(folder / "coordinated.yaml"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT)
    written = folder / "report" / "report.json"
    assert written.exists(), done.stdout + done.stderr
    return json.loads(written.read_text(encoding="utf-8")), done.stdout + done.stderr


def test_moves_wait_for_components_and_go_elsewhere_if_one_gives_up(tmp_path: Path) -> None:
    """One hook fails once and is called again; the other one gives up what is staged at hv2, the best node."""
    (tmp_path / "nms.yaml").write_text(NMS.replace("FOLDER", str(tmp_path)))
    text = (INVENTORIES / "two-switch.yaml").read_text(encoding="utf-8")
    more = f"nms: {{bridge: rack1, deadline: 20}}\ncluster: {{policies: [{CHECKOUT}/policies], nms: nms.yaml}}\n"
    (tmp_path / "coordinated.yaml").write_text(text + more, encoding="utf-8")
    report, _ = evacuation(tmp_path, "hv1", "--parallel", "1")
    assert report["ok"] and [attempt["figures"]["outcome"] for attempt in report["attempts"]].count("completed") == 2
    told = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]
    drawn = (tmp_path / "report" / "ladders.txt").read_text(encoding="utf-8").split("minimize-latency: ")[1:]
    failed = [ladder for ladder in drawn if "NMS: not ready: ports stage failed: /bin/sh: status 1" in ladder]
    assert failed and all("copy memory" not in ladder for ladder in failed)
    assert all(vm["node"] not in ("hv1", "hv2") for vm in report["vms"] if vm["vm"] in ("fw1", "web1"))
    assert len(drawn) == len(failed) + 2
    for ladder in (ladder for ladder in drawn if ladder not in failed):
        rungs = [
            "await stage",
            "all components are ready",
            "final suspend",
            "await activate",
            "resume",
            "await release",
        ]
        places = [ladder.index(rung) for rung in rungs]
        assert places == sorted(places)
    # The release that was waited for has been told, of both VMs where they were.
    released = {call["vsi"] for call in told if (call["step"], call["port"]) == ("release", "0000000000000001:1")}
    assert {call["step"] for call in told} == {"stage", "activate", "release"} and len(released) == 2


def test_a_component_that_is_late_costs_the_goal_and_no_packet(tmp_path: Path) -> None:
    hanging = '[/bin/sh, -c, "exec sleep 60"], deadline: 60'
    (tmp_path / "nms.yaml").write_text(
        re.sub(r"  vlans: (.|\n)*", f"  slow: {{steps: [stage], command: {hanging}}}", NMS)
    )
    text = (INVENTORIES / "two-switch.yaml").read_text(encoding="utf-8")
    more = f"nms: {{bridge: rack1, deadline: 0.2}}\ncluster: {{policies: [{CHECKOUT}/policies], nms: nms.yaml}}\n"
    (tmp_path / "coordinated.yaml").write_text(text + more, encoding="utf-8")
    report, printed = evacuation(tmp_path, "hv4")
    assert not report["ok"] and "db1 is still at hv4" in printed, printed
    assert "not ready within 0.2 s: slow stage waiting" in printed
    assert [vm["lost"] for vm in report["vms"]] == [0] * len(report["vms"])


# --- refused ---
def test_a_vm_goes_where_the_bridge_has_rules_left_and_the_command_says_so(tmp_path: Path) -> None:
    program = "from ryu_apps.cli.main import main; main()"
    inventory = str(INVENTORIES / "full-of-rules.yaml")
    arguments = ["vcm", "run", inventory, "evacuate", "hv1", "--output", str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=CHECKOUT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"web1: not at hv5: s2 has \d+ rules left, \d+ are needed", done.stdout)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["ok"] and [attempt["figures"]["outcome"] for attempt in report["attempts"]] == ["completed"]
    assert places_of(report) == {"web1": "hv3", "web2": "hv2"}


#: A type with a minimum rate: two of its VSIs fit a link of 10 Gbit/s, three do not.
RESERVING = """\
version: 1
vsi_type: {type_id: 98, version: 1, name: reserving}
bandwidth: {to_vm: {minimum: 4000000}}
from_vm: {default: allow}
to_vm: {default: allow}
"""


def test_bandwidth_that_is_gone_since_the_plan_is_a_refusal_of_all_interfaces_and_then_a_reason(
    tmp_path: Path,
) -> None:
    """Two VSIs of other VMs come to the best node between plan and run, then before the run, then on landing."""
    strangers = [VdptoolVsi(str(UUID(int=number)), 98, 1, (f"100-52:54:00:c0:0f:0{number}",)) for number in (1, 2)]
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "98.yaml").write_text(RESERVING, encoding="utf-8")
    text = (INVENTORIES / "full-of-rules.yaml").read_text(encoding="utf-8")
    second = "interfaces: [{mac: '52:54:00:c0:01:31', addresses: [10.0.101.131], vlan: 100, type: 98, version: 1}]"
    text = text.replace("group: web}", f"group: web, {second}}}", 1)
    loaded, found = load_inventory("inventory.yaml", text)
    assert loaded is not None and found == []
    first = loaded.inventory.vms["web1"].interface.vsi
    (tmp_path / "cluster").mkdir()
    with emulated_cluster(tmp_path / "cluster", policies=tmp_path / "policies") as cluster:
        best, before = cluster.hypervisors["hv5"], tables(cluster)

        def come(at: MoveStep, manager: Manager, do: Do) -> None:
            if do.step is not at or do.node != "hv5":
                return
            if at is MoveStep.ASSOCIATE:
                # The reservation of the second interface is lost.
                best.request(VdptoolMode.DEASSOCIATE, manager.executor.attempts[-1].vsis[1])
            for stranger in strangers:
                assert admit(best, stranger).granted

        def leave() -> None:
            for stranger in strangers:
                dismiss(best, stranger)

        task = Task(Goal(GoalKind.EVACUATE, "hv1"))
        refused = Campaign(loaded, cluster, task, meanwhile=partial(come, MoveStep.RESERVE)).run()
        planned = Campaign(loaded, cluster, task).run()
        leave()
        turned = Campaign(loaded, cluster, task, meanwhile=partial(come, MoveStep.ASSOCIATE))
        back = turned.run()
        messages = vdp_messages(best.tap.sightings)
        leave()
        wait_as_found(partial(tables, cluster), before)
    # While they come and go the rules are not those of the beginning; in the end they are.
    failures = [*refused.failures, *planned.failures]
    assert [failure for failure in failures if "rules were left when all VMs were gone" not in failure] == []
    assert places(refused) == places(planned) == {"web1": "hv3", "web2": "hv2"}
    assert [attempt.figures.outcome.value for attempt in refused.attempts] == ["refused", "completed"]
    assert refused.vms[0].tried["hv5"].startswith("interface 2: refused")
    assert [attempt.figures.outcome.value for attempt in planned.attempts] == ["completed"]
    uplink, trunk = "its uplink has 2000000 kbit/s left to VMs", "the link s2-s1 has 2000000 kbit/s left to VMs"
    assert planned.vms[0].tried["hv5"] == f"{uplink}, 4000000 are needed, {trunk}, 4000000 are needed"
    # On landing the first interface was associated, and the second one refused: both are back at the source.
    granted = {(message.vsi, message.mode) for message in messages if not message.from_station}
    assert (first, VdpMode.ASSOCIATE) in granted
    assert places(back) == {"web1": "hv1", "web2": "hv2"} and back.vms[0].tried["hv5"].startswith(
        "interface 2: refused"
    )
    assert [failure for failure in back.failures if "web1 to" in failure or "at hv1, but" in failure] == []
    assert [attempt.figures.rules_left for attempt in back.attempts] == [0]


# --- elsewhere ---
def commanded(inventory: Path, goal: str, output: Path, *more: str, status: int = 0) -> tuple[Any, str]:
    """By the command line; its report, and what it has printed."""
    program = "from ryu_apps.cli.main import main; main()"
    arguments = ["vcm", "run", str(inventory), *goal.split(), "--parallel", "4", "--output", str(output), *more]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=CHECKOUT)
    assert done.returncode == status, done.stdout + done.stderr
    return json.loads((output / "report.json").read_text(encoding="utf-8")), done.stdout


def evacuated(inventory: Path, subject: str, output: Path, *more: str) -> dict[str, str]:
    """The nodes of the VMs that had to leave."""
    report, _ = commanded(inventory, f"evacuate {subject}", output, *more)
    assert report["ok"] and {attempt["figures"]["outcome"] for attempt in report["attempts"]} == {"completed"}
    return {vm["vm"]: vm["node"] for vm in report["vms"] if vm["node"] != vm["source"]}


def test_a_leaf_is_evacuated_over_the_spines(tmp_path: Path) -> None:
    moved = evacuated(INVENTORIES / "multi-switch.yaml", "leaf1", tmp_path)
    nodes = shipped("multi-switch").inventory.nodes
    assert set(moved) == {"fw1", "web1", "web2", "db1"}
    assert "leaf1" not in {nodes[node].switch for node in moved.values()}
    assert nodes[moved["db1"]].power != nodes["hv9"].power, "the other database is there"


def test_servers_are_evacuated_with_the_switch_that_they_hang_on(tmp_path: Path) -> None:
    """Each hypervisor is given the OVF, probes for the VM, and configures its port from the answer to a null VID.

    What the others receive and send goes through the firewall, which moves too.
    """
    moved = evacuated(INVENTORIES / "paper-modest.yaml", "s1", tmp_path, "--probe", "2")
    drawn = (tmp_path / "ladders.txt").read_text(encoding="utf-8").split("minimize-latency: ")[1:]
    ladders = {text.split()[0]: text for text in drawn}
    assert set(ladders) == {"fw", "web1", "web2", "web3"}
    for vm, text in ladders.items():
        pcp = 6 if vm == "fw" else 3
        rungs = [f"OVF pushed: {vm},", f"probe for {vm}: plain", f"would do: VLAN 100, PCP {pcp}", "resources reserved"]
        assert all(rung in text for rung in rungs)
        assert sorted(rungs, key=text.index) == rungs
        assert text.count("would do: VLAN 100") >= 2
    # An appliance does not move together with those that need it, and the ladder says who waited for whom.
    assert any(f"waits for {vm}" in text for text in ladders.values() for vm in ladders)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    networks = {vm["vm"]: set(vm["networks"].values()) for vm in report["vms"]}
    assert networks["fw"] == {"VLAN 100, PCP 6"} and networks["web1"] == {"VLAN 100, PCP 3"}
    (firewall,) = report["appliances"]
    assert min(firewall["counts"][way] for way in ("there", "back", "dropped")) > 50
    assert firewall["counts"]["bypassed"] == 0 and firewall["failures"] == []
    nodes = shipped("paper-modest").inventory.nodes
    assert set(moved) == {"fw", "web1", "web2", "web3"}
    assert {nodes[node].rack for node in moved.values()} == {"s2"}
    assert {nodes[node].switch for node in moved.values()} > {"s2"}, "to VEPAs and to servers"


def test_what_passes_by_a_firewall_is_counted_when_that_has_started_anew_too(tmp_path: Path) -> None:
    shutil.copytree(INVENTORIES / "paper-modest", tmp_path / "paper-modest")
    inventory = Path(shutil.copy(INVENTORIES / "paper-modest.yaml", tmp_path))
    policy = tmp_path / "paper-modest" / "policies" / "front_web_stateful.yaml"
    lines = policy.read_text(encoding="utf-8").splitlines()
    policy.write_text("\n".join(line for line in lines if not line.startswith("appliance")), encoding="utf-8")
    report, printed = commanded(inventory, "fail-over s1", tmp_path / "report", status=1)
    (firewall,) = report["appliances"]
    counts = firewall["counts"]
    # Those of web1, web2 and web4; web3 is at another node, and none of its packets comes through the firewall.
    assert min(counts[way] for way in ("there", "back", "bypassed")) > 50
    assert report["failures"] == firewall["failures"] == [f"{counts['bypassed']} packets have passed by fw"]
    assert f"firewall fw: {counts['there']} there, {counts['back']} back" in printed


FABRIC = """\
version: 1
policies: [{policies}]
dps:
  east:
    dp_id: 0x1
    interfaces:
      1: {{name: n1, role: station, native_vlan: 100}}
      2: {{name: client, role: host, native_vlan: 100, macs: ["52:54:00:00:64:02"]}}
      3: {{name: trunk, role: trunk, link: {{dp: west, port: 3}}}}
  west:
    dp_id: 0x2
    interfaces:
      1: {{name: n2, role: station, native_vlan: 100}}
      3: {{name: trunk, role: trunk, link: {{dp: east, port: 3}}}}
"""
INVENTORY = """\
version: 1
name: own
switches: {{east: {{links: [west]}}, west: {{}}}}
nodes:
  n1: {{switch: east, slots: 2, memory_mib: 1024}}
  n2: {{switch: west, slots: 2, memory_mib: 1024}}
datastores:
  a: {{nodes: [n1], capacity_gib: 1, copy_mib_s: 8192}}
  b: {{nodes: [n2], capacity_gib: 1, copy_mib_s: 4096}}
vms:
  vm1: {{at: n1, mac: "52:54:00:c2:00:01", addresses: [10.0.100.101], vlan: 100, type: 1, version: 1, memory_mib: 512,
         disk: {{datastore: a, gib: 1, copied: true, dirty_mib_s: 1024}}}}
cluster: {cluster}
"""


def own(folder: Path, cluster: str) -> Path:
    """An inventory and a fabric of the user's own, side by side."""
    (folder / "fabric.yaml").write_text(FABRIC.format(policies=CHECKOUT / "policies"), encoding="utf-8")
    (folder / "inventory.yaml").write_text(INVENTORY.format(cluster=cluster), encoding="utf-8")
    return folder / "inventory.yaml"


def test_a_node_of_a_fabric_of_ones_own_is_evacuated_and_a_disk_copied(tmp_path: Path) -> None:
    inventory = own(tmp_path, "{topology: fabric.yaml, hosts: {client: 10.0.100.2}}")
    assert evacuated(inventory, "n1", tmp_path / "report") == {"vm1": "n2"}
    drawn = (tmp_path / "report" / "ladders.txt").read_text(encoding="utf-8")
    rungs = [
        "resources reserved",
        "copy disk to b, the VM runs on: round 1: 1024 MiB in 250 ms",
        "copy disk to b, the VM runs on: round 2: 256 MiB in 62.5 ms",
        "copy memory, the VM runs on: 300 ms",
        "last pages; last blocks: 64 MiB in 15.62 ms",
    ]
    assert sorted(rungs, key=drawn.index) == rungs


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        ("{topology: fabric.yaml, n: 4, hosts: {client: 10.0.100.2}}", "a file has no n"),
        ("{topology: fabric.yaml}", "an end system 'client' with an address is needed"),
        ("{topology: elsewhere.yaml}", "elsewhere.yaml: No such file"),
        ("{topology: torus}", "no topology 'torus'"),
        ("{topology: multi_switch, parameters: {tails: 4}}", "unexpected keyword argument 'tails'"),
        ("{topology: two_switch, n: 8}", "n1 is at east in the inventory, in the cluster not"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(tmp_path: Path, cluster: str, words: str) -> None:
    path = own(tmp_path, cluster)
    loaded, found = load_inventory(str(path), path.read_text(encoding="utf-8"))
    assert loaded is not None and found == []
    with pytest.raises(MismatchError, match=words):
        cluster_of(loaded, tmp_path, tmp_path)


# --- networks of the port profile ---
@pytest.mark.parametrize(
    ("ladder", "station"),
    [
        ("minimize-latency", "daemon"),
        ("safest-exchange", "lldpad"),
        pytest.param("minimize-latency", "emulated", marks=pytest.mark.soak),
        pytest.param("minimize-latency", "lldpad", marks=pytest.mark.soak),
        pytest.param("safest-exchange", "emulated", marks=pytest.mark.soak),
    ],
)
def test_vms_without_a_vid_get_the_network_of_their_type_at_each_switch(
    tmp_path: Path, station: str, ladder: str
) -> None:
    """Each hypervisor is given the OVF, and asks its bridge before it reserves."""
    inventory = tmp_path / "inventory.yaml"
    text = (INVENTORIES / "tenants.yaml").read_text(encoding="utf-8")
    text = text.replace("topology: fabrics", f"topology: {INVENTORIES}/fabrics")
    inventory.write_text(f"{text}ovf: [{INVENTORIES}/tenants.ovf]\n", encoding="utf-8")
    command = ["evbridge", "vcm", "run", str(inventory), "evacuate", "s1", "--station", station, "--ladder", ladder]
    words = run([*command, "--probe", "1", "--output", str(tmp_path)])
    # The switch of hv3 and hv4 has the VIDs of the tenants the other way round.
    assert "red1: VLAN 100, PCP 5 at hv1; VLAN 200, PCP 5 at hv3\n" in words
    assert "blue1: VLAN 200 at hv1; VLAN 100 at hv4\n" in words
    drawn = (tmp_path / "ladders.txt").read_text(encoding="utf-8")
    rungs = [
        "OVF pushed: red1,",
        "probe for red1",
        "would do: VLAN 200, PCP 5; VLAN 100",
        "prepare red1, VSI types 1000",
    ]
    assert sorted(rungs, key=drawn.index) == rungs, "both networks are acquired with null VIDs"
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (report["ok"], report["failures"]) == (True, [])
    assert {vm["vm"]: vm["node"] for vm in report["vms"]} == {"red1": "hv3", "red2": "hv3", "blue1": "hv4"}
    assert all(attempt["figures"]["sent"] > attempt["figures"]["lost"] for attempt in report["attempts"])
    logs = {vm["vm"]: [text for _, _, text in vm["log"]] for vm in report["vms"]}
    assert "reserved, VLAN 200, PCP 5" in logs["red1"]
    assert "reserved, VLAN 100" in logs["blue1"]


def test_a_vm_without_a_vid_starts_elsewhere_in_its_network_when_its_node_dies(tmp_path: Path) -> None:
    command = ["evbridge", "vcm", "run", str(INVENTORIES / "tenants.yaml"), "fail-over", "hv1"]
    words = run([*command, "--output", str(tmp_path)])
    assert "red1: VLAN 100, PCP 5 at hv1; VLAN 200, PCP 5 at hv4\n" in words


@pytest.mark.parametrize("station", ["emulated", "lldpad"])
def test_a_vm_with_a_group_id_gets_the_vlan_of_its_group_at_each_switch(tmp_path: Path, station: str) -> None:
    """By the GroupID alone: its type names no network."""
    policies = tmp_path / "policies"
    shutil.copytree(CHECKOUT / "policies" / "tenants", policies)
    blue = policies / "blue.yaml"
    blue.write_text(blue.read_text(encoding="utf-8").replace("network: {group: 2000}\n", ""), encoding="utf-8")
    fabric = (INVENTORIES / "fabrics" / "tenants.yaml").read_text(encoding="utf-8")
    (tmp_path / "tenants.yaml").write_text(fabric.replace("../../../policies/tenants", "policies"), encoding="utf-8")
    text = (INVENTORIES / "tenants.yaml").read_text(encoding="utf-8")
    text = text.replace("type: 2000,", "type: 2000, group_id: 2000,").replace("fabrics/tenants", "tenants")
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text(text, encoding="utf-8")
    command = ["evbridge", "vcm", "run", str(inventory), "evacuate", "s1", "--station", station]
    words = run([*command, "--output", str(tmp_path / "report")])
    assert "blue1: VLAN 200 at hv1; VLAN 100 at hv4\n" in words


# --- halted ---
@pytest.mark.parametrize(
    ("way", "step"), [(Ladder.MINIMIZE_LATENCY, MoveStep.COPY), (Ladder.SAFEST_EXCHANGE, MoveStep.ASSOCIATE)]
)
def test_a_halt_on_the_way_leaves_the_flow_tables_as_before(emulated: Cluster, way: Ladder, step: MoveStep) -> None:
    def halt(manager: Manager, do: Do) -> None:
        if do.step is step:
            manager.post(HaltGoal())

    # Copying ends when it is told to, not when it is done.
    copy = LONG if step is MoveStep.COPY else 0.3
    task = Task(Goal(GoalKind.EVACUATE, "hv1"), MoveLimits(way), parallel=1, copy=copy)
    report, campaign = carried_out(emulated, task, halt, back=True)
    assert report.seconds < LONG
    assert unnumbered(campaign.after) == unnumbered(campaign.before)
    if step is MoveStep.COPY:
        assert campaign.after == campaign.before
    assert {vm.node == vm.source for vm in report.vms} == {True}
    assert [attempt.figures.outcome.value for attempt in report.attempts] == ["aborted"]
    assert not any(attempt.failures for attempt in report.attempts) and report.rules_left == 0
    assert len(report.unmet) == 2, "a goal that was halted is not met"


def test_an_evacuation_undone_half_way_leaves_vms_and_flow_tables_as_before(emulated: Cluster) -> None:
    report, campaign = carried_out(emulated, Task(EVACUATE_S1, undo_after=2), back=True)
    assert report.failures == ()
    assert unnumbered(campaign.after) == unnumbered(campaign.before)
    assert all(vm.node == vm.source for vm in report.vms)
    assert sum(attempt.home for attempt in report.attempts) == 2
    assert "aborted" in {attempt.figures.outcome.value for attempt in report.attempts}


def test_an_interrupt_from_the_terminal_halts_and_ends_nothing_else(tmp_path: Path) -> None:
    program = "from ryu_apps.cli.main import main; main()"
    inventory = str(INVENTORIES / "full-of-rules.yaml")
    arguments = ["vcm", "run", inventory, "evacuate", "hv1", "--copy-ms", "30000", "--output", str(tmp_path)]
    # A terminal interrupts everything in the foreground: switches, controller, probers.
    said = tmp_path / "said"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            cwd=CHECKOUT,
            env=os.environ | {"FORCE_COLOR": "1"},  # to be told of each step, as at a terminal
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    wait_until(lambda: "web1: copy" in said.read_text(encoding="utf-8"), "the copy to begin", 60)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60.0) == 1
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["failures"] == ["web1 is still at hv1: halted"]
    assert {attempt["figures"]["outcome"] for attempt in report["attempts"]} <= {"aborted", "refused"}


# --- with unmodified stations ---
def test_lldpads_evacuate_a_node(tmp_path: Path) -> None:
    program = "from ryu_apps.cli.main import main; main()"
    inventory = str(INVENTORIES / "two-switch.yaml")
    arguments = ["vcm", "run", inventory, "evacuate", "hv1", "--station", "lldpad", "--ladder", "safest-exchange"]
    command = [sys.executable, "-c", program, *arguments, "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["station"] == "lldpad"
    assert {attempt["figures"]["vm"]: attempt["figures"]["outcome"] for attempt in report["attempts"]} == {
        "fw1": "completed",
        "web1": "completed",
    }


def test_nothing_runs_on_when_a_campaign_breaks(tmp_path: Path) -> None:
    class Broken(Campaign):
        def pursue(self) -> None:
            raise LookupError("a mistake of ours")

    with emulated_cluster(tmp_path) as cluster:
        campaign = Broken(shipped("full-of-rules"), cluster, Task(Goal(GoalKind.EVACUATE, "hv1")))
        with pytest.raises(LookupError, match="a mistake of ours"):
            campaign.run()
        assert cluster.vms == {}
        probers = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path).encode() in _read(path)]
    assert [path for path in probers if b"prober.py" in _read(path)] == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has just ended
        return b""


# --- can these tests fail? ---
def test_a_switch_that_lets_through_what_policy_blocks_is_found_out(emulated: Cluster) -> None:
    def leak(manager: Manager, do: Do) -> None:
        if do.step is MoveStep.COPY and do.vm == "fw1":
            flow = "cookie=0xbad,table=0,priority=65000,udp,in_port=1,tp_dst=20001"
            flow += " actions=push_vlan:0x8100,set_field:4196->vlan_vid,output:61"
            run(["ovs-ofctl", "-O", "OpenFlow13", "add-flow", "s1", flow])
        if do.step is MoveStep.ASSOCIATE:
            run(["ovs-ofctl", "-O", "OpenFlow13", "del-flows", "s1", "cookie=0xbad/-1"])

    report, _ = carried_out(emulated, Task(Goal(GoalKind.EVACUATE, "hv1"), parallel=1), leak)
    assert not report.ok
    assert any(re.match(r"fw1 to \w+: \d+ datagrams passed that policy blocks", failure) for failure in report.failures)


def test_an_inventory_that_is_not_of_the_cluster_is_refused(tmp_path: Path) -> None:
    loaded = shipped("two-switch")
    elsewhere = replace(loaded.inventory.nodes["hv1"], switch="s2")
    wrong = replace(
        loaded, inventory=replace(loaded.inventory, nodes={"hv1": elsewhere, "hv9": replace(elsewhere, name="hv9")})
    )
    with pytest.raises(MismatchError, match=r"hv1 is at s2 in the inventory, in the cluster at s1\nhv9 .* not"):
        cluster_of(wrong, INVENTORIES, tmp_path)


# --- ties to proxies ---
PROXIED = """\
version: 1
name: proxied
switches: {s1: {links: [s2]}, s2: {}}
nodes:
  hv1: {switch: s1, slots: 2, memory_mib: 4096}
  hv5: {switch: s2, slots: 2, memory_mib: 4096}
appliances:
  proxy: {switches: [s1, s2]}
vms:
  web1: {at: hv1, mac: "52:54:00:c6:00:01", addresses: [10.0.100.101], vlan: 100, type: 25, version: 1,
         memory_mib: 512, needs: {proxy: local}, traffic: {udp: null, blocked: null}}
cluster: {topology: two_switch, parameters: {proxies: 1}, policies: [policies]}
"""
BEHIND_A_PROXY = """\
version: 1
vsi_type: {{type_id: 25, version: 1, name: behind-a-proxy}}
from_vm: {{default: allow}}
to_vm: {{default: allow}}
tcp_proxy: {{ports: [80], timeouts: {{idle: {idle}, closing: {closing}}}}}
"""


# A connection that ends between staging and Associate has no FIN at the destination: its pin there goes by ``idle``.
@pytest.mark.parametrize(
    ("idle", "closing", "words"),
    [(20, 1, r"ended after \d+\.\d s"), (3600, 600, "not ended at the end of the run")],
)
def test_a_vm_that_stays_tied_to_a_proxy_is_reported_until_its_last_connection_ends(
    tmp_path: Path, idle: int, closing: int, words: str
) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "proxied.yaml").write_text(
        BEHIND_A_PROXY.format(idle=idle, closing=closing), encoding="utf-8"
    )
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text(PROXIED, encoding="utf-8")
    limit = str(TIE_PATIENCE if closing == 1 else 1)
    command = ["evbridge", "vcm", "run", str(inventory), "evacuate", "s1", "--ties", limit]
    report = run([*command, "--output", str(tmp_path / "report")])
    assert re.search(rf"web1: \d+ connections? tied to proxy1 at s1, {words}\n", report), report
