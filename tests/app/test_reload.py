"""The operator's files: SIGHUP reloads the policies, also of an idle bridge; mistakes end it before it begins."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

RYU_MANAGER = Path(sys.executable).with_name("ryu-manager")
POLICIES = Path(__file__).parents[2] / "policies"
CONFIG = """
version: 1
policies: [types]
dps: {s1: {dp_id: 1, interfaces: {1: {name: hv1, role: station, native_vlan: 100}}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "evbridge.yaml").write_text(CONFIG)
    (tmp_path / "types").mkdir()
    (tmp_path / "types" / "web.yaml").write_bytes((POLICIES / "web_server" / "web_server.yaml").read_bytes())
    return tmp_path


@contextmanager
def running(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {"EVBRIDGE_CONFIG": str(folder / "evbridge.yaml")}
    arguments = [str(RYU_MANAGER), "--ofp-tcp-listen-port", "0", "ryu_apps.evb_bridge"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(arguments, env=environment, stdout=log, stderr=log, cwd=folder)
    try:
        await_handler(process)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=120)


@pytest.fixture
def bridge(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with running(folder) as process:
        yield process


def await_handler(process: subprocess.Popen[bytes], limit: float = 60.0) -> None:
    """Until the process catches SIGHUP, as the kernel has it; before that the signal would end it."""
    deadline = time.monotonic() + limit
    while True:
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = re.search(r"^SigCgt:\s*([0-9a-f]+)", status, re.MULTILINE)
        if caught and int(caught[1], 16) >> (signal.SIGHUP - 1) & 1:
            return
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)


def await_log(folder: Path, pattern: str, limit: float = 60.0) -> None:
    deadline = time.monotonic() + limit
    while not re.search(pattern, (folder / "log").read_text()):
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.02)


def test_new_type_is_in_force_soon_after_the_signal(folder: Path, bridge: subprocess.Popen[bytes]) -> None:
    (folder / "types" / "database.yaml").write_bytes((POLICIES / "database" / "database.yaml").read_bytes())
    bridge.send_signal(signal.SIGHUP)
    await_log(folder, r"policies\.loaded types=2", 5.0)


def test_mistakes_are_told_with_their_place_and_nothing_changes(folder: Path, bridge: subprocess.Popen[bytes]) -> None:
    (folder / "types" / "bad.yaml").write_text("vsi_type: {nonsense")
    bridge.send_signal(signal.SIGHUP)
    await_log(folder, r"policies\.refused .*bad\.yaml:1:", 5.0)
    assert bridge.poll() is None


def test_mistakes_are_listed_with_their_places_and_end_the_program(folder: Path) -> None:
    (folder / "types" / "web.yaml").write_text("version: 1\nvsi_tipe: {}\n")
    environment = os.environ | {"EVBRIDGE_CONFIG": str(folder / "evbridge.yaml")}
    arguments = [str(RYU_MANAGER), "--ofp-tcp-listen-port", "0", "ryu_apps.evb_bridge"]
    done = subprocess.run(arguments, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert re.search(r"types/web\.yaml:2:1: unknown key 'vsi_tipe' \(did you mean 'vsi_type'\?\)", done.stderr)
    assert "Traceback" not in done.stderr


def long_policy(name: str) -> str:
    head = f"version: 1\nvsi_type: {{type_id: 9, version: 1, name: {name}}}\nfrom_vm:\n  rules:\n"
    return head + "".join(
        f"    - rule: {{ipv4_src: 10.0.{number >> 8}.{number & 255}, actions: {{allow: 1}}}}\n" for number in range(400)
    )


def test_long_policies_are_kept_for_the_next_start_and_the_next_reload(folder: Path) -> None:
    (folder / "evbridge.yaml").write_text(CONFIG + "state_dir: state\n")
    (folder / "types" / "long.yaml").write_text(long_policy("first"))
    kept = folder / "state" / "vsi_types.cache"
    for damage in (b"", b"nonsense\n"):
        if damage:
            kept.write_bytes(damage)
        with running(folder) as process:
            await_content(kept, b'"name":"first"')
            (folder / "types" / "long.yaml").write_text(long_policy("second"))
            process.send_signal(signal.SIGHUP)
            await_content(kept, b'"name":"second"')
        (folder / "types" / "long.yaml").write_text(long_policy("first"))


def await_content(file: Path, content: bytes, limit: float = 60.0) -> None:
    deadline = time.monotonic() + limit
    while not (file.exists() and content in file.read_bytes()):
        assert time.monotonic() < deadline, file
        time.sleep(0.02)
