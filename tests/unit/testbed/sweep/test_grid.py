"""The grid of a sweep: paths into a scenario, values of the right type, points and the order of their runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.document import read_document
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.testbed.replay.scenario import ScenarioError, load_scenario
from ryu_apps.testbed.sweep.errors import SweepError
from ryu_apps.testbed.sweep.parameters import read_parameter, value_text
from ryu_apps.testbed.sweep.plan import PlannedRun, plan_sweep
from ryu_apps.vcm.move_events import Ladder
from tests.worlds.sweeps import POLICIES, SCENARIO, planned, scenario_in

SHIPPED = sorted((Path(__file__).parents[4] / "mininet_tests" / "scenarios").glob("*.yaml"))
WEB_SERVER = VsiTypeKey(1, 1)


def copies(run: PlannedRun) -> list[float]:
    return [migration.copy_ms for migration in run.point.scenario.file.migrations]


def test_every_combination_of_values_is_a_point(tmp_path: Path) -> None:
    plan = planned(tmp_path, ["copy_ms=10,20.5,30", "ladder=minimize-latency,safest-exchange"], repeat=2)
    assert len(plan.runs) == 12
    assert {(run.point.key, run.round) for run in plan.runs} == {
        ((copy, ladder), turn)
        for copy in ("10", "20.5", "30")
        for ladder in ("minimize-latency", "safest-exchange")
        for turn in (1, 2)
    }
    (run, _) = (run for run in plan.runs if run.point.key == ("20.5", "safest-exchange"))
    assert copies(run) == [20.5]
    assert run.point.scenario.file.migrations[0].ladder is Ladder.SAFEST_EXCHANGE
    assert run.point.label == "copy_ms=20.5, ladder=safest-exchange"
    assert run.folder == "runs/copy_ms=20.5/ladder=safest-exchange/round-1"


def test_without_parameters_there_is_one_point(tmp_path: Path) -> None:
    plan = planned(tmp_path, [], repeat=3)
    assert [(run.point.label, run.folder) for run in plan.runs] == [("all", f"runs/round-{turn}") for turn in (1, 2, 3)]


@pytest.mark.parametrize(
    ("setting", "read"),
    [
        ("flows.probe.interval_ms=2", lambda file: file.flows["probe"].interval_ms == 2),
        ("flows.*.port=80", lambda file: file.flows["probe"].port == 80),
        ("vms.vm1.vlan=null", lambda file: file.vms["vm1"].vlan is None),
        ("migrations.0.abort=true", lambda file: file.migrations[0].abort is True),
        ("migrations.0.expect.lost=7", lambda file: file.migrations[0].expect.lost == 7),
        ("cluster.max_rules.s1=9000", lambda file: file.cluster.max_rules == {"s1": 9000}),
        ("n=16", lambda file: file.cluster.n == 16),
        ("cluster.rules=20", lambda file: file.cluster.rules == 20),
        # What the file does not name, with the defaults of its kind.
        ("cluster.links.hv1.rate_mbit=50", lambda file: file.cluster.links["hv1"].rate_mbit == 50),
        ("cluster.links.s1-s2.delay_ms=2", lambda file: file.cluster.links["s1-s2"].delay_ms == 2),
        ("cluster.hypervisors.hv2.edge=veb", lambda file: file.cluster.hypervisors["hv2"].edge == "veb"),
    ],
)
def test_any_single_value_can_be_a_parameter(tmp_path: Path, setting: str, read: object) -> None:
    (run,) = planned(tmp_path, [setting]).runs
    assert callable(read)
    assert read(run.point.scenario.file)


def numbers(value: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Paths of all numbers of a scenario."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(item, (*path, str(key)))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield ".".join(path)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_number_of_every_shipped_scenario_can_be_a_parameter(path: Path) -> None:
    written = read_document(str(path), path.read_text(encoding="utf-8")).data
    found = [name for name in numbers(written) if name != "version"]
    assert len(found) > 5
    for name in found:
        value = written
        for part in name.split("."):
            value = value[int(part)] if isinstance(value, list) else value[part]
        (run,) = plan_sweep(path, [read_parameter(f"{name}={value}")], 1, 0).runs
        assert run.point.scenario.file == load_scenario(path).file


def test_a_star_is_every_migration(tmp_path: Path) -> None:
    twice = SCENARIO + "  - {vm: vm1, to: hv1, ladder: safest-exchange}\n"
    path = scenario_in(tmp_path, twice)
    (run,) = plan_sweep(path, [read_parameter("copy_ms=5")], 1, 0).runs
    assert copies(run) == [5, 5]
    (run,) = plan_sweep(path, [read_parameter("migrations.1.copy_ms=5")], 1, 0).runs
    assert copies(run) == [20, 5]


@pytest.mark.parametrize(
    ("settings", "place", "words"),
    [
        (["vms.vm9.vlan=1"], "5:3", "--set vms.vm9.vlan: vms has no 'vm9'; it has vm1"),
        (["cluster.rulse=10"], "3:10", "--set cluster.rulse: cluster has no 'rulse'; it has topology"),
        (["migrations.1.to=hv2"], "9:3", "migrations has no '1'; it has 0 to 0, and *"),
        (["flows.probe.port.x=1"], "7:38", "flows.probe.port has no 'x'; it is a single value"),
        (["cluster=1"], "3:10", "cluster is a mapping, not a single value"),
        (["migrations=1"], "9:3", "migrations is a list, not a single value"),
        (["copy_ms=soon"], "9:59", "input should be a valid number, not 'soon'"),
        (["vms.vm1.vlan=1.5"], "5:8", "should be a valid integer"),
        (["ladder=fastest"], "9:32", "one of minimize-latency, safest-exchange was expected, not 'fastest'"),
        (["flows.probe.interval_ms=0"], "7:56", "greater than 0"),
        (["n=1"], "3:21", "2 to 128 hypervisors"),
        (["n=4"], "9:19", "there is no hypervisor 'hv5'"),
        (["cluster.max_rules.s9=1"], "3:10", "there is no switch 's9'"),
        (["cluster.links.hv9.rate_mbit=1"], "3:10", "there is no link 'hv9'; there are: client, hv1"),
        (["cluster.links.hv1.rate=1"], "3:10", "--set cluster.links.hv1.rate: cluster.links.hv1 has no 'rate'"),
        (["cluster.links.hv1.rate_mbit=0"], "3:10", "greater than or equal to 0.1"),
        (["rules=3"], "3:10", "web_server.yaml has 9 ACL rules towards the VM, more than 3"),
        (["rules=10", "vms.vm1.version=9"], "3:10", "no policy has the VSI type 1 version 9"),
    ],
)
def test_a_mistake_is_refused_with_its_place(tmp_path: Path, settings: list[str], place: str, words: str) -> None:
    with pytest.raises((SweepError, ScenarioError)) as caught:
        planned(tmp_path, settings)
    assert f"{tmp_path / 'short.yaml'}:{place}: " in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["rules"], "PATH=VALUE,VALUE,... was expected"),
        (["=1"], "PATH=VALUE,VALUE,... was expected"),
        (["rules=1,,2"], "PATH=VALUE,VALUE,... was expected"),
        (["copy_ms=1,2,1"], "a value is there twice"),
        (["copy_ms=1", "migrations.0.copy_ms=2"], "migrations.0.copy_ms is set by --set copy_ms already"),
        (["flows.*.group.*=1"], "flows.probe.group has no '*'; it is a single value"),
        (["cluster.hypervisors.*.edge=veb"], "there is no item for *"),
    ],
)
def test_a_setting_that_says_nothing_is_refused(tmp_path: Path, settings: list[str], words: str) -> None:
    with pytest.raises(SweepError, match=words.replace("*", r"\*").replace(".", r"\.")):
        planned(tmp_path, settings)


def test_mistakes_name_the_combination_and_are_not_endless(tmp_path: Path) -> None:
    with pytest.raises(SweepError) as caught:
        planned(tmp_path, ["n=4", "copy_ms=1,2,3,4,5,6,7"])
    text = str(caught.value)
    assert "with n=4, copy_ms=1:\n" in text
    assert text.endswith("and with 2 more combinations")


def test_too_many_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="200000 runs are more than 100000"):
        planned(tmp_path, ["copy_ms=1,2"], repeat=100_000)


def test_points_that_share_a_cluster_follow_each_other_round_by_round(tmp_path: Path) -> None:
    plan = planned(tmp_path, ["copy_ms=1,2,3,4", "rules=10,20"], repeat=3)
    order = [(run.point.key[1], run.round) for run in plan.runs]
    assert order == [(rules, turn) for rules in ("10", "20") for turn in (1, 2, 3) for _ in range(4)]
    assert len({run.point.cluster for run in plan.runs}) == 2


def test_the_order_within_a_round_is_that_of_the_seed(tmp_path: Path) -> None:
    def order(seed: int, repeat: int = 3) -> list[object]:
        return [run.key for run in planned(tmp_path, ["copy_ms=1,2,3,4"], repeat, seed).runs]

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert order(1, repeat=4)[:12] == order(1)


def test_rules_are_filled_up_to_the_number_and_nothing_else_changes(tmp_path: Path) -> None:
    (run,) = planned(tmp_path, ["rules=100"]).runs
    filled = run.point.scenario.filled
    assert filled is not None
    assert len(filled) == len(list(POLICIES.rglob("*.yaml")))
    own, _ = load_policies([("own", (POLICIES / "web_server" / "web_server.yaml").read_text())], SECTIONS)
    changed, found = load_policies(filled.items(), SECTIONS)
    assert own is not None and changed is not None, found
    before, after = own.types[WEB_SERVER], changed.types[WEB_SERVER]
    assert [rule.allow for rule in after.to_vm.rules[:91]] == [False] * 91
    assert [(rule.allow, rule.tests) for rule in after.to_vm.rules[91:]] == [
        (rule.allow, rule.tests) for rule in before.to_vm.rules
    ]
    assert [(rule.allow, rule.tests) for rule in after.from_vm.rules] == [
        (rule.allow, rule.tests) for rule in before.from_vm.rules
    ]


@pytest.mark.parametrize(("value", "text"), [(None, "null"), (True, "true"), (False, "false"), (1, "1"), (0.5, "0.5")])
def test_a_value_as_text_is_what_a_file_has(value: bool | float | None, text: str) -> None:
    assert value_text(value) == text
