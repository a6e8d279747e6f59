"""The VMs of a scenario move to their destinations and back until the program is interrupted."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.haproxy import proxies_of
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.moves.attempt import admit
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.moves.single import SingleMove
from ryu_apps.testbed.progress import ShowProgress
from ryu_apps.testbed.replay.player import cluster_for
from ryu_apps.testbed.replay.scenario import Scenario
from ryu_apps.testbed.replay.schema import MigrationSpec

#: Seconds that a memory copy takes, with the policy staged meanwhile, and between two moves: for people who watch.
COPY, PAUSE = 3.0, 2.0


def shuttle(scenario: Scenario, output: Path, progress: ShowProgress, ready: Callable[[Cluster], None]) -> None:
    """Start the cluster of a scenario and move its VMs until KeyboardInterrupt.

    Args:
        output: folder for the logs.
        progress: told each stage.
        ready: called when the VMs are associated.

    Raises:
        TestbedError: the cluster did not come up.
        KeyboardInterrupt: in the end, with the cluster taken down.
    """
    with tempfile.TemporaryDirectory(prefix="evbridge-", dir="/run") as folder:
        cluster = cluster_for(scenario, Path(folder))
        progress(f"starting {len(cluster.fabric.switches)} switches and their hypervisors")
        try:
            with cluster, proxies_of(cluster, Path(folder)):
                _admit(scenario, cluster)
                ready(cluster)
                _Shuttle(scenario, cluster, progress).run()
        finally:
            cluster.keep_logs(output / "logs")


def _admit(scenario: Scenario, cluster: Cluster) -> None:
    for name, spec in scenario.file.vms.items():
        cluster.boot(NamespaceVm(name, spec.mac, spec.ip), spec.at)
        admit(cluster.hypervisors[spec.at], scenario.vsis[name])


class _Shuttle:
    def __init__(self, scenario: Scenario, cluster: Cluster, progress: ShowProgress) -> None:
        self._scenario, self._cluster, self._progress = scenario, cluster, progress
        self._where = {name: spec.at for name, spec in scenario.file.vms.items()}

    def run(self) -> None:
        for spec in itertools.cycle(self._scenario.file.migrations):
            home = self._scenario.file.vms[spec.vm].at
            self._move(spec, home if self._where[spec.vm] == spec.to else spec.to)
            time.sleep(PAUSE)

    def _move(self, spec: MigrationSpec, destination: str) -> None:
        source = self._where[spec.vm]
        self._progress(f"{spec.vm} from {source} to {destination}, {spec.ladder.value}; Ctrl-C ends it")
        vsi = self._scenario.vsis[spec.vm]
        move = SingleMove(self._cluster, vsi, spec.vm, source, destination, spec.ladder, COPY, is_proven=False)
        if move.run().evidence.outcome is MoveOutcome.COMPLETED:
            self._where[spec.vm] = destination
