"""A load balancer in hardware: an end system whose haproxy hands connections to VMs, from addresses of its own."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path

from ryu_apps.testbed.errors import DeadlineError
from ryu_apps.testbed.harness.cluster import EndHost
from ryu_apps.testbed.harness.shell import end, wait_until

_CONFIG = """\
global
  stats socket {folder}/{name}.lb mode 600 level admin
  maxconn 4000
  nbthread 1
defaults
  mode tcp
  timeout connect 30s
  timeout client 1h
  timeout server 1h
listen service
  bind {ip}:{port}
  balance roundrobin
"""


class BalancerHost:
    """haproxy in the namespace of an end system."""

    def __init__(self, host: EndHost, port: int, backends: Iterable[str], folder: Path) -> None:
        """
        Args:
            port: of the service, at the host and at the back ends.
            backends: their IPv4 addresses.
            folder: for its files.
        """
        self._host = host
        self._socket = folder / f"{host.name}.lb"
        self._log = folder / f"{host.name}-balancer.log"
        self._config = folder / f"{host.name}-balancer.cfg"
        text = _CONFIG.format(folder=folder, name=host.name, ip=host.ip, port=port)
        text += "".join(f"  server s{number} {ip}:{port}\n" for number, ip in enumerate(backends, 1))
        self._config.write_text(text, encoding="ascii")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, and wait until it listens.

        Raises:
            DeadlineError: it does not.
        """
        self._process = self._host.namespace.popen("haproxy", "-db", "-f", str(self._config), log=self._log)
        try:
            wait_until(self._socket.exists, f"haproxy at {self._host.name}")
        except TimeoutError as error:
            raise DeadlineError(f"{error}\n{self._log.read_text(encoding='utf-8', errors='replace')}") from None

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            end(self._process)

    def total(self) -> int:
        """Return the number of connections that it has handed on so far."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.settimeout(5.0)
            stream.connect(str(self._socket))
            stream.sendall(b"show stat\n")
            text = b"".join(iter(lambda: stream.recv(65536), b"")).decode()
        names, *lines = (line.split(",") for line in text.splitlines() if line)
        rows = (dict(zip(names, line, strict=False)) for line in lines)
        return sum(int(row["stot"]) for row in rows if row["svname"] == "BACKEND")
