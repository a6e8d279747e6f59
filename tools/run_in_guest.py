"""Run a command in a guest with another kernel, on this machine's own root file system.

``python -m tools.run_in_guest KERNEL COMMAND...``, as root.  KERNEL is the folder of tools/guest-kernel.  The guest is
QEMU under software emulation.  It reads the root file system of this machine through virtiofs, and writes into a tmpfs
on top of it, so nothing has to be copied, and nothing changes here.  The command runs in the current folder; its output
is written as it comes, and its exit status is returned.

The clock of the guest counts the instructions that it executes (``-icount``): one nanosecond each.  On a busy machine
the guest is slow as everything else, but does not notice it, and no deadline in it passes sooner.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.shell import end, wait_until
from ryu_apps.testbed.hypervisors.initramfs import (
    VIRTIO_PCI,
    find_kernel,
    module_entries,
    program,
    program_entries,
    write_initramfs,
)

#: Of Debian's qemu-system-common.
_VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
#: MiB; what the guest writes is in it too.
_MEMORY = 3072
_MODULES = (*VIRTIO_PCI, "fs/fuse/fuse.ko", "fs/fuse/virtiofs.ko", "fs/overlayfs/overlay.ko")

#: Process 1 of the guest: puts the root file system together.
_INIT = f"""\
#!/bin/busybox sh
/bin/busybox mkdir -p /proc /dev /below /above /root
/bin/busybox --install /bin
mount -t proc proc /proc
mount -t devtmpfs devtmpfs /dev
for module in {" ".join(Path(name).name for name in _MODULES)}; do insmod /modules/$module; done
mount -t tmpfs tmpfs /above
mkdir /above/changes /above/work /above/usr /above/usr-work
mount -t virtiofs -o ro root /below
mount -t overlay -o lowerdir=/below,upperdir=/above/changes,workdir=/above/work overlay /root
{{layer}}
mount -t tmpfs -o mode=755 tmpfs /root/run
cp /start /root/run/start
umount /dev /proc
exec switch_root /root /run/start
"""
#: A layer between the machine's ``/usr`` and what the guest writes there.  It is in the machine's root file system
#: itself, and overlayfs refuses layers of which one contains the other.
_LAYER = (
    "mount -t overlay overlay /root/usr"
    " -o lowerdir=/below{layer}/usr:/below/usr,upperdir=/above/usr,workdir=/above/usr-work"
)
#: And then: what a running Debian has, the command, and its exit status on the second serial port.
_START = """\
#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm /lib/modules
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount --bind {modules} /lib/modules
stty -F /dev/console -onlcr
modprobe -a openvswitch
cd {folder}
{environment} {command} </dev/null >/dev/console 2>&1
echo status $? >/dev/ttyS1
sync
poweroff -f
"""


@contextmanager
def shared_root(folder: Path) -> Iterator[Path]:
    """Serve the root file system, read-only, at a socket that is yielded."""
    socket, view = folder / "root.sock", folder / "root"
    view.mkdir()
    serve = f"{_VIRTIOFSD} --socket-path={socket} -o source={view} -o cache=always -o sandbox=chroot"
    steps = f"mount --rbind / {view} && mount -o remount,ro,bind {view} && exec {serve}"
    with (folder / "virtiofsd.log").open("wb") as log:
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", steps]
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until(lambda: socket.exists() or server.poll() is not None, "virtiofsd")
        if server.poll() is not None:
            raise TestbedError(f"virtiofsd: {(folder / 'virtiofsd.log').read_text().strip()}")
        yield socket
    finally:
        end(server)


def machine(kernel: Path, initramfs: Path, root: Path, status: Path) -> list[str]:
    """Return the command line of QEMU."""
    return [
        *("qemu-system-x86_64", "-accel", "tcg,tb-size=1024", "-icount", "shift=0,sleep=on", "-rtc", "clock=vm"),
        *("-machine", "q35,memory-backend=ram", "-cpu", "max", "-m", str(_MEMORY), "-nodefaults", "-no-user-config"),
        *("-object", f"memory-backend-memfd,id=ram,size={_MEMORY}M,share=on", "-display", "none", "-no-reboot"),
        *("-chardev", f"socket,id=root,path={root}"),
        *("-device", "vhost-user-fs-pci,chardev=root,tag=root,queue-size=1024"),
        *("-kernel", str(kernel), "-initrd", str(initramfs)),
        *("-append", "console=ttyS0 quiet panic=-1 mitigations=off apparmor=0 random.trust_cpu=on"),
        *("-serial", "stdio", "-serial", f"file:{status}"),
    ]


def run_in_guest(package: Path, layer: Path | None, variables: dict[str, str], command: tuple[str, ...]) -> int:
    """Run a command in a guest and return its exit status.

    Args:
        package: folder with an unpacked kernel.
        layer: folder whose ``usr`` lies over that of the root file system.
        variables: for the environment of the command.

    Raises:
        TestbedError: the guest did not start, or ended without an exit status.
    """
    words = {
        "modules": shlex.quote(str(package.resolve() / "lib/modules")),
        "folder": shlex.quote(os.getcwd()),
        "environment": " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items()),
        "command": shlex.join(command),
    }
    init = _INIT.format(layer=_LAYER.format(layer=layer.resolve()) if layer else "")
    entries = [*program_entries(), program("init", init), program("start", _START.format(**words))]
    with tempfile.TemporaryDirectory(prefix="guest-") as place, shared_root(folder := Path(place)) as root:
        initramfs = write_initramfs(folder / "initramfs.gz", [*entries, *module_entries(package, _MODULES)])
        status = folder / "status"
        qemu = subprocess.Popen(machine(find_kernel(package), initramfs, root, status), stdin=subprocess.DEVNULL)
        try:
            qemu.wait()
        finally:
            end(qemu)
        return _read_status(status)


def _read_status(path: Path) -> int:
    words = path.read_text("ascii").split() if path.exists() else []
    if words[:1] != ["status"]:
        raise TestbedError("the guest ended without an exit status of the command")
    return int(words[1])


@click.command(context_settings={"allow_interspersed_args": False})
@click.option(
    "--layer",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder whose usr lies over that of the root file system.",
)
@click.option("--keep", "kept", multiple=True, metavar="NAME", help="Variable of the environment to pass on.")
@click.argument("kernel", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def main(layer: Path | None, kept: tuple[str, ...], kernel: Path, command: tuple[str, ...]) -> None:
    """Run COMMAND in a guest with the kernel of the folder KERNEL."""
    # By an exception, so that QEMU and virtiofsd are ended too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        sys.exit(run_in_guest(kernel, layer, {name: os.environ[name] for name in kept}, command))
    except TestbedError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
