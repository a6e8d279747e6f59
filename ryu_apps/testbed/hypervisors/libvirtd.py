"""One libvirtd as Debian has it, with its configuration and its guests, in namespaces of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.shell import CommandError, Namespace, end, run, wait_until

NETLINK_ROUTE = 0
#: Folders that each libvirtd and each station has for itself.
_PRIVATE = ("/run", "/dev/shm", "/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt")
_LIBVIRTD = """\
listen_tls = 0
listen_tcp = 1
tcp_port = "{port}"
auth_tcp = "none"
auth_unix_ro = "none"
auth_unix_rw = "none"
host_uuid = "{host_uuid}"
log_outputs = "2:file:{folder}/{name}-libvirtd.log"
"""
_QEMU = """\
security_driver = "none"
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
namespaces = []
cgroup_controllers = []
seccomp_sandbox = 0
stdio_handler = "file"
"""
#: Looked up by libvirtd at its start; made by libvirt-daemon-system, whose services are not needed here.
_USER = "libvirt-qemu:x:64055:64055::/:/usr/sbin/nologin"
_SETUP = """\
mount --make-rprivate /
{mounts}
mount -t sysfs sysfs /sys
for table in passwd group; do
    cp /etc/$table /run/$table
    grep -q ^libvirt-qemu: /run/$table || echo {user} >>/run/$table
    mount --bind /run/$table /etc/$table
done
hostname {name}
echo
exec sleep infinity
"""


class Libvirtd:
    """A host's libvirtd.

    Attributes:
        name: of the host.
        address: IPv4 address at which other libvirtds reach it.
        namespace: its mount namespace, and its network.
    """

    def __init__(self, name: str, address: str, folder: Path, port: int = 16509, own_network: bool = True) -> None:
        """
        Args:
            port: TCP port on which it listens.
            folder: an existing folder for its files.
            own_network: it has a network namespace of its own, too.
        """
        self.name, self.address = name, address
        self._port = port
        self._folder = folder
        mounts = "\n".join(f"mkdir -p {path}; mount -t tmpfs tmpfs {path}" for path in _PRIVATE)
        setup = _SETUP.format(mounts=mounts, name=name, user=_USER)
        networks = ["--net"] if own_network else []
        self._keeper = subprocess.Popen(
            ["unshare", *networks, "--mount", "--uts", "sh", "-ec", setup], stdout=subprocess.PIPE
        )
        assert self._keeper.stdout is not None
        if not self._keeper.stdout.read(1):
            raise TestbedError(f"{name}: no namespaces of its own")
        self.namespace = Namespace(name, self._keeper.pid)
        self._libvirtd: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """URI by which other hosts reach it."""
        return f"qemu+tcp://{self.address}:{self._port}/system"

    def configure(self, hook: str) -> None:
        """Write its configuration.

        Args:
            hook: text of ``/etc/libvirt/hooks/qemu``; empty without.
        """
        host_uuid = uuid.uuid5(uuid.NAMESPACE_DNS, self.name)
        words = {"host_uuid": host_uuid, "folder": self._folder, "name": self.name, "port": self._port}
        self._write("libvirtd.conf", _LIBVIRTD.format(**words))
        self._write("qemu.conf", _QEMU)
        if hook:
            run(self._argv("mkdir", "/etc/libvirt/hooks"))
            self._write("hooks/qemu", hook)
            run(self._argv("chmod", "755", "/etc/libvirt/hooks/qemu"))

    def start_libvirtd(self) -> None:
        """Start libvirtd with a netlink port below 2^31, and wait until it answers.

        libvirt passes the identifier of its netlink port on as a signed number, and 802.1Qbg fails with a negative one.
        The identifier has the process in its lower 22 bits and ten bits of the clock above them, and one that is
        taken is passed over.
        """
        command = self._argv("sh", "-c", "read -r go; exec libvirtd --listen")
        nowhere = subprocess.DEVNULL
        self._libvirtd = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere)
        with ExitStack() as taken:
            for port in range(1 << 31 | self._libvirtd.pid, 1 << 32, 1 << 22):
                sock = taken.enter_context(self.namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE))
                sock.bind((port, 0))
            assert self._libvirtd.stdin is not None
            self._libvirtd.stdin.close()
            wait_until(self._answers, f"{self.name}: libvirtd")

    def popen(self, *command: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a process in the host's namespaces."""
        return self.namespace.popen(*command, log=log, mounts=True)

    def end_libvirtd(self) -> None:
        """End the guests and the daemon."""
        if self._libvirtd is not None and self._libvirtd.poll() is None:
            for name in self.domains():
                self.virsh("destroy", name, check=False)
            end(self._libvirtd)

    def stop(self) -> None:
        """End the guests and the daemon, then the namespaces."""
        self.end_libvirtd()
        self._keeper.kill()
        self._keeper.wait()

    # --- virsh ---
    def virsh(self, *words: str, check: bool = True) -> str:
        """Run virsh at this host; returns what it wrote, errors included.

        Raises:
            CommandError: exit status other than 0, unless ``check`` is False.
        """
        done = subprocess.run(self._argv("virsh", *words), capture_output=True, text=True, timeout=120)
        if done.returncode and check:
            raise CommandError(f"{self.name}: virsh {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout + done.stderr

    def start_virsh(self, *words: str) -> subprocess.Popen[bytes]:
        """Start virsh; its output is a pipe."""
        return subprocess.Popen(self._argv("virsh", *words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def domains(self) -> list[str]:
        """Return the names of the running and paused domains."""
        return self.virsh("list", "--name").split()

    def domain_state(self, name: str) -> str:
        """Return the state of a domain, e.g. ``running``; empty if the host has none of that name."""
        return self.virsh("domstate", name).strip() if name in self.domains() else ""

    @contextmanager
    def libvirtd_stopped(self) -> Iterator[None]:
        """The time of the ``with`` block, in which libvirtd does not run (SIGSTOP, SIGCONT)."""
        assert self._libvirtd is not None, "not started"
        self._libvirtd.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._libvirtd.send_signal(signal.SIGCONT)

    # --- small things ---
    def _argv(self, *command: str) -> list[str]:
        target = str(self.namespace.pid)
        return ["nsenter", f"--target={target}", "--net", "--mount", "--uts", "--", *command]

    def _write(self, name: str, text: str) -> None:
        run(self._argv("sh", "-c", f"cat >/etc/libvirt/{name}"), stdin=text)

    def _answers(self) -> bool:
        assert self._libvirtd is not None
        if self._libvirtd.poll() is not None:
            raise TestbedError(f"{self.name}: libvirtd has ended with status {self._libvirtd.returncode}")
        return subprocess.run(self._argv("virsh", "version"), capture_output=True).returncode == 0
