"""A state directory that cannot be used ends a real controller with one line that says what to do."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ryu_apps.stores.sqlite import SqliteStore

CONFIG = """
version: 1
policies: [types]
state_dir: state
dps: {s1: {dp_id: 1, interfaces: {1: {name: hv1, role: station, native_vlan: 100}}}}
"""
RYU_MANAGER = Path(sys.executable).with_name("ryu-manager")
WEB = Path(__file__).parents[2] / "policies" / "web_server"


def newer(path: Path) -> None:
    SqliteStore(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


STATES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a directory": (Path.mkdir, "is a directory where a file should be: move it away"),
    "of a newer version": (newer, "install that version, or move the file away"),
}


@pytest.mark.parametrize(("make", "advice"), STATES.values(), ids=STATES)
def test_state_that_cannot_be_used_is_one_line(tmp_path: Path, make: Callable[[Path], object], advice: str) -> None:
    (tmp_path / "types").symlink_to(WEB)
    (tmp_path / "state").mkdir()
    (tmp_path / "evbridge.yaml").write_text(CONFIG)
    make(tmp_path / "state" / "state.sqlite")
    environment = os.environ | {"EVBRIDGE_CONFIG": str(tmp_path / "evbridge.yaml")}
    command = [str(RYU_MANAGER), "--ofp-tcp-listen-port", "0", "ryu_apps.evb_bridge"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    said = [line for line in done.stderr.splitlines() if "state.sqlite" in line]
    assert done.returncode != 0 and len(said) == 1 and advice in said[0], done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.privileged
@pytest.mark.parametrize("room", [0, 4096, 32768])
def test_a_full_disk_is_called_full(tmp_path: Path, room: int) -> None:
    """``room`` octets are left: SQLite then fails to open, to make its log, or to make its index."""
    (tmp_path / "types").symlink_to(WEB)
    (tmp_path / "state").mkdir()
    (tmp_path / "evbridge.yaml").write_text(CONFIG)
    fill = (
        f"mount -t tmpfs -o size=256k tmpfs {tmp_path}/state"
        f" && {{ dd if=/dev/zero of={tmp_path}/state/ballast bs=4k 2>/dev/null;"
        f" truncate -s -{room} {tmp_path}/state/ballast; }}"
        ' && exec "$@"'
    )
    environment = os.environ | {"EVBRIDGE_CONFIG": str(tmp_path / "evbridge.yaml")}
    command = [str(RYU_MANAGER), "--ofp-tcp-listen-port", "0", "ryu_apps.evb_bridge"]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", fill, "sh", *command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.endswith("cannot be used: No space left on device: make room on its file system\n"), done.stderr
