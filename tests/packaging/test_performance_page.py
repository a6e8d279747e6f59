"""The manual's page of figures is what its reports make."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.goals import GOALS
from bench.page import page

DOCS = Path(__file__).parents[2] / "docs"
REPORTS = sorted((DOCS / "performance").glob("*.json"))


def test_the_page_is_made_from_its_reports() -> None:
    made = page((report.stem, json.loads(report.read_text())) for report in REPORTS)
    assert (DOCS / "performance.rst").read_text() == made, "python -m bench.page docs/performance/*.json"


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.stem)
def test_a_report_has_the_facts_of_its_machine(report: Path) -> None:
    facts = json.loads(report.read_text())["circumstances"]
    assert {"date", "processor", "cores", "load", "openvswitch", "rounds"} <= facts.keys()


def test_every_goal_is_there() -> None:
    text = (DOCS / "performance.rst").read_text()
    assert all(goal.subject in text for goal in GOALS)
