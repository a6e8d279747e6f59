"""A real haproxy as a transparent TCP proxy: it connects to the original destination, from the client's address.

The kernel's part: TPROXY by nftables for connections to addresses that are not the host's own, and
delivery of what comes back for the clients' addresses that haproxy sends from.
"""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ryu_apps.evb.topology.fabric import Role
from ryu_apps.testbed.errors import DeadlineError
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.shell import Namespace, end, wait_until

_PORT, _MARK, _TABLE = 8080, 1, 100
_CONFIG = """\
global
  stats socket {folder}/{name}.stats mode 600 level admin
  maxconn 4000
  nbthread 1
defaults
  mode tcp
  timeout connect 30s
  timeout client 1h
  timeout server 1h
  retries 0
listen ipv4
  bind 0.0.0.0:{port} transparent
  source 0.0.0.0 usesrc {source}
  server vm 0.0.0.0
listen ipv6
  bind :::{port} transparent v6only
  source [::] usesrc {source}
  server vm [::]
"""
_RULES = """\
table inet evbridge {{
  chain prerouting {{
    type filter hook prerouting priority mangle; policy accept;
    meta l4proto {{ tcp, icmp, icmpv6 }} socket transparent 1 meta mark set {mark} accept
    meta l4proto tcp fib daddr type != local tproxy to :{port} meta mark set {mark} accept
  }}
}}
"""


@contextmanager
def proxies_of(cluster: Cluster, folder: Path) -> Iterator[None]:
    """A real haproxy at every host that is to be one."""
    with ExitStack() as running:
        for port in cluster.fabric.ports(Role.HOST):
            interface = cluster.fabric.interface(port)
            if interface is not None and interface.appliance:
                host = cluster.hosts[interface.name]
                proxy = Haproxy(host.namespace, host.interface, folder)
                running.callback(proxy.stop)
                proxy.start()
        yield


class Haproxy:
    """haproxy in the namespace of an end system.

    Attributes:
        name, namespace: of the end system.
        log: file with its output.
    """

    def __init__(self, namespace: Namespace, interface: str, folder: Path, source: str = "clientip") -> None:
        """
        Args:
            interface: where clients are led to it.
            folder: for its files.
            source: of its connections to servers: ``clientip`` (the client's address) or ``client`` (its port, too).
        """
        self.name = namespace.name
        self.log = folder / f"{self.name}-haproxy.log"
        self.namespace = namespace
        self._interface = interface
        self._config = folder / f"{self.name}-haproxy.cfg"
        self._socket = folder / f"{self.name}.stats"
        text = _CONFIG.format(folder=folder, name=self.name, port=_PORT, source=source)
        self._config.write_text(text, encoding="ascii")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Prepare the kernel, start the process, wait until it listens."""
        namespace = self.namespace
        namespace.set("net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0")
        namespace.set(f"net.ipv4.conf.{self._interface}.rp_filter=0", "net.ipv4.conf.all.send_redirects=0")
        namespace.set(f"net.ipv4.conf.{self._interface}.send_redirects=0")
        namespace.set("net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.lo.disable_ipv6=0")
        for family in ("-4", "-6"):
            namespace.run("ip", family, "rule", "add", "fwmark", str(_MARK), "lookup", str(_TABLE))
            namespace.run("ip", family, "route", "add", "local", "default", "dev", "lo", "table", str(_TABLE))
        namespace.run("nft", "-f", "-", stdin=_RULES.format(port=_PORT, mark=_MARK))
        self._process = namespace.popen("haproxy", "-db", "-f", str(self._config), log=self.log)
        try:
            wait_until(self._socket.exists, f"haproxy at {self.name}")
        except TimeoutError as error:
            raise DeadlineError(f"{error}\n{self.log.read_text(encoding='utf-8', errors='replace')}") from None

    def stop(self) -> None:
        """End the process; the kernel's part goes with the namespace."""
        if self._process is not None:
            end(self._process)

    def clients(self) -> set[tuple[str, int]]:
        """Address and port of every client that it has a connection of now."""
        found = re.findall(r"proto=tcpv[46] src=([0-9a-f.:]+):(\d+)", self._ask("show sess"))
        return {(address, int(port)) for address, port in found}

    def disconnect(self) -> None:
        """End every connection, also those whose ends are gone without its knowledge; they count towards ``maxconn``.

        What haproxy has closed, its kernel goes on retransmitting for minutes if the other end is gone.

        Raises:
            TimeoutError: some are left.
        """
        for backend in ("ipv4", "ipv6"):
            self._ask(f"shutdown sessions server {backend}/vm")
        wait_until(lambda: not self.clients(), f"{self.name}: end of all connections")
        self.namespace.run("ss", "--kill", "--tcp", "state", "connected")

    def total(self) -> int:
        """Connections that it has had so far, over either version of IP."""
        names, *lines = (line.split(",") for line in self._ask("show stat").splitlines() if line)
        counts = (dict(zip(names, line, strict=False)) for line in lines)
        return sum(int(row["stot"]) for row in counts if row["svname"] == "FRONTEND")

    def _ask(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.settimeout(5.0)
            stream.connect(str(self._socket))
            stream.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: stream.recv(65536), b"")).decode()
