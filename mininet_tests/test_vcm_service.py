"""``evbridge vcm serve``, and somebody with hypervisors, switches and traffic who knows the manager by REST alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mininet_tests.conftest import CHECKOUT
from mininet_tests.test_vcm import AT_S1, EVACUATE_S1, INVENTORIES, places, shipped
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.shell import end
from ryu_apps.testbed.manager.campaign import Campaign, Task
from ryu_apps.testbed.manager.remote import RemoteOrchestrator
from ryu_apps.testbed.manager.run import Manager
from ryu_apps.vcm.goal_events import MoveLimits
from ryu_apps.vcm.move_events import Do, Ladder, MoveStep
from ryu_apps.vcm.plans import Goal, GoalKind

pytestmark = [pytest.mark.privileged, pytest.mark.slow]


class Service:
    """The command, and its journal."""

    def __init__(self, folder: Path) -> None:
        self._journal = folder / "journal"
        self._process: subprocess.Popen[str] | None = None
        self.url = ""
        self.start(0)

    def start(self, port: int) -> None:
        program = "from ryu_apps.cli.main import main; main()"
        inventory = str(INVENTORIES / "two-switch.yaml")
        arguments = ["vcm", "serve", inventory, "--port", str(port), "--journal", str(self._journal)]
        command = [sys.executable, "-u", "-c", program, *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("http://127.0.0.1:"), line
        self.url = line.partition("/vcm")[0]

    def die_and_come_back(self) -> None:
        """Without a word, and at the same port."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self.start(int(self.url.rpartition(":")[2]))

    def stop(self) -> None:
        if self._process is not None:
            end(self._process)


@pytest.fixture
def service(emulated: Cluster, tmp_path: Path) -> Iterator[Service]:
    """Behind the cluster, since it listens in the cluster's own network."""
    found = Service(tmp_path)
    yield found
    found.stop()


def remote(service: Service, cluster: Cluster, task: Task) -> Campaign:
    """The campaign of a task whose manager is the service."""
    campaign = Campaign(shipped("two-switch"), cluster, task)
    kind = GoalKind.PROTECT if task.goal.kind is GoalKind.FAIL_OVER else task.goal.kind
    goal = Goal(kind, task.goal.subject)
    orchestrator = RemoteOrchestrator(service.url, goal, task.settings, task.parallel)
    campaign.manager.orchestrator = orchestrator
    return campaign


def test_somebody_elses_hypervisors_evacuate_a_switch(emulated: Cluster, service: Service) -> None:
    report = remote(service, emulated, Task(EVACUATE_S1)).run()
    assert report.failures == ()
    assert {attempt.figures.vm for attempt in report.attempts} == AT_S1
    assert {places(report)[name] for name in AT_S1} <= {"hv5", "hv6", "hv7", "hv8"}


@pytest.mark.parametrize("at", [MoveStep.COPY, MoveStep.ASSOCIATE])
def test_a_manager_that_dies_goes_on_where_it_was(emulated: Cluster, service: Service, at: MoveStep) -> None:
    campaign = remote(service, emulated, Task(Goal(GoalKind.EVACUATE, "hv1"), MoveLimits(Ladder.SAFEST_EXCHANGE)))
    died: list[Do] = []

    def meanwhile(manager: Manager, do: Do) -> None:
        if do.step is at and not died:
            died.append(do)
            service.die_and_come_back()

    campaign._meanwhile = meanwhile
    report = campaign.run()
    assert died and report.failures == ()
    assert "hv1" not in places(report).values()


def test_places_that_are_kept_outlive_the_manager(emulated: Cluster, service: Service) -> None:
    campaign = remote(service, emulated, Task(Goal(GoalKind.PROTECT, "hv1"), keep=2.5))
    looked: list[None] = []

    def looks(words: str) -> None:
        if words.startswith("reservations are kept") and not looked:
            looked.append(None)
            service.die_and_come_back()

    campaign._tell = looks
    report = campaign.run()
    assert looked and report.failures == ()
    assert all(vm.node == vm.source for vm in report.vms)
