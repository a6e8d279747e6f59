"""haproxy in the namespace of an end system, and the socket that it answers questions at."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from ryu_apps.testbed.errors import DeadlineError
from ryu_apps.testbed.harness.shell import Namespace, end, wait_until

_HEAD = """\
global
  stats socket {socket} mode 600 level admin
  maxconn 4000
  nbthread 1
defaults
  mode tcp
  timeout connect 30s
  timeout client 1h
  timeout server 1h
"""


class HaproxyProcess:
    """One haproxy.

    Attributes:
        name, namespace: of the end system.
        log: file with its output.
    """

    def __init__(self, namespace: Namespace, folder: Path, use: str, config: str) -> None:
        """
        Args:
            folder: for its files.
            use: is part of their names.
            config: what follows the common defaults: more of them, and sections.
        """
        self.name, self.namespace = namespace.name, namespace
        self.log = folder / f"{self.name}-{use}.log"
        self._config = folder / f"{self.name}-{use}.cfg"
        self._socket = folder / f"{self.name}-{use}.stats"
        self._config.write_text(_HEAD.format(socket=self._socket) + config, encoding="ascii")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, and wait until it listens.

        Raises:
            DeadlineError: it does not.
        """
        self._process = self.namespace.popen("haproxy", "-db", "-f", str(self._config), log=self.log)
        try:
            wait_until(self._socket.exists, f"haproxy at {self.name}")
        except TimeoutError as error:
            raise DeadlineError(f"{error}\n{self.log.read_text(encoding='utf-8', errors='replace')}") from None

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            end(self._process)

    def sessions(self, kind: str) -> int:
        """Return the number of connections that all FRONTENDs, or all BACKENDs, have had so far."""
        names, *lines = (line.split(",") for line in self.ask("show stat").splitlines() if line)
        rows = (dict(zip(names, line, strict=False)) for line in lines)
        return sum(int(row["stot"]) for row in rows if row["svname"] == kind)

    def ask(self, command: str) -> str:
        """Return the answer to a command of haproxy's management guide."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.settimeout(5.0)
            stream.connect(str(self._socket))
            stream.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: stream.recv(65536), b"")).decode()
