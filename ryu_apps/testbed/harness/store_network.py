"""A network between the servers of a store: a namespace for each of them, and links that can be cut."""

from __future__ import annotations

import subprocess

from ryu_apps.testbed.harness.shell import Namespace, run

_BRIDGE, _PORT = "raft", 6644


class StoreNetwork:
    """Namespaces with one interface each, and a bridge between them.

    Attributes:
        addresses: of the servers for each other, in the order of their numbers.
    """

    def __init__(self, size: int) -> None:
        self.addresses = [f"tcp:{_ip(number)}:{_PORT}" for number in range(size)]
        self._keepers: list[subprocess.Popen[bytes]] = []
        self._namespaces: list[Namespace] = []

    def start(self) -> None:
        """Make bridge and namespaces in the present one."""
        run(["ip", "link", "add", _BRIDGE, "type", "bridge"])
        run(["ip", "link", "set", _BRIDGE, "up"])
        for number in range(len(self.addresses)):
            command = ["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"]
            keeper = subprocess.Popen(command, stdout=subprocess.PIPE)
            self._keepers.append(keeper)
            assert keeper.stdout is not None
            keeper.stdout.read(1)  # the namespace exists once its process has written
            namespace = Namespace(f"{_BRIDGE}{number}", keeper.pid)
            self._namespaces.append(namespace)
            own = f"{_BRIDGE}{number}"
            run(["ip", "link", "add", own, "type", "veth", "peer", "name", "eth0", "netns", str(keeper.pid)])
            run(["ip", "link", "set", own, "master", _BRIDGE, "up"])
            namespace.ip("link set lo up", f"address add {_ip(number)}/24 dev eth0", "link set eth0 up")

    def stop(self) -> None:
        """Remove all of it."""
        for keeper in self._keepers:
            keeper.kill()
            keeper.wait()
        self._keepers.clear()
        run(["ip", "link", "del", _BRIDGE])

    def inside(self, number: int) -> list[str]:
        """The beginning of a command line that runs a command where a server is."""
        return self._namespaces[number].argv(())

    def cut(self, number: int) -> None:
        """Let nothing pass between a server and the others."""
        run(["ip", "link", "set", f"{_BRIDGE}{number}", "down"])

    def join(self, number: int) -> None:
        """End that."""
        run(["ip", "link", "set", f"{_BRIDGE}{number}", "up"])


def _ip(number: int) -> str:
    return f"192.0.2.{number + 1}"
