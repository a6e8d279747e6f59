"""Network between switches that have a namespace each: a namespace that joins them, and cables."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.interop.private_ovs import DEADLINE, PrivateOvs, inside

_NUMBERS = count(1)


@dataclass(frozen=True, slots=True)
class Hub:
    """A namespace with one bridge of the kernel for each network.

    Attributes:
        namespace: its name; controllers run here.
    """

    namespace: str

    def join(self, switch: PrivateOvs, network: str, number: int, name: str) -> None:
        """Lay a cable from a switch's namespace, where its end has a name, to a network."""
        far = f"{network}{number}"
        ip("-n", switch.namespace, "link", "add", name, "type", "veth", "peer", "name", far, "netns", self.namespace)
        ip("-n", self.namespace, "link", "set", far, "master", network, "up")
        up(switch.namespace, name)

    def address(self, network: str, address: str) -> None:
        """Make a network, in which the hub has an address with a prefix length."""
        ip("-n", self.namespace, "link", "add", network, "type", "bridge")
        ip("-n", self.namespace, "address", "add", address, "dev", network)
        up(self.namespace, network)


@contextmanager
def hub() -> Iterator[Hub]:
    """A hub without networks."""
    made = Hub(f"hub{os.getpid()}-{next(_NUMBERS)}")
    ip("netns", "add", made.namespace)
    try:
        ip("-n", made.namespace, "link", "set", "lo", "up")
        yield made
    finally:
        ip("netns", "del", made.namespace)


def cable(near: PrivateOvs, name: str, far: PrivateOvs, far_name: str) -> None:
    """Lay a cable between two switches."""
    ip("-n", near.namespace, "link", "add", name, "type", "veth", "peer", "name", far_name, "netns", far.namespace)
    up(near.namespace, name)
    up(far.namespace, far_name)


def up(namespace: str, interface: str) -> None:
    """Set an interface up, which sends nothing by itself."""
    with inside(namespace):
        Path(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6").write_text("1")
    ip("-n", namespace, "link", "set", interface, "up")


def ip(*arguments: str) -> None:
    """Run ``ip``."""
    subprocess.run(["ip", *arguments], check=True, timeout=DEADLINE)
