"""The record of a sweep: a tidy table, complete after each run, with which a sweep goes on."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from ryu_apps.testbed.sweep.errors import SweepError
from ryu_apps.testbed.sweep.parameters import read_parameter
from ryu_apps.testbed.sweep.plan import plan_sweep
from ryu_apps.testbed.sweep.record import columns, open_record, rows_of
from ryu_apps.testbed.sweep.summary import summary
from tests.worlds.sweeps import ENVIRONMENT, SCENARIO, planned, reported, rows_for, scenario_in

SETTINGS = ["copy_ms=10,20", "ladder=minimize-latency,safest-exchange"]


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_line_is_a_migration_with_parameters_figures_and_environment(tmp_path: Path) -> None:
    plan = planned(tmp_path, SETTINGS)
    record = open_record(tmp_path / "out", plan, ENVIRONMENT)
    record.add(rows_of(plan.runs[0], reported(12.5, ["17 datagrams passed that policy blocks"])))
    (line,) = table(tmp_path / "out")
    assert (line["copy_ms"], line["ladder"]) == plan.runs[0].point.key
    assert (line["round"], line["migration"], line["folder"]) == ("1", "1", plan.runs[0].folder)
    assert (line["blackout_ms"], line["blackout_from_vm_ms"], line["lost"]) == ("12.500000", "", "0")
    assert line["failures"] == "17 datagrams passed that policy blocks"
    assert (line["suspended"], line["kernel"], line["openvswitch"]) == ("100.000000", "6.1", "3.1.0")
    assert tuple(line) == columns(("copy_ms", "ladder"))
    assert len(set(line)) == len(columns(("copy_ms", "ladder")))


def test_a_sweep_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    plan = planned(tmp_path, SETTINGS, repeat=2)
    first = open_record(tmp_path / "out", plan, ENVIRONMENT)
    for run in plan.runs[:3]:
        first.add(rows_of(run, reported(5.0)))
    first.note_incomplete("copy_ms=10, round 2: no answer")
    again = open_record(tmp_path / "out", plan, ENVIRONMENT)
    assert again.measured == {run.key for run in plan.runs[:3]}
    assert again.rows == first.rows
    for run in plan.runs[3:]:
        again.add(rows_of(run, reported(6.0)))
    assert len(table(tmp_path / "out")) == 8
    head = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert head["environments"] == [ENVIRONMENT, ENVIRONMENT]
    assert head["incomplete"] == ["copy_ms=10, round 2: no answer"]


def test_more_values_and_more_rounds_are_the_same_sweep(tmp_path: Path) -> None:
    plan = planned(tmp_path, ["copy_ms=10,20"])
    open_record(tmp_path / "out", plan, ENVIRONMENT).add(rows_for(plan.runs, [1.0, 2.0]))
    wider = planned(tmp_path, ["copy_ms=20,30"], repeat=2)
    record = open_record(tmp_path / "out", wider, ENVIRONMENT)
    missing = [run.key for run in wider.runs if run.key not in record.measured]
    assert sorted(missing) == [(("20",), 2), (("30",), 1), (("30",), 2)]
    head = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert (head["parameters"], head["repeat"]) == ({"copy_ms": [10, 20, 30]}, 2)


@pytest.mark.parametrize(
    ("text", "settings", "seed", "words"),
    [
        (SCENARIO.replace("hv5", "hv6"), SETTINGS, 0, "a sweep of another scenario"),
        (SCENARIO, ["copy_ms=10"], 0, "with the parameters copy_ms, ladder, not copy_ms"),
        (SCENARIO, [], 0, "with the parameters copy_ms, ladder, not none"),
        (SCENARIO, SETTINGS, 7, "with the seed 0, not 7"),
    ],
)
def test_another_sweep_is_not_mixed_in(tmp_path: Path, text: str, settings: list[str], seed: int, words: str) -> None:
    open_record(tmp_path / "out", planned(tmp_path, SETTINGS), ENVIRONMENT)
    before = (tmp_path / "out" / "sweep.csv").read_bytes()
    other = plan_sweep(scenario_in(tmp_path, text), list(map(read_parameter, settings)), 1, seed)
    with pytest.raises(SweepError, match=words):
        open_record(tmp_path / "out", other, ENVIRONMENT)
    assert (tmp_path / "out" / "sweep.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("sweep.json", "{}", "no record of evbridge sweep"),
        ("sweep.json", "no JSON", "no record of evbridge sweep"),
        ("sweep.csv", "a,b\n1,2\n", "no table of evbridge sweep"),
        ("sweep.csv", "a,b\n", "other columns"),
    ],
)
def test_a_file_that_is_no_record_is_refused(tmp_path: Path, name: str, content: str, words: str) -> None:
    plan = planned(tmp_path, SETTINGS)
    open_record(tmp_path / "out", plan, ENVIRONMENT)
    (tmp_path / "out" / name).write_text(content)
    with pytest.raises(SweepError, match=words):
        open_record(tmp_path / "out", plan, ENVIRONMENT)


def test_the_table_for_people_has_points_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    plan = planned(tmp_path, ["copy_ms=100,9"], repeat=6)
    rows = rows_for(plan.runs, [10.0 * run.round + float(run.point.key[0]) for run in plan.runs])
    head, lines = summary(("copy_ms",), rows, ("blackout_ms", "associate_ms"))
    assert head == ["copy_ms", "moves", "failed", "blackout_ms", "associate_ms"]
    assert lines == [["9", "6", "0", "44 [19, 69]", "-"], ["100", "6", "0", "135 [110, 160]", "-"]]
