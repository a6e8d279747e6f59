"""A scenario on three bridges with one store, whose leader is killed while the memory of a VM is copied."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ryu_apps.testbed.faults.members import MembersRig
from ryu_apps.testbed.moves.observers import StepCallbacks
from ryu_apps.testbed.progress import ShowProgress
from ryu_apps.testbed.replay.player import Replay
from ryu_apps.testbed.replay.report import ReplayReport
from ryu_apps.testbed.replay.scenario import Scenario

#: Flows of VMs that are not moved.  The fourth of the rig would need the port at ``client`` that the probe has.
BYSTANDERS = ("across", "reflected", "s1")


@dataclass(slots=True)
class TakeOver:
    """Figures of a leader's death.

    Attributes:
        former, successor: names of the bridges.
        seconds: from SIGKILL until another bridge leads and serves all switches.
        sent, lost: datagrams of VMs that are not moved.
    """

    former: str = ""
    successor: str = ""
    seconds: float = 0.0
    sent: int = 0
    lost: int = 0


class _Killing:
    """Kills the leader once, and has the replay go on with the next one."""

    def __init__(self, rig: MembersRig, told: TakeOver, progress: ShowProgress) -> None:
        self._rig = rig
        self._told = told
        self._progress = progress

    def kill(self) -> None:
        """Kill the leader, and wait for the next one; returns when the copy may end."""
        rig, told, former = self._rig, self._told, self._rig.leader
        self._progress(f"{former.name} leads and is killed")
        begun = rig.kill(former)
        successor = rig.await_leader(former)
        told.seconds = time.monotonic() - begun
        told.former, told.successor = former.name, successor.name
        rig.cluster.controller = successor.controller


def replay_with_take_over(
    scenario: Scenario, output: Path, patience: float, progress: ShowProgress = lambda words: None
) -> tuple[ReplayReport, TakeOver]:
    """Run a scenario of the cluster ``two_switch`` on three bridges; the leader is killed in its migration.

    Args:
        output: folder for the report, the ladders and the logs; made if need be.
        patience: of the bridges, seconds.

    Raises:
        TimeoutError, StationError: the cluster did not come up, or no other bridge leads.
    """
    output.mkdir(parents=True, exist_ok=True)
    told = TakeOver()
    with tempfile.TemporaryDirectory(prefix="evbridge-", dir="/run") as folder:
        rig = MembersRig(Path(folder), patience=patience)
        progress("starting three servers of a store, three bridges, two switches and their hypervisors")
        try:
            with rig:
                killing = StepCallbacks(on_copying=_Killing(rig, told, progress).kill)
                with rig.bystanders(BYSTANDERS) as loss:
                    report = Replay(scenario, rig.cluster, progress, (killing,)).run(output)
                told.sent, told.lost = sum(loss.sent.values()), sum(loss.lost.values())
        finally:
            rig.cluster.keep_logs(output / "logs")
    return report, told
