"""Kernel and initramfs of a guest: the kernel of Debian's cloud images, its virtio modules, and busybox.

The guest takes its address from the kernel's command line (``evb.ip=10.0.100.11/24``) and listens on three TCP ports:
80 echoes, 443 sends a line every 20 ms, 22 takes what it is sent.
"""

from __future__ import annotations

import gzip
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.shell import run

ECHO, SOURCE, SINK = 80, 443, 22
#: What a guest writes to its console when it listens.
READY = "guest is ready"
#: In the order in which they depend on each other.
_MODULES = (
    "drivers/virtio/virtio_ring.ko",
    "drivers/virtio/virtio.ko",
    "drivers/virtio/virtio_pci_legacy_dev.ko",
    "drivers/virtio/virtio_pci_modern_dev.ko",
    "drivers/virtio/virtio_pci.ko",
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
_DIRECTORY, _SYMLINK = stat.S_IFDIR | 0o755, stat.S_IFLNK | 0o777
_PROGRAM, _PLAIN = stat.S_IFREG | 0o755, stat.S_IFREG | 0o644


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
    kernel = _only(kernel_package, "boot/vmlinuz-*")
    modules = _only(kernel_package, "lib/modules/*") / "kernel"
    drivers = [(f"modules/{Path(name).name}", _PLAIN, (modules / name).read_bytes()) for name in _MODULES]
    initramfs = folder / "initramfs.gz"
    initramfs.write_bytes(gzip.compress(_cpio([*_programs(), ("modules", _DIRECTORY, b""), *drivers]), 1))
    return GuestImage(kernel, initramfs)


Entry = tuple[str, int, bytes]


def _programs() -> Iterator[Entry]:
    busybox = shutil.which("busybox")
    if busybox is None:
        raise TestbedError("busybox is not installed")
    for folder in ("bin", "lib", "lib64"):
        yield folder, _DIRECTORY, b""
    yield "bin/busybox", _PROGRAM, Path(busybox).read_bytes()
    for library in _libraries(busybox):
        yield f"{'lib64' if library.name.startswith('ld-') else 'lib'}/{library.name}", _PROGRAM, library.read_bytes()
    yield "bin/sh", _SYMLINK, b"busybox"
    yield "init", _PROGRAM, _INIT.encode()
    yield "source", _PROGRAM, _SOURCE.encode()
    yield "sink", _PROGRAM, _SINK.encode()


def _libraries(program: str) -> Iterator[Path]:
    """Yield the shared libraries of a program, its loader among them."""
    for line in run(["ldd", program]).splitlines():
        found = [word for word in line.split() if word.startswith("/")]
        if found:
            yield Path(found[0])


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise TestbedError(f"{len(found)} files {pattern} in {folder}: `make test-hypervisor` unpacks a kernel there")
    return found[0]


def _cpio(entries: list[Entry]) -> bytes:
    """An archive in the "newc" format, which the kernel unpacks into its root file system."""
    records = [_record(number, *entry) for number, entry in enumerate([*entries, ("TRAILER!!!", 0, b"")], start=1)]
    return b"".join(records)


def _record(number: int, name: str, mode: int, content: bytes) -> bytes:
    # inode, mode, uid, gid, links, time, size, device and its minor, special device and its minor, name size, checksum
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return _aligned(header) + _aligned(content)


def _aligned(octets: bytes) -> bytes:
    return octets + b"\0" * (-len(octets) % 4)
