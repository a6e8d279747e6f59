"""Errors of commands with a cluster: those of the testbed are one line, defects keep their traceback."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from rich.console import Console

from ryu_apps.cli.stage import performance
from ryu_apps.testbed.errors import DeadlineError
from ryu_apps.testbed.harness.cluster import NameClashError
from ryu_apps.testbed.harness.sandbox import SandboxError
from ryu_apps.testbed.harness.shell import CommandError, wait_until
from ryu_apps.testbed.harness.station import StationError
from ryu_apps.testbed.manager.guests import MismatchError
from ryu_apps.testbed.matrix.run import IncompleteMove
from ryu_apps.testbed.moves.attempt import MigrationAborted, MigrationRefused
from ryu_apps.testbed.replay.player import GateError
from ryu_apps.testbed.replay.scenario import ScenarioError
from ryu_apps.testbed.site import SiteError

LOGS = Path("reports/logs")


def fail_with(error: BaseException) -> None:
    with performance("a-move", Console(quiet=True), LOGS) as show:
        show("vm1 starts at hv1")
        raise error


@pytest.mark.parametrize(
    "kind",
    [
        CommandError,
        DeadlineError,
        GateError,
        IncompleteMove,
        MigrationAborted,
        MigrationRefused,
        MismatchError,
        NameClashError,
        SandboxError,
        SiteError,
        StationError,
    ],
)
def test_an_error_of_the_testbed_is_one_line_with_its_logs(kind: type[Exception]) -> None:
    with pytest.raises(click.ClickException) as caught:
        fail_with(kind("no EVB TLV"))
    assert caught.value.format_message() == f"no EVB TLV\nlogs: {LOGS}"


def test_mistakes_of_a_scenario_are_errors_of_the_testbed() -> None:
    with pytest.raises(click.ClickException):
        fail_with(ScenarioError([]))


@pytest.mark.parametrize("defect", [KeyError("vm1"), IndexError("tap"), ValueError("not a flow"), RuntimeError("x")])
def test_a_defect_of_this_code_keeps_its_traceback(defect: Exception) -> None:
    with pytest.raises(type(defect)) as caught:
        fail_with(defect)
    assert caught.value is defect


def test_a_condition_that_does_not_come_true_is_an_error_of_the_testbed() -> None:
    with pytest.raises(DeadlineError, match=r"the alarm: not within 0 s"):
        wait_until(lambda: False, "the alarm", limit=0.0, pause=0.0)
