"""The pictures that README.rst shows are what the product draws from what was recorded of a run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ryu_apps.testbed.ladder import mermaid
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
