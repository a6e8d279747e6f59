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


@pytest.mark.parametrize("script", page.SCRIPTS)
def test_a_script_is_parsed(script: str) -> None:
    text = (Path(page.__file__).parent / "page_files" / f"{script}.js").read_text()
    assert parse(text) == ""
    assert "SyntaxError" in parse(text + "\nexport const const;")
