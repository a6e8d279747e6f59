"""The pictures that README.rst shows are what the product draws from what was recorded of a run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ryu_apps.testbed.ladder import mermaid
from tools import dashboard_picture
from tools.draw_pictures import LADDERS, PICTURES, pictures, read_mermaid

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["cluster.svg", *(f"{name}.svg" for name in LADDERS)])
def test_a_picture_is_what_is_drawn_from_the_recording(name: str) -> None:
    assert pictures(PICTURES)[name] == (PICTURES / name).read_text(encoding="utf-8"), "run `make pictures`"


@pytest.mark.parametrize("name", LADDERS)
def test_a_ladder_is_read_as_it_was_written(name: str) -> None:
    recorded = (PICTURES / f"{name}.mmd").read_text(encoding="utf-8")
    assert mermaid.render(read_mermaid(recorded)) == recorded


def test_the_readme_and_the_manual_show_the_pictures() -> None:
    shown = re.findall(r"^\.\. image:: (docs/pictures/\S+[.]svg)$", (ROOT / "README.rst").read_text(), re.MULTILINE)
    for page in (ROOT / "docs").glob("*.rst"):
        shown += re.findall(r"^ *\.\. image:: (pictures/\S+[.]svg)$", page.read_text(), re.MULTILINE)
    assert {Path(name).name for name in shown} == set(pictures(PICTURES))


def test_the_picture_of_the_dashboard_has_its_panels_from_a_real_run() -> None:
    panels = json.loads(dashboard_picture.DASHBOARD.read_text(encoding="utf-8"))["panels"]
    recorded = json.loads(dashboard_picture.RECORDING.read_text(encoding="utf-8"))
    wanted = [(panel["title"], panel["type"], panel["gridPos"]) for panel in panels]
    assert [(panel["title"], panel["type"], panel["grid"]) for panel in recorded] == wanted, "record it anew"
    drawn = dashboard_picture.draw(recorded)
    assert [axes.get_title(loc="left").partition(",")[0] for axes in drawn.axes] == [
        panel["title"].partition(",")[0] for panel in panels
    ]
    shown = {axes.get_title(loc="left"): len(axes.lines) for axes in drawn.axes}
    assert shown["Associate to answer"] == 2 and shown["VSIs by phase"] > 4
    assert dashboard_picture.is_drawn(), "run `make pictures`"
    assert "pictures/dashboard.png" in (ROOT / "docs/rest.rst").read_text(encoding="utf-8")


def test_lines_are_named_as_grafana_names_them() -> None:
    assert dashboard_picture.legend("{{dp_name}}:{{port}} up", {"dp_name": "s1", "port": "61"}) == "s1:61 up"
    assert dashboard_picture.filled('x{a=~"$switch"}[$__rate_interval]', "30s") == 'x{a=~".*"}[30s]'
