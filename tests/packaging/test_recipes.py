"""The recipe "Add a service" of the manual, carried out in a copy of the checkout as it is written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[2]
RECIPE = (ROOT / "docs/contributing/service.rst").read_text(encoding="utf-8")

_BLOCK = re.compile(
    r"^\.\. code-block:: (?P<kind>\w+)\n(?:   :caption: (?P<file>\S+)\n)?\n(?P<text>(?:(?: {4}.*)?\n)+)", re.MULTILINE
)


def blocks(kind: str) -> list[tuple[str | None, str]]:
    """Return file and text of each block of a kind."""
    found = [block for block in _BLOCK.finditer(RECIPE) if block["kind"] == kind]
    return [(block["file"], dedent(block["text"]).strip("\n") + "\n") for block in found]


def replacements(diff: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the file of a diff without line numbers, and for each hunk the text before and after."""
    head, *hunks = diff.split("@@\n")
    (file,) = re.findall(r"^\+\+\+ b/(\S+)$", head, re.MULTILINE)

    def side(hunk: str, left_out: str) -> str:
        return "".join(line[1:] for line in hunk.splitlines(keepends=True) if line[0] != left_out)

    return file, [(side(hunk, "+"), side(hunk, "-")) for hunk in hunks]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the recipe touches and of what its commands need."""
    for folder in ("ryu_apps", "tests", "policies", "topologies", "mininet_tests"):
        unwanted = shutil.ignore_patterns("__pycache__", "captures", "interop", "app")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=unwanted, symlinks=True)
    for file in ("conftest.py", "setup.cfg"):
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def type_in(checkout: Path, command: str) -> str:
    """Run a line of the page in the copy, and return its output."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(checkout),
    }
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=checkout,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow
def test_add_a_service(checkout: Path) -> None:
    for file, written in blocks("python"):
        assert file is not None and not (checkout / file).exists()
        (checkout / file).write_text(written, encoding="utf-8")
    for _, diff in blocks("diff"):
        file, hunks = replacements(diff)
        for before, after in hunks:
            text = (checkout / file).read_text(encoding="utf-8")
            assert text.count(before) == 1, before
            (checkout / file).write_text(text.replace(before, after), encoding="utf-8")
    (unit_test,), (record, _) = (shown.splitlines() for _, shown in blocks("sh"))
    assert "2 passed" in type_in(checkout, unit_test)
    type_in(checkout, record)
    assert "udp_dst=9" in (checkout / "tests/golden/policies/default_deny.flows").read_text(encoding="utf-8")
