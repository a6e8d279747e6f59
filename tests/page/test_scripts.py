"""The scripts of the page are ES modules: Playwright's own Node parses them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from playwright._impl._driver import compute_driver_executable

from ryu_apps.rest import page

NODE, _ = compute_driver_executable()


def parse(text: str) -> str:
    command = [NODE, "--check", "--input-type=module"]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60).stderr


def test_durations_have_the_unit_that_they_can_be_read_in() -> None:
    text = (Path(page.__file__).parent / "page_files" / "words.js").read_text()
    seconds = "[0, 0.0153, 0.9994, 2.345, 12.4, 240, 10800, 172800]"
    command = [NODE, "--input-type=module", "--eval", f"{text}\nconsole.log({seconds}.map(duration).join())"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "0 ms,15 ms,999 ms,2.3 s,12 s,4 min,3 h,2 d\n", done.stderr


@pytest.mark.parametrize("script", page.SCRIPTS)
def test_a_script_is_parsed(script: str) -> None:
    text = (Path(page.__file__).parent / "page_files" / f"{script}.js").read_text()
    assert parse(text) == ""
    assert "SyntaxError" in parse(text + "\nexport const const;")
