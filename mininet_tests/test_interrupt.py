"""Ctrl-C at a terminal while a cluster is at work: one line, and nothing is left behind."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ryu_apps.testbed.harness.sandbox import inside

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

EVBRIDGE = str(Path(sys.executable).with_name("evbridge"))
SCENARIO = str(Path(__file__).parent / "scenarios" / "minimize-latency.yaml")
#: What is on the screen when a VM moves.
MOVING = b"vm1 from hv1 to hv5"
_DEADLINE = 60.0


@pytest.fixture
def network() -> Iterator[None]:
    """A network namespace in which there is nothing yet."""
    with inside():
        yield


class Terminal:
    """A command at a terminal of its own; its environment marks all that it starts."""

    def __init__(self, mark: str, *command: str) -> None:
        self._mark = f"EVBRIDGE_TEST={mark}".encode()
        child, self._screen = pty.fork()
        if child == 0:
            os.execve(command[0], command, os.environ | {"EVBRIDGE_TEST": mark})
        self.pid = child
        self.shown = b""

    def until(self, words: bytes | None) -> None:
        """Read the screen until the words are there, or, None, until the end."""
        deadline = time.monotonic() + _DEADLINE
        while words is None or words not in self.shown:
            assert time.monotonic() < deadline, self.shown[-2000:]
            try:
                octets = os.read(self._screen, 65536)
            except OSError:
                octets = b""
            if not octets:
                assert words is None, self.shown[-2000:]
                return
            self.shown += octets

    def type(self, octets: bytes) -> None:
        """Type what a person would."""
        os.write(self._screen, octets)

    def press_ctrl_c(self) -> int:
        """Its exit status after that."""
        os.write(self._screen, b"\x03")
        self.until(None)
        _, status = os.waitpid(self.pid, 0)
        os.close(self._screen)
        return os.waitstatus_to_exitcode(status)

    def left_behind(self) -> list[str]:
        """Processes that it has started and that are still there."""
        return [
            (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            for process in Path("/proc").iterdir()
            if process.name.isdigit() and self._mark in _environment(process)
        ]


def _environment(process: Path) -> list[bytes]:
    try:
        return (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


@pytest.mark.parametrize(
    ("command", "moving"),
    [
        (("replay", SCENARIO), MOVING),
        (("replay", SCENARIO, "--root-namespace"), MOVING),
        (("matrix", "--service", "ACL", "--live", "0"), b"ACL"),
    ],
    ids=["replay", "replay where we are", "matrix"],
)
def test_an_interrupt_is_one_line_and_leaves_nothing(
    network: None, tmp_path: Path, command: tuple[str, ...], moving: bytes
) -> None:
    terminal = Terminal(tmp_path.name, EVBRIDGE, *command, "--output", str(tmp_path))
    terminal.until(moving)
    assert terminal.press_ctrl_c() == 1
    assert b"Traceback" not in terminal.shown, terminal.shown[-4000:]
    assert b"Aborted!" in terminal.shown or b"interrupted" in terminal.shown
    assert terminal.left_behind() == []
    links = subprocess.run(["ip", "-br", "link"], check=True, capture_output=True, text=True).stdout
    assert [line.split()[0] for line in links.splitlines()] == ["lo"]
    assert list(Path("/run").glob("evbridge-*")) == []
