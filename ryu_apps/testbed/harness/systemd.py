"""systemd as process 1 of namespaces of its own, on the root file system of a Debian in a folder."""

from __future__ import annotations

import errno
import subprocess
from pathlib import Path
from typing import Self

from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.running import Running
from ryu_apps.testbed.harness.shell import run, wait_until

#: Enters a cgroup, and then new namespaces: what is process 1 there sees the cgroup as the root of all.
_ENTER = """\
echo $$ >{cgroup}/cgroup.procs
exec unshare --pid --fork --mount --net --uts --ipc --cgroup --propagation private --kill-child sh -ec "$0" {root} "$1"
"""
#: What systemd expects of who starts it in a container (systemd.io/CONTAINER_INTERFACE); $1 has further commands.
#: Mounts are shared, as systemd makes them if the kernel starts it: otherwise no service gets its credentials.
_BOOT = """\
mount --bind $0 $0
cd $0
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for place in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs $place; done
for device in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 dev/${device%:*} c 1 ${device#*:}; done
mknod -m 666 dev/tty c 5 0
mkdir -p dev/shm dev/pts old
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ip link set lo up
eval "$1"
pivot_root . old
umount -l /old
mount --make-rshared /
exec env -i container=evbridge /lib/systemd/systemd --unit=basic.target
"""
#: Seconds for a command, and for the start of systemd, on a busy machine.
_PATIENCE = 300.0
#: Two ends of a wire, ``up0`` and ``sw0``.
_WIRE = "ip link add up0 type veth peer name sw0; ip link set up0 up; ip link set sw0 up"


class BootedDebian(Running):
    """A Debian whose systemd runs; a context manager."""

    def __init__(self, root: Path, setup: str = _WIRE) -> None:
        """
        Args:
            root: folder with the root file system.
            setup: commands that complete its devices and interfaces, in the folder ``root``, before systemd starts.
        """
        self._root, self._setup = root, setup
        self._cgroup = _cgroups() / f"evbridge-{root.parent.name}"
        self._unshare: subprocess.Popen[bytes] | None = None
        self._pid = 0

    def __enter__(self) -> Self:
        # Before what is stopped if it fails: a group that is there already belongs to another run.
        self._cgroup.mkdir()
        return super().__enter__()

    def start(self) -> None:
        """Start systemd and wait for its first services."""
        enter = _ENTER.format(cgroup=self._cgroup, root=self._root)
        self._unshare = subprocess.Popen(["sh", "-ec", enter, _BOOT, self._setup], stdin=subprocess.DEVNULL)
        wait_until(self._is_running, "systemd", _PATIENCE, pause=0.2)

    def stop(self) -> None:
        """End everything in there."""
        if self._unshare is not None:
            # Process 1 ends with it, and all others with process 1.
            self._unshare.kill()
            self._unshare.wait()
        wait_until(self._is_gone, "the end of the processes in there", _PATIENCE, pause=0.1)

    @property
    def pid(self) -> int:
        """Its systemd, as a process of this machine."""
        return self._pid

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in there, whatever its exit status."""
        entered = ["nsenter", f"--target={self._pid}", "--all", "--", *command]
        return subprocess.run(entered, capture_output=True, text=True, timeout=_PATIENCE)

    def _is_running(self) -> bool:
        assert self._unshare is not None
        if self._unshare.poll() is not None:
            raise TestbedError(f"systemd has ended with status {self._unshare.returncode}")
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children").read_text().split()
        if not children:
            return False
        self._pid = int(children[0])
        is_init = Path(f"/proc/{self._pid}/comm").read_text().strip() == "systemd"
        return is_init and self.run("systemctl", "is-active", "basic.target").returncode == 0

    def _is_gone(self) -> bool:
        if any(path.read_text().split() for path in self._cgroup.rglob("cgroup.procs")):
            return False
        folders = sorted((path for path in self._cgroup.rglob("*") if path.is_dir()), reverse=True)
        try:
            for folder in (*folders, self._cgroup):
                folder.rmdir()
        except OSError as error:
            # A process that is not listed any more may not have ended altogether.
            if error.errno != errno.EBUSY:
                raise
            return False
        return True


def _cgroups() -> Path:
    """The root of the second version of cgroups."""
    return Path(run(["findmnt", "--noheadings", "--output=TARGET", "--types=cgroup2", "--first-only"]).strip())
