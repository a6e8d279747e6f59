"""A load balancer in hardware: an end system whose haproxy hands connections to VMs, from addresses of its own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ryu_apps.testbed.harness.cluster import EndHost
from ryu_apps.testbed.harness.haproxy_process import HaproxyProcess

_CONFIG = """\
listen service
  bind {ip}:{port}
  balance roundrobin
"""


class BalancerHost(HaproxyProcess):
    """haproxy in the namespace of an end system."""

    def __init__(self, host: EndHost, port: int, backends: Iterable[str], folder: Path) -> None:
        """
        Args:
            port: of the service, at the host and at the back ends.
            backends: their IPv4 addresses.
            folder: for its files.
        """
        config = _CONFIG.format(ip=host.ip, port=port)
        config += "".join(f"  server s{number} {ip}:{port}\n" for number, ip in enumerate(backends, 1))
        super().__init__(host.namespace, folder, "balancer", config)

    def total(self) -> int:
        """Return the number of connections that it has handed on so far."""
        return self.sessions("BACKEND")
