"""(h) From the start of the process until it serves: with 60,000 policy rules, read anew and cached, and with few."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.figures import Figure, Line, Spread
from bench.rig import RYU_MANAGER

#: Policies, and rules of each.
FILES, RULES = 6, 10_000
_CONFIG = """\
version: 1
policies: [{policies}]
state_dir: state
dps: {{s1: {{dp_id: 1, interfaces: {{1: {{name: hv1, role: station, native_vlan: 100}}}}}}}}
"""
_PATIENCE = 300.0
_NAMES = {"few": "10 rules", "cold": "60,000 rules, read anew", "cached": "60,000 rules, from the cache"}


def measure(rounds: int) -> list[Figure]:
    """Interleaved, round by round; the process is stopped when it has written its cache."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in _NAMES}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder / "few", 1, 10)
        _write(folder / "many", FILES, RULES)
        for _ in range(rounds):
            for case, sample in taken.items():
                if case != "cached":
                    shutil.rmtree(folder / "state", ignore_errors=True)
                sample.append(_started(folder, "few" if case == "few" else "many"))
    wall, processor = (
        _figure(title, {case: Spread.of(start[part] for start in sample) for case, sample in taken.items()})
        for part, title in enumerate(("(h) Start of the controller until it serves", "the same, its processor time"))
    )
    wall.aims.append("6 s read anew, 3 s from the cache")
    return [wall, processor]


def _figure(title: str, spreads: dict[str, Spread]) -> Figure:
    few = spreads["few"].p50
    lines = [
        Line(_NAMES[case], spread, None if case == "few" else spread.p50 / few) for case, spread in spreads.items()
    ]
    return Figure(title, "s", lines)


def _write(folder: Path, files: int, rules: int) -> None:
    folder.mkdir()
    for type_id in range(1, files + 1):
        lines = (
            f"    - rule: {{ipv4_src: 10.{type_id}.{number >> 8}.{number & 255}, tcp_dst: {number + 1}, "
            f"actions: {{allow: 1}}}}\n"
            for number in range(rules)
        )
        head = f"version: 1\nvsi_type: {{type_id: {type_id}, version: 1, name: type{type_id}}}\nfrom_vm:\n  rules:\n"
        (folder / f"type{type_id}.yaml").write_text(head + "".join(lines))


def _started(folder: Path, policies: str) -> tuple[float, float]:
    """Seconds until the process says that it serves, as it says it to systemd, and those of a processor."""
    (folder / "evbridge.yaml").write_text(_CONFIG.format(policies=policies))
    address = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified, (folder / "log").open("wb") as log:
        notified.bind(str(address))
        notified.settimeout(_PATIENCE)
        environment = os.environ | {"EVBRIDGE_CONFIG": str(folder / "evbridge.yaml"), "NOTIFY_SOCKET": str(address)}
        arguments = [sys.executable, "-c", RYU_MANAGER, "--ofp-tcp-listen-port", "0", "ryu_apps.evb_bridge"]
        begun = time.monotonic()
        process = subprocess.Popen(arguments, env=environment, stdout=log, stderr=log)
        try:
            while notified.recv(1024) != b"READY=1":
                pass
            taken = time.monotonic() - begun, _processor_time(process.pid)
            _await_cache(folder, policies)
        finally:
            process.terminate()
            process.wait(_PATIENCE)
            address.unlink()
    return taken


def _processor_time(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _await_cache(folder: Path, policies: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while policies == "many" and not (folder / "state" / "vsi_types.cache").exists():
        if time.monotonic() > deadline:
            raise TimeoutError((folder / "log").read_text())
        time.sleep(0.05)
