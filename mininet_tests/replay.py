"""A scenario from file to report: cluster up, VMs in, flows on, migrations along their ladders, figures out."""

from __future__ import annotations

import importlib
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mininet_tests.harness.capture import Tap, only_ethertypes
from mininet_tests.harness.cluster import Cluster
from mininet_tests.harness.controller import APPS
from mininet_tests.harness.ovs import dump_flows
from mininet_tests.harness.probes import Notes, Prober, UdpNotes
from mininet_tests.harness.shell import wait_until
from mininet_tests.harness.staged import ETHERTYPE_RARP, Target
from mininet_tests.harness.vm import Vm
from mininet_tests.ladder import mermaid, svg, text
from mininet_tests.ladder.model import Ladder, Lane, Step
from mininet_tests.ladder.timeline import steps_of
from mininet_tests.measure import Ends, Seen, figures
from mininet_tests.report import MigrationReport, Report, failures
from mininet_tests.rules import added, left_behind, owner_at, read_dump
from mininet_tests.scenario import MigrationSpec, Outcome, Scenario
from mininet_tests.vcm import Evidence, Move, admit
from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.topology.fabric import Fabric

#: Told what is being done now.
Progress = Callable[[str], None]

#: Seconds of traffic before the first and after each migration.
RUN_UP, RUN_OUT = 1.0, 1.5
#: Seconds within which a bridge has to have tidied up.
TIDY = 5.0


class Replay:
    """One run of a scenario on a cluster of its own."""

    def __init__(
        self, scenario: Scenario, output: Path, progress: Progress = lambda words: None, apps: Sequence[str] = APPS
    ) -> None:
        """
        Args:
            scenario: what to do.
            output: folder for reports and logs, made if need be.
            progress: told each stage.
            apps: what ryu-manager loads.
        """
        self.scenario = scenario
        self.output = output
        self._progress = progress
        self._apps = apps
        self._where = {name: spec.at for name, spec in scenario.file.vms.items()}
        self._probers: dict[str, Prober] = {}
        self._rarps: dict[str, Tap] = {}

    def run(self) -> Report:
        """Build the cluster, run everything, write the files.

        Raises:
            TimeoutError, StationError: the cluster did not come up; logs are in the output folder.
        """
        self.output.mkdir(parents=True, exist_ok=True)
        module = importlib.import_module(f"topologies.{self.scenario.file.cluster.topology}")
        fabric = budgeted(module.fabric(self.scenario.file.cluster.n), self.scenario.file.cluster.max_rules)
        config = dump_config(BridgeConfig(fabric, self.scenario.policies))
        with tempfile.TemporaryDirectory(prefix="evbridge-", dir="/run") as folder:
            cluster = Cluster(fabric, module.END_SYSTEMS, Path(folder), config, self._apps)
            try:
                self._progress(f"starting {len(fabric.switches)} switches and their hypervisors")
                with cluster:
                    report = self._migrate(cluster)
            finally:
                cluster.keep_logs(self.output / "logs")
        self._write("report.json", json.dumps(report.as_json(), indent=2) + "\n")
        return report

    # --- the run ---
    def _migrate(self, cluster: Cluster) -> Report:
        self._admit_vms(cluster)
        self._start_flows(cluster)
        time.sleep(RUN_UP)
        moves = []
        for spec in self.scenario.file.migrations:
            moves.append(self._move(cluster, spec))
            time.sleep(RUN_OUT)
        settled = time.monotonic()
        notes = {name: prober.stop() for name, prober in self._probers.items()}
        cluster.watcher.settle()
        self._progress("evaluating")
        finishes = [evidence.marks.begun for _, _, evidence, _ in moves[1:]] + [settled]
        reports = [
            self._report(cluster, number, spec, source, evidence, left, finish, notes)
            for number, ((spec, source, evidence, left), finish) in enumerate(zip(moves, finishes, strict=True), 1)
        ]
        return Report(self.scenario.file.name, tuple(reports))

    def _admit_vms(self, cluster: Cluster) -> None:
        for name, spec in self.scenario.file.vms.items():
            self._progress(f"{name} starts at {spec.at}")
            cluster.boot(Vm(name, spec.mac, spec.ip), spec.at)
            admit(cluster.hypervisors[spec.at], self.scenario.vsis[name])

    def _start_flows(self, cluster: Cluster) -> None:
        flows = self.scenario.flows
        if not flows:
            return
        self._progress("starting flows")
        ends: dict[str, Any] = {**cluster.hosts, **cluster.vms}
        peers = {name: end.ip for name, end in ends.items()}
        for host in cluster.hosts.values():
            tap = Tap(host.namespace, host.interface, only_ethertypes(ETHERTYPE_RARP))
            self._rarps[host.name] = cluster.watcher.watch(tap)
        for name in dict.fromkeys(name for flow in flows for name in (flow.vm, flow.host)):
            prober = Prober(name, ends[name].namespace, ends[name].ip, cluster.folder)
            prober.start([flow for flow in flows if name in (flow.vm, flow.host)], peers)
            self._probers[name] = prober
        for name, vm in cluster.vms.items():
            vm.prober = self._probers.get(name)
        for prober in self._probers.values():
            prober.wait_heard()

    def _move(self, cluster: Cluster, spec: MigrationSpec) -> tuple[MigrationSpec, str, Evidence, int]:
        source = self._where[spec.vm]
        self._progress(f"{spec.vm} from {source} to {spec.to}, {spec.ladder.value}")
        move = Move(cluster, spec, self.scenario.vsis[spec.vm], source, self._target(cluster, spec.vm))
        evidence = move.run()
        if evidence.outcome is Outcome.COMPLETED:
            self._where[spec.vm] = spec.to
        return spec, source, evidence, self._rules_left(cluster, spec, source, evidence)

    def _target(self, cluster: Cluster, vm: str) -> Target | None:
        for flow in self.scenario.flows:
            if flow.vm == vm and flow.proto == "udp" and flow.passes:
                host = cluster.hosts[flow.host]
                return Target(host.mac, host.ip, flow.port)
        return None

    # --- what is left in the switches ---
    def _rules_left(self, cluster: Cluster, spec: MigrationSpec, source: str, evidence: Evidence) -> int:
        """Rules of the VSI where the VM is not, once the bridge has had the time to tidy up."""

        def count() -> int:
            if evidence.outcome is not Outcome.COMPLETED:
                return len(self._difference(cluster, spec, evidence))
            return self._behind(cluster, spec, source)

        try:
            wait_until(lambda: count() == 0, "tidying up", TIDY, pause=0.1)
            return 0
        except TimeoutError:
            return count()

    def _difference(self, cluster: Cluster, spec: MigrationSpec, evidence: Evidence) -> set[str]:
        """An abort or a refusal leaves the destination's switch exactly as it was."""
        return set(self._dump(cluster, spec.to)) ^ set(evidence.dumps["before"])

    def _behind(self, cluster: Cluster, spec: MigrationSpec, source: str) -> int:
        here, there = cluster.hypervisors[source].port, cluster.hypervisors[spec.to].port
        owner = owner_at(read_dump(self._dump(cluster, spec.to)), there.port_no, self.scenario.file.vms[spec.vm].mac)
        if owner is None:
            return -1
        new_port = there.port_no if here.dpid == there.dpid else None
        return len(left_behind(read_dump(self._dump(cluster, source)), owner, new_port))

    def _dump(self, cluster: Cluster, hypervisor: str) -> list[str]:
        return dump_flows(cluster.fabric.switches[cluster.hypervisors[hypervisor].port.dpid].name)

    # --- the report ---
    def _report(
        self,
        cluster: Cluster,
        number: int,
        spec: MigrationSpec,
        source: str,
        evidence: Evidence,
        left: int,
        finish: float,
        notes: dict[str, dict[str, Notes]],
    ) -> MigrationReport:
        vsi = self.scenario.vsis[spec.vm].uuid
        mac = bytes.fromhex(self.scenario.file.vms[spec.vm].mac.replace(":", ""))
        ends = [
            Ends(flow, notes[flow.host][flow.name], notes[flow.vm][flow.name])
            for flow in self.scenario.flows
            if flow.vm == spec.vm
        ]
        announced = [
            one
            for tap in self._rarps.values()
            for one in tap.sightings
            if one.data[6:12] == mac and evidence.marks.begun <= one.t <= finish
        ]
        uplink = cluster.hypervisors[spec.to].tap.sightings
        seen = Seen(spec.vm, spec.ladder.value, source, spec.to, vsi, evidence, uplink, ends, announced, left, finish)
        result = figures(seen)
        timeline = self._timeline(cluster, vsi, evidence)
        ladder = self._ladder(cluster, spec, source, evidence, timeline, seen)
        drawn = text.render(ladder)
        self._write(f"{number}-{spec.vm}.ladder.txt", drawn)
        self._write(f"{number}-{spec.vm}.ladder.mmd", mermaid.render(ladder))
        self._write(f"{number}-{spec.vm}.ladder.svg", svg.render(ladder))
        dumps = evidence.dumps
        staged = tuple(rule.line for rule in added(dumps["before"], dumps.get("staged", dumps["before"])))
        active = tuple(rule.line for rule in added(dumps["before"], dumps.get("active", dumps["before"])))
        return MigrationReport(result, tuple(failures(result, spec.expect)), staged, active, tuple(timeline), drawn)

    def _timeline(self, cluster: Cluster, vsi: str, evidence: Evidence) -> list[dict[str, Any]]:
        """The controller's events of the VSI while this migration ran."""
        migrations = cluster.controller.get(f"/evb/migrations?vsi={vsi}")
        marks = evidence.marks
        events = [event for one in migrations for event in one["events"]]
        return [event for event in events if marks.begun <= event["t"] <= marks.ended + RUN_OUT]

    def _ladder(
        self,
        cluster: Cluster,
        spec: MigrationSpec,
        source: str,
        evidence: Evidence,
        timeline: list[dict[str, Any]],
        seen: Seen,
    ) -> Ladder:
        here, there = cluster.hypervisors[source].port, cluster.hypervisors[spec.to].port
        switches = cluster.fabric.switches
        names = {
            Lane.VCM: "VCM",
            Lane.SOURCE: source,
            Lane.DESTINATION: spec.to,
            Lane.SOURCE_SWITCH: switches[here.dpid].name,
            Lane.DESTINATION_SWITCH: switches[there.dpid].name,
            Lane.VM: spec.vm,
        }
        title = f"{spec.ladder.value}: {spec.vm} from {source} to {spec.to}, {evidence.outcome.value}"
        steps = evidence.steps + steps_of(timeline, str(here), str(there)) + first_packets(seen)
        return Ladder(title, names, tuple(steps))

    def _write(self, name: str, content: str) -> None:
        (self.output / name).write_text(content, encoding="utf-8")


def first_packets(seen: Seen) -> list[Step]:
    """The first datagram each way after the VM was resumed, as ladder steps."""
    resumed = seen.evidence.marks.resumed
    if not resumed:
        return []
    steps = []
    for notes, origin, target, words in (
        ([one.vm for one in seen.ends], Lane.DESTINATION_SWITCH, Lane.VM, "first packet to the VM"),
        ([one.host for one in seen.ends], Lane.VM, Lane.DESTINATION_SWITCH, "first packet from the VM has arrived"),
    ):
        arrivals = [t for one in notes if isinstance(one, UdpNotes) for _, _, t in one.heard if t >= resumed]
        if arrivals:
            steps.append(Step(min(arrivals), origin, target, words))
    return steps


def budgeted(fabric: Fabric, max_rules: dict[str, int]) -> Fabric:
    """The fabric with rule budgets set for switches by name.

    Raises:
        ValueError: there is no such switch.
    """
    unknown = set(max_rules) - {switch.name for switch in fabric.switches.values()}
    if unknown:
        raise ValueError(f"no switch {', '.join(sorted(unknown))}")
    return Fabric(
        {
            dpid: replace(switch, max_rules=max_rules.get(switch.name, switch.max_rules))
            for dpid, switch in fabric.switches.items()
        }
    )
