"""A real haproxy as a transparent TCP proxy: it connects to the original destination, from the client's address.

The kernel's part: TPROXY by nftables for connections to addresses that are not the host's own, and
delivery of what comes back for the clients' addresses that haproxy sends from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ryu_apps.evb.topology.interface import Role
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.haproxy_process import HaproxyProcess
from ryu_apps.testbed.harness.shell import Namespace, wait_until
from ryu_apps.testbed.harness.transparent import deliver_to_sockets

_PORT = 8080
_CONFIG = """\
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


class Haproxy(HaproxyProcess):
    """haproxy in the namespace of an end system."""

    def __init__(self, namespace: Namespace, interface: str, folder: Path, source: str = "clientip") -> None:
        """
        Args:
            interface: where clients are led to it.
            folder: for its files.
            source: of its connections to servers: ``clientip`` (the client's address) or ``client`` (its port, too).
        """
        super().__init__(namespace, folder, "haproxy", _CONFIG.format(port=_PORT, source=source))
        self._interface = interface

    def start(self) -> None:
        """Prepare the kernel, start the process, wait until it listens; the kernel's part ends with the namespace."""
        deliver_to_sockets(self.namespace, self._interface, _PORT)
        super().start()

    def clients(self) -> set[tuple[str, int]]:
        """Address and port of every client that it has a connection of now."""
        found = re.findall(r"proto=tcpv[46] src=([0-9a-f.:]+):(\d+)", self.ask("show sess"))
        return {(address, int(port)) for address, port in found}

    def disconnect(self) -> None:
        """End every connection, also those whose ends are gone without its knowledge; they count towards ``maxconn``.

        What haproxy has closed, its kernel goes on retransmitting for minutes if the other end is gone.

        Raises:
            TimeoutError: some are left.
        """
        for backend in ("ipv4", "ipv6"):
            self.ask(f"shutdown sessions server {backend}/vm")
        wait_until(lambda: not self.clients(), f"{self.name}: end of all connections")
        self.namespace.run("ss", "--kill", "--tcp", "state", "connected")

    def total(self) -> int:
        """Connections that it has had so far, over either version of IP."""
        return self.sessions("FRONTEND")
