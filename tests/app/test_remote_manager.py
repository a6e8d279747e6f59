"""``evbridge vcm serve`` as an agent uses it that asks for the networks of VMs without a VID."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ryu_apps.testbed.manager.remote import RemoteOrchestrator
from ryu_apps.vcm.goal_events import Go, MoveLimits, StepAnswer
from ryu_apps.vcm.move_events import GrantedNetwork, MoveStep, StepDone
from ryu_apps.vcm.plans import Goal, GoalKind

_CHECKOUT = Path(__file__).parents[2]
_COMMAND = "from ryu_apps.cli.main import main; main()"


@pytest.fixture
def url() -> Iterator[str]:
    arguments = ["vcm", "serve", "mininet_tests/inventories/tenants.yaml", "--port", "0"]
    command = [sys.executable, "-u", "-c", _COMMAND, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_CHECKOUT) as process:
        assert process.stdout is not None
        yield process.stdout.readline().partition("/vcm")[0]
        process.terminate()


@pytest.mark.parametrize("network", [GrantedNetwork(200), GrantedNetwork(200, 3), None])
def test_the_manager_is_told_the_network_of_an_answer(url: str, network: GrantedNetwork | None) -> None:
    remote = RemoteOrchestrator(url, Goal(GoalKind.EVACUATE, "s1"), MoveLimits(), 1)
    (wanted,) = remote.feed(Go(), 0.0)
    assert wanted.step is MoveStep.RESERVE
    remote.feed(StepAnswer(wanted.vm, StepDone(wanted.step, wanted.node, network)), 0.0)
    (move,) = [move for move in remote.moves if move.vm == wanted.vm]
    assert move.network == network
