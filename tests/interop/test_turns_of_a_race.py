"""Contestants of a race on one machine: those whose turn it is not take no processor time."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.hub import ip
from bench.race import turn, turns
from tests.interop.private_ovs import wait_for


@dataclass(frozen=True)
class Busy:
    """A contestant with a process in each of two namespaces."""

    namespaces: tuple[str, ...]
    pids: tuple[int, ...]

    def await_all(self, running: bool) -> None:
        """Wait until all processes run, or all are stopped: a signal takes effect a little later."""
        wait_for(lambda: {_is_stopped(pid) for pid in self.pids} == {not running}, "signal", deadline=5)


@pytest.fixture
def contestants() -> Iterator[list[Busy]]:
    with ExitStack() as stack:
        made = []
        for number in range(2):
            names = tuple(f"race{os.getpid()}-{number}{end}" for end in "ab")
            pids = []
            for name in names:
                ip("netns", "add", name)
                stack.callback(ip, "netns", "del", name)
                process = subprocess.Popen(["ip", "netns", "exec", name, "sleep", "600"])
                stack.callback(process.wait)
                stack.callback(process.kill)
                pids.append(process.pid)
            busy = Busy(names, tuple(pids))
            wait_for(lambda busy=busy: all(map(_is_there, busy.namespaces)), "processes in the namespaces")
            made.append(busy)
        yield made


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def _is_there(namespace: str) -> bool:
    return bool(subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, check=True).stdout)


def test_only_who_is_at_its_turn_runs(contestants: list[Busy]) -> None:
    first, second = contestants
    with turns(contestants):
        for now, later in ((first, second), (second, first)):
            with turn(now):
                now.await_all(running=True)
                later.await_all(running=False)
            now.await_all(running=False)
    for contestant in contestants:
        contestant.await_all(running=True)


def test_all_run_again_when_a_move_fails(contestants: list[Busy]) -> None:
    with pytest.raises(TimeoutError), turns(contestants), turn(contestants[0]):
        raise TimeoutError("no frame")
    for contestant in contestants:
        contestant.await_all(running=True)
