"""Kernel and initramfs of a guest: the kernel of Debian's cloud images, its virtio modules, and busybox.

The guest takes its address from the kernel's command line (``evb.ip=10.0.100.11/24``) and listens on three TCP ports:
80 echoes, 443 sends a line every 20 ms, 22 takes what it is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ryu_apps.testbed.hypervisors.initramfs import (
    VIRTIO_PCI,
    find_kernel,
    module_entries,
    program,
    program_entries,
    write_initramfs,
)

ECHO, SOURCE, SINK = 80, 443, 22
#: What a guest writes to its console when it listens.
READY = "guest is ready"
#: In the order in which they depend on each other.
_MODULES = (
    *VIRTIO_PCI,
    "net/core/failover.ko",
    "drivers/net/net_failover.ko",
    "drivers/net/virtio_net.ko",
)
_INIT = f"""\
#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /usr/bin /usr/sbin /sbin
/bin/busybox --install
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in {" ".join(Path(name).name for name in _MODULES)}; do insmod /modules/$module; done
address=$(sed 's/.*evb.ip=\\([^ ]*\\).*/\\1/' /proc/cmdline)
set -e
ip link set lo up
ip address add $address dev eth0
ip link set eth0 up
nc -ll -p {ECHO} -e /bin/cat &
nc -ll -p {SOURCE} -e /source &
nc -ll -p {SINK} -e /sink &
for port in {ECHO:04X} {SOURCE:04X} {SINK:04X}; do
    until grep -q ":$port 0*:0000" /proc/net/tcp*; do usleep 100000; done
done
echo {READY}
while :; do sleep 3600; done
"""
_SOURCE = """\
#!/bin/sh
number=0
while echo $number; do number=$((number + 1)); usleep 20000; done
"""
_SINK = """\
#!/bin/sh
exec cat >/dev/null
"""
_SCRIPTS = {"init": _INIT, "source": _SOURCE, "sink": _SINK}


@dataclass(frozen=True, slots=True)
class GuestImage:
    """Files from which a guest boots."""

    kernel: Path
    initramfs: Path


def build_image(kernel_package: Path, folder: Path) -> GuestImage:
    """Make the image of a guest.

    Args:
        kernel_package: folder with the unpacked Debian package of a kernel.
        folder: where the initramfs is written.

    Raises:
        TestbedError: no kernel, module or busybox is there.
    """
    programs = [*program_entries(), *(program(name, text) for name, text in _SCRIPTS.items())]
    initramfs = write_initramfs(folder / "initramfs.gz", [*programs, *module_entries(kernel_package, _MODULES)])
    return GuestImage(find_kernel(kernel_package), initramfs)
