"""A server with a Debian of its own, whose packages and services are as Debian has them: commands are typed there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from ryu_apps.testbed.harness.running import end_all
from ryu_apps.testbed.harness.shell import CommandError, Namespace, run
from ryu_apps.testbed.harness.systemd import BootedDebian

#: What QEMU and macvtap need in ``/dev``, and KVM if the machine has it.  A macvtap device is named by the index of its
#: interface, and appears in the machine's own devtmpfs, which all servers share: each has indexes of its own.
_DEVICES = """\
mkdir dev/net dev/machine
mknod -m 666 dev/net/tun c 10 200
[ ! -c /dev/kvm ] || mknod -m 666 dev/kvm c 10 232
mount -t devtmpfs devtmpfs dev/machine
for number in $(seq {first} {last}); do ln -s machine/tap$number dev/tap$number; done
hostname {name}
for pair in $(seq {pairs}); do echo link add skip$pair group 9 type veth peer name peer$pair; done | ip -batch -
[ {pairs} = 0 ] || ip link del group 9
"""
_INDEXES = 200
_ENVIRONMENT = ("env", "--chdir=/root", "-i", "HOME=/root", "LANG=C.UTF-8", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")


class DebianServer(BootedDebian):
    """A server; a context manager.

    Attributes:
        name: of the host.
        address: IPv4 address of its interface ``mgmt``.
    """

    def __init__(self, number: int, debian: Path, folder: Path, addresses: Mapping[str, str]) -> None:
        """
        Args:
            number: of the server, from 1; its name is ``hv`` and the number.
            debian: folder with a root file system, which stays as it is.
            folder: for what changes in it.
            addresses: of all hosts, by name, this one among them.
        """
        self.name = f"hv{number}"
        self.address = addresses[self.name]
        self._debian, self._place = debian, folder / f"{os.getpid()}-{self.name}"
        pairs = (number - 1) * _INDEXES // 2
        words = {"name": self.name, "pairs": pairs, "first": 2 * pairs + 1, "last": 2 * pairs + _INDEXES}
        super().__init__(self._place / "root", _DEVICES.format(**words))
        self._addresses = addresses

    def start(self) -> None:
        """Start systemd on a view of the root file system."""
        for name in ("root", "changes", "work"):
            (self._place / name).mkdir(parents=True)
        layers = f"lowerdir={self._debian},upperdir={self._place}/changes,workdir={self._place}/work"
        run(["mount", "-t", "overlay", "overlay", "-o", layers, str(self._place / "root")])
        hosts = {"localhost": "127.0.0.1", **self._addresses}
        self.write("etc/hosts", "".join(f"{address} {name}\n" for name, address in hosts.items()))
        self.write("etc/hostname", f"{self.name}\n")
        super().start()

    def stop(self) -> None:
        """End everything in there."""
        unmount = ["umount", str(self._place / "root")]
        end_all(super().stop, partial(subprocess.run, unmount, check=False))

    @property
    def namespace(self) -> Namespace:
        """Its network."""
        return Namespace(self.name, self.pid)

    def place(self, name: str) -> Path:
        """Return the path of a file, which is relative to its root folder."""
        return self._place / "root" / name

    def write(self, name: str, text: str) -> None:
        """Write a file; the path is relative to its root folder."""
        self.place(name).write_text(text, encoding="utf-8")

    def type(self, commands: str) -> str:
        """Type commands into a shell of root; return what they print.

        Raises:
            CommandError: one of them failed.
        """
        done = self.run(*_ENVIRONMENT, "bash", "-ec", commands)
        if done.returncode:
            raise CommandError(f"{self.name}: {commands}\n{done.stdout}{done.stderr}")
        return done.stdout
