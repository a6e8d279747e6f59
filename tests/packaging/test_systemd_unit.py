"""The shipped systemd units leave a service little that it does not need."""

from __future__ import annotations

import subprocess
from pathlib import Path

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
