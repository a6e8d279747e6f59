"""A load balancer in hardware, in the path: an end system whose haproxy hands connections on with their addresses.

A back end sees the address of each client.  What it answers is for the client, and comes to the balancer because the
bridge leads it there: the host is a router of an ``appliance`` (evbridge.yaml), and the types of its back ends say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ryu_apps.testbed.harness.cluster import EndHost
from ryu_apps.testbed.harness.haproxy_process import HaproxyProcess
from ryu_apps.testbed.harness.shell import Namespace
from ryu_apps.testbed.harness.transparent import deliver_to_sockets

_CONFIG = """\
listen service
  bind {ip}:{port}
  balance roundrobin
  source 0.0.0.0 usesrc clientip
"""
#: Segments of the service that have come another way than from the balancer, which has one address there.
_WATCH = """\
add table ip evbridge_balanced
add counter ip evbridge_balanced bypassed
add chain ip evbridge_balanced seen {{ type filter hook prerouting priority raw; }}
add rule ip evbridge_balanced seen tcp dport {port} ether saddr != {mac} counter name bypassed
"""
_PACKETS = re.compile(r"packets (\d+)")


class BalancerHost(HaproxyProcess):
    """haproxy in the namespace of an end system."""

    def __init__(self, host: EndHost, port: int, backends: Iterable[tuple[Namespace, str]], folder: Path) -> None:
        """
        Args:
            port: of the service, at the host and at the back ends.
            backends: their namespaces and IPv4 addresses.
            folder: for its files.
        """
        self._host, self._port, self._backends = host, port, tuple(backends)
        config = _CONFIG.format(ip=host.ip, port=port)
        config += "".join(f"  server s{number} {ip}:{port}\n" for number, (_, ip) in enumerate(self._backends, 1))
        super().__init__(host.namespace, folder, "balancer", config)

    def start(self) -> None:
        """Prepare the kernel, count at the back ends, and start the process."""
        deliver_to_sockets(self.namespace, self._host.interface)
        for backend, _ in self._backends:
            backend.run("nft", "-f", "-", stdin=_WATCH.format(port=self._port, mac=self._host.mac))
        super().start()

    def counts(self) -> dict[str, int]:
        """Return connections that it has handed on so far, and segments that have come to a back end past it."""
        asked = ("nft", "list", "counter", "ip", "evbridge_balanced", "bypassed")
        bypassed = sum(_packets(backend.run(*asked)) for backend, _ in self._backends)
        return {"connections": self.sessions("BACKEND"), "bypassed": bypassed}


def _packets(listed: str) -> int:
    found = _PACKETS.search(listed)
    assert found is not None, "nft lists packets of a counter"
    return int(found[1])
