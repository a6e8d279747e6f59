"""The shipped systemd units leave a service little that it does not need."""

from __future__ import annotations

import configparser
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Exposure level times ten; 100 is a unit without any restriction.
MOST = 30


def exposed(unit: Path) -> int:
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(unit)]
    level = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
    return round(10 * float(level.rpartition(f"Overall exposure level for {unit.name}: ")[2].split()[0]))


def test_the_unit_of_the_bridge_is_confined() -> None:
    assert exposed(ROOT / "contrib" / "evbridge.service") < MOST


def test_the_unit_of_a_server_of_the_store_is_confined() -> None:
    assert exposed(ROOT / "contrib" / "evbridge-store.service") < MOST


def test_a_unit_without_restrictions_is_not(tmp_path: Path) -> None:
    bare = tmp_path / "bare.service"
    bare.write_text("[Service]\nExecStart=/bin/true\n")
    assert exposed(bare) > 3 * MOST


def service(unit: str) -> dict[str, str]:
    """The section [Service] of a shipped unit, with the last of several values."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(ROOT / "contrib" / unit)
    return dict(parser["Service"])


@pytest.mark.parametrize(("unit", "watched"), [("evbridge.service", True), ("station/evbridge-station.service", False)])
def test_a_service_is_ready_when_it_says_so_and_comes_back(unit: str, watched: bool) -> None:
    settings = service(unit)
    assert (settings["Type"], settings["Restart"]) == ("notify", "always")
    assert ("WatchdogSec" in settings) is watched
    # Otherwise systemd gives it up after five failures.
    assert re.search(r"^StartLimitIntervalSec=0$", (ROOT / "contrib" / unit).read_text(), re.MULTILINE)
