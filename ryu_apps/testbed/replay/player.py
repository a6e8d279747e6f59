"""A scenario from file to report: cluster up, VMs in, flows on, migrations along their ladders, figures out."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ryu_apps.evb.config import dump_config
from ryu_apps.evb.config.appliances import appliances
from ryu_apps.evb.config.balancers import balancers
from ryu_apps.evb.pipeline.tables import Cookie
from ryu_apps.testbed.environment import environment
from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.flow_dumps import DepartedVsi, dump_rules, left_behind, owner_at, read_dump
from ryu_apps.testbed.harness.capture import Tap, only_ethertypes
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.controller import APPS
from ryu_apps.testbed.harness.dumpcap import captured
from ryu_apps.testbed.harness.haproxy import proxies_of
from ryu_apps.testbed.harness.links import LinkLimits, check_kernel, limit_links
from ryu_apps.testbed.harness.probes import Prober, settle
from ryu_apps.testbed.harness.running import end_all, ending
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.staged import ETHERTYPE_RARP, StagedTarget
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.ladder import mermaid, svg, text
from ryu_apps.testbed.ladder.model import LadderDiagram
from ryu_apps.testbed.measurement.durations import RUN_OUT, RUN_UP, TIDY
from ryu_apps.testbed.moves.attempt import admit, dismiss
from ryu_apps.testbed.moves.evidence import Evidence, MoveOutcome
from ryu_apps.testbed.moves.observers import StepCallbacks, StepObserver
from ryu_apps.testbed.moves.single import SingleMove
from ryu_apps.testbed.progress import ShowProgress
from ryu_apps.testbed.replay.appliances import Appliances
from ryu_apps.testbed.replay.edges import edge_maker, station_maker, with_relay
from ryu_apps.testbed.replay.evaluation import Moved, Observed, evaluate
from ryu_apps.testbed.replay.filled_types import write_types
from ryu_apps.testbed.replay.management import Move, managed, secured
from ryu_apps.testbed.replay.packets import write_packets
from ryu_apps.testbed.replay.pauses import NO_PAUSES, Pauses
from ryu_apps.testbed.replay.report import MigrationReport, ReplayReport
from ryu_apps.testbed.replay.scenario import Scenario
from ryu_apps.testbed.replay.schema import MigrationSpec
from ryu_apps.testbed.site import config_of

#: End systems and VMs are in one IPv6 network of this prefix length.
_IPV6_PREFIX = 64


class GateError(TestbedError):
    """A VM is associated, and no rule lets its frames in."""


def replay(
    scenario: Scenario,
    output: Path,
    progress: ShowProgress = lambda words: None,
    apps: Sequence[str] = APPS,
    pauses: Pauses = NO_PAUSES,
    pcap: bool = False,
) -> ReplayReport:
    """Run a scenario on a cluster of its own.

    Args:
        scenario: what to do.
        output: folder for the report, the ladders and the logs; made if need be.
        progress: told each stage.
        apps: what ryu-manager loads.
        pauses: in which the cluster stays as it is.
        pcap: every uplink is captured, in ``uplinks`` in the output folder.

    Raises:
        TimeoutError, StationError: the cluster did not come up; logs are in the output folder.
        MissingDumpcapError, LinkLimitsError: this machine lacks what the captures or the links need.
    """
    output.mkdir(parents=True, exist_ok=True)
    with running_cluster(scenario, output / "logs", progress, apps) as cluster:
        staged = StepCallbacks(on_copying=partial(pauses.staged, cluster))
        finished = partial(pauses.finished, cluster)
        with captured(cluster.hypervisors.values() if pcap else (), output / "uplinks"):
            return Replay(scenario, cluster, progress, (staged,), finished).run(output)


@contextmanager
def running_cluster(
    scenario: Scenario, logs: Path, progress: ShowProgress = lambda words: None, apps: Sequence[str] = APPS
) -> Iterator[Cluster]:
    """The cluster of a scenario, up and empty; its logs are in ``logs`` in the end.

    Raises:
        TimeoutError, StationError: it did not come up.
        LinkLimitsError: the kernel cannot limit links as wanted.
    """
    check_kernel(_limits(scenario))
    with tempfile.TemporaryDirectory(prefix="evbridge-", dir="/run") as folder:
        cluster = cluster_for(scenario, Path(folder), apps)
        progress(f"starting {len(cluster.fabric.switches)} switches and their hypervisors")
        try:
            with cluster, proxies_of(cluster, Path(folder)):
                _equip(cluster, scenario)
                yield cluster
        finally:
            cluster.keep_logs(logs)


def _limits(scenario: Scenario) -> dict[str, LinkLimits]:
    links = scenario.file.cluster.links.items()
    return {name: LinkLimits(link.rate_mbit, link.delay_ms) for name, link in links}


def _equip(cluster: Cluster, scenario: Scenario) -> None:
    """Give end systems their IPv6 addresses, and links their bandwidth and delay."""
    for name, address in scenario.file.cluster.hosts6.items():
        host = cluster.hosts[name]
        host.namespace.speak_ipv6(host.interface, f"{address}/{_IPV6_PREFIX}")
        host.ip6 = address
    limit_links(cluster, _limits(scenario))


def cluster_for(scenario: Scenario, folder: Path, apps: Sequence[str] = APPS) -> Cluster:
    """The cluster that a scenario asks for, not started."""
    spec, site = scenario.file.cluster, scenario.site
    config = config_of(site, _policies(scenario, folder), spec.max_rules)
    config = replace(config, fabric=with_relay(config.fabric, spec.hypervisors))
    if spec.load_balancers:
        config = replace(config, fabric=replace(config.fabric, balancers=balancers(spec.load_balancers)))
    if spec.appliances:
        config = replace(config, fabric=replace(config.fabric, appliances=appliances(spec.appliances)))
    secrets = secured(folder) if spec.nms else None
    if secrets is not None:
        config = replace(config, rest=secrets.rest)
    station, edge = station_maker(spec), edge_maker(spec.hypervisors)
    cluster = Cluster(config.fabric, site.hosts, folder, dump_config(config), apps, station=station, edge=edge)
    cluster.controller.access = None if secrets is None else secrets.access
    return cluster


def _policies(scenario: Scenario, folder: Path) -> tuple[str, ...]:
    if scenario.filled is None:
        return scenario.policies
    write_types(scenario.filled, folder / "policies")
    return (str(folder / "policies"),)


class Replay:
    """One run of a scenario on a cluster that is up and empty, and is empty again afterwards."""

    def __init__(
        self,
        scenario: Scenario,
        cluster: Cluster,
        progress: ShowProgress = lambda words: None,
        observers: Sequence[StepObserver] = (),
        finished: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            observers: of the steps of each migration.
            finished: called after the last migration, while the VMs are still there.
        """
        self.scenario = scenario
        self._observers, self._finished = observers, finished
        self._cluster = cluster
        self._progress = progress
        self._where = {name: spec.at for name, spec in scenario.file.vms.items()}
        self._probers: dict[str, Prober] = {}
        self._rarps: list[Tap] = []

    def run(self, output: Path) -> ReplayReport:
        """Run everything and write the files into an existing folder."""
        with managed(self.scenario, self._cluster) as nms:
            self._admit_vms()
            equipment = Appliances(self.scenario.file, self._cluster)
            with ending(equipment.stop, self._dismiss_vms):
                equipment.start()
                self._start_flows()
                if nms is not None:
                    nms.await_followed()
                time.sleep(RUN_UP)
                moves = [self._migrate(spec) for spec in self.scenario.file.migrations]
                self._hear_again()
                settled = time.monotonic()
                settle(self._probers.values())
                observed = self._observe()
                passed = equipment.report()
                gathered = () if nms is None else nms.report(_completed(moves))
                self._finished()
        self._progress("evaluating")
        migrations = tuple(self._evaluate(moves, observed, settled, output))
        offset = time.time() - time.monotonic()
        report = ReplayReport(self.scenario.file.name, migrations, environment(), passed, gathered, offset)
        write_packets(output / "packets.csv", self.scenario.flows, observed.notes)
        (output / "report.json").write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
        return report

    # --- VMs and their traffic ---
    def _admit_vms(self) -> None:
        for name, spec in self.scenario.file.vms.items():
            self._progress(f"{name} starts at {spec.at}")
            self._cluster.boot(NamespaceVm(name, spec.mac, spec.ip, spec.ip6), spec.at)
            admit(self._cluster.hypervisors[spec.at], self.scenario.vsis[name])

    def _dismiss_vms(self) -> None:
        end_all(*(prober.stop for prober in self._probers.values()))
        for name, hypervisor in self._where.items():
            if name in self._cluster.vms:
                dismiss(self._cluster.hypervisors[hypervisor], self.scenario.vsis[name])
                self._cluster.shut_down(name, hypervisor)

    def _start_flows(self) -> None:
        flows = self.scenario.flows
        self._progress("starting flows")
        ends: dict[str, Any] = {**self._cluster.hosts, **self._cluster.vms}
        peers = {name: end.ip for name, end in ends.items()}
        peers6 = {name: end.ip6 or "" for name, end in ends.items()}
        for host in self._cluster.hosts.values():
            tap = Tap(host.namespace, host.interface, only_ethertypes(ETHERTYPE_RARP))
            self._rarps.append(self._cluster.watcher.watch(tap))
        for name in dict.fromkeys(name for flow in flows for name in (flow.vm, flow.host)):
            prober = Prober(name, ends[name].namespace, ends[name].ip, self._cluster.folder, peers6[name])
            prober.start([flow for flow in flows if name in (flow.vm, flow.host)], peers, peers6)
            self._probers[name] = prober
        for name, vm in self._cluster.vms.items():
            vm.prober = self._probers.get(name)
        for prober in self._probers.values():
            prober.wait_heard()

    def _hear_again(self) -> None:
        """Wait until all streams go on, if they do."""
        with suppress(TimeoutError):  # the notes tell
            for prober in self._probers.values():
                prober.wait_heard_again(self._cluster.vms)

    def _observe(self) -> Observed:
        notes = {name: prober.stop() for name, prober in self._probers.items()}
        for tap in self._rarps:
            self._cluster.watcher.dismiss(tap)
        self._cluster.watcher.settle()
        return Observed(notes, [sighting for tap in self._rarps for sighting in tap.sightings])

    # --- migrations ---
    def _migrate(self, spec: MigrationSpec) -> Moved:
        source = self._where[spec.vm]
        self._progress(f"{spec.vm} from {source} to {spec.to}, {spec.ladder.value}")
        vsi, target = self.scenario.vsis[spec.vm], self._target(spec.vm)
        move = SingleMove(
            self._cluster,
            vsi,
            spec.vm,
            source,
            spec.to,
            spec.ladder,
            spec.copy_plan,
            abort=spec.abort,
            target=target,
            observers=self._observers,
        )
        old = self._owner(spec.vm, source)
        attempt = move.run()
        evidence = attempt.evidence
        if evidence.outcome is MoveOutcome.COMPLETED:
            self._where[spec.vm] = spec.to
        left = self._rules_left(spec, source, old, evidence)
        time.sleep(RUN_OUT)
        return Moved(spec, attempt, left, self._services(spec.vm), self._timeline(spec.vm, evidence))

    def _target(self, vm: str) -> StagedTarget | None:
        for flow in self.scenario.flows:
            host = self._cluster.hosts.get(flow.host)
            if host is None or flow.group or flow.ipv6:
                continue
            if flow.vm == vm and flow.proto == "udp" and flow.passes:
                return StagedTarget(host.mac, host.ip, flow.port)
        return None

    def _services(self, vm: str) -> tuple[dict[str, Any], ...]:
        """Return the work of each service in the newest migration of a VM."""
        # A bridge that has taken over meanwhile knows only the migrations that have begun since.
        known = self._cluster.controller.get(f"/evb/migrations?vsi={self.scenario.vsis[vm].uuid}")
        return tuple(known[-1]["services"]) if known else ()

    def _timeline(self, vm: str, evidence: Evidence) -> tuple[dict[str, Any], ...]:
        """The controller's events of the VSI since the migration began."""
        events = self._cluster.controller.get(f"/evb/events?since={evidence.marks.begun}")
        return tuple(event for event in events if event["vsi"] == self.scenario.vsis[vm].uuid)

    # --- what is left in the switches ---
    def _rules_left(self, spec: MigrationSpec, source: str, old: Cookie, evidence: Evidence) -> int:
        """Rules of the VSI where the VM is not, once the bridge has had the time to tidy up."""

        def count() -> int:
            if evidence.outcome is MoveOutcome.COMPLETED:
                return len(left_behind(read_dump(self._dump(source)), self._departure(spec, source, old)))
            # An abort or a refusal leaves the destination's switch exactly as it was.
            return len(set(self._dump(spec.to)) ^ set(evidence.dumps["before"]))

        try:
            wait_until(lambda: count() == 0, "tidying up", TIDY, pause=0.1)
        except TimeoutError:
            return count()
        return 0

    def _departure(self, spec: MigrationSpec, source: str, old: Cookie) -> DepartedVsi:
        here, there = self._cluster.hypervisors[source].port, self._cluster.hypervisors[spec.to].port
        mac = self.scenario.file.vms[spec.vm].mac
        return DepartedVsi(mac, old, self._owner(spec.vm, spec.to), here.dpid == there.dpid)

    def _owner(self, vm: str, hypervisor: str) -> Cookie:
        port_no = self._cluster.hypervisors[hypervisor].gate_port
        owner = owner_at(read_dump(self._dump(hypervisor)), port_no, self.scenario.file.vms[vm].mac)
        if owner is None:
            raise GateError(f"{vm} is at {hypervisor}, but no gate lets it in there")
        return owner

    def _dump(self, hypervisor: str) -> list[str]:
        switch = self._cluster.fabric.switches[self._cluster.hypervisors[hypervisor].port.dpid]
        return dump_rules(switch.name)

    # --- the report ---
    def _evaluate(
        self, moves: Sequence[Moved], observed: Observed, settled: float, output: Path
    ) -> list[MigrationReport]:
        """A migration's figures close where the next one begins."""
        closing = [moved.evidence.marks.begun for moved in moves[1:]] + [settled]
        reports = []
        for number, (moved, close) in enumerate(zip(moves, closing, strict=True), 1):
            report, ladder = evaluate(self.scenario, self._cluster.fabric, moved, observed, close)
            reports.append(report)
            _draw(ladder, output, f"{number}-{moved.spec.vm}.ladder")
        return reports


def _completed(moves: Iterable[Moved]) -> Iterator[Move]:
    for moved in moves:
        if moved.evidence.outcome is MoveOutcome.COMPLETED:
            yield moved.spec.vm, moved.attempt.source.name, moved.spec.to


def _draw(ladder: LadderDiagram, output: Path, name: str) -> None:
    for suffix, render in (("txt", text.render), ("mmd", mermaid.render), ("svg", svg.render)):
        (output / f"{name}.{suffix}").write_text(render(ladder), encoding="utf-8")
