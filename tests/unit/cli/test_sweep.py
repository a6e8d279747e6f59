"""``evbridge sweep`` on a sweep of which all runs are there: it needs neither root nor a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ryu_apps.cli.sweep import sweep
from ryu_apps.testbed.sweep import style
from ryu_apps.testbed.sweep.record import open_record, rows_of
from tests.worlds.sweeps import ENVIRONMENT, planned, reported

SETTINGS = ("copy_ms=10,20",)


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """Folder of a sweep with six rounds, and the scenario beside it."""
    plan = planned(tmp_path, SETTINGS, repeat=6)
    record = open_record(tmp_path / "out", plan, ENVIRONMENT)
    for run in plan.runs:
        record.add(rows_of(run, reported(float(run.point.key[0]) + run.round)))
    return tmp_path / "out"


def again(output: Path, *options: str) -> Result:
    arguments = [str(output.parent / "short.yaml"), "--set", SETTINGS[0], "--repeat", "6", "--output", str(output)]
    return CliRunner().invoke(sweep, [*arguments, *options])


def test_medians_with_their_intervals_are_shown_and_plots_drawn(measured: Path) -> None:
    done = again(measured)
    assert done.exit_code == 0, done.output
    assert "12 runs, 12 of them measured" in done.output
    assert "95 % confidence interval of the median from order statistics" in done.output
    lines = [" ".join(line.replace("│", " ").split()) for line in done.output.splitlines()]
    assert "10 6 0 13.5 [11, 16] - -" in lines
    assert "20 6 0 23.5 [21, 26] - -" in lines
    assert {path.name for path in (measured / "plots").glob("*.pdf")} == {
        "blackout_ms-by-copy_ms.pdf",
        "blackout_ms-cumulative.pdf",
    }


def test_other_figures_can_be_shown(measured: Path) -> None:
    done = again(measured, "--figure", "lost", "--no-plots")
    assert "lost" in done.output and "blackout_ms" not in done.output
    assert not (measured / "plots").exists()


def test_a_violated_condition_is_shown_and_is_the_exit_status(measured: Path) -> None:
    plan = planned(measured.parent, SETTINGS, repeat=7)
    record = open_record(measured, plan, ENVIRONMENT)
    for run in plan.runs:
        if run.round == 7:
            record.add(rows_of(run, reported(1.0, ["17 datagrams passed that policy blocks"])))
    done = again(measured, "--repeat", "7", "--no-plots")
    assert done.exit_code == 1
    assert "copy_ms=10/round-7, migration 1: 17 datagrams passed that policy blocks" in done.output


def test_without_matplotlib_the_command_says_what_to_install(measured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style, "available", lambda: False)
    done = again(measured)
    assert done.exit_code == 0, done.output
    told = " ".join(done.output.split())
    assert "plots need matplotlib, which is not installed: pip install matplotlib, or evbridge with" in told
    assert "(in a checkout: pip install '.[plots]'); then the same command with the same --output" in told
    assert not (measured / "plots").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--set", "vms.vm9.vlan=1"), "short.yaml:5:3: --set vms.vm9.vlan: vms has no 'vm9'; it has vm1"),
        (("--seed", "3"), "has a sweep with the seed 0, not 3"),
        (("--figure", "outcome"), "no figure outcome; there are: error, rules_staged"),
    ],
)
def test_a_mistake_is_one_error(measured: Path, options: tuple[str, ...], words: str) -> None:
    before = (measured / "sweep.csv").read_bytes()
    done = again(measured, *options)
    assert done.exit_code in (1, 2)
    assert words in done.output
    assert "Traceback" not in done.output
    assert (measured / "sweep.csv").read_bytes() == before
