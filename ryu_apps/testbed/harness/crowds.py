"""Many connections between an end system and a VM: their two ends, and which of them outlive a move."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from ryu_apps.testbed.harness import crowd
from ryu_apps.testbed.harness.shell import Namespace, end, wait_until


class CrowdReport(NamedTuple):
    """Last beat that a connection has received, its time (monotonic seconds), and the error that broke it."""

    beat: int
    t: float
    broken: str


class CrowdEnd:
    """The process at one end; a context manager.  Signals go to it as to a prober."""

    def __init__(self, namespace: Namespace, address: str) -> None:
        command = namespace.argv([sys.executable, "-S", "-E", str(Path(crowd.__file__)), address])
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        end(self._process)

    def signal(self, number: int) -> None:
        """Send a signal to the process (stop and continue, with its VM)."""
        os.kill(self._process.pid, number)

    def tell(self, *order: object) -> Any:
        """Give an order and wait for the answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(" ".join(map(str, order)) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def heard(self) -> dict[int, CrowdReport]:
        """Return the state of every connection, by its client's port."""
        return {int(port): CrowdReport(*heard) for port, heard in self.tell("report").items()}


#: Seconds.  TCP repeats a lost segment after 0.2, 0.6, 1.4, 3, 6.2 and 12.6 s, and a lost SYN after 1, 3, 7 and 15 s; a
#: thousand at once are more than a switch takes.
PATIENCE = 30.0


def silent_after(talker: CrowdEnd, listener: CrowdEnd, limit: float = PATIENCE) -> int:
    """Number of connections that do not carry a new beat from one end to the other within ``limit`` seconds."""
    return silent_since(talker.tell("beat"), talker, listener, limit)


def silent_since(beat: int, talker: CrowdEnd, listener: CrowdEnd, limit: float = PATIENCE) -> int:
    """Number of connections that do not carry a beat that was sent already, within ``limit`` seconds from now."""
    ports = set(talker.heard())

    def through() -> bool:
        heard = listener.heard()
        return all(port in heard and heard[port].beat >= beat for port in ports)

    try:
        wait_until(through, "beats", limit, pause=0.1)
    except TimeoutError:
        heard = listener.heard()
        return sum(1 for port in ports if port not in heard or heard[port].beat < beat)
    return 0
