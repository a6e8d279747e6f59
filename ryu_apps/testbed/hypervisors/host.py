"""One hypervisor: libvirtd and lldpad, as Debian has them, in network, mount and UTS namespaces of their own.

Its uplink is an internal port of Open vSwitch that is moved into its namespace: libvirt follows the other end of a
veth into a namespace where it does not find it, and waits for ever.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.cluster import StationMaker
from ryu_apps.testbed.harness.shell import CommandError, Namespace, end, run, wait_until
from ryu_apps.testbed.harness.station import HypervisorStation, LldpadStation
from ryu_apps.testbed.hypervisors.domain import Guest, domain_for_lldpad
from ryu_apps.testbed.hypervisors.guest_image import GuestImage

NETLINK_ROUTE = 0
#: Folders that each libvirtd and each lldpad has for itself.
_PRIVATE = ("/run", "/dev/shm", "/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt")
_LIBVIRTD = """\
listen_tls = 0
listen_tcp = 1
tcp_port = "16509"
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


@dataclass(frozen=True, slots=True)
class HostKind:
    """Connection of libvirt to the station of its host.

    Attributes:
        station: makes the station.
        domain_xml: writes the XML of a guest: the guest, its image, the uplink, the console.
        hook: text of ``/etc/libvirt/hooks/qemu`` for a station; empty without.
    """

    station: StationMaker
    domain_xml: Callable[[Guest, GuestImage, str, str], str] = domain_for_lldpad
    hook: Callable[[HypervisorStation], str] = lambda station: ""


#: libvirt and lldpad as Debian has them.
LLDPAD = HostKind(partial(LldpadStation, pid_file=True))


class LibvirtHost:
    """A hypervisor.

    Attributes:
        name: of the host and of its uplink.
        namespace: its network and mount namespace.
        station: its lldpad or station daemon.
        kind: as given.
    """

    def __init__(self, name: str, address: str, first_index: int, folder: Path, kind: HostKind) -> None:
        """
        Args:
            kind: how it is connected to its station.
            address: of its interface ``mgmt`` towards the other hypervisor, where libvirtd listens.
            first_index: least index of its further interfaces: macvtap devices of all namespaces share ``/dev``, where
                they are named by their index.
            folder: an existing folder for its files.
        """
        self.name = name
        self.address = address
        self._folder = folder
        mounts = "\n".join(f"mkdir -p {path}; mount -t tmpfs tmpfs {path}" for path in _PRIVATE)
        setup = _SETUP.format(mounts=mounts, name=name, user=_USER)
        command = ["unshare", "--net", "--mount", "--uts", "sh", "-ec", setup]
        self._keeper = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._keeper.stdout is not None
        if not self._keeper.stdout.read(1):
            raise TestbedError(f"{name}: no namespaces of its own")
        self.namespace = Namespace(name, self._keeper.pid)
        self.kind = kind
        self.station = kind.station(self.namespace, name, folder)
        self._libvirtd: subprocess.Popen[bytes] | None = None
        self.namespace.ip("link set lo up")
        self._skip_indexes(first_index)

    def connect_uplink(self) -> None:
        """Take the internal port of the switch that has the host's name as uplink."""
        run(["ip", "link", "set", self.name, "netns", str(self.namespace.pid)])
        self.namespace.ip(f"link set {self.name} up")

    def start(self) -> None:
        """Start lldpad and libvirtd; see :meth:`wait_ready`."""
        self.station.start()
        host_uuid = uuid.uuid5(uuid.NAMESPACE_DNS, self.name)
        self._write("libvirtd.conf", _LIBVIRTD.format(host_uuid=host_uuid, folder=self._folder, name=self.name))
        self._write("qemu.conf", _QEMU)
        if hook := self.kind.hook(self.station):
            run(self._argv("mkdir", "/etc/libvirt/hooks"))
            self._write("hooks/qemu", hook)
            run(self._argv("chmod", "755", "/etc/libvirt/hooks/qemu"))
        self.start_libvirtd()

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

    def restart_lldpad(self) -> None:
        """End lldpad, which forgets its VSIs, start it again and wait until it is usable."""
        self.station.stop()
        self.station.start()
        self.station.wait_ready()

    def wait_ready(self) -> None:
        """Wait until lldpad has agreed on EVB with the bridge."""
        self.station.wait_ready()

    def stop(self) -> None:
        """End the guests and the daemons, then the namespaces."""
        if self._libvirtd is not None and self._libvirtd.poll() is None:
            for name in self.domains():
                self.virsh("destroy", name, check=False)
            end(self._libvirtd)
        self.station.stop()
        self._keeper.kill()
        self._keeper.wait()

    def popen(self, *command: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a process in the host's namespaces."""
        return self.namespace.popen(*command, log=log, mounts=True)

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

    def _skip_indexes(self, first_index: int) -> None:
        pairs = range(first_index // 2)
        self.namespace.ip(*(f"link add skip{pair} group 9 type veth peer name peer{pair}" for pair in pairs))
        if pairs:
            self.namespace.ip("link del group 9")
