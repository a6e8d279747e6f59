"""DHCP and DNS as a network has them: a real dnsmasq, a real client, and a question to a name server."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
from contextlib import closing
from ipaddress import IPv4Address
from pathlib import Path

from ryu_apps.testbed.harness.shell import Namespace, end, wait_until

DNS = 53
_HEADER = struct.Struct("!6H")
_RECURSE = 0x0100
_A, _IN = 1, 1
_ANSWER_TAIL = 4

_SCRIPT = """\
#!/bin/sh
case "$1" in bound|renew) ip address replace "$ip/$mask" dev "$interface" ;; esac
echo "$1 $ip $serverid" >> {told}
"""


class Dnsmasq:
    """dnsmasq on an interface of an end system: one pool, one lease for ``mac``, one name."""

    def __init__(self, namespace: Namespace, interface: str, folder: Path, lease: tuple[str, str], name: str) -> None:
        """
        Args:
            folder: for its lease database and its log.
            lease: MAC address and the IPv4 address that is kept for it.
            name: resolves to that address.
        """
        self.log = folder / "dnsmasq.log"
        mac, ip = lease
        self._namespace = namespace
        self._process: subprocess.Popen[bytes] | None = None
        self._command = (
            *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root"),
            *("--no-hosts", "--no-resolv", "--no-ping", "--bind-interfaces", f"--interface={interface}"),
            *("--dhcp-authoritative", f"--dhcp-range={ip},static,2m", f"--dhcp-host={mac},{ip}"),
            *(f"--dhcp-leasefile={folder / 'leases'}", f"--host-record={name},{ip}"),
            *("--log-dhcp", "--log-queries", "--log-facility=-"),
        )

    def start(self) -> None:
        """Start it; it answers when this returns."""
        before = self._said("started")
        self._process = self._namespace.popen(*self._command, log=self.log)
        wait_until(lambda: self._said("started") > before, "dnsmasq")

    def stop(self) -> None:
        """Stop it; its leases stay on file."""
        if self._process is not None:
            end(self._process)
            self._process = None

    def _said(self, words: str) -> int:
        return self.log.read_text(encoding="utf-8").count(words) if self.log.exists() else 0


class DhcpClient:
    """busybox's udhcpc on an interface.  It gives its interface the address that it is leased."""

    def __init__(self, namespace: Namespace, interface: str, folder: Path) -> None:
        self._log = folder / "udhcpc.log"
        self._told = folder / "leases-told"
        self._told.touch()
        script = folder / "udhcpc-script"
        script.write_text(_SCRIPT.format(told=self._told), encoding="ascii")
        script.chmod(0o755)
        command = ("busybox", "udhcpc", "-f", "-i", interface, "-s", str(script), "-T", "1")
        self._process = namespace.popen(*command, log=self._log)

    @property
    def leases(self) -> list[tuple[str, str, str]]:
        """Every lease so far: ``bound`` or ``renew``, its address, the server's."""
        lines = (line.split() for line in self._told.read_text(encoding="ascii").splitlines())
        return [(words[0], words[1], words[2]) for words in lines if words[0] in ("bound", "renew")]

    def renew(self) -> None:
        """Ask for the lease to be renewed now: of the server that gave it, then, if it is silent, of any."""
        os.kill(self._process.pid, signal.SIGUSR1)

    def stop(self) -> None:
        """End it; the lease is not given back."""
        end(self._process)


def resolve(namespace: Namespace, server: str, name: str, patience: float = 2.0) -> list[str]:
    """The IPv4 addresses of a name (RFC 1035), asked once a fifth of a second; none without an answer in time."""
    question = b"".join(bytes((len(label),)) + label.encode("ascii") for label in name.split("."))
    query = _HEADER.pack(0x4711, _RECURSE, 1, 0, 0, 0) + question + struct.pack("!BHH", 0, _A, _IN)
    with closing(namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asking:
        asking.settimeout(0.2)
        for _ in range(int(patience / 0.2)):
            asking.sendto(query, (server, DNS))
            try:
                return _addresses(asking.recv(512), query)
            except TimeoutError:
                continue
    return []


def _addresses(reply: bytes, query: bytes) -> list[str]:
    identity, _, _, answers, _, _ = _HEADER.unpack_from(reply)
    assert (identity, reply[_HEADER.size : len(query)]) == (0x4711, query[_HEADER.size :])
    # Each answer is a pointer to the name, type, class, time to live, length 4 and the address.
    size = 12 + _ANSWER_TAIL
    records = [reply[len(query) + number * size :][:size] for number in range(answers)]
    return [str(IPv4Address(record[-_ANSWER_TAIL:])) for record in records]
