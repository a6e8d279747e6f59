"""Servers of the shared store: real ``ovsdb-server`` processes in Raft mode, with UNIX sockets in one folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.running import Running, end_all
from ryu_apps.testbed.harness.store_network import StoreNetwork

DATABASE, DIRECTORY = "Evbridge", "Evbridge_Pods"
_SCHEMAS = {
    name: Path(__file__).parents[2] / "stores/ovsdb" / f"{name.lower()}.ovsschema" for name in (DATABASE, DIRECTORY)
}
#: Seconds for a server to start, to join, or to be elected.
_DEADLINE = 30.0


class OvsdbCluster(Running):
    """Servers, numbered from 0.

    Attributes:
        remotes: what clients connect to.
    """

    def __init__(
        self,
        folder: Path,
        size: int = 3,
        election_timer: int = 1000,
        listen: str = "",
        database: str = DATABASE,
        apart: bool = False,
    ) -> None:
        """
        Args:
            folder: for databases and sockets; its path is short, as it is part of the paths of sockets.
            election_timer: milliseconds without a leader until a server stands for election.
            listen: further socket of each server, such as ``pssl:0:127.0.0.1``.
            database: that of a bridge's records, or of the directory of pods.
            apart: the servers are in networks of their own, and can be cut off from each other, but not from clients.
        """
        self._folder = folder
        self._size = size
        self._timer = election_timer
        self._listen = listen
        self._database = database
        self._servers: dict[int, subprocess.Popen[bytes]] = {}
        self._network = StoreNetwork(size) if apart else None
        self.remotes = tuple(f"unix:{folder}/{number}.sock" for number in range(size))
        self.options: tuple[str, ...] = ()

    def start(self) -> None:
        """Make the databases, start the servers and wait until all are members."""
        rafts = [f"unix:{self._folder}/{number}.raft" for number in range(self._size)]
        if self._network is not None:
            self._network.start()
            rafts = self._network.addresses
        for number, own in enumerate(rafts):
            database = str(self._folder / f"{number}.db")
            if number == 0:
                self._tool(
                    "create-cluster", f"--election-timer={self._timer}", database, str(_SCHEMAS[self._database]), own
                )
            else:
                others = [raft for raft in rafts if raft != own]
                self._tool("join-cluster", database, self._database, own, *others)
            self.start_server(number)
        self._wait(lambda: all(self.is_member(number) for number in range(self._size)), "members")
        self.leader()

    def stop(self) -> None:
        """End all servers."""
        killed = (partial(self.kill, number) for number in list(self._servers))
        end_all(*killed, *([] if self._network is None else [self._network.stop]))

    def start_server(self, number: int) -> None:
        """Start a server with the database that it has."""
        own = self._folder / str(number)
        log = open(f"{own}.log", "ab")  # noqa: SIM115 - the process has it
        with log:
            self._servers[number] = subprocess.Popen(
                [
                    *(self._network.inside(number) if self._network is not None else ()),
                    *("ovsdb-server", "-vconsole:info", "-vsyslog:off", f"--remote=punix:{own}.sock"),
                    *((f"--remote={self._listen}",) if self._listen else ()),
                    *(f"--unixctl={own}.ctl", *self.options, f"{own}.db"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
            )
        self._wait(lambda: self._ask(number, "version") is not None, f"server {number}")

    def kill(self, number: int) -> None:
        """End a server with SIGKILL, also one that is stopped."""
        server = self._servers.pop(number)
        server.kill()
        server.wait()
        for suffix in ("sock", "ctl", "raft"):
            (self._folder / f"{number}.{suffix}").unlink(missing_ok=True)

    def pid(self, number: int) -> int:
        """Process of a server."""
        return self._servers[number].pid

    def pause(self, number: int) -> None:
        """Stop a server with SIGSTOP."""
        self._servers[number].send_signal(signal.SIGSTOP)

    def go_on(self, number: int) -> None:
        """Continue a server that is stopped."""
        self._servers[number].send_signal(signal.SIGCONT)

    def cut(self, number: int) -> None:
        """Cut a server off from the others; clients still reach it."""
        assert self._network is not None, "servers that are apart"
        self._network.cut(number)

    def join(self, number: int) -> None:
        """End that."""
        assert self._network is not None, "servers that are apart"
        self._network.join(number)

    @contextmanager
    def slow_disk(self, numbers: Iterable[int], seconds: float) -> Iterator[None]:
        """Have each ``fsync`` of some servers take so much longer in the block, by strace."""
        late = f"inject=fsync,fdatasync:delay_exit={int(seconds * 1e6)}"
        command = ["strace", "-qq", "-f", "-e", "trace=fsync,fdatasync", "-e", late, "-o", "/dev/null", "-p"]
        tracers = [subprocess.Popen([*command, str(self._servers[number].pid)]) for number in numbers]
        try:
            for number, tracer in zip(numbers, tracers, strict=True):
                self._wait(lambda pid=self._servers[number].pid: _is_traced(pid), "traced server")  # type: ignore[misc]
                assert tracer.poll() is None
            yield
        finally:
            for tracer in tracers:
                tracer.send_signal(signal.SIGINT)
                tracer.wait()

    def leader(self, among: tuple[int, ...] | None = None) -> int:
        """Number of the server that leads, of some servers or of all that run; waits until there is one."""
        candidates = tuple(self._servers) if among is None else among
        found: list[int] = []

        def look() -> bool:
            found[:] = [number for number in candidates if self._says(number, r"Role: leader")]
            return bool(found)

        self._wait(look, "leader")
        return found[0]

    def is_member(self, number: int) -> bool:
        """Return True if a server is a member and knows all others."""
        status = self._ask(number, "cluster/status", self._database) or ""
        known = re.findall(r"^    \S+ \(\w{4} at ", status, re.MULTILINE)
        return "Status: cluster member" in status and len(known) == self._size

    def port(self, number: int) -> int:
        """The port of the further socket of a server, if it was to choose one."""
        text = (self._folder / f"{number}.log").read_text()
        return int(re.findall(r"0:[^ ]*: listening on port (\d+)", text)[-1])

    def _says(self, number: int, pattern: str) -> bool:
        return re.search(pattern, self._ask(number, "cluster/status", self._database) or "") is not None

    def _ask(self, number: int, *command: str) -> str | None:
        """Answer of a server; None: there is none."""
        # A server that is stopped does not answer.
        asking = ("ovs-appctl", "--timeout=1", f"--target={self._folder}/{number}.ctl", *command)
        done = subprocess.run(asking, capture_output=True, text=True, env=self._environment(), check=False)
        return done.stdout if done.returncode == 0 else None

    def _tool(self, *arguments: str) -> None:
        done = subprocess.run(
            ("ovsdb-tool", *arguments), capture_output=True, text=True, env=self._environment(), check=False
        )
        if done.returncode:
            raise TestbedError(f"ovsdb-tool: {done.stderr.strip()}")

    def _environment(self) -> dict[str, str]:
        return os.environ | {f"OVS_{name}": str(self._folder) for name in ("RUNDIR", "LOGDIR", "DBDIR")}

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + _DEADLINE
        while not condition():
            if time.monotonic() > until:
                raise TestbedError(f"the store's cluster has no {what} within {_DEADLINE:.0f} s")
            time.sleep(0.02)


def _is_traced(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return re.search(r"^TracerPid:\t0$", status, re.MULTILINE) is None
